package fuzz

import "pgc/ir"

// views views a value one to four times over: a reshape of a broadcast, of a slice or of a transpose has strides of its
// own.
func (g *grower) views() *ir.Value {
	x := g.pick()
	for range 1 + g.rng.IntN(4) {
		x = oneOf(g, g.transposed, g.reshaped, g.sliced, g.broadcast)(x)
	}
	return x
}

func (g *grower) transposed(x *ir.Value) *ir.Value {
	return g.op(ir.OpTranspose, ir.TransposeAttrs{Perm: g.rng.Perm(x.Type.Rank())}, x)
}

// reshaped splits and joins the constant dimensions between symbols anew, with ones among them.
func (g *grower) reshaped(x *ir.Value) *ir.Value {
	var shape []ir.Dim
	n := 1
	for _, d := range x.Type.Shape {
		if d.IsConst() {
			n *= d.N
			continue
		}
		shape = append(append(shape, g.factors(n)...), d)
		n = 1
	}
	shape = append(shape, g.factors(n)...)
	want(len(shape) <= 5)
	return g.op(ir.OpReshape, ir.ShapeAttrs{Shape: shape}, x)
}

// factors returns random dimensions whose product is n, and now and then a one.
func (g *grower) factors(n int) []ir.Dim {
	var dims []ir.Dim
	for n > 1 {
		d := n // what the next dimension has, unless it has less
		for f := 2; f < n; f++ {
			if n%f == 0 && g.chance(2) {
				d = f
				break
			}
		}
		dims = append(dims, ir.D(d))
		n /= d
	}
	if g.chance(3) {
		dims = append(dims, ir.D(1))
	}
	g.rng.Shuffle(len(dims), func(i, j int) { dims[i], dims[j] = dims[j], dims[i] })
	return dims
}

// broadcast repeats x along a new dimension or along those of one.
func (g *grower) broadcast(x *ir.Value) *ir.Value {
	shape := append([]ir.Dim{}, x.Type.Shape...)
	for i, d := range shape {
		if d == ir.D(1) && g.chance(2) {
			shape[i] = g.size()
		}
	}
	if len(shape) < 4 && g.chance(2) {
		shape = append([]ir.Dim{g.upTo(3)}, shape...)
	}
	return g.op(ir.OpBroadcast, ir.ShapeAttrs{Shape: shape}, x)
}

func (g *grower) sliced(x *ir.Value) *ir.Value {
	axis := g.constantAxis(x)
	n := x.Type.Shape[axis].N
	from := g.rng.IntN(n - 1)
	return g.op(ir.OpSlice, ir.SliceAttrs{Axis: axis, Start: ir.D(from), Limit: ir.D(from + 1 + g.rng.IntN(n-from))}, x)
}

// constantAxis is an axis of x of a constant size of at least 2.
func (g *grower) constantAxis(x *ir.Value) int {
	want(x.Type.Rank() > 0)
	axis := g.rng.IntN(x.Type.Rank())
	d := x.Type.Shape[axis]
	want(d.IsConst() && d.N >= 2)
	return axis
}
