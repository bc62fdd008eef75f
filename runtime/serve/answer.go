package serve

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"pgc"
	"pgc/runtime/annotate"
	"pgc/runtime/detect"
	"pgc/runtime/native"
	"pgc/runtime/serve/limits"
	"pgc/runtime/serve/metrics"
	"pgc/runtime/serve/openai"
	"pgc/runtime/serve/request"
)

// choice is one of the answers to a request, complete.
type choice struct {
	text     string
	finish   string
	located  openai.Located
	logprobs *openai.Logprobs // nil without
	prompt   int              // tokens of the prompt
	tokens   int              // of the answer
	prompts  int              // that it took
	warnings []pgc.Warning
	timings  pgc.Timings
}

// event is what a choice has come to: a token, text with objects that are whole, or the end.
type event struct {
	index int
	token pgc.Token
	found any     // objects
	done  *choice // with the last event of the choice
	err   error
}

// job is a request that has its places at the gate.
type job struct {
	s       *Server
	c       *call
	r       *request.Request
	images  []pgc.Image
	prompts []string // of every choice
	leave   func(complete bool)
}

// admit checks a request, decodes its pictures and takes places for its answers.
func (s *Server) admit(c *call, r *request.Request) (*job, error) {
	if len(r.Images) == 0 { // cheap to say, and common: clients ask for titles and tags
		return nil, openai.Invalid(r.Field, "the request has no picture, expected one: the model answers about pictures")
	}
	if s.Info.EmbeddingDim > 0 {
		return nil, openai.Invalid("model", "%s makes embeddings, expected a request to /v1/embeddings", s.Name)
	}
	s.chooseAdapter(r)
	s.chooseFrozen(r)
	j := &job{s: s, c: c, r: r}
	for _, p := range r.Prompts {
		j.prompts = append(j.prompts, slices.Repeat([]string{p}, r.N)...)
	}
	if err := j.check(); err != nil {
		return nil, err
	}
	places := j.places()
	if !s.gate.Enter(c.client, places) {
		return nil, limits.ErrNoRoom
	}
	j.leave = func(complete bool) { s.gate.Leave(c.client, places, complete) }
	var err error
	if j.images, err = s.pictures(c.r.Context(), c, r.Images, r.Field); err != nil {
		j.leave(false)
		return nil, err
	}
	r.Images = nil // with their files, which would wait, too
	c.giveBody(s.gate)
	if len(r.Ignored) > 0 {
		c.w.Header().Set("X-Ignored", strings.Join(r.Ignored, ", "))
	}
	if s.LogPrompts {
		c.note("prompt", j.prompt())
	}
	c.note("pictures", len(j.images))
	return j, nil
}

// places is how many answers the model gives: one for each choice, or for each prompt that asks for objects, but no more
// than it works on at a time.
func (j *job) places() int {
	n := max(1, len(j.prompts))
	if j.r.Task != "" {
		n = len(detect.Prompts(j.r.Classes, j.r.Detect.AsksPerClass(len(j.r.Classes))))
	}
	return min(n, j.c.model.Slots())
}

// chooseAdapter takes a model's name that is an adapter's as that.
func (s *Server) chooseAdapter(r *request.Request) {
	if r.Settings.Adapter == "" {
		r.Settings.Adapter = s.adapterOf(r.Model)
	}
}

// adapterOf returns a model's name that is an adapter's, or "".
func (s *Server) adapterOf(model string) string {
	if slices.ContainsFunc(s.Info.Adapters, func(a pgc.Adapter) bool { return a.Name == model }) {
		return model
	}
	return ""
}

// chooseFrozen takes a prompt that is built in as the task that it is. Without a text it is the only one.
func (s *Server) chooseFrozen(r *request.Request) {
	if len(s.Frozen) == 0 || r.Task != "" || len(r.Prompts) != 1 {
		return
	}
	if r.Prompts[0] == "" && len(s.Frozen) == 1 {
		r.Prompts[0] = s.Frozen[0].Text
	}
	i := slices.IndexFunc(s.Frozen, func(f pgc.Frozen) bool { return f.Text == r.Prompts[0] })
	if i >= 0 && s.Frozen[i].Task != "" && r.N == 1 && !r.Settings.Logprobs {
		r.Task, r.Classes, r.Prompts = s.Frozen[i].Task, s.Frozen[i].Classes, nil
	}
}

// check says what is wrong with a request whatever its pictures hold.
func (j *job) check() error {
	if j.r.Task != "" {
		if len(j.r.Images) != 1 {
			return openai.Invalid(j.r.Field, "the task %s is about one picture, found %d", j.r.Task, len(j.r.Images))
		}
		if j.r.Masks && j.s.Info.Masks == nil {
			return openai.Invalid("masks", "%v", pgc.ErrNoMasks)
		}
		if err := j.c.model.CheckDetect(j.detection()); err != nil {
			return cannot(j.c, "classes", err)
		}
		return nil
	}
	for _, p := range j.r.Prompts {
		if err := j.c.model.CheckRequest(j.request(p, 0)); err != nil {
			field := j.r.Field
			if !j.r.Chat {
				field = "prompt"
			}
			return cannot(j.c, field, err)
		}
	}
	return nil
}

