package fuzz

import (
	"slices"

	"pgc/ir"
)

// steps are the ways a function grows.
var steps = []func(*grower) *ir.Value{
	(*grower).unary, (*grower).unary, (*grower).binary, (*grower).binary, (*grower).product, (*grower).quotient,
	(*grower).reduction, (*grower).softmax, (*grower).norm, (*grower).linear, (*grower).linear, (*grower).gated, (*grower).integers,
	(*grower).einsum, (*grower).convolution, (*grower).views, (*grower).views, (*grower).views, (*grower).concat, (*grower).masked, (*grower).lookup,
	(*grower).lastRow, (*grower).positions, (*grower).constants, (*grower).place, (*grower).top,
}

// unary applies an operation whose results stay small.
func (g *grower) unary() *ir.Value {
	return g.call(oneOf(g, ir.OpNeg, ir.OpAbs, ir.OpTanh, ir.OpSin, ir.OpCos, ir.OpRelu, ir.OpSigmoid, ir.OpSilu, ir.OpGeluTanh), g.pick())
}

func (g *grower) binary() *ir.Value {
	return g.call(oneOf(g, ir.OpAdd, ir.OpSub, ir.OpMax, ir.OpMin), g.pick(), g.pick())
}

func (g *grower) product() *ir.Value { return g.call(ir.OpMul, g.call(ir.OpTanh, g.pick()), g.pick()) }

// quotient divides and takes roots where they are tame.
func (g *grower) quotient() *ir.Value {
	y := g.call(ir.OpAdd, g.call(ir.OpAbs, g.pick()), g.number(1))
	return g.call(ir.OpDiv, g.pick(), g.call(oneOf(g, ir.OpSqrt, ir.OpRsqrt, ir.OpLog, ir.OpNeg), g.call(ir.OpAdd, y, g.number(1))))
}

// reductions are those of the table.
var reductions = slices.DeleteFunc(ir.Ops(), func(def *ir.OpDef) bool { return !def.Reduces() })

func (g *grower) reduction() *ir.Value {
	return g.call(ir.OpTanh, g.call(oneOf(g, reductions...), g.pick()))
}

// place is that of the greatest element. Of one row it is perhaps that of a product.
func (g *grower) place() *ir.Value {
	x := g.pick()
	if g.chance(2) {
		x = g.times(g.input(ir.F32, ir.D(1), g.size()), oneOf(g, g.stored...), g.size())
	}
	return g.call(ir.OpMul, g.b.Convert(g.call(ir.OpArgmax, g.ordered(x)), ir.F32), g.number(0.1))
}

// top is a result of the greatest elements of rows.
func (g *grower) top() *ir.Value {
	x := g.ordered(g.pick())
	results := g.b.Add(ir.OpTop, ir.TopAttrs{K: 1 + g.rng.IntN(2*x.Type.Last().N)}, x).Results
	return g.call(ir.OpMul, g.b.Convert(oneOf(g, results...), ir.F32), g.number(0.1))
}

// ordered is x as elements whose order no rounding changes: whole numbers in some order, and less than half of one added.
func (g *grower) ordered(x *ir.Value) *ir.Value {
	want(x.Type.Rank() > 0 && x.Type.Last().IsConst())
	order := make([]float64, x.Type.Last().N)
	for i, v := range g.rng.Perm(len(order)) {
		order[i] = float64(v)
	}
	c := g.op(ir.OpConstant, ir.ConstantAttrs{DType: ir.F32, Shape: []ir.Dim{x.Type.Last()}, Values: order})
	return g.call(ir.OpAdd, g.call(ir.OpMul, g.call(ir.OpTanh, x), g.number(0.4)), c)
}

func (g *grower) softmax() *ir.Value { return g.softmaxOf(g.pick()) }

func (g *grower) softmaxOf(x *ir.Value) *ir.Value {
	e := g.call(ir.OpExp, g.call(ir.OpSub, x, g.call(ir.OpReduceMax, x)))
	return g.call(ir.OpDiv, e, g.call(ir.OpReduceSum, e))
}

func (g *grower) norm() *ir.Value { return g.normOf(g.pick()) }

// normOf is an RMSNorm or a LayerNorm of x, with or without weights.
func (g *grower) normOf(x *ir.Value) *ir.Value {
	want(x.Type.Rank() > 0 && x.Type.Last().IsConst())
	layer := g.chance(3)
	if layer {
		x = g.call(ir.OpSub, x, g.call(ir.OpReduceMean, x))
	}
	scale := g.call(ir.OpRsqrt, g.call(ir.OpAdd, g.call(ir.OpReduceMean, g.call(ir.OpMul, x, x)), g.number(0.1)))
	y := g.call(ir.OpMul, x, scale)
	if g.chance(4) {
		return y
	}
	w := g.weight(oneOf(g, g.vectors...), x.Type.Last())
	if g.chance(2) {
		w = g.call(ir.OpAdd, w, g.number(1))
	}
	y = g.call(ir.OpMul, y, w)
	if layer && g.chance(2) {
		y = g.call(ir.OpAdd, y, g.weight(oneOf(g, g.vectors...), x.Type.Last()))
	}
	return y
}

