package pgc

import (
	"context"
	"fmt"
	"time"

	"pgc/runtime/boxes"
	"pgc/runtime/generate"
	"pgc/runtime/jsonerr"
	"pgc/runtime/manifest"
	"pgc/runtime/sample"
)

// Request asks for an answer about images. Settings that are nil have the checkpoint's own default, that of its
// generation_config.json.
type Request struct {
	Images []Image
	Prompt string  // such as "caption en", "detect cat" or "answer en what is this?"
	Suffix *string // the expected answer, whose likelihood Answer.Suffix then tells; nil for none
	Client string  // who asks, such as a key: where requests wait, clients take turns; "" is a client, too
	Top    int     // with Logprobs: tell so many of the likeliest tokens at each place, too
	Settings
}

// Settings say how an answer is generated, in the terms of transformers' GenerationConfig.
type Settings struct {
	MaxNewTokens      *int     `json:"max_new_tokens"`      // most tokens to generate; without a default of the checkpoint 50
	Temperature       *float64 `json:"temperature"`         // 0 is greedy
	TopK              *int     `json:"top_k"`               // draw among the K likeliest tokens; 0 is off
	TopP              *float64 `json:"top_p"`               // draw among the likeliest tokens that make up this probability; 1 is off
	RepetitionPenalty *float64 `json:"repetition_penalty"`  // over 1 makes tokens seen before less likely
	Seed              uint64   `json:"seed"`                // of the draws: the same seed gives the same answer
	Stop              []string `json:"stop"`                // texts that end the answer and are not part of it
	IgnoreEOS         bool     `json:"ignore_eos"`          // go on behind <eos>, as benchmarks do
	ParseSpecials     bool     `json:"parse_specials"`      // read <eos>, <image> and the like in the prompt as tokens
	Logprobs          bool     `json:"logprobs"`            // tell the log-probabilities of the tokens
	SkipSpecialTokens *bool    `json:"skip_special_tokens"` // leave special tokens such as <eos> out of the text, which is the default
	Adapter           string   `json:"adapter"`             // the name of an adapter that the executable keeps; "" is the model alone
}

// FinishReason says why an answer ended.
type FinishReason string

const (
	Stop   FinishReason = "stop"   // the model ended it, or a stop text
	Length FinishReason = "length" // at MaxNewTokens, or where the KV cache is full
)

// Box is an object that an answer to "detect" or "segment" locates.
type Box = boxes.Box

// Malformed is a part of an answer that looks like an object and is none.
type Malformed = boxes.Malformed

// ParseBoxes returns the objects that an answer locates in an image of width × height pixels, in order, and what should
// be one and is none.
func ParseBoxes(answer string, width, height int) ([]Box, []Malformed) {
	return boxes.Parse(answer, width, height)
}

// Answer is a complete answer.
type Answer struct {
	Text         string
	Tokens       []int32         // without the prompt, with the <eos> that ended them
	Logprobs     []float64       // of the tokens, if asked for
	Top          [][]Alternative // at the place of every token the likeliest ones, the likeliest first, if asked for
	FinishReason FinishReason
	PromptTokens int
	Boxes        []Box        // in pixels of the first image
	Malformed    []Malformed  // what should be a box and is none
	Suffix       *SuffixScore // of the request's suffix
	Warnings     []Warning    // signs that the answer is not what was meant
	Speculation  *Speculation // what guessing tokens gave, where the executable does
	Timings      Timings
}

// Speculation counts what guessing tokens gave: drafts are steps that verified guesses. An answer's tokens are the same
// without; counts may differ from run to run, for the times of steps say when a draft is tried.
type Speculation struct {
	Drafts         int `json:"drafts"`
	DraftTokens    int `json:"draft_tokens"`
	AcceptedTokens int `json:"accepted_tokens"`
}

// SuffixScore is how likely the model finds a suffix.
type SuffixScore struct {
	Loss          float32   // the mean of -TokenLogprobs
	TokenLogprobs []float32 // of the suffix's tokens and the <eos> behind them
}

// Timings are where the time of an answer went. While other requests are answered, their share is in it.
type Timings struct {
	Queue              time.Duration // from when the images were decoded to when work on the prompt began
	Preprocess, Encode time.Duration // 0 for images that the request before was about, too
	Prefill            time.Duration // the prompt and the first token
	Decode             time.Duration // the tokens after it
}

// Token is one token of an answer as it comes.
type Token struct {
	ID      int32
	Text    string        // text that became certain with it; all of them together are the answer's Text
	Logprob float64       // if asked for
	Top     []Alternative // the likeliest tokens at its place, if asked for
}

// Alternative is a token that an answer might have had at some place, and its log-probability there.
type Alternative = sample.Alternative

// Check reports a setting that is out of its range.
func (s *Settings) Check() error {
	alone := *s
	alone.Adapter = "" // whose names the executable knows
	_, err := alone.request(&manifest.Model{})
	return err
}