// cannot is an error of a request that the model cannot answer, whoever asks: of the client, unless the model is closed.
func cannot(c *call, field string, err error) error {
	if errors.Is(err, pgc.ErrClosed) || c.r.Context().Err() != nil {
		return err
	}
	e := openai.Invalid(field, "%v", err)
	if errors.Is(err, pgc.ErrTooLong) {
		e.Code = "context_length_exceeded"
	}
	return e
}

// request is that of choice i to the model. Without a seed every choice has one of its own.
func (j *job) request(prompt string, i int) pgc.Request {
	r := pgc.Request{Images: j.images, Prompt: prompt, Settings: j.r.Settings, Top: j.r.Top, Client: j.c.client}
	if r.Images == nil { // it is only checked
		r.Images = make([]pgc.Image, len(j.r.Images))
	}
	if r.Seed += uint64(i); !j.r.Seeded {
		r.Seed = rand.Uint64()
	}
	return r
}

// detection is the request for objects.
func (j *job) detection() pgc.DetectRequest {
	r := pgc.DetectRequest{Classes: j.r.Classes, Segment: j.r.Task == detect.Segment, Adapter: j.r.Settings.Adapter, Client: j.c.client, DetectSettings: j.r.Detect}
	if j.images != nil {
		r.Image = j.images[0]
	}
	return r
}

// prompt is what the model is given, of several prompts one a line.
func (j *job) prompt() string {
	if j.r.Task == "" {
		return strings.Join(j.r.Prompts, "\n")
	}
	return detect.Prompt(j.r.Task, j.r.Classes)
}

// Tokens that may wait for a slow client before the answer waits, too.
const (
	usualTokens = 128
	mostWaiting = 1024
)

// pick returns what was given, or else the usual.
func pick(given *int, usual int) int {
	if given != nil {
		return *given
	}
	return usual
}

// run answers all choices and returns what they come to, in the order in which it comes. The channel is closed behind
// the last event; whoever leaves earlier ends ctx.
func (j *job) run(ctx context.Context) <-chan event {
	n := max(1, len(j.prompts))
	events := make(chan event, n*(1+min(pick(j.r.Settings.MaxNewTokens, usualTokens), mostWaiting)))
	send := func(e event) {
		select {
		case events <- e:
		case <-ctx.Done():
		}
	}
	ended := make(chan bool, n)
	for i := range n {
		go func() {
			var before time.Time // when the last token came
			done, err := j.answer(ctx, i, func(e event) {
				if e.token.Text != "" || e.found == nil {
					j.timeToken(&before)
				}
				if j.r.Stream {
					send(e)
				}
			})
			j.count(done, err)
			send(event{index: i, done: done, err: err})
			ended <- err == nil
		}()
	}
	go func() {
		complete := true
		for range n {
			complete = <-ended && complete
		}
		j.leave(complete)
		close(events)
	}()
	return events
}

// timeToken notes when a token came.
func (j *job) timeToken(before *time.Time) {
	now := time.Now()
	if before.IsZero() {
		j.s.metrics.First(now.Sub(j.c.begun))
	} else {
		j.s.metrics.Between(now.Sub(*before))
	}
	*before = now
}

// count notes a choice that has ended.
func (j *job) count(done *choice, err error) {
	switch whole := time.Since(j.c.begun); {
	case err == nil:
		j.s.metrics.Answered(metrics.Answer{Prompt: done.prompt, Tokens: done.tokens, Finish: done.finish, Queue: done.timings.Queue,
			Prefill: done.timings.Prefill, Decode: done.timings.Decode, Whole: whole})
	case errors.Is(err, context.Canceled):
		j.s.metrics.Aborted()
	}
}

// answer answers choice i. A panic is an error of this request alone.
func (j *job) answer(ctx context.Context, i int, watch func(event)) (ch *choice, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = errors.New("the server failed on this request")
			j.s.Log.Error("panic", "id", j.c.id, "cause", cause, "stack", string(debug.Stack()))
		}
	}()
	if j.r.Task != "" {
		return j.locate(ctx, watch)
	}
	a, err := j.c.model.Watch(ctx, j.request(j.prompts[i], i), func(t pgc.Token) { watch(event{index: i, token: t}) })
	if err != nil {
		return nil, err
	}
	ch = &choice{text: a.Text, finish: string(a.FinishReason), prompt: a.PromptTokens, tokens: len(a.Tokens), prompts: 1, warnings: a.Warnings, timings: a.Timings}
	if ch.located.Malformed = a.Malformed; len(a.Boxes) > 0 {
		ch.located.Boxes = a.Boxes
	}
	if j.r.Settings.Logprobs {
		ch.logprobs = &openai.Logprobs{Text: j.c.model.TokenText}
		for n, id := range a.Tokens {
			t := pgc.Token{ID: id, Logprob: a.Logprobs[n]}
			if a.Top != nil {
				t.Top = a.Top[n]
			}
			if err := ch.logprobs.Add(t); err != nil {
				return nil, err
			}
		}
	}
	return ch, nil
}