// linear is a product with a weight, perhaps with bias, activation, soft cap and residual.
func (g *grower) linear() *ir.Value {
	x := g.pick()
	rank := x.Type.Rank()
	want((rank == 2 || rank == 3) && x.Type.Last().IsConst())
	d := oneOf(g, g.stored...)
	if rank == 3 && d.IsQuantized() {
		d = ir.BF16
	}
	y := g.times(x, d, g.size())
	if g.chance(2) {
		y = g.call(ir.OpAdd, y, g.weight(ir.F32, y.Type.Last()))
	}
	switch g.rng.IntN(6) {
	case 0:
		y = g.call(oneOf(g, ir.OpGeluTanh, ir.OpSilu, ir.OpRelu), y)
	case 1:
		y = g.call(ir.OpMul, g.call(ir.OpTanh, g.call(ir.OpDiv, y, g.number(3))), g.number(3))
	case 2:
		y = g.call(ir.OpAdd, y, g.pick())
	}
	return y
}

// times multiplies x by a new matrix of n rows; where that is of bfloat16, x may be, too.
func (g *grower) times(x *ir.Value, d ir.DType, n ir.Dim) *ir.Value {
	w := g.weight(d, n, x.Type.Last())
	if d == ir.BF16 && g.chance(2) {
		x = g.op(ir.OpConvert, ir.ConvertAttrs{DType: ir.F32}, g.op(ir.OpConvert, ir.ConvertAttrs{DType: ir.BF16}, x))
	}
	if x.Type.Rank() == 3 {
		return g.op(ir.OpEinsum, ir.EinsumAttrs{Spec: "abc,dc->abd"}, x, w)
	}
	return g.op(ir.OpEinsum, ir.EinsumAttrs{Spec: "ab,cb->ac"}, x, w)
}

// gated is a gated linear unit, or nearly one.
func (g *grower) gated() *ir.Value {
	x, d, n := g.matrix(), oneOf(g, g.stored...), g.size()
	if g.chance(3) {
		x = g.normOf(x)
	}
	gate := g.call(oneOf(g, ir.OpGeluTanh, ir.OpSilu, ir.OpSigmoid), g.times(x, d, n))
	if g.chance(4) {
		d = oneOf(g, g.stored...)
	}
	return g.call(ir.OpMul, gate, g.times(x, d, n))
}

// integers is a product of integers: a row in groups of 8 bits with a matrix in groups as long.
func (g *grower) integers() *ir.Value {
	w := oneOf(g, g.stored...)
	want(w.Activation() != ir.Invalid)
	x := g.matrix()
	computed := !x.IsParam()
	if computed && g.chance(2) {
		x = g.normOf(x)
	}
	q := g.op(ir.OpConvert, ir.ConvertAttrs{DType: w.Activation()}, x)
	x = g.op(ir.OpConvert, ir.ConvertAttrs{DType: ir.F32}, q)
	n := g.size()
	y := g.times(x, w, n)
	if g.chance(3) {
		y = g.call(ir.OpMul, g.call(ir.OpSilu, y), g.times(x, w, n))
	}
	if computed { // neighbors among the integers differ too much to go on with
		g.ends = append(g.ends, y)
		return nil
	}
	return y
}

// einsum is a product of two computed values.
func (g *grower) einsum() *ir.Value {
	specs := map[[2]int][]string{
		{1, 1}: {"a,a->", "a,b->ab"}, {2, 1}: {"ab,b->a", "ab,a->ab"}, {2, 2}: {"ab,cb->ac", "ab,bc->ac", "ab,ac->bc", "ab,ab->"},
		{3, 2}: {"abc,dc->abd", "abc,bd->acd"}, {3, 3}: {"abc,abd->acd", "abc,dbc->adb"},
	}
	x, y := g.call(ir.OpTanh, g.pick()), g.call(ir.OpTanh, g.pick())
	list := specs[[2]int{x.Type.Rank(), y.Type.Rank()}]
	want(len(list) > 0)
	return g.op(ir.OpEinsum, ir.EinsumAttrs{Spec: oneOf(g, list...)}, x, y)
}

