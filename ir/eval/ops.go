package eval

import (
	"fmt"
	"math"
	"slices"

	"pgc/ir"
	"pgc/ir/scalar"
)

// call is one evaluation of a plain operation; shape is that of the first result.
type call struct {
	op    *ir.Op
	in    []*Tensor
	shape []int
	syms  map[string]int
}

// plain evaluates the plain operations that are neither elementwise nor reductions. A test checks that it is complete.
var plain = map[*ir.OpDef]func(*call) (*Tensor, error){
	ir.OpConvert:            convert,
	ir.OpReshape:            reshape,
	ir.OpBroadcast:          broadcast,
	ir.OpTranspose:          transpose,
	ir.OpSlice:              slice,
	ir.OpConcat:             concat,
	ir.OpConstant:           constant,
	ir.OpSymbol:             symbol,
	ir.OpIota:               index,
	ir.OpGather:             gather,
	ir.OpDynamicSlice:       dynamicSlice,
	ir.OpDynamicUpdateSlice: dynamicUpdateSlice,
	ir.OpScatter:            scatter,
	ir.OpEinsum:             einsum,
	ir.OpConv2D:             conv2d,
	ir.OpConvTranspose2D:    convTranspose2d,
	ir.OpArgmax:             argmax,
}

// several evaluates the plain operations that have several results.
var several = map[*ir.OpDef]func(*call) ([]*Tensor, error){ir.OpTop: top}

// result returns a tensor of the result's type over data.
func (c *call) result(data []float64) (*Tensor, error) {
	return &Tensor{c.op.Result().Type.DType, c.shape, data}, nil
}

func elementwise(c *call) (*Tensor, error) {
	args := make([]*scalar.Expr, len(c.in))
	data := make([][]float64, len(c.in))
	for i, t := range c.in {
		args[i] = scalar.X(i, t.DType.Scalar())
		data[i] = t.broadcast(c.shape)
	}
	out := make([]float64, count(c.shape))
	body := c.op.Def.Scalar(args)
	parallel(len(out), 1<<14, func(lo, hi int) {
		part := make([][]float64, len(data))
		for i, d := range data {
			part[i] = d[lo:hi]
		}
		scalar.Compile(body).Run(part, out[lo:hi])
	})
	return c.result(out)
}

func convert(c *call) (*Tensor, error) {
	x, d := c.in[0], c.op.Result().Type.DType
	if d == ir.F32 && x.DType.IsFloat() {
		return c.result(x.Data) // every storage format is a subset of f32
	}
	return c.result(rounded(d, x.Data, x.Shape))
}

func reshape(c *call) (*Tensor, error) { return c.result(c.in[0].Data) }

func broadcast(c *call) (*Tensor, error) { return c.result(c.in[0].broadcast(c.shape)) }

func transpose(c *call) (*Tensor, error) {
	return c.in[0].transpose(c.op.Attrs.(ir.TransposeAttrs).Perm), nil
}

func slice(c *call) (*Tensor, error) {
	a, x := c.op.Attrs.(ir.SliceAttrs), c.in[0]
	start, err := a.Start.Eval(c.syms)
	if err != nil {
		return nil, err
	}
	if limit := start + c.shape[a.Axis]; limit > x.Shape[a.Axis] {
		return nil, fmt.Errorf("limit %d exceeds axis %d of %v", limit, a.Axis, x.Shape)
	}
	own := strides(x.Shape)
	out := make([]float64, count(c.shape))
	if len(out) > 0 {
		copyStrided(out, x.Data[start*own[a.Axis]:], c.shape, own)
	}
	return c.result(out)
}

func concat(c *call) (*Tensor, error) {
	axis := c.op.Attrs.(ir.AxisAttrs).Axis
	outer := count(c.shape[:axis])
	out := make([]float64, 0, count(c.shape))
	for i := range outer {
		for _, t := range c.in {
			n := len(t.Data) / outer
			out = append(out, t.Data[i*n:(i+1)*n]...)
		}
	}
	return c.result(out)
}

func constant(c *call) (*Tensor, error) {
	values := c.op.Attrs.(ir.ConstantAttrs).Values
	if len(values) == 1 {
		values = slices.Repeat(values, count(c.shape))
	}
	return c.result(values)
}

func symbol(c *call) (*Tensor, error) {
	n, err := ir.Sym(string(c.op.Attrs.(ir.SymbolAttrs).Name)).Eval(c.syms)
	if err != nil {
		return nil, err
	}
	return c.result([]float64{float64(n)})
}

func index(c *call) (*Tensor, error) {
	axis := c.op.Attrs.(ir.IotaAttrs).Axis
	out := make([]float64, count(c.shape))
	inner := count(c.shape[axis+1:])
	for i := range out {
		out[i] = float64(i / inner % c.shape[axis])
	}
	return c.result(out)
}

func gather(c *call) (*Tensor, error) {
	table, ids := c.in[0], c.in[1]
	row := count(table.Shape[1:])
	out := make([]float64, 0, count(c.shape))
	for i, id := range ids.Data {
		if id < 0 || int(id) >= table.Shape[0] {
			return nil, fmt.Errorf("ids[%d] is %g, the table has %d rows", i, id, table.Shape[0])
		}
		out = append(out, table.Data[int(id)*row:(int(id)+1)*row]...)
	}
	return c.result(out)
}

// reduce computes the folds of every row and the expression over them.
func reduce(c *call) (*Tensor, error) {
	folds, x := c.op.Def.Folds, c.in[0]
	n := x.Shape[len(x.Shape)-1]
	leaf := func(l *ir.Expr) (*scalar.Expr, error) {
		if l.Kind == ir.ExprReduce {
			return scalar.X(2+l.Index, scalar.F32), nil // behind the element and the number of elements
		}
		return scalar.X(l.Index, scalar.F32), nil
	}
	bodies := make([]*scalar.Expr, len(folds.Reduce))
	for i, r := range folds.Reduce {
		var err error
		if bodies[i], err = r.Expr.Scalar(leaf); err != nil {
			return nil, err
		}
	}
	last, err := folds.Out.Scalar(leaf)
	if err != nil {
		return nil, err
	}
	out := make([]float64, count(c.shape))
	parallel(len(out), 1+1<<14/(1+n), func(lo, hi int) {
		values := make([]float64, n)
		args := make([][]float64, 2, 2+len(bodies))
		args[1] = repeated(float64(n), n)
		for row := lo; row < hi; row++ {
			args[0], args = x.Data[row*n:][:n], args[:2]
			at := []float64{0, float64(n)}
			for i, body := range bodies {
				scalar.Compile(body).Run(args, values)
				v := folds.Reduce[i].Kind.Fold(values)
				at, args = append(at, v), append(args, repeated(v, n))
			}
			out[row] = scalar.Eval(last, at)
		}
	})
	return c.result(out)
}

func repeated(v float64, n int) []float64 { return slices.Repeat([]float64{v}, n) }

func argmax(c *call) (*Tensor, error) {
	x := c.in[0]
	n := x.Shape[len(x.Shape)-1]
	out := make([]float64, count(c.shape))
	for i := range out {
		row := x.Data[i*n : (i+1)*n]
		at := 0
		for j, v := range row {
			if v > row[at] {
				at = j
			}
		}
		if n == 0 || slices.ContainsFunc(row, math.IsNaN) {
			at = -1
		}
		out[i] = float64(at)
	}
	return c.result(out)
}
