package generate

import (
	"context"
	"fmt"
	"strings"
	"time"

	"pgc/runtime/grammar"
	"pgc/runtime/rgb"
	"pgc/runtime/sample"
	"pgc/runtime/tokenizer"
)

// Request asks for an answer about some images.
type Request struct {
	Images        []*rgb.Image
	Prompt        string
	Client        string // who asks: clients take turns where requests wait
	Patient       bool   // only the end counts, together with others': prompts of other requests are not interrupted for its tokens
	Adapter       int    // the number of an adapter that is kept beside the model; 0 for none
	ParseSpecials bool
	MaxNewTokens  int
	Sample        sample.Config
	Grammar       *grammar.Grammar // what the answer may be; nil for any text
	Scores        bool             // with a grammar: tell how sure the model was of every object
	Stop          []string         // texts that end the answer; they are not part of it
	KeepSpecials  bool             // special tokens such as <eos> belong to the text
	IgnoreEOS     bool             // go on behind <eos>, where there is no grammar
	Logprobs      bool             // tell the tokens' log-probabilities
	TopLogprobs   int              // and those of so many of the likeliest tokens at each place
	OnToken       func(Token)      // called with every token, on the goroutine that computes, which waits; may be nil
}

// Token is one token of an answer.
type Token struct {
	ID      int32
	Text    string  // text that became certain with it: of all tokens together, the answer's
	Logprob float64 // if asked for
	Top     []sample.Alternative
}

// Answer is what was generated.
type Answer struct {
	Text         string
	Tokens       []int32                // with the <eos> that ended them
	Logprobs     []float64              // if asked for
	Top          [][]sample.Alternative // of every token, if asked for
	FinishReason string                 // "stop" or "length"; "length" also where a grammar let no further object follow
	Objects      []grammar.Object       // with a grammar
	PromptTokens int
	Speculation  *Speculation // nil where no tokens were guessed

	Queue, Preprocess, Encode, Prefill, Decode time.Duration
}

// Generate answers a request. It stops early, with ctx's error, when ctx is done.
func (s *Session) Generate(ctx context.Context, r Request) (*Answer, error) {
	p, err := s.layout(&r)
	if err != nil {
		return nil, err
	}
	if err := s.enough(p, r.MaxNewTokens, 0, 0); err != nil {
		return nil, err
	}
	x := s.prompt(r, p, 0)
	if _, err := x.further(ctx, unlimited()); err != nil {
		return nil, err
	}
	q := x.q
	for !q.done {
		if err := s.step(ctx, q); err != nil {
			return nil, err
		}
		if err := s.answer(ctx, []*sequence{q})[0]; err != nil {
			return nil, err
		}
	}
	return q.a, nil
}

// numbers returns an error about NaN among the logits, as a damaged file or NaN among the weights gives.
func numbers(logits []float32, tokens int) error {
	for id, v := range logits {
		if v != v {
			return numberError(id, tokens)
		}
	}
	return nil
}

func numberError(id, tokens int) error {
	return fmt.Errorf("the logit of token %d is NaN after %d tokens: FILE info --verify tells whether the file is damaged; if not, the checkpoint holds weights that are NaN or too large", id, tokens)
}

// output collects the text of an answer as it becomes certain, and watches for stop texts.
type output struct {
	decoder *tokenizer.Decoder
	stopper *sample.Stopper
	text    strings.Builder
	stopped bool
}

func newOutput(s *Session, r Request) *output {
	return &output{decoder: s.Tokenizer.NewDecoder(!r.KeepSpecials), stopper: sample.NewStopper(r.Stop)}
}

// add takes a token and reports whether a stop text is complete.
func (o *output) add(id int32) bool {
	o.push(o.decoder.Next(id))
	return o.stopped
}

func (o *output) push(part string) {
	text, stopped := o.stopper.Push(part)
	o.text.WriteString(text)
	o.stopped = o.stopped || stopped
}

// flush adds the text that was held back.
func (o *output) flush() {
	if !o.stopped {
		o.push(o.decoder.Flush())
	}
	if !o.stopped {
		o.text.WriteString(o.stopper.Flush())
	}
}
