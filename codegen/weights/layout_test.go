package weights

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"pgc/ir"
	"pgc/ir/floats"
	"pgc/runtime/program"
)

// counting is a checkpoint of one tensor of 1, 2, 3, …
type counting struct{ t Tensor }

func (c counting) Tensor(string) (Tensor, error) { return c.t, nil }
func (counting) Prefetch(string, int64, int64)   {}
func (counting) Evict(string, int64, int64)      {}

func panels(kpack uint8, split, run, cols int64) program.Layout {
	return program.Layout{Kind: program.LayoutPanels, KPack: kpack, Split: split, Run: run, Cols: cols}
}

func columns(split, run, cols int64) program.Layout {
	return program.Layout{Kind: program.LayoutColumns, KPack: 1, Split: split, Run: run, Cols: cols}
}

func transposedLayout(l program.Layout) program.Layout {
	l.Transposed = true
	return l
}

// TestLayouts packs a tensor in every layout that products ask for and unpacks it; the section has the size that the
// layout says, and the first elements lie where its definition has them.
func TestLayouts(t *testing.T) {
	for _, c := range []struct {
		m     Matrix
		shape []int
		want  program.Layout
		first []float32 // of the section
	}{
		{Matrix{Layout: panels(1, 1, 19, 5), Blocks: 1}, []int{19, 5}, panels(1, 1, 19, 5),
			[]float32{1, 6, 11}},
		{Matrix{Layout: panels(2, 1, 19, 5), Blocks: 1}, []int{19, 5}, panels(2, 1, 19, 5),
			[]float32{1, 2, 6, 7}},
		{Matrix{Layout: transposedLayout(panels(1, 1, 5, 19)), Blocks: 1}, []int{19, 5}, transposedLayout(panels(1, 1, 5, 19)),
			[]float32{1, 2, 3, 4, 5, 0}},
		{Matrix{Layout: panels(1, 2, 4, 6), Blocks: 3}, []int{24, 6}, panels(1, 2, 4, 6),
			[]float32{1, 7, 13, 19, 0}},
		{Matrix{Layout: panels(1, 1, 4, 6), Blocks: 3}, []int{3, 4, 6}, panels(1, 1, 4, 6),
			[]float32{1, 7, 13, 19, 0}},
		{Matrix{Layout: program.Layout{Kind: program.LayoutRows, KPack: 1, Split: 1, Run: 5, Cols: 3}, Blocks: 1}, []int{5, 3},
			program.Layout{Kind: program.LayoutRows, KPack: 1, Split: 1, Run: 5, Cols: 3}, []float32{1, 2, 3, 4}},
		{Matrix{Layout: columns(1, 5, 3), Blocks: 1}, []int{5, 3}, columns(1, 5, 3), []float32{1, 4, 7, 10, 13, 2}},
		{Matrix{Layout: columns(2, 2, 3), Blocks: 2}, []int{8, 3}, columns(2, 2, 3), []float32{1, 4, 2, 5, 3, 6, 13, 16}},
		{Matrix{Layout: transposedLayout(columns(1, 5, 3)), Blocks: 1}, []int{3, 5}, transposedLayout(columns(1, 5, 3)), []float32{1, 2, 3, 4, 5, 6}},
		// Blocks of whole panels are like one run.
		{Matrix{Layout: panels(1, 1, 16, 3), Blocks: 2}, []int{2, 16, 3}, panels(1, 1, 32, 3),
			[]float32{1, 4, 7}},
	} {
		n := 1
		for _, d := range c.shape {
			n *= d
		}
		var data []byte
		d := ir.F32
		if c.m.KPack == 2 { // pairs are of bfloat16, which holds all numbers here
			d = ir.BF16
		}
		for i := range n {
			data = append(data, convert(binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(i+1))), ir.F32, d)...)
		}
		c.m.W = &ir.Value{Key: "w", Type: ir.T(d, ir.Dims(c.shape...)...)}
		plan := &Plan{}
		if at := plan.Matrix(c.m); at != 0 {
			t.Errorf("%v begins at %d", c.want, at)
		}
		w := plan.Weights()[0]
		if w.Layout != c.want {
			t.Errorf("layout %v, expected %v", w.Layout, c.want)
		}
		if other := c.m; c.m.Split > 1 { // the second selection lies behind the first, in the same entry
			other.Which = 1
			if at := plan.Matrix(other); at != w.Bytes/c.m.Split || len(plan.Weights()) != 1 {
				t.Errorf("%v: the second selection is at %d of %d, with %d entries", w.Layout, at, w.Bytes, len(plan.Weights()))
			}
		}
		var section bytes.Buffer
		if err := plan.Write(&section, counting{Tensor{DType: d, Shape: c.shape, Data: data}}, Writing{}); err != nil {
			t.Fatal(err)
		}
		if int64(section.Len()) != w.Bytes {
			t.Errorf("%v: %d bytes were written, expected %d", w.Layout, section.Len(), w.Bytes)
		}
		got := make([]float32, len(c.first))
		floats.Decode(got, section.Bytes(), d)
		if !slices.Equal(got, c.first) {
			t.Errorf("%v begins with %v, expected %v", w.Layout, got, c.first)
		}
		back, err := Unpack(w, section.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(back.Data, data) || !slices.Equal(back.Shape, c.shape) {
			t.Errorf("%v: unpacking gives other numbers", w.Layout)
		}
		w.Bytes -= 4
		if _, err := Unpack(w, section.Bytes()); err == nil {
			t.Errorf("%v: a size that the layout does not have was accepted", w.Layout)
		}
	}
}
