package fuzz

import (
	"fmt"
	"math"

	"pgc/ir"
)

// attentionOfInputs is an attention of three inputs.
func (g *grower) attentionOfInputs() *ir.Value {
	rows, keys, groups, per, dim := ir.Sym("S"), ir.Sym("T"), g.upTo(3), g.upTo(3), g.upTo(19)
	y := g.attention(g.input(ir.F32, rows, groups, per, dim), g.input(ir.F32, keys, groups, dim), g.input(ir.F32, keys, groups, dim))
	g.ends = append(g.ends, y)
	return y
}

// attention is softmax(mask(cap(scale·q·kᵀ)))·v for grouped heads in one of the forms that the fusion knows, or in one
// near it that it must leave alone; [rows, heads·dim].
func (g *grower) attention(q, k, v *ir.Value) *ir.Value {
	rows, keys := q.Type.Shape[0], k.Type.Shape[0]
	scores := g.scaled(g.op(ir.OpEinsum, ir.EinsumAttrs{Spec: "abcd,ebd->bcae"}, q, k))
	if !g.chance(4) {
		scores = g.call(ir.OpSelect, g.mask(rows, keys), scores, g.number(-math.MaxFloat32))
	}
	y := g.op(ir.OpEinsum, ir.EinsumAttrs{Spec: "abcd,dae->cabe"}, g.softmaxOf(scores), v)
	return g.op(ir.OpReshape, ir.ShapeAttrs{Shape: []ir.Dim{rows, ir.D(q.Type.Shape[1].N * q.Type.Shape[2].N * q.Type.Shape[3].N)}}, y)
}

// scaled multiplies and caps scores, or not.
func (g *grower) scaled(scores *ir.Value) *ir.Value {
	if !g.chance(3) {
		scores = g.call(ir.OpMul, scores, g.number(0.3))
	}
	if g.chance(3) {
		scores = g.call(ir.OpMul, g.call(ir.OpTanh, g.call(ir.OpDiv, scores, g.number(2))), g.number(oneOf(g, 2.0, 3)))
	}
	return scores
}

// batchAttention is attention of one query of every sequence [B, groups, per, dim] over keys of its own [B, keys,
// groups, dim], up to its position: in the form that the fusion knows, or without the select that gives queries at no
// position 0; [B, heads·dim].
func (g *grower) batchAttention(q, k, v, positions *ir.Value) *ir.Value {
	shape := q.Type.Shape
	one := func(x *ir.Value) *ir.Value { // of every sequence, against scores and results
		return g.op(ir.OpReshape, ir.ShapeAttrs{Shape: append([]ir.Dim{shape[0]}, ir.Dims(1, 1, 1, 1)...)}, x)
	}
	q = g.op(ir.OpReshape, ir.ShapeAttrs{Shape: append([]ir.Dim{shape[0], ir.D(1)}, shape[1:]...)}, q)
	scores := g.scaled(g.op(ir.OpEinsum, ir.EinsumAttrs{Spec: "abcde,afce->acdbf"}, q, k))
	key := g.op(ir.OpIota, ir.IotaAttrs{Shape: []ir.Dim{ir.D(1), k.Type.Shape[1]}, Axis: 1})
	seen := g.call(ir.OpLe, key, one(positions))
	if g.chance(2) {
		window := g.b.Const(ir.I32, float64(1+g.rng.IntN(6)))
		seen = g.call(ir.OpAnd, seen, g.call(ir.OpGt, key, g.call(ir.OpSub, one(positions), window)))
	}
	scores = g.call(ir.OpSelect, seen, scores, g.number(-math.MaxFloat32))
	y := g.op(ir.OpEinsum, ir.EinsumAttrs{Spec: "abcde,aebf->adbcf"}, g.softmaxOf(scores), v)
	if !g.chance(5) {
		y = g.call(ir.OpSelect, g.call(ir.OpGe, one(positions), g.b.Const(ir.I32, 0)), y, g.number(0))
	}
	return g.op(ir.OpReshape, ir.ShapeAttrs{Shape: []ir.Dim{shape[0], ir.D(shape[1].N * shape[2].N * shape[3].N)}}, y)
}

