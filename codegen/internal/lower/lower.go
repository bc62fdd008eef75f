// Package lower turns the operations of a planned function into launches: the specs of kernels, and the values that
// their operands and results are.
//
// It knows no backend and builds no kernel.
package lower

import (
	"fmt"
	"slices"
	"strings"

	"pgc/codegen/kernels"
	"pgc/codegen/weights"
	"pgc/ir"
	"pgc/ir/scalar"
	"pgc/ir/tile"
)

// Launch is one kernel launch before kernels are built: a spec and the values its operands are read from and its
// results are written to.
type Launch struct {
	Spec   kernels.Spec
	In     []*ir.Value            // nil for operands that are not read
	Packed map[int]weights.Matrix // operands that are read from a packed matrix
	Outs   []*ir.Value            // nil for results that are not written
	Own    []int64                // numbers that the spec leaves to its launches (kernels.Size)
	Op     *ir.Op                 // that it computes, or a part of it
}

// to is a launch with the result of an operation.
func to(op *ir.Op, spec kernels.Spec, in []*ir.Value) Launch {
	return Launch{Spec: spec, In: in, Outs: []*ir.Value{op.Result()}, Op: op}
}

// Func returns the launches of a planned function and the bytes of its arena.
func Func(m *ir.Module, f *ir.Func, layouts Layouts) (all []Launch, arena int64, err error) {
	l := &lowerer{m: m, f: f, layouts: layouts}
	for _, op := range f.Ops {
		for _, v := range op.Results {
			if b := v.Buf; b != nil && b.Space == ir.Arena && b.Owner {
				l.arena = max(l.arena, b.Offset+m.Bytes(v.Type))
			}
		}
	}
	l.arena = (l.arena + 63) / 64 * 64
	for _, op := range f.Ops {
		launches, err := l.lower(op)
		if err != nil {
			return nil, 0, err
		}
		all = append(all, launches...)
	}
	return all, l.arena, nil
}

// lowerer turns the operations of a planned function into launches.
type lowerer struct {
	m       *ir.Module
	f       *ir.Func
	layouts Layouts
	arena   int64
}

func (l *lowerer) size(d ir.Dim) kernels.Size {
	if d.IsConst() {
		return kernels.Const(int64(d.N))
	}
	return kernels.Size{N: int64(l.m.MaxDim(d)), Sym: d.Sym}
}

func elem(d ir.DType) tile.Elem {
	if d.IsQuantized() {
		return tile.I8
	}
	return map[ir.DType]tile.Elem{ir.Bool: tile.I1, ir.I32: tile.I32, ir.F32: tile.F32, ir.BF16: tile.BF16, ir.F16: tile.F16}[d]
}

// lower returns the launches of an operation; views and values without memory have none.
func (l *lowerer) lower(op *ir.Op) ([]Launch, error) {
	for i, v := range op.In {
		if v.Type.DType.IsQuantized() && !readsGroups(op, i) {
			return nil, fmt.Errorf("@%s: no kernel for %s of %s: groups of integers are read by matmul and as tables only", l.f.Name, op.Def, v.Type)
		}
	}
	if op.Def.Reduces() {
		return l.lowerReduction(op)
	}
	switch op.Def {
	case ir.OpReshape, ir.OpTranspose, ir.OpSlice, ir.OpBroadcast, ir.OpIota, ir.OpSymbol, ir.OpConstant, ir.OpDynamicUpdateSlice,
		ir.OpDynamicSlice:
		return nil, nil
	case ir.OpMap:
		return l.lowerMap(op)
	case ir.OpRow:
		return l.lowerRow(op)
	case ir.OpArgmax:
		return l.lowerArgmax(op)
	case ir.OpTop:
		return l.lowerTop(op)
	case ir.OpMatmul:
		return l.lowerMatmul(op)
	case ir.OpAttention:
		return l.lowerAttention(op)
	case ir.OpEinsum:
		return l.lowerEinsum(op)
	case ir.OpConcat:
		return l.lowerConcat(op)
	}
	return nil, fmt.Errorf("@%s: no kernel for %s : %s", l.f.Name, op.Def, op.Results[0].Type)
}

