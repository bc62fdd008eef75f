package generate

import (
	"context"
	"math"

	"pgc/runtime/engine"
	"pgc/runtime/entry"
	"pgc/runtime/internal/preprocess"
	"pgc/runtime/rgb"
	"pgc/runtime/safetensors"
	"pgc/runtime/tokenizer"
)

// ForwardRequest is what Forward runs the model over.
type ForwardRequest struct {
	Images        []*rgb.Image
	Prompt        string
	Suffix        *string // the expected answer; nil is none
	Adapter       int     // the number of an adapter that is kept beside the model; 0 for none
	ParseSpecials bool
}

// Sink takes tensors in a given order, each in as many pieces as there are.
type Sink interface {
	WriteInt32s([]int32) error
	WriteFloat32s([]float32) error
}

// Forward runs the model over images, prompt and suffix, as PaliGemmaForConditionalGeneration.forward does, in a
// batch slot, and writes its inputs and results to the sink that open makes for them. Logits are computed and written
// in blocks of rows.
func (s *Session) Forward(ctx context.Context, r ForwardRequest, slot int, open func([]safetensors.Spec) (Sink, error)) error {
	p, err := s.Layout(len(r.Images), r.Prompt, r.Suffix, r.ParseSpecials)
	if err != nil {
		return err
	}
	if err := s.Check(p, len(r.Images), 0, slot); err != nil {
		return err
	}
	m := s.Model
	n, images, scored := len(p.IDs), len(r.Images), len(p.IDs)-p.Prefix
	specs := []safetensors.Spec{
		{Name: "input_ids", DType: safetensors.I32, Shape: []int{n}},
		{Name: "token_type_ids", DType: safetensors.I32, Shape: []int{n}},
		{Name: "pixel_values", DType: safetensors.F32, Shape: []int{images, 3, m.ImageSize, m.ImageSize}},
		{Name: "image_hidden_states", DType: safetensors.F32, Shape: []int{images, m.ImageTokens, m.HiddenSize}},
		{Name: "logits", DType: safetensors.F32, Shape: []int{n, m.VocabSize}},
	}
	if r.Suffix != nil {
		specs = append(specs, safetensors.Spec{Name: "labels", DType: safetensors.I32, Shape: []int{n}},
			safetensors.Spec{Name: "loss", DType: safetensors.F32, Shape: []int{1}},
			safetensors.Spec{Name: "token_logprobs", DType: safetensors.F32, Shape: []int{scored}})
	}
	w, err := open(specs)
	if err != nil {
		return err
	}
	return s.forwardTo(ctx, w, p, r, slot)
}

func (s *Session) forwardTo(ctx context.Context, w Sink, p tokenizer.Prompt, r ForwardRequest, slot int) error {
	m := s.Model
	if err := w.WriteInt32s(p.IDs); err != nil {
		return err
	}
	if err := w.WriteInt32s(p.Types); err != nil {
		return err
	}
	for _, image := range r.Images {
		if err := w.WriteFloat32s(preprocess.PixelValues(image, m)); err != nil {
			return err
		}
	}
	s.fn.adapted[r.Adapter].forward.Set(entry.SymSlot, slot)
	if err := s.hidden(ctx, p, r.Images, r.Adapter); err != nil {
		return err
	}
	s.ran(len(p.IDs), slot)
	features := len(r.Images) * m.ImageTokens * m.HiddenSize
	rows := make([]float32, features)
	if err := engine.Get(s.fn.features, 0, rows); err != nil {
		return err
	}
	if err := w.WriteFloat32s(rows); err != nil {
		return err
	}
	logprobs, err := s.writeLogits(ctx, w, p, r.Adapter)
	if err != nil || r.Suffix == nil {
		return err
	}
	if err := w.WriteInt32s(p.Labels); err != nil {
		return err
	}
	if err := w.WriteFloat32s([]float32{Loss(logprobs)}); err != nil {
		return err
	}
	return w.WriteFloat32s(logprobs)
}

// Hidden encodes the images and runs the decoder over all tokens of a prompt, whose hidden states stay in the
// executor.
func (s *Session) Hidden(ctx context.Context, p tokenizer.Prompt, images []*rgb.Image) error {
	return s.hidden(ctx, p, images, 0)
}

func (s *Session) hidden(ctx context.Context, p tokenizer.Prompt, images []*rgb.Image, adapter int) error {
	if _, _, err := s.Encode(ctx, images, adapter); err != nil {
		return err
	}
	forward := s.fn.adapted[adapter].forward
	if err := s.start(forward, p); err != nil {
		return err
	}
	return s.alone(ctx, forward.Func)
}

// Logits computes the logits of the tokens from first to end-1 of the prompt that Hidden ran over, block by block, and
// gives them to use with the number of the first token.
func (s *Session) Logits(ctx context.Context, first, end int, use func(at int, logits []float32) error) error {
	return s.logits(ctx, 0, first, end, use)
}

func (s *Session) logits(ctx context.Context, adapter, first, end int, use func(at int, logits []float32) error) error {
	head := s.fn.adapted[adapter].head
	most := int(s.Engine.Program.Symbols[s.Engine.Program.SymbolIndex(entry.SymRows)].Max)
	logits := make([]float32, min(most, end-first)*s.Model.VocabSize)
	for at := first; at < end; at += most {
		count := min(most, end-at)
		head.Set(entry.SymRow, at)
		head.Set(entry.SymRows, count)
		if err := s.alone(ctx, head.Func); err != nil {
			return err
		}
		block := logits[:count*s.Model.VocabSize]
		if err := engine.Get(head.out, 0, block); err != nil {
			return err
		}
		if err := use(at, block); err != nil {
			return err
		}
	}
	return nil
}

// writeLogits computes the logits of all tokens, writes them, and returns the log-probabilities of the suffix's tokens.
func (s *Session) writeLogits(ctx context.Context, w Sink, p tokenizer.Prompt, adapter int) ([]float32, error) {
	vocab, n := s.Model.VocabSize, len(p.IDs)
	var logprobs []float32
	err := s.logits(ctx, adapter, 0, n, func(at int, logits []float32) error {
		// Row i predicts token i+1.
		for i := at; i < at+len(logits)/vocab; i++ {
			if i+1 >= p.Prefix && i+1 < n {
				row := logits[(i-at)*vocab:][:vocab]
				logprobs = append(logprobs, float32(logSoftmax(row, int(p.IDs[i+1]))))
			}
		}
		return w.WriteFloat32s(logits)
	})
	return logprobs, err
}

func logSoftmax(row []float32, id int) float64 {
	top := math.Inf(-1)
	for _, v := range row {
		top = max(top, float64(v))
	}
	sum := 0.0
	for _, v := range row {
		sum += math.Exp(float64(v) - top)
	}
	return float64(row[id]) - top - math.Log(sum)
}
