package passes

import "pgc/ir"

// lowerConvolutions replaces convolutions by products with their weights, which the passes behind it fuse as any other.
//
// conv2d gathers the window of x under each element of the result into a row [C·KH·KW], 0 where it reaches outside, and
// multiplies the rows by the weight [O, C·KH·KW]. conv_transpose2d multiplies the rows of x by the weight [C, O·KH·KW],
// and each element of the result gathers and sums the products that fall on it: at most ⌈KH/stride⌉·⌈KW/stride⌉.
func lowerConvolutions(f *ir.Func, _ *Budget) int {
	with := map[*ir.Value]*ir.Value{}
	for _, op := range append([]*ir.Op(nil), f.Ops...) {
		if op.Def != ir.OpConv2D && op.Def != ir.OpConvTranspose2D {
			continue
		}
		c := convolution{b: ir.Before(f, op), ConvAttrs: op.Attrs.(ir.ConvAttrs), x: op.In[0], w: op.In[1], out: op.Result().Type.Shape}
		y := c.rows
		if op.Def == ir.OpConvTranspose2D {
			y = c.scattered
		}
		v := y()
		if len(op.In) > 2 {
			v = c.b.Op(ir.OpAdd, nil, v, op.In[2])
		}
		with[op.Result()] = c.b.Reshape(v, c.out)
	}
	f.Replace(with)
	f.RemoveDead()
	return len(with)
}

// convolution is one being lowered.
type convolution struct {
	b *ir.Builder
	ir.ConvAttrs
	x, w *ir.Value
	out  []ir.Dim // of the result: rows, columns, channels
}

// rows returns the result of conv2d without bias: [rows·columns, O].
func (c convolution) rows() *ir.Value {
	height, width, channels := c.x.Type.Shape[0].N, c.x.Type.Shape[1].N, c.x.Type.Shape[2].N
	outputs, kh, kw := c.w.Type.Shape[0].N, c.w.Type.Shape[2].N, c.w.Type.Shape[3].N
	x := c.b.Reshape(c.x, ir.Dims(height*width, channels))
	if kh*kw > 1 || c.Stride > 1 || c.Padding > 0 {
		// Over [rows, columns, KH, KW]: the place in x of each element of a window.
		shape := []ir.Dim{c.out[0], c.out[1], ir.D(kh), ir.D(kw)}
		along := func(axis int) *ir.Value { return c.index(shape, axis) }
		row := c.plus(c.b.Op(ir.OpAdd, nil, c.times(along(0), c.Stride), along(2)), -c.Padding)
		column := c.plus(c.b.Op(ir.OpAdd, nil, c.times(along(1), c.Stride), along(3)), -c.Padding)
		places := axes{{row, height}, {column, width}}
		x = c.gather(x, places, shape) // [rows, columns, KH, KW, C]
		x = c.b.Op(ir.OpTranspose, ir.TransposeAttrs{Perm: []int{0, 1, 4, 2, 3}}, x)
		x = c.b.Reshape(x, ir.Dims(c.out[0].N*c.out[1].N, channels*kh*kw))
	}
	w := c.weight(ir.Dims(outputs, channels*kh*kw))
	return c.b.Op(ir.OpEinsum, ir.EinsumAttrs{Spec: rowsTimesMatrix(2)}, x, c.b.Convert(w, ir.F32))
}

