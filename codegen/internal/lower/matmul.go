package lower

import (
	"fmt"
	"slices"

	"pgc/codegen/kernels"
	"pgc/codegen/weights"
	"pgc/ir"
	"pgc/runtime/program"
)

// weight returns the weight that v reads through views and conversions, or nil.
func weight(v *ir.Value) *ir.Value {
	for v.Def != nil && (v.Def.Def == ir.OpReshape || v.Def.Def == ir.OpConvert || v.Def.Def == ir.OpSlice || v.Def.Def == ir.OpDynamicSlice) {
		v = v.Def.In[0]
	}
	if v.Kind == ir.Weight {
		return v
	}
	return nil
}

// transposedWeight returns the weight that v transposes, perhaps under another shape, or nil.
func transposedWeight(v *ir.Value) *ir.Value {
	if v.Def == nil || v.Def.Def != ir.OpTranspose || v.Type.Rank() != 2 {
		return nil
	}
	x := v.Def.In[0]
	for x.Def != nil && x.Def.Def == ir.OpReshape {
		x = x.Def.In[0]
	}
	if x.Kind == ir.Weight {
		return x
	}
	return nil
}

// matrixOf finds the matrix that a planned value is, which is [N,K] or [B,I,K].
func (l *lowerer) matrixOf(v *ir.Value) (weights.Matrix, error) {
	w, shape, s := weight(v), v.Type.Shape, v.Buf.Strides
	if x := transposedWeight(v); x != nil {
		return weights.Matrix{W: x, Blocks: 1, Layout: program.Layout{Transposed: true, Split: 1, Run: int64(shape[0].N), Cols: int64(shape[1].N)}}, nil
	}
	wrong := fmt.Errorf("@%s: matmul by %s with strides %v, which is not a weight or an even selection of its rows", l.f.Name, v.Type, s)
	if w == nil || w.Type.Rank() < 2 {
		return weights.Matrix{}, wrong
	}
	m := weights.Matrix{W: w, Blocks: 1, Layout: program.Layout{Split: 1, Run: int64(shape[0].N), Cols: int64(v.Type.Last().N)}}
	at := v.Buf.Offset / v.Type.DType.MemoryBytes()
	total := int64(1) // rows of the weight
	for _, d := range w.Type.Shape {
		total *= int64(d.N)
	}
	total /= m.Cols
	if len(v.Buf.Terms) > 0 {
		return m, l.panelsOf(&m, v, total)
	}
	if len(shape) == 3 {
		m.Blocks, m.Run = int64(shape[0].N), int64(shape[1].N)
		m.Split = total / (m.Blocks * m.Run)
		m.Which = at / (m.Run * m.Cols)
		s = s[1:]
		if m.Blocks > 1 && v.Buf.Strides[0] != m.Split*m.Run*m.Cols {
			return weights.Matrix{}, wrong
		}
	}
	dense := m.Cols == 1 || s[1] == 1 && (m.Run == 1 || s[0] == m.Cols)
	if !dense || m.Blocks*m.Split*m.Run != total || at != m.Which*m.Run*m.Cols {
		return weights.Matrix{}, wrong
	}
	return m, nil
}

// panelsOf makes m, the rows of v, the part of a matrix of so many rows that begins at the panel which a symbol says.
func (l *lowerer) panelsOf(m *weights.Matrix, v *ir.Value, total int64) error {
	panel := int64(kernels.PanelWidth) * m.Cols * v.Type.DType.MemoryBytes()
	if t := v.Buf.Terms; len(v.Type.Shape) != 2 || len(t) != 1 || t[0].Stride != panel || v.Buf.Offset != 0 || m.Run%kernels.PanelPad != 0 {
		return fmt.Errorf("@%s: matmul by %s from %v on, which is not %d whole panels of a weight's rows", l.f.Name, v.Type, v.Buf.Terms, m.Run/kernels.PanelWidth)
	}
	m.Rows, m.Run, m.From = m.Run, total, v.Buf.Terms[0].Sym
	return nil
}

// alignedRows reports whether every row of a value begins at a multiple of alignment.
func (l *lowerer) alignedRows(v *ir.Value) bool {
	return startsAligned(v) && l.strides(v)[0]*v.Type.DType.MemoryBytes()%alignment == 0
}

