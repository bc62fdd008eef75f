package frontend

import (
	"pgc/ir"
)

// Operand is what elementwise functions take: a *Value, or a number (int or float64) that becomes a scalar constant of
// the type of the other operands. At least one operand is a *Value.
type Operand = any

// Apply adds an elementwise operation or a reduction of the table. The functions of operations.go are its shorthand.
func Apply(def *ir.OpDef, operands ...Operand) *Value {
	var f *Func
	d := ir.F32
	for _, o := range operands {
		if v, ok := o.(*Value); ok && v != nil {
			f = v.f
			if v.DType() == ir.I32 {
				d = ir.I32
			}
		}
	}
	if f == nil {
		fail(nil, "%s of no *Value: %v", def.Name, operands)
	}
	in := make([]*Value, len(operands))
	for i, o := range operands {
		switch o := o.(type) {
		case *Value:
			in[i] = o
		case int:
			in[i] = f.constant(d, nil, []float64{float64(o)})
		case float64:
			in[i] = f.constant(d, nil, []float64{o})
		default:
			fail(f, "operand %d of %s is a %T, expected a *Value, an int or a float64", i, def.Name, o)
		}
	}
	return f.op(def, nil, in...)
}

// op adds an operation at the caller's place, converting stored floats where it computes in f32.
func (f *Func) op(def *ir.OpDef, attrs any, in ...*Value) *Value {
	return f.ops(def, attrs, in...)[0]
}

// ops is op with all results.
func (f *Func) ops(def *ir.OpDef, attrs any, in ...*Value) (results []*Value) {
	b := ir.NewBuilder(f.f)
	b.Loc = caller()
	values := make([]*ir.Value, len(in))
	for i, v := range in {
		f.own(v)
		values[i] = v.v
		types := ir.AnyDType
		if len(def.In) > 0 {
			types = def.In[min(i, len(def.In)-1)].Types
		}
		if d := v.DType(); d.IsFloat() && !types.Has(d) && types.Has(ir.F32) {
			values[i] = f.float(b, v.v)
		}
	}
	for _, v := range b.Add(def, attrs, values...).Results {
		results = append(results, &Value{f, v})
	}
	return results
}

// float returns v in f32; a value is converted once.
func (f *Func) float(b *ir.Builder, v *ir.Value) *ir.Value {
	if f.converted[v] == nil {
		f.converted[v] = b.Convert(v, ir.F32)
	}
	return f.converted[v]
}

func (f *Func) constant(d ir.DType, shape []ir.Dim, values []float64) *Value {
	return f.op(ir.OpConstant, ir.ConstantAttrs{DType: d, Shape: shape, Values: values})
}

// Const is a constant tensor of type d with the given values in row-major order, or one value for every element.
// Without dimensions it is a scalar.
func (f *Func) Const(d ir.DType, values []float64, dims ...int) *Value {
	return f.constant(d, ir.Dims(dims...), values)
}

// Iota is the i32 tensor of that shape whose elements are their index along axis.
func (f *Func) Iota(axis int, dims ...any) *Value {
	shape := f.dims(dims)
	if axis < 0 {
		axis += len(shape)
	}
	return f.op(ir.OpIota, ir.IotaAttrs{Shape: shape, Axis: axis})
}

// Symbol is the run-time value of a symbol, as i32[].
func (f *Func) Symbol(d ir.Dim) *Value {
	if d.IsConst() {
		return f.constant(ir.I32, nil, []float64{float64(d.N)})
	}
	return f.op(ir.OpSymbol, ir.SymbolAttrs{Name: ir.Ident(d.Sym)})
}

// Convert is x as another data type, or x itself if it has that type.
func Convert(x *Value, d ir.DType) *Value {
	if x.DType() == d {
		return x
	}
	if d == ir.F32 && x.DType().IsFloat() {
		b := ir.NewBuilder(x.f.f)
		b.Loc = caller()
		return &Value{x.f, x.f.float(b, x.v)}
	}
	return x.f.op(ir.OpConvert, ir.ConvertAttrs{DType: d}, x)
}

// Reshape is the elements of x, in row-major order, under another shape of ints and ir.Dims.
func Reshape(x *Value, dims ...any) *Value {
	return x.f.op(ir.OpReshape, ir.ShapeAttrs{Shape: x.f.dims(dims)}, x)
}

