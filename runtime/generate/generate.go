package generate

import (
	"context"
	"slices"
	"strings"
	"time"

	"pgc/runtime/picture"
	"pgc/runtime/sample"
)

// Request asks for an answer about some pictures.
type Request struct {
	Pictures      []*picture.Picture
	Prompt        string
	ParseSpecials bool
	MaxNewTokens  int
	Sample        sample.Config
	Stop          []string          // texts that end the answer; they are not part of it
	OnText        func(text string) // called with text as it becomes certain; may be nil
}

// Answer is what was generated.
type Answer struct {
	Text         string
	Tokens       []int32 // with the <eos> that ended them
	Logprobs     []float64
	FinishReason string // "stop" or "length"
	PromptTokens int

	Preprocess, Encode, Prefill, Decode time.Duration
}

// Generate answers a request. It stops early, with ctx's error, when ctx is done.
func (s *Session) Generate(ctx context.Context, r Request) (*Answer, error) {
	p := s.Layout(len(r.Pictures), r.Prompt, nil, r.ParseSpecials)
	if err := s.Check(p, len(r.Pictures), r.MaxNewTokens); err != nil {
		return nil, err
	}
	a := &Answer{PromptTokens: len(p.IDs), FinishReason: "length"}
	var err error
	if a.Preprocess, a.Encode, err = s.Encode(r.Pictures); err != nil {
		return nil, err
	}
	start := time.Now()
	s.start(s.prefill, p, len(r.Pictures))
	if err := s.prefill.Run(0); err != nil {
		return nil, err
	}
	a.Prefill = time.Since(start)
	start = time.Now()
	defer func() { a.Decode = time.Since(start) }()

	sampler := sample.New(r.Sample, s.Model.VocabSize, s.Model.Suppressed)
	logits := s.Engine.Floats("logits")[:s.Model.VocabSize]
	out := newOutput(s, r)
	seen := slices.Clone(p.IDs)
	s.decode.Set("prefix", p.Prefix)
	for len(a.Tokens) < r.MaxNewTokens {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		id, logprob := sampler.Next(logits, seen)
		a.Tokens, a.Logprobs = append(a.Tokens, id), append(a.Logprobs, logprob)
		if slices.Contains(s.Model.EOS, int(id)) {
			a.FinishReason = "stop"
			break
		}
		if out.add(id) {
			a.FinishReason = "stop"
			break
		}
		if len(seen) >= s.Model.MaxTokens || len(a.Tokens) == r.MaxNewTokens {
			break
		}
		s.Engine.Ints("ids")[0] = id
		s.decode.Set("past", len(seen))
		seen = append(seen, id)
		s.decode.Set("T", len(seen))
		if err := s.decode.Run(0); err != nil {
			return nil, err
		}
	}
	a.Text = out.finish()
	return a, nil
}

// output collects the text of an answer, streams what is certain, and watches for stop texts.
type output struct {
	decoder interface {
		Next(int32) string
		Flush() string
	}
	stop   []string
	emit   func(string)
	text   strings.Builder
	sent   int
	closed bool
}

func newOutput(s *Session, r Request) *output {
	return &output{decoder: s.Tokenizer.NewDecoder(true), stop: r.Stop, emit: r.OnText}
}

// add takes a token and reports whether a stop text is complete.
func (o *output) add(id int32) bool {
	o.text.WriteString(o.decoder.Next(id))
	return o.check(false)
}

// check cuts the text at a stop text; otherwise it streams all but what could be the begin of one.
func (o *output) check(last bool) bool {
	text := o.text.String()
	for _, stop := range o.stop {
		if at := strings.Index(text, stop); at >= 0 && stop != "" {
			text = text[:at]
			o.text.Reset()
			o.text.WriteString(text)
			o.closed, last = true, true
		}
	}
	sure := len(text)
	if !last {
		for _, stop := range o.stop {
			for n := min(len(stop)-1, len(text)); n > 0; n-- {
				if strings.HasSuffix(text, stop[:n]) {
					sure = min(sure, len(text)-n)
					break
				}
			}
		}
	}
	if o.emit != nil && sure > o.sent {
		o.emit(text[o.sent:sure])
	}
	o.sent = max(o.sent, sure)
	return o.closed
}

func (o *output) finish() string {
	if !o.closed {
		o.text.WriteString(o.decoder.Flush())
		o.check(true)
	}
	return o.text.String()
}