func (l *lowerer) lowerMatmul(op *ir.Op) ([]Launch, error) {
	a := ir.ViewMatmul(op)
	x := a.Row[0]
	spec := &kernels.Matmul{M: l.size(a.Parts[0].Domain[0]), K: int64(a.Weights[0].Type.Last().N)}
	la := Launch{Spec: spec, In: slices.Clone(a.Row), Packed: map[int]weights.Matrix{}, Outs: op.Results, Op: op}
	spec.X, spec.BF16 = weights.GroupOf(x.Type.DType), a.Factor == ir.BF16
	switch {
	case spec.X.Len > 0:
		if x.Def == nil || x.Def.Def != ir.OpRow {
			return nil, fmt.Errorf("@%s: matmul of %s that no row stored", l.f.Name, x.Type)
		}
	case len(a.Prologue) == 0:
		spec.XStride, spec.Aligned = l.strides(x)[0], l.alignedRows(x)
	default:
		var err error
		if spec.Prologue, err = l.prologue(a); err != nil {
			return nil, err
		}
	}
	for _, p := range a.Parts {
		extra, plain := a.Extra, l.layouts.plain(p)
		if plain {
			var e *ir.Expr
			e, extra = factored(p.Exprs[0], extra)
			p.Exprs = []*ir.Expr{e}
		}
		part, used, err := l.part(p, extra)
		if err != nil {
			return nil, err
		}
		if plain {
			la.anyRows(&part, spec.M)
		}
		for _, w := range p.Weights {
			m, err := l.matrixOf(w)
			if err != nil {
				return nil, err
			}
			la.Packed[len(la.In)] = m.As(l.layouts.product(m.W, spec.BF16))
			la.In = append(la.In, w)
		}
		la.In = append(la.In, used...)
		if part.Second, err = l.seconds(&la, a, p, spec.M); err != nil {
			return nil, err
		}
		spec.Parts = append(spec.Parts, part)
	}
	if a.Argmax {
		la.Spec = &kernels.Argmax{Matmul: spec}
	}
	return []Launch{la}, nil
}

// prologue lowers the row in front of a matmul, whose operands are read over the domain [M,K].
func (l *lowerer) prologue(a ir.MatmulView) (*kernels.Prologue, error) {
	p := &kernels.Prologue{}
	domain := []ir.Dim{a.Parts[0].Domain[0], a.Weights[0].Type.Last()}
	for _, v := range a.Row {
		p.In = append(p.In, l.operand(v, domain))
	}
	var err error
	if p.Exprs, err = l.rowExprs(a.Row, a.Reduce, a.Prologue, &p.Reduce); err != nil {
		return nil, err
	}
	for _, v := range a.Others {
		p.Outs = append(p.Outs, kernels.Out{Elem: elem(v.Type.DType), Strides: l.strides(v), Aligned: startsAligned(v)})
	}
	return p, nil
}

// part lowers one part; used are the extra operands that it reads.
func (l *lowerer) part(p ir.MatmulPart, extra []*ir.Value) (part kernels.Part, used []*ir.Value, err error) {
	m, err := l.matrixOf(p.Weights[0])
	if err != nil {
		return part, nil, err
	}
	dtype := p.Weights[0].Type.DType
	columns := m.Run
	if m.Rows > 0 {
		columns = m.Rows
	}
	part = kernels.Part{Blocks: m.Blocks, N: columns, Elem: elem(dtype), Group: weights.GroupOf(dtype), Accs: p.Accs}
	place := map[int]int{} // of extra operands among the part's own
	var kinds []ir.DType
	for i, v := range extra {
		if !usesOperand(p.Exprs, i) {
			continue
		}
		place[i] = len(used)
		used, kinds = append(used, v), append(kinds, v.Type.DType)
		o := l.operand(v, p.Domain)
		if len(p.Domain) == 2 { // one block
			o.Strides = slices.Insert(o.Strides, 1, 0)
			if o.Kind == kernels.Index && o.Dim == 1 {
				o.Dim = 2
			}
		}
		part.Extra = append(part.Extra, o)
	}
	s := l.strides(p.Result)
	if p.State != nil { // elements of a row lie side by side
		part.Scatter = l.scatter(p.Result, len(used))
		used, part.Extra = append(used, p.Positions), append(part.Extra, l.positions(p.Positions, 3))
		s = []int64{s[0], 1}
	}
	n := int64(len(p.Exprs)) * columns * s[1]
	for i, e := range p.Exprs {
		e = e.Rewrite(func(leaf *ir.Expr) *ir.Expr {
			switch leaf.Kind {
			case ir.ExprOperand:
				return ir.Operand(place[leaf.Index])
			case ir.ExprAcc:
				return ir.Acc(leaf.Index - p.First)
			}
			return leaf
		})
		x, err := scalarExpr(e, kinds, map[ir.ExprKind]int{ir.ExprOperand: p.Accs})
		if err != nil {
			return part, nil, err
		}
		part.Exprs = append(part.Exprs, x)
		part.Outs = append(part.Outs, kernels.Out{Elem: elem(p.Result.Type.DType), Strides: []int64{s[0], n, s[1]},
			Offset: int64(i) * columns * s[1], Aligned: startsAligned(p.Result)})
	}
	return part, used, nil
}
