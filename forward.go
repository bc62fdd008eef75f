package pgc

import (
	"context"
	"slices"

	"pgc/runtime/generate"
	"pgc/runtime/safetensors"
)

// ForwardRequest asks for the forward pass over images, a prompt and, unless nil, the expected answer.
type ForwardRequest struct {
	Images        []Image
	Prompt        string
	Suffix        *string
	ParseSpecials bool
	Adapter       string // the name of an adapter that the executable keeps; "" is the model alone
}

// Tensor is a row-major tensor. One of Float32s and Int32s holds its elements.
type Tensor struct {
	Shape    []int
	Float32s []float32
	Int32s   []int32
}

// Forward runs the model once over all tokens, as transformers' PaliGemmaForConditionalGeneration.forward does, and
// returns by name:
//
//	input_ids, token_type_ids  int32 [tokens]
//	pixel_values               float32 [images, 3, H, W]
//	image_hidden_states        float32 [images, image tokens, width]
//	logits                     float32 [tokens, vocabulary]
//
// and with a suffix labels int32 [tokens] (-100 where masked), loss float32 [1] and token_logprobs float32 [suffix
// tokens with <eos>].
func (m *Model) Forward(ctx context.Context, r ForwardRequest) (map[string]Tensor, error) {
	c := &collector{tensors: map[string]Tensor{}}
	err := m.forward(ctx, r, func(specs []safetensors.Spec) (generate.Sink, error) {
		c.specs = specs
		return c, nil
	})
	if err != nil {
		return nil, err
	}
	return c.tensors, nil
}

// ForwardFile is Forward into a safetensors file, which is written as the results come and appears at path when it is
// complete.
func (m *Model) ForwardFile(ctx context.Context, r ForwardRequest, path string) error {
	var w *safetensors.Writer
	err := m.forward(ctx, r, func(specs []safetensors.Spec) (sink generate.Sink, err error) {
		w, err = safetensors.Create(path, nil, specs)
		return w, err
	})
	if w == nil || err == nil {
		if w != nil {
			err = w.Close()
		}
		return err
	}
	w.Abort()
	return err
}

func (m *Model) forward(ctx context.Context, r ForwardRequest, open func([]safetensors.Spec) (generate.Sink, error)) error {
	if err := m.generates(); err != nil {
		return err
	}
	if len(m.exe.model.Frozen) > 0 {
		return errFrozen(m.exe.model)
	}
	images, err := decodeAll(ctx, r.Images)
	if err != nil {
		return err
	}
	adapter, err := m.exe.model.AdapterNumber(r.Adapter)
	if err != nil {
		return err
	}
	f := generate.ForwardRequest{Adapter: adapter, Images: images, Prompt: r.Prompt, Suffix: r.Suffix, ParseSpecials: r.ParseSpecials}
	return m.scheduler.Do(ctx, "", func(ctx context.Context, s *generate.Session, slot int) error {
		return s.Forward(ctx, f, slot, open)
	})
}

// collector keeps tensors in memory.
type collector struct {
	specs   []safetensors.Spec // that follow, in order
	tensors map[string]Tensor
}

// WriteFloat32s adds elements to the current tensor.
func (c *collector) WriteFloat32s(v []float32) error {
	for len(v) > 0 {
		v = v[c.add(len(v), func(t *Tensor, n int) { t.Float32s = append(t.Float32s, v[:n]...) }):]
	}
	return nil
}

// WriteInt32s adds elements to the current tensor.
func (c *collector) WriteInt32s(v []int32) error {
	for len(v) > 0 {
		v = v[c.add(len(v), func(t *Tensor, n int) { t.Int32s = append(t.Int32s, v[:n]...) }):]
	}
	return nil
}

// add appends up to n elements to the first tensor that is not complete and returns how many it took.
func (c *collector) add(n int, put func(t *Tensor, n int)) int {
	s := c.specs[0]
	t := c.tensors[s.Name]
	t.Shape = slices.Clone(s.Shape)
	total := 1
	for _, d := range s.Shape {
		total *= d
	}
	n = min(n, total-len(t.Float32s)-len(t.Int32s))
	put(&t, n)
	c.tensors[s.Name] = t
	if len(t.Float32s)+len(t.Int32s) == total {
		c.specs = c.specs[1:]
	}
	return n
}
