package pgc

import (
	"cmp"
	"context"
	"fmt"
	"image"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"pgc/runtime/boxes"
	"pgc/runtime/detect"
	"pgc/runtime/generate"
	"pgc/runtime/grammar"
	"pgc/runtime/jsonerr"
)

// DetectRequest asks where objects of some classes are in an image.
type DetectRequest struct {
	Image   Image
	Classes []string // such as "cat" and "traffic light": without ; , < >
	Segment bool     // ask for their masks, too
	Adapter string   // the name of an adapter that the executable keeps; "" is the model alone
	Client  string   // who asks, as in Request
	DetectSettings
}

// DetectSettings say how objects are found, and which of them are kept. Settings that are nil have the default in
// parentheses.
type DetectSettings struct {
	MinScore   *float64 `json:"min_score"`   // objects with a lower score are left out (0.25)
	MaxBoxes   *int     `json:"max_boxes"`   // most objects of an image, those with the highest scores (100)
	NMS        *float64 `json:"nms"`         // of two objects of a class that overlap by more, an intersection over union, one is left out; 1 is off (0.7)
	PerClass   *bool    `json:"per_class"`   // ask for each class with a prompt of its own; the image is encoded once (from five classes on)
	FreeLabels bool     `json:"free_labels"` // take objects that the model calls otherwise, too
	BoxScale   int      `json:"box_scale"`   // what locations are divided by: 1024, or 1023 as in published scores of segmentation; 0 is 1024
	NoScores   bool     `json:"no_scores"`   // leave the scores out, which is faster
}

// Defaults of DetectSettings.
const (
	defaultMinScore = 0.25
	defaultMaxBoxes = 100
	defaultNMS      = 0.7
)

// ObjectScore is how likely an object is one, as the model's own probabilities tell. Its value is the product of its parts.
type ObjectScore struct {
	Label float64 `json:"label"` // of the label's tokens, their geometric mean
	Begin float64 `json:"begin"` // of an object where this one begins
	Loc   float64 `json:"loc"`   // of locations near these, their geometric mean
}

// Value is the score: 0 to 1.
func (s ObjectScore) Value() float64 { return s.Label * s.Begin * s.Loc }

// Object is an object that an answer locates.
type Object struct {
	Box
	Score *ObjectScore // nil without
	Mask  *image.Alpha // where it is, 0 or 255, within its bounds, which are in pixels of the image; nil without
}

// Outlined returns the mask that shows the object, or nil where there is none or it has no pixel: then its box shows it.
func (o Object) Outlined() *image.Alpha {
	if o.Mask == nil || !slices.ContainsFunc(o.Mask.Pix, func(v byte) bool { return v != 0 }) {
		return nil
	}
	return o.Mask
}

// Detection is where objects are in an image.
type Detection struct {
	Width, Height int    // of the image, in pixels
	Task          string // "detect" or "segment"
	Classes       []string
	Objects       []Object // in the order of the answer: of several prompts, that of the classes
	Suppressed    int      // objects that were left out because they overlap others
	Malformed     []Malformed
	FinishReason  FinishReason // Length where no further object was allowed, by MaxBoxes or by the KV cache: some may be missing
	Text          string       // the answer; of several prompts, joined as one
	Prompts       int          // that were answered
	Tokens        int          // of their answers
	PromptTokens  int
	Timings       Timings
	Warnings      []Warning // signs that what was found is not what was meant
	Vocabulary    *Kept     // the tokens that scores are over, where the executable keeps only some; nil for all
}

// Missing returns the classes of which no object was found.
func (d *Detection) Missing() (classes []string) {
	for _, c := range d.Classes {
		if !slices.ContainsFunc(d.Objects, func(o Object) bool { return o.Label == c }) {
			classes = append(classes, c)
		}
	}
	return classes
}

// Check reports a setting that is out of its range.
func (s *DetectSettings) Check() error {
	fraction := func(name string, v *float64) error {
		if v != nil && !(*v >= 0 && *v <= 1) {
			return jsonerr.Fieldf(name, "is %v, expected 0 to 1", *v)
		}
		return nil
	}
	if err := fraction("min_score", s.MinScore); err != nil {
		return err
	}
	if err := fraction("nms", s.NMS); err != nil {
		return err
	}
	if s.MaxBoxes != nil && *s.MaxBoxes < 1 {
		return jsonerr.Fieldf("max_boxes", "is %d, expected 1 or more", *s.MaxBoxes)
	}
	if s.BoxScale != 0 {
		if err := CheckScale(s.BoxScale); err != nil {
			return err
		}
	}
	if s.NoScores && s.MinScore != nil {
		return jsonerr.Fieldf("min_score", "and no_scores are given, expected one of them")
	}
	return nil
}

// CheckScale reports a number that is no scale of locations, which are BinsScale and BenchmarkScale.
func CheckScale(scale int) error {
	if scale != BinsScale && scale != BenchmarkScale {
		return jsonerr.Fieldf("box_scale", "is %d, expected %d or %d", scale, BinsScale, BenchmarkScale)
	}
	return nil
}

