package weights

import (
	"pgc/codegen/packing"
	"pgc/ir"
	"pgc/runtime/program"
)

// Matrix is what a product reads of a weight: one of the selections of a layout, Blocks runs of rows.
type Matrix struct {
	program.Layout
	W             *ir.Value
	Which, Blocks int64
	// Rows, if not 0, are those of whole panels that the product reads, from the panel on that the symbol From says.
	Rows int64
	From string
}

// As is the matrix in the kind and the packing of k of another layout.
func (m Matrix) As(l program.Layout) Matrix {
	m.Kind, m.KPack = l.Kind, l.KPack
	return m
}

// stored is the layout that the weight has for it: runs that are neighbors and need no padding are one.
func (m Matrix) stored() program.Layout {
	l := m.Layout
	if l.Split == 1 && l.Run%packing.PanelWidth == 0 {
		l.Run *= m.Blocks
	}
	return l
}

// layout is the layout of a packed matrix with the sizes that follow from its fields.
type layout struct {
	program.Layout
	dtype ir.DType
	rows  int64
}

func layoutOf(w program.Weight, d ir.DType) layout {
	n := int64(1)
	for _, s := range w.Shape {
		n *= s
	}
	return layout{w.Layout, d, n / w.Layout.Cols}
}

// GroupOf is the format in groups that d is, or that of floats.
func GroupOf(d ir.DType) packing.Group {
	f, n := d.Group()
	return packing.Group{Format: f, Len: int64(n)}
}

// packedCols is how many elements a row has with its padding.
func (p layout) packedCols() int64 { return roundUp(p.Cols, int64(p.KPack)) }

func roundUp(n, step int64) int64 { return (n + step - 1) / step * step }

// panelBytes is the size of the rows that lie side by side.
func (p layout) panelBytes() int64 {
	if q := GroupOf(p.dtype); q.Len > 0 {
		return q.Blocks(p.Cols) * q.BlockBytes()
	}
	return p.packedCols() * packing.PanelWidth * int64(p.dtype.Bytes())
}

// selectionBytes is the size of the rows that are packed together.
func (p layout) selectionBytes() int64 {
	if p.Kind == program.LayoutRows || p.Kind == program.LayoutColumns {
		return p.rows / p.Split * p.Cols * int64(p.dtype.Bytes())
	}
	const w = packing.PanelWidth
	return roundUp(p.rows/(p.Split*p.Run)*roundUp(p.Run, w), packing.PanelPad) / w * p.panelBytes()
}

// runs gives f the runs of rows in the places they have: the first of each.
func (p layout) runs(f func(first int64)) {
	for which := range p.Split {
		for first := which * p.Run; first < p.rows; first += p.Split * p.Run {
			f(first)
		}
	}
}

// columns returns the rows of a matrix, which lie one behind the other, run by run and each of these column by column.
func (p layout) columns(rows []byte) (out []byte) {
	size := int64(p.dtype.Bytes())
	p.runs(func(first int64) {
		out = append(out, transposed(rows[first*p.Cols*size:][:p.Run*p.Cols*size], int(p.Run), int(p.Cols), int(size))...)
	})
	return out
}

// ofColumns undoes columns.
func (p layout) ofColumns(packed []byte) []byte {
	size, at := int64(p.dtype.Bytes()), int64(0)
	out := make([]byte, len(packed))
	p.runs(func(first int64) {
		n := p.Run * p.Cols * size
		copy(out[first*p.Cols*size:], transposed(packed[at:at+n], int(p.Cols), int(p.Run), int(size)))
		at += n
	})
	return out
}

// order returns the rows in the places they have, -1 for padding: selection by selection, run by run, every run padded
// to whole panels and every selection to packing.PanelPad rows.
func (p layout) order() []int64 {
	var places []int64
	for which := range p.Split {
		start := len(places)
		for first := which * p.Run; first < p.rows; first += p.Split * p.Run {
			for r := range p.Run {
				places = append(places, first+r)
			}
			for int64(len(places))%packing.PanelWidth != 0 {
				places = append(places, -1)
			}
		}
		for int64(len(places)-start)%packing.PanelPad != 0 {
			places = append(places, -1)
		}
	}
	return places
}

// at is the place of element c of the n-th of rows that lie side by side.
func (p layout) at(n, c int) int {
	const w = packing.PanelWidth
	if p.KPack == 2 {
		return c/2*2*w + 2*n + c%2
	}
	return c*w + n
}
