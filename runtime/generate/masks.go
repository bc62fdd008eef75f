package generate

import (
	"context"
	"fmt"

	"pgc/runtime/boxes"
	"pgc/runtime/engine"
	"pgc/runtime/entry"
)

// masks is the function that decodes masks.
type masks struct {
	*engine.Func
	codes, out engine.Tensor
}

func findMasks(l *engine.Lookup) *masks {
	f := l.Func(entry.DecodeMask)
	return &masks{f, l.Input(f, entry.InCodes), l.Output(f, entry.OutMask)}
}

// MaskCodes is the number of codes of a mask.
const MaskCodes = boxes.MaskLen

// DecodeMask returns the mask of sixteen codes, Side rows of as many values, above 0 where the object is. The model must
// have a decoder of masks.
func (s *Session) DecodeMask(ctx context.Context, codes []int) ([]float32, error) {
	if len(codes) != MaskCodes {
		return nil, fmt.Errorf("a mask has %d codes, expected %d", len(codes), MaskCodes)
	}
	in := make([]int32, MaskCodes)
	for i, c := range codes {
		if c < 0 || c >= s.Model.Masks.Entries {
			return nil, fmt.Errorf("segment code %d of a mask is %d, the decoder of masks has codes up to %d", i, c, s.Model.Masks.Entries-1)
		}
		in[i] = int32(c)
	}
	f := s.fn.masks
	if err := engine.Put(f.codes, 0, in); err != nil {
		return nil, err
	}
	if err := f.Run(ctx); err != nil {
		return nil, err
	}
	out := make([]float32, s.Model.Masks.Side*s.Model.Masks.Side)
	return out, engine.Get(f.out, 0, out)
}