// readsGroups reports whether op can read operand i where it is stored in groups of integers.
func readsGroups(op *ir.Op, i int) bool {
	switch op.Def {
	case ir.OpReshape, ir.OpSlice, ir.OpDynamicSlice, ir.OpConvert: // of weights
		return weight(op.In[i]) != nil
	case ir.OpMatmul:
		a := ir.ViewMatmul(op)
		return i < len(a.Row)+len(a.Weights)
	case ir.OpMap:
		for _, g := range op.Attrs.(ir.MapAttrs).Gathers {
			if g.Table == i {
				return weight(op.In[i]) != nil
			}
		}
	}
	return false
}

// strides returns how far apart elements of v lie in memory.
func (l *lowerer) strides(v *ir.Value) []int64 {
	if v.Buf.Strides != nil {
		return v.Buf.Strides
	}
	if a, ok := constant(v); ok { // one value for all, or dense values
		if len(a.Values) == 1 {
			return make([]int64, v.Type.Rank())
		}
		return l.m.DenseStrides(v.Type.Shape)
	}
	return make([]int64, v.Type.Rank())
}

func constant(v *ir.Value) (ir.ConstantAttrs, bool) {
	if v.Def == nil || v.Def.Def != ir.OpConstant {
		return ir.ConstantAttrs{}, false
	}
	return v.Def.Attrs.(ir.ConstantAttrs), true
}

// aligned gives a tensor's strides over a domain it broadcasts to, right aligned; skip trailing domain dimensions.
func (l *lowerer) aligned(shape []ir.Dim, strides []int64, domain []ir.Dim, skip int) []int64 {
	out := make([]int64, len(domain))
	for i := range shape {
		j := len(domain) - skip - len(shape) + i
		if shape[i] != ir.D(1) || domain[j] == ir.D(1) {
			out[j] = strides[i]
		}
	}
	return out
}

// operand reads v over a domain.
func (l *lowerer) operand(v *ir.Value, domain []ir.Dim) kernels.Operand {
	if v.Def != nil {
		switch v.Def.Def {
		case ir.OpIota:
			a := v.Def.Attrs.(ir.IotaAttrs)
			at := len(domain) - v.Type.Rank() + a.Axis
			if v.Type.Shape[a.Axis] == ir.D(1) && domain[at] != ir.D(1) {
				return zero(domain)
			}
			return kernels.Operand{Kind: kernels.Index, Dim: at, Elem: tile.I32, Strides: make([]int64, len(domain))}
		case ir.OpSymbol:
			return kernels.Operand{Kind: kernels.Symbol, Sym: string(v.Def.Attrs.(ir.SymbolAttrs).Name), Elem: tile.I32,
				Strides: make([]int64, len(domain))}
		}
	}
	return kernels.Operand{Elem: elem(v.Type.DType), Strides: l.aligned(v.Type.Shape, l.strides(v), domain, 0), Aligned: startsAligned(v)}
}

// alignment is what buffers begin at multiples of, in bytes.
const alignment = 16

// startsAligned reports whether a value begins at a multiple of alignment, as buffers do.
func startsAligned(v *ir.Value) bool {
	b := v.Buf
	if b == nil { // a constant
		return true
	}
	aligned := b.Offset%alignment == 0
	for _, t := range b.Terms {
		aligned = aligned && t.Stride%alignment == 0
	}
	return aligned
}

// zero is an operand that is 0 everywhere.
func zero(domain []ir.Dim) kernels.Operand {
	return kernels.Operand{Kind: kernels.Index, Dim: -1, Elem: tile.I32, Strides: make([]int64, len(domain))}
}

// scalarExpr turns an expression into scalar form over the given operand types; reductions and accumulators follow by
// the places their kind begins at.
func scalarExpr(e *ir.Expr, operands []ir.DType, first map[ir.ExprKind]int) (*scalar.Expr, error) {
	return e.Scalar(func(leaf *ir.Expr) (*scalar.Expr, error) {
		at := first[leaf.Kind] + leaf.Index
		if leaf.Kind == ir.ExprOperand {
			return scalar.X(at, operands[leaf.Index].Scalar()), nil
		}
		return scalar.X(at, scalar.F32), nil
	})
}