// Broadcast repeats x along dimensions of 1 and new ones in front, as elementwise operations do by themselves.
func Broadcast(x *Value, dims ...any) *Value {
	return x.f.op(ir.OpBroadcast, ir.ShapeAttrs{Shape: x.f.dims(dims)}, x)
}

// Transpose permutes dimensions: dimension i of the result is dimension perm[i] of x.
func Transpose(x *Value, perm ...int) *Value {
	return x.f.op(ir.OpTranspose, ir.TransposeAttrs{Perm: perm}, x)
}

// Slice takes elements start ≤ i < limit along an axis, which counts from the end when it is negative. The bounds are
// ints or ir.Dims.
func Slice(x *Value, axis int, start, limit any) *Value {
	return x.f.op(ir.OpSlice, ir.SliceAttrs{Axis: x.axis(axis), Start: x.f.dim(start), Limit: x.f.dim(limit)}, x)
}

// Concat joins tensors along an axis, which counts from the end when it is negative.
func Concat(axis int, xs ...*Value) *Value {
	if len(xs) == 0 {
		fail(nil, "concat of nothing")
	}
	return xs[0].f.op(ir.OpConcat, ir.AxisAttrs{Axis: xs[0].axis(axis)}, xs...)
}

// Gather reads the rows of table that ids names: result[i…, j…] = table[ids[i…], j…].
func Gather(table, ids *Value) *Value { return table.f.op(ir.OpGather, nil, table, ids) }

// DynamicSlice is the elements start (i32[]), start+1, … of x along an axis, size of them.
func DynamicSlice(x, start *Value, axis, size int) *Value {
	return x.f.op(ir.OpDynamicSlice, ir.DynamicSliceAttrs{Axis: x.axis(axis), Size: size}, x, start)
}

// DynamicUpdateSlice is state with a part replaced by update, which begins at the starts (i32[]) along the leading
// dimensions.
func DynamicUpdateSlice(state, update *Value, starts ...*Value) *Value {
	return state.f.op(ir.OpDynamicUpdateSlice, nil, append([]*Value{state, update}, starts...)...)
}

// Scatter is state [B,T,…] with row positions[b]+s of state[b] replaced by row s of update[b], for update [B,S,…] and
// positions i32[B]; rows outside the state are dropped.
func Scatter(state, update, positions *Value) *Value {
	return state.f.op(ir.OpScatter, nil, state, update, positions)
}

// Einsum contracts two tensors in Einstein's notation, as "sgrh,tgh->grst".
func Einsum(spec string, x, y *Value) *Value {
	return x.f.op(ir.OpEinsum, ir.EinsumAttrs{Spec: spec}, x, y)
}

// Conv2D slides filters [O,C,KH,KW] over x [H,W,C]: y[i,j,o] = bias[o] + Σ w[o,c,u,v]·x[stride·i+u-padding, stride·j+v-padding, c],
// where x is 0 outside. bias [O] may be nil.
func Conv2D(x, w, bias *Value, stride, padding int) *Value {
	return convolve(ir.OpConv2D, x, w, bias, stride, padding)
}

// ConvTranspose2D adds to y[stride·h+u-padding, stride·w+v-padding, o] the products weight[c,o,u,v]·x[h,w,c] of all c, h, w, u
// and v, and bias[o]. x is [H,W,C], the weight [C,O,KH,KW], bias [O] may be nil.
func ConvTranspose2D(x, weight, bias *Value, stride, padding int) *Value {
	return convolve(ir.OpConvTranspose2D, x, weight, bias, stride, padding)
}

func convolve(def *ir.OpDef, x, w, bias *Value, stride, padding int) *Value {
	in := []*Value{x, w}
	if bias != nil {
		in = append(in, bias)
	}
	return x.f.op(def, ir.ConvAttrs{Stride: stride, Padding: padding}, in...)
}

// Argmax is the index of the maximum over the last axis, which becomes 1: the first of equals, -1 where an element is
// NaN.
func Argmax(x *Value) *Value { return x.f.op(ir.OpArgmax, nil, x) }

// Top is the k greatest elements over the last axis, in descending order, with their indices, and the log-sum-exp of all
// elements: the first of equals comes first, NaN before numbers.
func Top(x *Value, k int) (values, indices, logSumExp *Value) {
	r := x.f.ops(ir.OpTop, ir.TopAttrs{K: k}, x)
	return r[0], r[1], r[2]
}
