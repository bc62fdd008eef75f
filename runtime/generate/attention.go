package generate

import (
	"context"
	"errors"
	"fmt"

	"pgc/runtime/engine"
	"pgc/runtime/entry"
	"pgc/runtime/native"
	"pgc/runtime/program"
	"pgc/runtime/rgb"
	"pgc/runtime/tokenizer"
)

// looking are the functions that tell who attends to whom; those that a program lacks are nil.
type looking struct {
	seen   map[string]*scored // by name of the function
	attend []scored           // by the number of the adapter
}

func findLooking(l *engine.Lookup, adapters int) looking {
	found := looking{seen: map[string]*scored{}}
	for _, name := range []string{entry.SeenFull, entry.SeenSliding} {
		if l.Engine.Program.Func(name) != nil {
			f := l.Func(name)
			found.seen[name] = &scored{Func: f, out: l.Output(f, entry.OutSeen)}
		}
	}
	for n := range adapters + 1 {
		if name := entry.Adapted(entry.Attend, n); l.Engine.Program.Func(name) != nil {
			f := l.Func(name)
			found.attend = append(found.attend, scored{Func: f, out: l.Output(f, entry.OutAttentions)})
		}
	}
	return found
}

// errBlind is the error of programs without these functions.
var errBlind = errors.New("this executable was made by an earlier pgc, which left out what tells attention: compile it again")

// Seen returns which keys every token of a prompt attends to in the layers of a kind, entry.SeenFull or entry.SeenSliding: bytes
// [tokens, tokens] of 0 or 1, a row a token. It is nil where the model has no layer of the kind. The attention of such a layer is
// run, the same kernels as in forward but for the size of heads.
func (s *Session) Seen(ctx context.Context, p tokenizer.Prompt, kind string) ([]byte, error) {
	if len(s.fn.looking.seen) == 0 {
		return nil, errBlind
	}
	f := s.fn.looking.seen[kind]
	if f == nil {
		return nil, nil
	}
	n := len(p.IDs)
	f.Set(entry.SymTokens, n)
	f.Set(entry.SymKeys, n)
	f.Set(entry.SymPast, 0)
	f.Set(entry.SymPrefix, p.Prefix)
	if err := native.CheckMemory(int64(n)*int64(n+4*entry.SeenKeys), fmt.Sprintf("the mask of %d tokens", n)); err != nil {
		return nil, err
	}
	seen, block := make([]byte, n*n), make([]float32, n*entry.SeenKeys)
	for first := 0; first < n; first += entry.SeenKeys {
		f.Set(entry.SymRow, first)
		if err := s.alone(ctx, f.Func); err != nil {
			return nil, err
		}
		if err := engine.Get(f.out, 0, block); err != nil {
			return nil, err
		}
		for i := range n {
			for j, weight := range block[i*entry.SeenKeys:][:min(entry.SeenKeys, n-first)] {
				if weight > 0 {
					seen[i*n+first+j] = 1
				}
			}
		}
	}
	return seen, nil
}

// Attention is the weights by which heads sum up the values of the keys, for one query.
type Attention struct {
	Layers, Heads, Keys int
	Weights             []float32 // [layers, heads, keys]
}

// Attend returns the attention of the query that chooses the token behind the given ones of an answer: of the last of these, or
// of the prompt's last token where there are none. It runs the prompt and these tokens in a batch slot.
func (s *Session) Attend(ctx context.Context, images []*rgb.Image, p tokenizer.Prompt, answer []int32, adapter, slot int) (*Attention, error) {
	if adapter >= len(s.fn.looking.attend) {
		return nil, errBlind
	}
	if err := s.Check(p, len(images), len(answer), slot); err != nil {
		return nil, err
	}
	s.ahead = ahead{}
	if _, _, err := s.Encode(ctx, images, adapter); err != nil {
		return nil, err
	}
	f := s.fn.adapted[adapter]
	if err := s.start(f.prefill, p); err != nil {
		return nil, err
	}
	f.prefill.Set(entry.SymSlot, slot)
	if err := s.alone(ctx, f.prefill.Func); err != nil {
		return nil, err
	}
	s.ran(len(p.IDs), slot)
	at := func(f *engine.Func, id int32, past int) error {
		f.Set(entry.SymSlot, slot)
		f.Set(entry.SymPrefix, p.Prefix)
		f.Set(entry.SymPast, past)
		f.Set(entry.SymKeys, past+1)
		s.wrote(past+1, slot)
		if err := s.put(id); err != nil {
			return err
		}
		return f.Run(ctx)
	}
	n := len(p.IDs)
	last, past := p.IDs[n-1], n-1 // again: its keys and values are written as they were
	for i, id := range answer {
		if i > 0 {
			if err := at(f.decode, last, past); err != nil {
				return nil, err
			}
		}
		last, past = id, n+i
	}
	attend := s.fn.looking.attend[adapter]
	if err := at(attend.Func, last, past); err != nil {
		return nil, err
	}
	return s.attention(attend, past+1)
}

// Attends returns how many layers and heads a program tells the attention of: none where an earlier pgc made it.
func Attends(p *program.Program) (layers, heads int) {
	f := p.Func(entry.Attend)
	if f == nil {
		return 0, 0
	}
	return layersAndHeads(f)
}

// layersAndHeads are the first two sizes of what a function writes of attention.
func layersAndHeads(f *program.Func) (layers, heads int) {
	shape := f.Outputs[0].Shape
	return int(shape[0].Eval(nil)), int(shape[1].Eval(nil))
}

// attention reads what attend wrote of so many keys. Rows lie as far apart as the capacity asks for.
func (s *Session) attention(f scored, keys int) (*Attention, error) {
	a := &Attention{Keys: keys}
	a.Layers, a.Heads = layersAndHeads(s.Engine.Program.Func(f.Name()))
	a.Weights = make([]float32, a.Layers*a.Heads*keys)
	for i := range a.Layers * a.Heads {
		if err := engine.Get(f.out, i*s.Model.MaxTokens, a.Weights[i*keys:][:keys]); err != nil {
			return nil, err
		}
	}
	return a, nil
}