// AsksPerClass reports whether so many classes are asked for with a prompt each.
func (s *DetectSettings) AsksPerClass(classes int) bool {
	return pick(s.PerClass, classes > detect.Joint)
}

// Detect answers a request. When ctx ends it returns ctx's error within the time of a task of a kernel.
func (m *Model) Detect(ctx context.Context, r DetectRequest) (*Detection, error) {
	finish, err := r.start(ctx, m, false)
	if err != nil {
		return nil, err
	}
	got, err := finish()
	return got.Detection, err
}

// DetectBatch is Batch for requests to detect.
func (m *Model) DetectBatch(ctx context.Context, requests iter.Seq[DetectRequest]) iter.Seq2[*Detection, error] {
	return func(yield func(*Detection, error) bool) {
		for got, err := range m.Tasks(ctx, tasks(requests)) {
			if !yield(got.Detection, err) {
				return
			}
		}
	}
}

// CheckDetect says why a request cannot be answered whatever its image, or returns nil.
func (m *Model) CheckDetect(r DetectRequest) error {
	_, err := r.plan(m)
	return err
}

// plan is a request, checked, with its prompts.
type plan struct {
	r       DetectRequest
	task    string
	classes []string
	asked   [][]string // the classes of each prompt
	prompts []generate.Request
	came    func(token)    // gets the tokens of all prompts, on the goroutine that computes; nil for nobody
	told    sync.WaitGroup // until came has got the last
	width   int            // of the image, in pixels
	height  int
}

// plan checks a request.
func (r DetectRequest) plan(m *Model) (*plan, error) {
	if err := m.generates(); err != nil {
		return nil, err
	}
	if err := m.mapped.take(); err != nil {
		return nil, err
	}
	defer m.mapped.give()
	if err := r.DetectSettings.Check(); err != nil {
		return nil, err
	}
	p := &plan{r: r, task: detect.Task(r.Segment)}
	var err error
	if p.classes, err = detect.Check(r.Classes); err != nil {
		return nil, err
	}
	r.Classes = p.classes
	if err := r.freeze(m.exe.model); err != nil {
		return nil, err
	}
	p.asked = detect.Prompts(p.classes, r.AsksPerClass(len(p.classes)))
	for _, classes := range p.asked {
		g, err := p.prompt(m, classes)
		if err != nil {
			return nil, err
		}
		p.prompts = append(p.prompts, g)
	}
	return p, nil
}

// prompt asks for some of the classes. The answer has room for as many objects as the request allows and the KV cache
// holds.
func (p *plan) prompt(m *Model, classes []string) (g generate.Request, err error) {
	s := Settings{Temperature: new(0.0), RepetitionPenalty: new(1.0), Adapter: p.r.Adapter}
	if g, err = s.request(m.exe.model); err != nil {
		return g, err
	}
	// Referring expressions are segmented by answers without a label.
	task := grammar.Task{Segment: p.r.Segment, Classes: classes, FreeLabels: p.r.FreeLabels, EmptyLabel: p.r.Segment && len(classes) == 1, MaxBoxes: min(pick(p.r.MaxBoxes, defaultMaxBoxes), m.exe.model.MaxTokens)}
	if g.Grammar, err = m.scheduler.Grammar(task); err != nil {
		return g, err
	}
	g.Prompt, g.Client, g.Scores, g.MaxNewTokens = detect.Prompt(p.task, classes), p.r.Client, !p.r.NoScores, g.Grammar.MaxTokens()
	prompt, err := m.scheduler.Layout(1, g.Prompt)
	if err != nil {
		return g, err
	}
	task.MaxBoxes = 1
	one, err := m.scheduler.Grammar(task)
	if err != nil {
		return g, err
	}
	size := len(prompt.IDs)
	if most, need := m.exe.model.MaxTokens, size+one.MaxTokens(); need > most {
		return g, fmt.Errorf("the prompt has %d tokens and an answer with one object up to %d, but the KV cache holds %d: ask for fewer classes at a time, as per_class does, or compile with --max-tokens %d or more",
			size, one.MaxTokens(), most, need)
	}
	return g, nil
}

// start implements Task.
func (r DetectRequest) start(ctx context.Context, m *Model, patient bool) (finish func() (Result, error), err error) {
	p, err := r.plan(m)
	if err != nil {
		return nil, err
	}
	return p.start(ctx, m, patient)
}

