package weights

import (
	"fmt"

	"pgc/codegen/packing"
	"pgc/ir"
	"pgc/runtime/program"
)

// Unpack returns a tensor of a weights section in row-major order.
func Unpack(w program.Weight, section []byte) (Tensor, error) {
	d, ok := ir.ParseDType(string(w.DType))
	if !ok {
		return Tensor{}, fmt.Errorf("tensor %s has the unknown type %s", w.Name, w.DType)
	}
	t := Tensor{DType: d, Data: section[w.Offset : w.Offset+w.Bytes]}
	for _, n := range w.Shape {
		t.Shape = append(t.Shape, int(n))
	}
	if w.Layout.Kind == program.LayoutPlain {
		return t, nil
	}
	p := layoutOf(w, d)
	if want := p.Split * p.selectionBytes(); want != w.Bytes {
		return Tensor{}, fmt.Errorf("tensor %s, %v, has %d bytes, expected %d", w.Name, w.Layout, w.Bytes, want)
	}
	switch {
	case p.Kind == program.LayoutRows:
	case p.Kind == program.LayoutColumns:
		t.Data = p.ofColumns(t.Data)
	case d.IsQuantized():
		t.Data = p.dequantized(t.Data)
	default:
		t.Data = p.unpacked(t.Data)
	}
	if p.Transposed {
		t.Data = transposed(t.Data, int(p.rows), int(p.Cols), len(t.Data)/int(p.rows*p.Cols))
	}
	return t, nil
}

// dequantized returns the rows of a packed matrix of integers as float32 values.
func (p layout) dequantized(packed []byte) []byte {
	rowBytes := p.Cols * 4
	out := make([]byte, p.rows*rowBytes)
	for at, r := range p.order() {
		if r >= 0 {
			panel := packed[int64(at/packing.PanelWidth)*p.panelBytes():]
			dequantize(out[r*rowBytes:][:rowBytes], panel, at%packing.PanelWidth, GroupOf(p.dtype))
		}
	}
	return out
}

// unpacked returns the rows of a packed matrix of floats.
func (p layout) unpacked(packed []byte) []byte {
	size, cols, w := p.dtype.Bytes(), int(p.Cols), packing.PanelWidth
	out := make([]byte, int(p.rows)*cols*size)
	for at, r := range p.order() {
		if r < 0 {
			continue
		}
		panel := packed[int64(at/w)*p.panelBytes():]
		for c := range cols {
			copy(out[(int(r)*cols+c)*size:][:size], panel[p.at(at%w, c)*size:])
		}
	}
	return out
}

// transposed returns a matrix with its rows as columns.
func transposed(data []byte, rows, cols, size int) []byte {
	out := make([]byte, len(data))
	for r := range rows {
		for c := range cols {
			copy(out[(c*rows+r)*size:][:size], data[(r*cols+c)*size:][:size])
		}
	}
	return out
}
