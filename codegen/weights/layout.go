package weights

import (
	"pgc/codegen/kernels"
	"pgc/ir"
	"pgc/runtime/program"
)

// Matrix says how a matmul reads a weight: all rows of it, or one of every Split runs of Rows rows, as the halves of
// the heads of a rotary embedding.
type Matrix struct {
	W                  *ir.Value
	Transposed         bool // its rows are the columns of the weight
	Split, Which       int64
	Blocks, Rows, Cols int64
	KPack              uint8
}

// layout is how the weight is stored for it. Runs of rows that are read apart are packed apart, so that a tensor is stored once;
// blocks of whole panels are like one run.
func (m Matrix) layout() program.Layout {
	l := program.Layout{Kind: program.LayoutPanels, Transposed: m.Transposed, KPack: m.KPack, Split: m.Split, Run: m.Rows, Cols: m.Cols}
	if m.Split == 1 && m.Rows%kernels.PanelWidth == 0 {
		l.Run *= m.Blocks
	}
	return l
}

// packing is the layout of a packed matrix with the sizes that follow from its fields.
type packing struct {
	program.Layout
	dtype ir.DType
	rows  int64
}

func packingOf(w program.Weight, d ir.DType) packing {
	n := int64(1)
	for _, s := range w.Shape {
		n *= s
	}
	return packing{w.Layout, d, n / w.Layout.Cols}
}

// GroupOf is the format of integers that d is, or that of floats.
func GroupOf(d ir.DType) kernels.Group {
	bits, n := d.Group()
	return kernels.Group{Bits: bits, Len: int64(n)}
}

// packedCols is how many elements a row has with its padding.
func (p packing) packedCols() int64 { return kernels.PackedK(p.Cols, p.KPack == 2) }

// panelBytes is the size of a panel of rows.
func (p packing) panelBytes() int64 {
	if q := GroupOf(p.dtype); q.Bits > 0 {
		return q.Blocks(p.Cols) * q.BlockBytes()
	}
	return p.packedCols() * kernels.PanelWidth * int64(p.dtype.Bytes())
}

// selectionBytes is the size of the rows that are packed together.
func (p packing) selectionBytes() int64 {
	return kernels.PackedLen(p.rows/(p.Split*p.Run), p.Run, 1) / kernels.PanelWidth * p.panelBytes()
}

// order returns the rows in the places they have, -1 for padding: selection by selection, run by run, every run padded to whole
// panels and every selection to kernels.PanelPad.
func (p packing) order() []int64 {
	var places []int64
	for which := range p.Split {
		start := len(places)
		for first := which * p.Run; first < p.rows; first += p.Split * p.Run {
			for r := range p.Run {
				places = append(places, first+r)
			}
			for len(places)%kernels.PanelWidth != 0 {
				places = append(places, -1)
			}
		}
		for (len(places)-start)%kernels.PanelPad != 0 {
			places = append(places, -1)
		}
	}
	return places
}

// at is the place of element c of a panel's n-th row.
func (p packing) at(n, c int) int {
	if p.KPack == 2 {
		return c/2*2*kernels.PanelWidth + 2*n + c%2
	}
	return c*kernels.PanelWidth + n
}