// scattered returns the result of conv_transpose2d without bias: [rows, columns, O].
func (c convolution) scattered() *ir.Value {
	height, width, channels := c.x.Type.Shape[0].N, c.x.Type.Shape[1].N, c.x.Type.Shape[2].N
	outputs, kh, kw := c.w.Type.Shape[1].N, c.w.Type.Shape[2].N, c.w.Type.Shape[3].N
	x := c.b.Reshape(c.x, ir.Dims(height*width, channels))
	w := c.b.Op(ir.OpTranspose, ir.TransposeAttrs{Perm: []int{1, 0}}, c.weight(ir.Dims(channels, outputs*kh*kw)))
	y := c.b.Op(ir.OpEinsum, ir.EinsumAttrs{Spec: rowsTimesMatrix(2)}, x, c.b.Convert(w, ir.F32))
	y = c.b.Op(ir.OpTranspose, ir.TransposeAttrs{Perm: []int{0, 2, 1}}, c.b.Reshape(y, ir.Dims(height*width, outputs, kh*kw)))
	y = c.b.Reshape(y, ir.Dims(height*width*kh*kw, outputs))

	// Element i of the result is q·stride + r - padding. Products fall on it from h = q-a with u = r + a·stride.
	s := c.Stride
	steps := func(n int) ir.Dim { return ir.D((n + s - 1) / s) }
	rows, columns := steps(c.out[0].N+c.Padding), steps(c.out[1].N+c.Padding)
	shape := []ir.Dim{rows, ir.D(s), columns, ir.D(s), steps(kh), steps(kw)} // q and r of rows, of columns, a of both
	along := func(axis int) *ir.Value { return c.index(shape, axis) }
	h := c.b.Op(ir.OpSub, nil, along(0), along(4))
	v := c.b.Op(ir.OpSub, nil, along(2), along(5))
	places := axes{{h, height}, {v, width},
		{c.b.Op(ir.OpAdd, nil, along(1), c.times(along(4), s)), kh}, {c.b.Op(ir.OpAdd, nil, along(3), c.times(along(5), s)), kw}}
	taps := shape[4].N * shape[5].N
	y = c.gather(y, places, shape) // [rows, s, columns, s, taps of rows, of columns, O]
	y = c.b.Op(ir.OpTranspose, ir.TransposeAttrs{Perm: []int{0, 1, 2, 3, 6, 4, 5}}, y)
	y = c.b.Reshape(y, ir.Dims(rows.N*s, columns.N*s, outputs, taps))
	if taps > 1 {
		y = c.b.Op(ir.OpReduceSum, nil, y)
	}
	y = c.b.Reshape(y, ir.Dims(rows.N*s, columns.N*s, outputs))
	for axis := range 2 {
		y = c.b.Op(ir.OpSlice, ir.SliceAttrs{Axis: axis, Start: ir.D(c.Padding), Limit: ir.D(c.Padding + c.out[axis].N)}, y)
	}
	return y
}

// weight is the weight under another shape, as it is stored.
func (c convolution) weight(shape []ir.Dim) *ir.Value { return c.b.Reshape(unconverted(c.w), shape) }

// axes are indices along the axes of a table, outermost first, and the sizes of the axes. An index may lie outside.
type axes []struct {
	at   *ir.Value
	size int
}

// gather returns the rows of a table [product of the sizes, C] at places, which broadcast to shape: shape and C. A row is
// 0 where an index lies outside of its axis.
func (c convolution) gather(table *ir.Value, places axes, shape []ir.Dim) *ir.Value {
	var id, inside *ir.Value
	for i, p := range places {
		last := c.b.Const(ir.I32, float64(p.size-1))
		first := c.b.Const(ir.I32, 0)
		within := c.b.Op(ir.OpAnd, nil, c.b.Op(ir.OpLe, nil, first, p.at), c.b.Op(ir.OpLe, nil, p.at, last))
		at := c.b.Op(ir.OpMax, nil, c.b.Op(ir.OpMin, nil, p.at, last), first)
		if i == 0 {
			id, inside = at, within
			continue
		}
		id = c.b.Op(ir.OpAdd, nil, c.times(id, p.size), at)
		inside = c.b.Op(ir.OpAnd, nil, inside, within)
	}
	rows := c.b.Op(ir.OpGather, nil, table, c.b.Broadcast(id, shape))
	inside = c.b.Reshape(c.b.Broadcast(inside, shape), append(append([]ir.Dim{}, shape...), ir.D(1)))
	return c.b.Op(ir.OpSelect, nil, inside, rows, c.b.Const(ir.F32, 0))
}

// index counts along an axis of a shape, with ones for the others.
func (c convolution) index(shape []ir.Dim, axis int) *ir.Value {
	one := make([]ir.Dim, len(shape))
	for i := range one {
		one[i] = ir.D(1)
	}
	one[axis] = shape[axis]
	return c.b.Op(ir.OpIota, ir.IotaAttrs{Shape: one, Axis: axis})
}

func (c convolution) times(x *ir.Value, n int) *ir.Value {
	return c.b.Op(ir.OpMul, nil, x, c.b.Const(ir.I32, float64(n)))
}

func (c convolution) plus(x *ir.Value, n int) *ir.Value {
	return c.b.Op(ir.OpAdd, nil, x, c.b.Const(ir.I32, float64(n)))
}
