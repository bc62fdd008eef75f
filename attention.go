package pgc

import (
	"context"
	"errors"
	"fmt"

	"pgc/runtime/entry"
	"pgc/runtime/generate"
)

// AttentionMask says which tokens of a prompt attend to which.
type AttentionMask struct {
	Tokens      []string // as the tokenizer writes them
	IDs         []int32
	Images      int // whose tokens come first
	ImageTokens int // of an image
	Prefix      int // tokens that the suffix follows
	Kinds       []MaskKind
}

// MaskKind is the mask of the layers of a kind.
type MaskKind struct {
	Name   string // full_attention or sliding_attention
	Layers []int  // of the decoder, counted from 0
	Window int    // tokens that a token sees back, itself included; 0 for all
	Seen   []byte // [tokens, tokens], a row a token: 1 where it attends to the column's token, else 0
}

// AttentionMask returns who attends to whom when Forward runs over a request. It runs the compiled attention of every kind of layer
// and looks which keys it weighs; what the images show plays no part.
func (m *Model) AttentionMask(ctx context.Context, r ForwardRequest) (*AttentionMask, error) {
	if err := m.generates(); err != nil {
		return nil, err
	}
	model := m.exe.model
	a := &AttentionMask{Images: len(r.Images), ImageTokens: model.ImageTokens}
	err := m.scheduler.Do(ctx, "", func(ctx context.Context, s *generate.Session, slot int) error {
		p, err := s.Layout(len(r.Images), r.Prompt, r.Suffix, r.ParseSpecials)
		if err != nil {
			return err
		}
		if err := s.Check(p, len(r.Images), 0, slot); err != nil {
			return err
		}
		a.IDs, a.Prefix = p.IDs, p.Prefix
		for _, id := range p.IDs {
			a.Tokens = append(a.Tokens, s.Tokenizer.Token(id))
		}
		for _, kind := range []struct {
			name, function string
			layers         []int
			window         int
		}{{"full_attention", entry.SeenFull, model.FullLayers, 0}, {"sliding_attention", entry.SeenSliding, model.SlidingLayers, model.SlidingWindow}} {
			seen, err := s.Seen(ctx, p, kind.function)
			if err != nil {
				return err
			}
			if seen != nil {
				a.Kinds = append(a.Kinds, MaskKind{kind.name, kind.layers, kind.window, seen})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// Attention is how a token of an answer came from what is before it: the weights of the query that chose the token, by layer and
// head, as transformers' generate returns them with output_attentions.
type Attention struct {
	Answer  *Answer
	Token   int    // of the answer, counted from 0
	Text    string // the token as the tokenizer writes it
	Layers  int
	Heads   int
	Keys    int       // tokens before the one that was chosen, images first
	Patches int       // of them those of the images, row by row
	Weights []float32 // [layers, heads, keys]
}

// Attends returns how many layers and heads Attention tells of: none where an earlier pgc made the executable.
func (e *Executable) Attends() (layers, heads int) { return generate.Attends(e.file.Program) }

// Attention answers a request and returns the attention of the query that chose a token of the answer, counted from 0.
func (m *Model) Attention(ctx context.Context, r Request, token int) (*Attention, error) {
	q, err := m.request(ctx, r)
	if err != nil {
		return nil, err
	}
	g := q.Request // result lets go of the images
	if most := g.MaxNewTokens; token < 0 || token >= most {
		return nil, fmt.Errorf("token %d is asked for, but an answer has %d tokens at most, counted from 0 (max_new_tokens)", token, most)
	}
	answer, err := m.result(ctx, &q, m.scheduler.Submit(ctx, g))
	if err != nil {
		return nil, err
	}
	if len(answer.Tokens) == 0 {
		return nil, errors.New("the answer has no token: expected one at least (max_new_tokens)")
	}
	if token >= len(answer.Tokens) {
		return nil, fmt.Errorf("the answer has no token %d: expected 0 to %d of %q", token, len(answer.Tokens)-1, answer.Text)
	}
	a := &Attention{Answer: answer, Token: token, Patches: len(r.Images) * m.exe.model.ImageTokens}
	err = m.scheduler.Do(ctx, r.Client, func(ctx context.Context, s *generate.Session, slot int) error {
		a.Text = s.Tokenizer.Token(answer.Tokens[token])
		return a.look(ctx, s, g, answer.Tokens[:token], slot)
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// look runs a request and the tokens before the one that is asked for.
func (a *Attention) look(ctx context.Context, s *generate.Session, g generate.Request, before []int32, slot int) error {
	p, err := s.Layout(len(g.Images), g.Prompt, nil, g.ParseSpecials)
	if err != nil {
		return err
	}
	found, err := s.Attend(ctx, g.Images, p, before, g.Adapter, slot)
	if err == nil {
		a.Layers, a.Heads, a.Keys, a.Weights = found.Layers, found.Heads, found.Keys, found.Weights
	}
	return err
}
