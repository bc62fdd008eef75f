package ir

import "fmt"

// ConvAttrs are the attributes of conv2d and conv_transpose2d, the same for both axes.
type ConvAttrs struct {
	Stride  int `ir:"stride"`
	Padding int `ir:"padding"`
}

// MaxConv bounds the size of a filter, a stride and a padding.
const MaxConv = 1 << 12

// OpConv2D slides filters over a picture whose channels are its last axis. It correlates: filters are not flipped.
var OpConv2D = Define(OpDef{Name: "conv2d",
	Doc:      "y[i,j,o] = bias[o] + the sum over c, u and v of weight[o,c,u,v]*x[stride*i+u-padding, stride*j+v-padding, c], where x is 0 outside; bias may be missing",
	In:       []Operands{{"x", Floats}, {"weight", Floats}, {"bias", Floats}},
	Variadic: true, Attrs: ConvAttrs{}, Tol: Tol{ULP: 2, Norm: 1e-5},
	Infer: func(in []Type, attrs any) (Type, error) {
		a := attrs.(ConvAttrs)
		if err := a.check(in, "[O,C,KH,KW]", 1, 0); err != nil {
			return Type{}, err
		}
		return a.result(in, 0, func(n, k int) int { return (n+2*a.Padding-k)/a.Stride + 1 }, func(n, k int) bool { return n+2*a.Padding >= k })
	},
	Samples: []Sample{
		{In: []Type{T(F32, Dims(5, 7, 3)...), T(F32, Dims(4, 3, 3, 3)...), T(F32, D(4))}, Attrs: ConvAttrs{1, 1}},
		{In: []Type{T(F32, Dims(9, 6, 2)...), T(F32, Dims(17, 2, 4, 2)...)}, Attrs: ConvAttrs{2, 1}},
		{In: []Type{T(F32, Dims(4, 4, 19)...), T(F32, Dims(33, 19, 1, 1)...), T(F32, D(33))}, Attrs: ConvAttrs{1, 0}},
		{In: []Type{T(F32, Dims(7, 5, 3)...), T(F32, Dims(2, 3, 2, 3)...)}, Attrs: ConvAttrs{3, 2}},
	},
})

// OpConvTranspose2D is the transpose of conv2d: each element of x adds a filter to the result.
var OpConvTranspose2D = Define(OpDef{Name: "conv_transpose2d",
	Doc:      "y[stride*h+u-padding, stride*w+v-padding, o] = bias[o] + the sum over c, h, w, u and v of weight[c,o,u,v]*x[h,w,c], without what falls outside; bias may be missing",
	In:       []Operands{{"x", Floats}, {"weight", Floats}, {"bias", Floats}},
	Variadic: true, Attrs: ConvAttrs{}, Tol: Tol{ULP: 2, Norm: 1e-5},
	Infer: func(in []Type, attrs any) (Type, error) {
		a := attrs.(ConvAttrs)
		if err := a.check(in, "[C,O,KH,KW]", 0, 1); err != nil {
			return Type{}, err
		}
		size := func(n, k int) int { return (n-1)*a.Stride - 2*a.Padding + k }
		return a.result(in, 1, size, func(n, k int) bool { return size(n, k) > 0 })
	},
	Samples: []Sample{
		{In: []Type{T(F32, Dims(4, 3, 5)...), T(F32, Dims(5, 7, 4, 4)...), T(F32, D(7))}, Attrs: ConvAttrs{2, 1}},
		{In: []Type{T(F32, Dims(3, 5, 6)...), T(F32, Dims(6, 6, 4, 4)...), T(F32, D(6))}, Attrs: ConvAttrs{2, 1}},
		{In: []Type{T(F32, Dims(5, 4, 2)...), T(F32, Dims(2, 17, 3, 2)...)}, Attrs: ConvAttrs{1, 1}},
		{In: []Type{T(F32, Dims(3, 2, 3)...), T(F32, Dims(3, 2, 2, 5)...)}, Attrs: ConvAttrs{3, 0}},
	},
})

// check tests attributes and operands; channels and out are the weight's axes of x's and the result's channels.
func (a ConvAttrs) check(in []Type, layout string, channels, out int) error {
	if a.Stride < 1 || a.Stride > MaxConv || a.Padding < 0 || a.Padding > MaxConv {
		return fmt.Errorf("stride %d and padding %d are not possible, expected a stride from 1 and a padding from 0 to %d", a.Stride, a.Padding, MaxConv)
	}
	if len(in) > 3 {
		return fmt.Errorf("has %s, expected x, weight and perhaps bias", plural(len(in), "operand"))
	}
	x, w := in[0], in[1]
	constant := true
	for _, t := range in {
		_, syms := factors(t.Shape)
		constant = constant && len(syms) == 0
	}
	if x.Rank() != 3 || w.Rank() != 4 || !constant || x.Shape[2] != w.Shape[channels] || w.Shape[2].N > MaxConv || w.Shape[3].N > MaxConv {
		return fmt.Errorf("x is %s and weight is %s, expected [H,W,C] and %s of constant sizes", x, w, layout)
	}
	if len(in) == 3 && !in[2].Equal(T(F32, w.Shape[out])) {
		return fmt.Errorf("bias is %s, expected f32[%s]", in[2], w.Shape[out])
	}
	return nil
}

// result is the type of the result, whose extent follows from those of x and of a filter where they fit each other.
func (a ConvAttrs) result(in []Type, out int, size func(n, k int) int, fits func(n, k int) bool) (Type, error) {
	x, w := in[0].Shape, in[1].Shape
	shape := []Dim{{}, {}, w[out]}
	for i := range 2 {
		n, k := x[i].N, w[2+i].N
		if n == 0 || k == 0 || !fits(n, k) {
			return Type{}, fmt.Errorf("x is %s and weight is %s: with padding %d no element is left", in[0], in[1], a.Padding)
		}
		shape[i] = D(size(n, k))
	}
	return Type{F32, shape}, nil
}