// start submits the prompts. finish waits for their answers.
func (p *plan) start(ctx context.Context, m *Model, patient bool) (finish func() (Result, error), err error) {
	seen, err := m.see(ctx, []Image{p.r.Image})
	if err != nil {
		return nil, err
	}
	images := seen.images
	p.width, p.height = seen.first.X, seen.first.Y
	d := &Detection{Width: p.width, Height: p.height, Task: p.task, Classes: p.classes, FinishReason: Stop, Prompts: len(p.prompts),
		Warnings: m.taskWarnings(p.task, p.r.Adapter, images), Vocabulary: keptOf(m.exe.model)}
	if p.r.Segment && m.exe.model.Masks == nil {
		d.Warnings = append(d.Warnings, Warning{NoMasks, ErrNoMasks.Error()})
	}
	alike, cancel := context.WithCancel(ctx) // ends the other prompts of a request that fails
	began := time.Now()
	var jobs []*generate.Job
	for i, g := range p.prompts {
		g.Images, g.Patient = images, patient
		if p.came != nil {
			g.OnToken = func(t generate.Token) { p.came(token{of: i, Token: Token(t)}) }
		}
		j := m.scheduler.Submit(alike, g)
		if jobs = append(jobs, j); p.came != nil {
			p.told.Go(func() {
				<-j.Done()
				p.came(token{of: i, last: true})
			})
		}
	}
	return func() (Result, error) {
		defer cancel()
		answers := make([]*generate.Answer, len(jobs))
		for i, j := range jobs {
			var failed error
			if answers[i], failed = j.Wait(); failed != nil && err == nil {
				err = failed // those of the others follow from it
				cancel()
			}
		}
		if err != nil {
			return Result{}, err
		}
		p.merge(d, answers)
		d.time(answers, time.Since(began))
		d.Timings.Preprocess += seen.took
		if err := p.masks(ctx, m, d); err != nil {
			return Result{}, err
		}
		return Result{Detection: d}, nil
	}, nil
}

// object is what the answer to prompt i locates.
func (p *plan) object(i int, b Box) Object {
	if b.Label == "" && len(p.asked[i]) == 1 {
		b.Label = p.asked[i][0]
	}
	b.Place(p.width, p.height, cmp.Or(p.r.BoxScale, boxes.Scale))
	return Object{Box: b}
}

// merge fills a detection from the answers to the prompts.
func (p *plan) merge(d *Detection, answers []*generate.Answer) {
	var texts []string
	for i, a := range answers {
		for _, found := range a.Objects {
			o := p.object(i, Box{Label: found.Label, Loc: found.Loc, Seg: found.Seg})
			if s := found.Score; s != nil {
				o.Score = &ObjectScore{Label: s.Label, Begin: s.Begin, Loc: s.Loc}
			}
			d.Objects = append(d.Objects, o)
		}
		if a.Text != "" {
			texts = append(texts, a.Text)
		}
		if a.FinishReason == string(Length) {
			d.FinishReason = Length
		}
	}
	d.Text = strings.Join(texts, separator)
	d.Warnings = append(d.Warnings, p.jointWarning(d)...)
	p.keep(d)
}

// masks decodes the masks of the objects, where the executable has a decoder.
func (p *plan) masks(ctx context.Context, m *Model, d *Detection) error {
	if m.exe.model.Masks == nil {
		return nil
	}
	for i := range d.Objects {
		o := &d.Objects[i]
		if o.Seg == nil {
			continue
		}
		var err error
		if o.Mask, err = m.Mask(ctx, o.Box, d.Width, d.Height, cmp.Or(p.r.BoxScale, boxes.Scale)); err != nil {
			return err
		}
	}
	return nil
}

// keep leaves out objects with low scores, those that overlap better ones, and what is too many.
func (p *plan) keep(d *Detection) {
	least := pick(p.r.MinScore, defaultMinScore)
	d.Objects = slices.DeleteFunc(d.Objects, func(o Object) bool { return o.Score != nil && o.Score.Value() < least })
	if most := pick(p.r.NMS, defaultNMS); most < 1 {
		before := len(d.Objects)
		d.Objects = kept(d.Objects, func(found []Box, scores []float64) []bool { return detect.Suppress(found, scores, most) })
		d.Suppressed = before - len(d.Objects)
	}
	d.Objects = kept(d.Objects, func(found []Box, scores []float64) []bool {
		return detect.Best(len(found), scores, pick(p.r.MaxBoxes, defaultMaxBoxes))
	})
}

// kept returns the objects that keep names. Where an object has no score, none has.
func kept(objects []Object, keep func(found []Box, scores []float64) []bool) (out []Object) {
	var found []Box
	var scores []float64
	for _, o := range objects {
		found = append(found, o.Box)
		if o.Score != nil {
			scores = append(scores, o.Score.Value())
		}
	}
	for i, yes := range keep(found, scores) {
		if yes {
			out = append(out, objects[i])
		}
	}
	return out
}

// time adds up the times of answers that took a time together.
func (d *Detection) time(answers []*generate.Answer, together time.Duration) {
	t := &d.Timings
	for i, a := range answers {
		if i == 0 || a.Queue < t.Queue {
			t.Queue = a.Queue
		}
		d.Tokens += len(a.Tokens)
		d.PromptTokens += a.PromptTokens
		t.Preprocess += a.Preprocess
		t.Encode += a.Encode
		t.Prefill += a.Prefill
		t.Decode += a.Decode
	}
	if len(answers) > 1 { // they were decoded together
		t.Decode = max(0, together-t.Preprocess-t.Encode-t.Prefill)
	}
}