func dtypes(vs []*ir.Value) []ir.DType {
	out := make([]ir.DType, len(vs))
	for i, v := range vs {
		out[i] = v.Type.DType
	}
	return out
}

func (l *lowerer) lowerMap(op *ir.Op) ([]Launch, error) {
	a := op.Attrs.(ir.MapAttrs)
	domain, err := ir.MapDomain(op.In, a)
	if err != nil {
		return nil, err
	}
	width := int64(0)
	if len(a.Exprs) > 1 {
		width = int64(domain[len(domain)-1].N)
	}
	spec := &kernels.Map{}
	in, packed := append([]*ir.Value{}, op.In...), map[int]weights.Matrix{}
	tables, index := map[int]bool{}, map[int]bool{}
	for _, g := range a.Gathers {
		tables[g.Table], index[g.Index] = true, true
	}
	for i, v := range op.In {
		switch {
		case tables[i]: // below
			spec.In = append(spec.In, kernels.Operand{})
		case a.Scatter != (ir.Scatter{}) && i == a.Scatter.State: // written, not read
			spec.In = append(spec.In, zero(domain))
		case a.Scatter != (ir.Scatter{}) && i == a.Scatter.Positions:
			spec.In = append(spec.In, l.positions(v, len(domain)))
			spec.Scatter = l.scatter(op.Result(), i)
			spec.Scatter.Along = 1
		case index[i] && !usesOperand(a.Exprs, i): // read through its own entry only
			spec.In = append(spec.In, zero(domain))
		default:
			spec.In = append(spec.In, l.operand(v, domain))
		}
	}
	for _, g := range a.Gathers {
		table, ids := op.In[g.Table], op.In[g.Index]
		rest := table.Type.Rank() - 1
		s := l.strides(table)
		o := kernels.Operand{Elem: elem(table.Type.DType), Strides: l.aligned(table.Type.Shape[1:], s[1:], domain, 0)}
		o.Rows = &kernels.Lookup{Index: len(spec.In), Stride: s[0]}
		if w := weight(table); w != nil {
			if layout, ok := l.layouts.lookup(w); ok {
				m, err := l.matrixOf(table)
				if err != nil {
					return nil, err
				}
				packed[g.Table] = m.As(layout)
				lookIn(packed[g.Table], &o, len(domain)-1)
			}
		}
		spec.In[g.Table] = o
		spec.In = append(spec.In, kernels.Operand{Elem: tile.I32, Strides: l.aligned(ids.Type.Shape, l.strides(ids), domain, rest)})
		in = append(in, ids)
	}
	types := dtypes(op.In)
	for i, e := range a.Exprs {
		s, err := scalarExpr(e, types, nil)
		if err != nil {
			return nil, err
		}
		spec.Exprs = append(spec.Exprs, s)
		spec.Outs = append(spec.Outs, kernels.Out{Elem: elem(op.Result().Type.DType), Strides: append([]int64{}, l.strides(op.Result())...),
			Offset: int64(i) * width, Aligned: startsAligned(op.Result())})
	}
	l.dims(spec, domain)
	la := to(op, spec, in)
	la.Packed = packed
	return []Launch{la}, nil
}

// lookIn makes o, a lookup whose rows run along a dimension of the domain, one in a packed table.
func lookIn(m weights.Matrix, o *kernels.Operand, dim int) {
	if o.Strides[dim] != 0 { // a row of one element repeats it
		o.Strides[dim] = kernels.PanelWidth
	}
	o.Rows.Panel, o.Rows.Stride = m.Cols, 0
	o.Rows.Group, o.Rows.VNNI2 = weights.GroupOf(m.W.Type.DType), m.KPack == 2
}

func usesOperand(exprs []*ir.Expr, i int) bool {
	used := false
	for _, e := range exprs {
		e.Walk(func(x *ir.Expr) { used = used || x.Kind == ir.ExprOperand && x.Index == i })
	}
	return used
}

