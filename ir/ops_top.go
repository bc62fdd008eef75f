package ir

import (
	"errors"
	"fmt"

	"pgc/ir/scalar"
)

// TopAttrs are the attributes of top.
type TopAttrs struct {
	K int `ir:"k"`
}

// MostTop is the most elements of a row that top tells.
const MostTop = 1024

// OpTop finds the greatest elements of rows and their log-sum-exp, which suffice to sample from most rows. Its results
// are the elements [.., k], their indices [.., k] and reduce_log_sum_exp [.., 1]; of a row with fewer elements, all of
// them. Greater ones come first, of equals the first; NaN is greater than all numbers, as for torch.topk. A zero may lose
// its sign.
var OpTop = Define(OpDef{Name: "top",
	Doc: "the k greatest elements over the last axis, the greatest first and of equals the first, NaN before numbers, all where there are fewer; their indices; the logarithm of the sum of e to the x of all",
	In:  one(Floats), Attrs: TopAttrs{}, Tol: Tol{ULP: 4, Norm: 1e-6}, // of the third result; the others are exact
	InferAll: func(in []Type, attrs any) ([]Type, error) {
		k, x := attrs.(TopAttrs).K, in[0]
		switch {
		case x.Rank() == 0:
			return nil, errors.New("operand is a scalar")
		case !x.Last().IsConst() || x.Last().N < 1 || x.Last().N > scalar.ExactInts:
			return nil, fmt.Errorf("operand is %s, expected rows of a constant number of elements, 1 to %d", x, scalar.ExactInts)
		case k < 1 || k > MostTop:
			return nil, fmt.Errorf("k is %d, expected 1 to %d", k, MostTop)
		}
		lse, err := OpReduceLogSumExp.InferType(in, nil)
		outer := x.Shape[: x.Rank()-1 : x.Rank()-1]
		best := append(outer, D(min(k, x.Last().N)))
		return []Type{T(F32, best...), T(I32, best...), lse}, err
	},
	Samples: []Sample{
		{In: []Type{T(F32, Dims(2, 3, 37)...)}, Attrs: TopAttrs{5}},
		{In: []Type{T(F32, Dims(3, 7)...)}, Attrs: TopAttrs{1024}},
		{In: []Type{T(F32, Sym("S"), D(1031))}, Attrs: TopAttrs{300}, Syms: map[string]int{"S": 2}},
		{In: []Type{T(F32, D(2240))}, Attrs: TopAttrs{1024}},
		{In: []Type{T(F32, Dims(2, 5)...)}, Attrs: TopAttrs{1}, Ranges: []Range{{900, 1000}}}, // whose exponentials overflow
	},
})