// mask is bool [rows, keys]: causal, perhaps with a window, perhaps with a prefix, or something else.
func (g *grower) mask(rows, keys ir.Dim) *ir.Value {
	key := g.op(ir.OpIota, ir.IotaAttrs{Shape: []ir.Dim{ir.D(1), keys}, Axis: 1})
	query := g.call(ir.OpAdd, g.op(ir.OpIota, ir.IotaAttrs{Shape: []ir.Dim{rows, ir.D(1)}, Axis: 0}), g.symbol("past"))
	seen := g.call(oneOf(g, ir.OpLe, ir.OpLe, ir.OpLe, ir.OpEq), key, query)
	if g.chance(2) {
		window := g.b.Const(ir.I32, float64(1+g.rng.IntN(6)))
		seen = g.call(ir.OpAnd, seen, g.call(ir.OpGt, key, g.call(ir.OpSub, query, window)))
	}
	if g.chance(2) {
		prefix := g.symbol("prefix")
		seen = g.call(ir.OpOr, seen, g.call(ir.OpAnd, g.call(ir.OpLt, query, prefix), g.call(ir.OpLt, key, prefix)))
	}
	return seen
}

// decoderLayer is a layer of a transformer with a cache, of one row, of many, or of a row of every sequence of a batch:
// norm, projections with rotary embeddings, attention, and a gated or plain feed-forward part, with residuals.
func (g *grower) decoderLayer() *ir.Value {
	rows := oneOf(g, ir.Sym("S"), ir.D(1), ir.D(batchSlots))
	var positions *ir.Value // of a batch
	if rows == ir.D(batchSlots) {
		positions = g.input(ir.I32, rows)
		if g.chance(2) { // some at none
			positions = g.call(ir.OpSub, positions, g.b.Const(ir.I32, 1))
		}
	}
	width, groups, per, half := g.size(), g.upTo(2), g.upTo(2), g.size()
	d := oneOf(g, g.stored...)
	x := g.input(ir.F32, rows, width)
	dim := ir.D(2 * half.N)
	angles := []*ir.Value{g.input(ir.F32, rows, half), g.input(ir.F32, rows, half)}
	h := g.normOf(x)
	project := func(shape ...ir.Dim) *ir.Value {
		n := 1
		for _, d := range shape {
			n *= d.N
		}
		y := g.times(h, d, ir.D(n))
		if g.chance(6) {
			y = g.call(ir.OpAdd, y, g.weight(ir.F32, ir.D(n)))
		}
		return g.op(ir.OpReshape, ir.ShapeAttrs{Shape: append([]ir.Dim{rows}, shape...)}, y)
	}
	q, k, v := project(groups, per, dim), project(groups, dim), project(groups, dim)
	if !g.chance(4) {
		q, k = g.rotary(q, angles), g.rotary(k, angles)
	}
	var a *ir.Value
	if positions != nil {
		a = g.batchAttention(q, g.scattered(k, positions), g.scattered(v, positions), positions)
	} else {
		slots := g.chance(2)
		a = g.attention(q, g.cached(k, slots), g.cached(v, slots))
	}
	x = g.call(ir.OpAdd, x, g.times(a, d, width))
	h = g.normOf(x)
	n := g.size()
	y := g.call(oneOf(g, ir.OpGeluTanh, ir.OpSilu), g.times(h, d, n))
	if !g.chance(3) {
		y = g.call(ir.OpMul, y, g.times(h, d, n))
	}
	y = g.times(y, d, width)
	if g.chance(3) {
		y = g.normOf(y)
	}
	return g.call(ir.OpAdd, x, y)
}