// dims sets the domain of a map, merging neighboring constant dimensions that every operand crosses evenly.
func (l *lowerer) dims(s *kernels.Map, domain []ir.Dim) {
	for _, d := range domain {
		s.Dims = append(s.Dims, l.size(d))
	}
	if len(s.Dims) == 0 {
		s.Dims = []kernels.Size{kernels.Const(1)}
		for i := range s.In {
			s.In[i].Strides = []int64{0}
		}
		for i := range s.Outs {
			s.Outs[i].Strides = []int64{1}
		}
		return
	}
	var all []*[]int64
	for i := range s.In {
		if s.In[i].Kind == kernels.Index && s.In[i].Dim >= 0 {
			return // counts along a dimension of its own
		}
		all = append(all, &s.In[i].Strides)
	}
	for i := range s.Outs {
		all = append(all, &s.Outs[i].Strides)
	}
	first := 0
	if s.Scatter != (kernels.Scatter{}) { // sequences and their rows stay apart
		first = 2
	}
	for d := len(s.Dims) - 2; d >= first; d-- {
		inner := s.Dims[d+1]
		mergeable := s.Dims[d].Sym == "" && inner.Sym == ""
		for _, st := range all {
			mergeable = mergeable && (*st)[d] == (*st)[d+1]*inner.N
		}
		if !mergeable {
			continue
		}
		s.Dims[d].N *= inner.N
		s.Dims = append(s.Dims[:d+1], s.Dims[d+2:]...)
		for _, st := range all {
			merged := append(append([]int64{}, (*st)[:d]...), (*st)[d+1:]...)
			*st = merged
		}
	}
}

func (l *lowerer) lowerRow(op *ir.Op) ([]Launch, error) {
	a := op.Attrs.(ir.RowAttrs)
	domain := op.Result().Type.Shape
	spec := &kernels.Row{Out: kernels.Out{Elem: elem(op.Result().Type.DType), Strides: l.strides(op.Result()), Aligned: startsAligned(op.Result())}}
	for _, v := range op.In {
		spec.In = append(spec.In, l.operand(v, domain))
	}
	exprs, err := l.rowExprs(op.In, a.Reduce, []*ir.Expr{a.Out}, &spec.Reduce)
	if err != nil {
		return nil, err
	}
	spec.Expr = exprs[0]
	spec.Group = weights.GroupOf(a.DType)
	l.rowDims(spec, domain)
	return []Launch{to(op, spec, op.In)}, nil
}

// rowExprs turns the reductions and the results of a row into scalar form.
func (l *lowerer) rowExprs(in []*ir.Value, reduce []ir.Reduction, outs []*ir.Expr, to *[]kernels.Reduction) ([]*scalar.Expr, error) {
	first := map[ir.ExprKind]int{ir.ExprReduce: len(in)}
	for _, r := range reduce {
		e, err := scalarExpr(r.Expr, dtypes(in), first)
		if err != nil {
			return nil, err
		}
		*to = append(*to, kernels.Reduction{Kind: r.Kind, Expr: e})
	}
	exprs := make([]*scalar.Expr, len(outs))
	for i, e := range outs {
		var err error
		if exprs[i], err = scalarExpr(e, dtypes(in), first); err != nil {
			return nil, err
		}
	}
	return exprs, nil
}

// rowDims sets a row's dimensions; a single row gets an outer dimension of one.
func (l *lowerer) rowDims(s *kernels.Row, domain []ir.Dim) {
	for _, d := range domain[:len(domain)-1] {
		s.Outer = append(s.Outer, l.size(d))
	}
	s.C = l.size(domain[len(domain)-1])
	if len(s.Outer) == 0 {
		s.Outer = []kernels.Size{kernels.Const(1)}
		for i := range s.In {
			s.In[i].Strides = append([]int64{0}, s.In[i].Strides...)
			if s.In[i].Dim >= 0 {
				s.In[i].Dim++
			}
		}
		s.Out.Strides = append([]int64{0}, s.Out.Strides...)
	}
}

