package hf

import (
	"encoding/binary"
	"math"
	"slices"

	"pgc/checkpoint/lazy"
	"pgc/ir"
	"pgc/ir/floats"
	"pgc/runtime/safetensors"
)

// tensorOf returns a stored tensor of floats; ok is false for another. float64 becomes float32, as from_pretrained with
// dtype=float32 makes it.
func tensorOf(t safetensors.Tensor) (plain lazy.Tensor, ok bool) {
	if t.DType == safetensors.F64 {
		return lazy.Tensor{DType: ir.F32, Shape: t.Shape, Values: func(x []float32, at int) {
			for i := range x {
				x[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(t.Data[8*(at+i):])))
			}
		}}, true
	}
	d, ok := floats.Of(t.DType)
	return lazy.Tensor{DType: d, Shape: t.Shape, Data: t.Data}, ok
}

// channelsFirst returns the weight of a convolution whose channels are its last dimension, as MLX stores it, with the
// shape that is expected.
func channelsFirst(t lazy.Tensor, want []int) (lazy.Tensor, bool) {
	if len(want) != 4 || !slices.Equal(t.Shape, []int{want[0], want[2], want[3], want[1]}) {
		return t, false
	}
	channels, area := want[1], want[2]*want[3]
	return lazy.Tensor{DType: t.DType, Shape: want, Values: func(x []float32, at int) {
		row := make([]float32, channels*area)
		for len(x) > 0 {
			first := at % len(row)
			t.Decode(row, at-first)
			n := min(len(x), len(row)-first)
			for i := range n {
				c, p := (first+i)/area, (first+i)%area
				x[i] = row[p*channels+c]
			}
			x, at = x[n:], at+n
		}
	}}, true
}
