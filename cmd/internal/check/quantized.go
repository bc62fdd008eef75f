package check

import (
	"encoding/binary"
	"fmt"
	"math"

	"pgc/codegen/weights"
	"pgc/ir"
	"pgc/ir/eval"
	"pgc/ir/quant"
	"pgc/runtime/program"
)

// packed provides matrices of integers as they were packed, and everything else from a checkpoint.
type packed struct {
	weights.Source
	program *program.Program
	section []byte
}

// Tensor returns a tensor by canonical name.
func (p packed) Tensor(key string) (weights.Tensor, error) {
	for _, w := range p.program.Weights {
		if d, ok := ir.ParseDType(string(w.DType)); ok && w.Name == key && d.IsQuantized() {
			return weights.Unpack(w, p.section)
		}
	}
	return p.Source.Tensor(key)
}

// groups reads rows of 8-bit groups as quant.RowLayout has them.
func groups(d ir.DType, mem []byte, shape []int) *eval.Tensor {
	t := eval.New(d, shape...)
	_, n := d.Group()
	k := shape[len(shape)-1]
	row := quant.RowLayout(int64(k), int64(n))
	for i := range t.Data {
		of := mem[int64(i/k)*row.Bytes:]
		scale := math.Float32frombits(binary.LittleEndian.Uint32(of[row.Scales+int64(4*(i%k/n)):]))
		t.Data[i] = float64(float32(int8(of[i%k])) * scale)
	}
	return t
}

// compare is eval.Compare except for rows of 8-bit groups: there the last bit before rounding decides between two
// integers, so values may be one step apart. The error is relative to a step.
func compare(got, want *eval.Tensor, tol ir.Tol) (worst float64, err error) {
	if !want.DType.IsQuantized() {
		return eval.Compare(got, want, tol)
	}
	_, n := want.DType.Group()
	k := want.Shape[len(want.Shape)-1]
	for i := range want.Data {
		if i%k%n > 0 {
			continue
		}
		group := want.Data[i:min(i+n, i-i%k+k)]
		top := 0.0
		for _, v := range group {
			top = max(top, math.Abs(v))
		}
		step := max(top/127, quant.Smallest) * 1.001
		for j, v := range group {
			e := math.Abs(got.Data[i+j]-v) / step
			if !(e <= worst) {
				worst = e
			}
			if !(e <= 1) && err == nil {
				err = fmt.Errorf("element %d of %v is %.9g, expected %.9g: %.3g steps of %.3g, of which one is allowed", i+j, want.Shape, got.Data[i+j], v, e, step)
			}
		}
	}
	return worst, err
}