// locate finds objects. What is to be a document comes at the end.
func (j *job) locate(ctx context.Context, watch func(event)) (*choice, error) {
	d, err := j.c.model.WatchDetect(ctx, j.detection(), func(p pgc.Piece) {
		var e event
		if !j.r.Schema {
			e.token.Text = p.Text
		}
		if len(p.Objects) > 0 {
			e.found = annotate.JSON(annotate.Picture{Detection: &pgc.Detection{Objects: p.Objects}}).Boxes
		}
		watch(e)
	})
	if err != nil {
		return nil, err
	}
	ch := &choice{text: d.Text, finish: string(d.FinishReason), prompt: d.PromptTokens, tokens: d.Tokens, prompts: d.Prompts, warnings: d.Warnings, timings: d.Timings}
	ch.located.Malformed = d.Malformed
	if ch.located.Boxes, err = boxesOf(d, j.r.Masks); err != nil {
		return nil, err
	}
	if j.r.Schema {
		ch.text, err = request.DetectionDocument(d)
	}
	return ch, err
}

// box is an object with its mask as a picture.
type box struct {
	annotate.Box
	Mask string `json:"mask,omitempty"`
}

// boxes returns the objects as the command detect prints them; with masks those are PNG files as data: URIs.
func boxesOf(d *pgc.Detection, masks bool) (any, error) {
	list := annotate.JSON(annotate.Picture{Detection: d}).Boxes
	if !masks {
		return list, nil
	}
	out := []box{}
	for i, b := range list {
		x := box{Box: b}
		if m := d.Objects[i].Mask; m != nil {
			uri, err := maskURI(m, d.Width, d.Height)
			if err != nil {
				return nil, err
			}
			x.Mask = uri
		}
		out = append(out, x)
	}
	return out, nil
}

// answerError answers a request that failed before anything of the answer was written.
func (s *Server) answerError(c *call, err error) {
	if c.r.Context().Err() != nil && c.w.status == 0 {
		cause := context.Cause(c.r.Context())
		e, ok := errors.AsType[*openai.Error](cause)
		seconds := 1
		if !ok { // the client has left, or says nothing more and still reads
			e, seconds = openai.Refused(statusGone, "client_closed", "the connection was closed on the client's side before the answer: expected it open until then"), 0
		}
		c.fail(e, seconds)
		return
	}
	if errors.Is(err, limits.ErrNoRoom) {
		s.refuse(c, "queue")
		return
	}
	e := s.explain(err)
	seconds := 0
	if e.Status == http.StatusServiceUnavailable {
		seconds = 5
	}
	c.fail(e, seconds)
}

// explain returns what a client is told of an error of the model.
func (s *Server) explain(err error) *openai.Error {
	if e, ok := errors.AsType[*openai.Error](err); ok {
		return e
	}
	switch {
	case errors.Is(err, pgc.ErrClosed):
		return errDraining
	case errors.Is(err, pgc.ErrDamaged):
		s.lost.Store(&err)
		return openai.Failed(http.StatusInternalServerError, "damaged", "%v", err)
	case errors.Is(err, native.ErrMemory):
		return openai.Unavailable("out_of_memory", "%v", err)
	}
	return openai.Failed(http.StatusInternalServerError, "internal_error", "%v", err)
}

// extra are our own fields of an answer.
func (j *job) extra(list []*choice) *openai.Extra {
	x := &openai.Extra{Prompt: j.prompt()}
	tokens, prompts := 0, 0
	var all pgc.Timings
	for _, ch := range list {
		tokens, prompts = tokens+ch.tokens, prompts+ch.prompts
		all.Queue = max(all.Queue, ch.timings.Queue)
		all.Preprocess += ch.timings.Preprocess
		all.Encode += ch.timings.Encode
		all.Prefill += ch.timings.Prefill
		all.Decode = max(all.Decode, ch.timings.Decode) // they decode together
		for _, w := range ch.warnings {
			if !slices.Contains(x.Warnings, w.Text) {
				x.Warnings = append(x.Warnings, w.Text)
			}
		}
	}
	x.Timings = openai.NewTimings(all, tokens, prompts)
	return x
}

// usage counts the tokens of choices. A prompt with several answers counts once.
func (j *job) usage(list []*choice) *openai.Usage {
	prompt, tokens := 0, 0
	for i, ch := range list {
		if i%max(1, j.r.N) == 0 {
			prompt += ch.prompt
		}
		tokens += ch.tokens
	}
	return openai.NewUsage(prompt, tokens)
}

// collect waits for all choices.
func (j *job) collect(ctx context.Context) ([]*choice, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	list := make([]*choice, max(1, len(j.prompts)))
	for e := range j.run(ctx) {
		if e.err != nil {
			return nil, e.err
		}
		if e.done != nil {
			list[e.index] = e.done
		}
	}
	for _, ch := range list {
		if ch == nil {
			return nil, context.Cause(ctx)
		}
	}
	return list, nil
}

// created is the time of an answer.
func created() int64 { return time.Now().Unix() }