// request makes a request with these settings and the model's defaults.
func (s *Settings) request(m *manifest.Model) (generate.Request, error) {
	cfg := sample.Config{TopK: pick(s.TopK, m.TopK), TopP: pick(s.TopP, m.TopP),
		RepetitionPenalty: pick(s.RepetitionPenalty, m.RepetitionPenalty), Seed: s.Seed}
	if m.DoSample {
		cfg.Temperature = m.Temperature
	}
	cfg.Temperature = pick(s.Temperature, cfg.Temperature)
	if err := cfg.Check(); err != nil {
		return generate.Request{}, err
	}
	most := 50
	if m.MaxNewTokens > 0 {
		most = m.MaxNewTokens
	}
	if most = pick(s.MaxNewTokens, most); most < 0 {
		return generate.Request{}, jsonerr.Fieldf("max_new_tokens", "is %d, expected 0 or more", most)
	}
	adapter, err := m.AdapterNumber(s.Adapter)
	return generate.Request{Adapter: adapter, ParseSpecials: s.ParseSpecials, Stop: s.Stop, KeepSpecials: !pick(s.SkipSpecialTokens, true), IgnoreEOS: s.IgnoreEOS, MaxNewTokens: most, Sample: cfg, Logprobs: s.Logprobs}, err
}

// pick returns what was given, or else the checkpoint's own.
func pick[T any](given *T, own T) T {
	if given != nil {
		return *given
	}
	return own
}

// asked is a request that is checked and whose images are decoded.
type asked struct {
	generate.Request
	suffix   *string
	seen     seen
	warnings []Warning
}

// CheckRequest says why a request cannot be answered whatever its images hold, or returns nil.
func (m *Model) CheckRequest(r Request) error {
	if _, err := m.prepare(r); err != nil {
		return err
	}
	if err := m.mapped.take(); err != nil {
		return err
	}
	defer m.mapped.give()
	return m.scheduler.Fits(len(r.Images), r.Prompt, r.ParseSpecials)
}

// request checks a request and decodes its images.
func (m *Model) request(ctx context.Context, r Request) (q asked, err error) {
	if q, err = m.prepare(r); err != nil {
		return q, err
	}
	if q.seen, err = m.see(ctx, r.Images); err != nil {
		return q, err
	}
	q.Images = q.seen.images
	q.warnings = m.requestWarnings(r, q.Images)
	return q, nil
}

// prepare makes a request without its images.
func (m *Model) prepare(r Request) (q asked, err error) {
	if err := m.generates(); err != nil {
		return q, err
	}
	if q.Request, err = r.Settings.request(m.exe.model); err != nil {
		return q, err
	}
	if err := m.freeze(r, &q.Request); err != nil {
		return q, err
	}
	if r.Top < 0 || r.Top > 0 && !r.Logprobs {
		return q, fmt.Errorf("the likeliest %d tokens are asked for, expected 0 or more, and only with log-probabilities", r.Top)
	}
	q.TopLogprobs = r.Top
	q.Prompt, q.Client, q.suffix = r.Prompt, r.Client, r.Suffix
	return q, nil
}

// result waits for a job and for what its request asks for beside the answer. It lets go of the images.
func (m *Model) result(ctx context.Context, q *asked, j *generate.Job) (*Answer, error) {
	g, err := j.Wait()
	var score *SuffixScore
	if err == nil && q.suffix != nil {
		score, err = m.scoreSuffix(ctx, q)
	}
	q.Images, q.seen.images = nil, nil
	if err != nil {
		return nil, err
	}
	a := m.answer(q, g)
	a.Suffix = score
	return a, nil
}

// scoreSuffix runs the model over a request and its suffix.
func (m *Model) scoreSuffix(ctx context.Context, q *asked) (*SuffixScore, error) {
	f := generate.ForwardRequest{Adapter: q.Adapter, Images: q.Images, Prompt: q.Prompt, Suffix: q.suffix, ParseSpecials: q.ParseSpecials}
	var s SuffixScore
	err := m.scheduler.Do(ctx, q.Client, func(ctx context.Context, session *generate.Session, slot int) (err error) {
		s.TokenLogprobs, err = session.SuffixLogprobs(ctx, f, slot)
		s.Loss = generate.Loss(s.TokenLogprobs)
		return err
	})
	return &s, err
}

// answer describes what was generated. Boxes are in pixels of the first image.
func (m *Model) answer(q *asked, g *generate.Answer) *Answer {
	a := &Answer{Text: g.Text, Tokens: g.Tokens, Logprobs: g.Logprobs, Top: g.Top, FinishReason: FinishReason(g.FinishReason), PromptTokens: g.PromptTokens,
		Timings: Timings{Queue: g.Queue, Preprocess: q.seen.took + g.Preprocess, Encode: g.Encode, Prefill: g.Prefill, Decode: g.Decode}}
	if g.Speculation != nil {
		s := Speculation(*g.Speculation)
		a.Speculation = &s
	}
	a.Boxes, a.Malformed = boxes.Parse(g.Text, q.seen.first.X, q.seen.first.Y)
	a.Warnings = append(q.warnings, m.answerWarnings(a, q.IgnoreEOS)...)
	return a
}