// rotary turns the halves of every head.
func (g *grower) rotary(x *ir.Value, angles []*ir.Value) *ir.Value {
	last := x.Type.Rank() - 1
	half := x.Type.Last().N / 2
	part := func(from int) *ir.Value {
		return g.op(ir.OpSlice, ir.SliceAttrs{Axis: last, Start: ir.D(from), Limit: ir.D(from + half)}, x)
	}
	shape := []ir.Dim{x.Type.Shape[0]}
	for range last - 1 {
		shape = append(shape, ir.D(1))
	}
	shape = append(shape, ir.D(half))
	cos := g.op(ir.OpReshape, ir.ShapeAttrs{Shape: shape}, g.call(ir.OpCos, angles[0]))
	sin := g.op(ir.OpReshape, ir.ShapeAttrs{Shape: shape}, g.call(ir.OpSin, angles[1]))
	a, b := part(0), part(half)
	return g.op(ir.OpConcat, ir.AxisAttrs{Axis: last}, g.call(ir.OpSub, g.call(ir.OpMul, a, cos), g.call(ir.OpMul, b, sin)),
		g.call(ir.OpAdd, g.call(ir.OpMul, b, cos), g.call(ir.OpMul, a, sin)))
}

// state is a new state of the rows' type with room for all rows of a call and some more, or of batch slots of such.
func (g *grower) state(rows *ir.Value, slots bool) *ir.Value {
	shape := append([]ir.Dim{ir.D(maxRows + maxPast + 3)}, rows.Type.Shape[1:]...)
	if slots {
		shape = append([]ir.Dim{ir.D(batchSlots)}, shape...)
	}
	v := g.f.AddParam(ir.State, fmt.Sprintf("%s.s%d", g.f.Name, len(g.f.Params)), "", ir.T(oneOf(g, ir.F32, ir.F32, ir.BF16), shape...))
	v.PerSlot = slots
	return v
}

// keys are the rows of a state, T of them, as floats.
func (g *grower) keys(state *ir.Value, axis int) *ir.Value {
	return g.b.Convert(g.op(ir.OpSlice, ir.SliceAttrs{Axis: axis, Start: ir.D(0), Limit: ir.Sym("T")}, state), ir.F32)
}

// cached writes rows into a state behind those that are past, or into a slot of one, and returns all of them.
func (g *grower) cached(rows *ir.Value, slots bool) *ir.Value {
	state := g.state(rows, slots)
	d, all := state.Type.DType, state.Type.Shape
	if !slots {
		rows = g.withOld(rows, state, 0)
		next := g.call(ir.OpDynamicUpdateSlice, state, g.b.Convert(rows, d), g.symbol("past"))
		g.f.Update(state, next)
		return g.keys(next, 0)
	}
	rows = g.op(ir.OpReshape, ir.ShapeAttrs{Shape: append([]ir.Dim{ir.D(1)}, rows.Type.Shape...)}, rows)
	slot := g.symbol("slot")
	next := g.call(ir.OpDynamicUpdateSlice, state, g.b.Convert(rows, d), slot, g.symbol("past"))
	g.f.Update(state, next)
	one := g.op(ir.OpDynamicSlice, ir.DynamicSliceAttrs{Axis: 0, Size: 1}, next, slot)
	return g.keys(g.op(ir.OpReshape, ir.ShapeAttrs{Shape: all[1:]}, one), 0)
}

// scattered writes a row of every sequence into its slot, at its position, and returns the rows of all slots.
func (g *grower) scattered(rows, positions *ir.Value) *ir.Value {
	state := g.state(rows, true)
	shape := append([]ir.Dim{ir.D(batchSlots), ir.D(1)}, rows.Type.Shape[1:]...)
	rows = g.withOld(g.op(ir.OpReshape, ir.ShapeAttrs{Shape: shape}, rows), state, 1)
	next := g.call(ir.OpScatter, state, g.b.Convert(rows, state.Type.DType), positions)
	g.f.Update(state, next)
	return g.keys(next, 1)
}

// withOld adds to new rows of a state, now and then, its first rows as they are before the call.
func (g *grower) withOld(rows, state *ir.Value, axis int) *ir.Value {
	if !g.chance(8) {
		return rows
	}
	old := g.op(ir.OpSlice, ir.SliceAttrs{Axis: axis, Start: ir.D(0), Limit: rows.Type.Shape[axis]}, state)
	return g.call(ir.OpAdd, rows, g.b.Convert(old, ir.F32))
}