// lowerReduction is a reduction that no row took. Where the number of elements matters and is a symbol, it is an
// operand.
func (l *lowerer) lowerReduction(op *ir.Op) ([]Launch, error) {
	folds, domain := op.Def.Folds, op.In[0].Type.Shape
	last := domain[len(domain)-1]
	spec := &kernels.Row{In: []kernels.Operand{l.operand(op.In[0], domain)}}
	length := scalar.C(float64(last.N))
	if folds.CountsElements() && !last.IsConst() {
		length = scalar.Convert(scalar.X(len(spec.In), scalar.I32), scalar.F32)
		spec.In = append(spec.In, kernels.Operand{Kind: kernels.Symbol, Sym: last.Sym, Elem: tile.I32, Strides: make([]int64, len(domain))})
	}
	leaf := func(e *ir.Expr) (*scalar.Expr, error) {
		switch {
		case e.Kind == ir.ExprReduce:
			return scalar.X(len(spec.In)+e.Index, scalar.F32), nil
		case e.Index > 0:
			return length, nil
		}
		return scalar.X(0, scalar.F32), nil
	}
	for _, r := range folds.Reduce {
		e, err := r.Expr.Scalar(leaf)
		if err != nil {
			return nil, err
		}
		spec.Reduce = append(spec.Reduce, kernels.Reduction{Kind: r.Kind, Expr: e})
	}
	var err error
	if spec.Expr, err = folds.Out.Scalar(leaf); err != nil {
		return nil, err
	}
	s := slices.Clone(l.strides(op.Result()))
	s[len(s)-1] = 0
	spec.Out = kernels.Out{Elem: tile.F32, Strides: s}
	l.rowDims(spec, domain)
	return []Launch{to(op, spec, op.In)}, nil
}

func (l *lowerer) lowerEinsum(op *ir.Op) ([]Launch, error) {
	e, err := ir.ParseEinsum(op.Attrs.(ir.EinsumAttrs).Spec)
	if err != nil {
		return nil, err
	}
	spec := &kernels.Einsum{}
	x, y := op.In[0], op.In[1]
	add := func(label rune) kernels.Size {
		i, j := strings.IndexRune(e.X, label), strings.IndexRune(e.Y, label)
		var sx, sy int64
		var d ir.Dim
		if i >= 0 {
			sx, d = l.strides(x)[i], x.Type.Shape[i]
		}
		if j >= 0 {
			sy, d = l.strides(y)[j], y.Type.Shape[j]
		}
		spec.X, spec.Y = append(spec.X, sx), append(spec.Y, sy)
		return l.size(d)
	}
	for i, label := range e.Out {
		spec.Dims = append(spec.Dims, add(label))
		spec.Out = append(spec.Out, l.strides(op.Result())[i])
	}
	if len(spec.Dims) == 0 {
		spec.Dims, spec.X, spec.Y, spec.Out = []kernels.Size{kernels.Const(1)}, []int64{0}, []int64{0}, []int64{1}
	}
	for _, label := range e.X {
		if !strings.ContainsRune(e.Out, label) {
			spec.Sum = append(spec.Sum, add(label))
		}
	}
	return []Launch{to(op, spec, op.In)}, nil
}

// lowerConcat copies each part to its place.
func (l *lowerer) lowerConcat(op *ir.Op) ([]Launch, error) {
	axis := op.Attrs.(ir.AxisAttrs).Axis
	out := l.strides(op.Result())
	var launches []Launch
	at := int64(0)
	for _, v := range op.In {
		spec := &kernels.Map{In: []kernels.Operand{l.operand(v, v.Type.Shape)},
			Exprs: []*scalar.Expr{scalar.X(0, v.Type.DType.Scalar())},
			Outs: []kernels.Out{{Elem: elem(v.Type.DType), Strides: append([]int64{}, out...), Offset: at * out[axis],
				Aligned: startsAligned(op.Result())}}}
		l.dims(spec, v.Type.Shape)
		launches = append(launches, to(op, spec, []*ir.Value{v}))
		at += int64(v.Type.Shape[axis].N)
	}
	return launches, nil
}