// convolution slides filters over a value of three dimensions, or adds them.
func (g *grower) convolution() *ir.Value {
	x := g.pick()
	if !(x.Type.Rank() == 3 && x.Type.Shape[0].IsConst() && x.Type.Shape[1].IsConst() && x.Type.Shape[2].IsConst()) {
		x = g.input(ir.F32, g.upTo(6), g.upTo(6), g.size())
	}
	x = g.call(ir.OpTanh, x)
	d, n := oneOf(g, ir.F32, ir.BF16), g.size()
	def, shape := ir.OpConv2D, []ir.Dim{n, x.Type.Last(), g.upTo(4), g.upTo(4)}
	if g.chance(2) {
		def, shape[0], shape[1] = ir.OpConvTranspose2D, shape[1], shape[0]
	}
	in := []*ir.Value{x, g.weight(d, shape...)}
	if g.chance(2) {
		in = append(in, g.weight(ir.F32, n))
	}
	y := g.op(def, ir.ConvAttrs{Stride: 1 + g.rng.IntN(3), Padding: g.rng.IntN(3)}, in...)
	if g.chance(2) {
		y = g.call(ir.OpRelu, y)
	}
	return y
}

func (g *grower) concat() *ir.Value {
	x := g.pick()
	return g.op(ir.OpConcat, ir.AxisAttrs{Axis: g.constantAxis(x)}, x, g.call(oneOf(g, ir.OpTanh, ir.OpNeg), x))
}

// at counts along one axis of x.
func (g *grower) at(x *ir.Value) *ir.Value {
	want(x.Type.Rank() > 0)
	axis := g.rng.IntN(x.Type.Rank())
	shape := make([]ir.Dim, x.Type.Rank())
	for i := range shape {
		shape[i] = ir.D(1)
	}
	shape[axis] = x.Type.Shape[axis]
	return g.op(ir.OpIota, ir.IotaAttrs{Shape: shape, Axis: axis})
}

// masked takes a number in place of some positions.
func (g *grower) masked() *ir.Value {
	x := g.pick()
	limit := g.b.Const(ir.I32, float64(1+g.rng.IntN(4)))
	if g.chance(3) {
		limit = g.symbol("past")
	}
	keep := g.call(oneOf(g, ir.OpLt, ir.OpGe, ir.OpEq, ir.OpNe), g.at(x), limit)
	if g.chance(3) {
		keep = g.call(ir.OpNot, keep)
	}
	return g.call(ir.OpSelect, keep, x, g.number(0.25))
}

// positions adds what is computed from the places of elements.
func (g *grower) positions() *ir.Value {
	x := g.pick()
	p := g.call(ir.OpAdd, g.at(x), g.symbol("past"))
	p = g.call(oneOf(g, ir.OpMul, ir.OpMax, ir.OpMin), p, g.b.Const(ir.I32, float64(g.rng.IntN(5))))
	angle := g.call(ir.OpMul, g.b.Convert(p, ir.F32), g.number(0.1))
	return g.call(ir.OpAdd, x, g.call(oneOf(g, ir.OpCos, ir.OpSin), angle))
}

// lookup reads rows of a table, as an embedding does.
func (g *grower) lookup() *ir.Value {
	rows := oneOf(g, ir.Sym("S"), ir.D(1), ir.D(3))
	ids := g.input(ir.I32, rows)
	table := g.matrixOf(oneOf(g, g.stored...), ir.D(Rows), g.size())
	if g.chance(3) { // the table is a head, too
		x := g.pick()
		if x.Type.Rank() == 2 && x.Type.Last() == table.Type.Last() {
			g.try(func(g *grower) *ir.Value {
				return g.op(ir.OpEinsum, ir.EinsumAttrs{Spec: "ab,cb->ac"}, x, g.b.Convert(table, ir.F32))
			})
		}
	}
	y := g.b.Convert(g.call(ir.OpGather, table, ids), ir.F32)
	if g.chance(2) {
		y = g.call(ir.OpMul, y, g.number(1.5))
	}
	return y
}

// lastRow picks one row of many, as the logits of the last token are.
func (g *grower) lastRow() *ir.Value {
	x := g.pick()
	want(x.Type.Rank() > 0 && x.Type.Shape[0] == ir.Sym("S"))
	last := g.call(ir.OpSub, g.symbol("S"), g.b.Const(ir.I32, 1))
	return g.call(ir.OpGather, x, g.op(ir.OpReshape, ir.ShapeAttrs{Shape: []ir.Dim{ir.D(1)}}, last))
}

// constants adds values that can be computed before anything runs.
func (g *grower) constants() *ir.Value {
	x := g.pick()
	want(x.Type.Rank() > 0 && x.Type.Last().IsConst())
	values := make([]float64, x.Type.Last().N)
	for i := range values {
		values[i] = float64(g.rng.IntN(9)-4) / 4
	}
	c := g.op(ir.OpConstant, ir.ConstantAttrs{DType: ir.F32, Shape: []ir.Dim{x.Type.Last()}, Values: values})
	return g.call(oneOf(g, ir.OpAdd, ir.OpMul, ir.OpMax), x, g.call(ir.OpMul, g.call(ir.OpCos, c), g.number(0.5)))
}
