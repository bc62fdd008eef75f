package ir

import (
	"fmt"
	"slices"
)

// AttentionAttrs are the attributes of attention. Query row i stands at position p = Offset+i. It sees key j iff Causal is off,
// or j ≤ p and (Window = 0 or j > p-Window), or both p and j are less than Prefix.
type AttentionAttrs struct {
	Scale   float64 `ir:"scale"`       // of the scores
	Softcap float64 `ir:"softcap,opt"` // scores become c·tanh(score/c); 0 is off
	Causal  bool    `ir:"causal,opt"`
	Window  int     `ir:"window,opt"` // keys a causal query sees back, itself included; 0 is all
	Prefix  Dim     `ir:"prefix,opt"` // length of the part in which everything sees everything; 0 is off
	Offset  Dim     `ir:"offset,opt"` // position of the first query
	DType   DType   `ir:"dtype,opt"`  // the 16-bit format that the result is stored in, if any
}

// OpAttention is softmax(mask(softcap(q·kᵀ·scale)))·v in grouped form: q [S,G,R,H] has R query heads for each of the G heads of
// k and v [T,G,H], which may be stored in 16 bits. The scores never exist as a tensor.
var OpAttention = Define(OpDef{Name: "attention", Doc: "softmax of the scaled, capped and masked products of q and k, times v",
	In: []Operands{{"q", Floats}, {"k", Plain}, {"v", Plain}}, Attrs: AttentionAttrs{}, Tol: Tol{ULP: 8, Norm: 1e-5},
	Infer: inferAttention, Expand: expandAttention, Samples: attentionSamples(),
	Check: func(m *Module, op *Op) error {
		a := op.Attrs.(AttentionAttrs)
		for _, d := range []Dim{a.Prefix, a.Offset} {
			if _, ok := m.Bound(d.Sym); !ok && !d.IsConst() {
				return fmt.Errorf("symbol %s is not declared", d)
			}
		}
		return nil
	},
})

func inferAttention(in []Type, attrs any) (Type, error) {
	a := attrs.(AttentionAttrs)
	q, k, v := in[0], in[1], in[2]
	if q.Rank() != 4 || k.Rank() != 3 || !k.Equal(v) || q.Shape[1] != k.Shape[1] || q.Shape[3] != k.Shape[2] {
		return Type{}, fmt.Errorf("q is %s, k is %s, v is %s, wants [S,G,R,H], [T,G,H], [T,G,H]", q, k, v)
	}
	if a.Window < 0 || a.Softcap < 0 || a.Prefix.N < 0 || a.Offset.N < 0 {
		return Type{}, fmt.Errorf("softcap, window, prefix and offset must not be negative")
	}
	if !a.Causal && (a.Window != 0 || a.Prefix != D(0)) {
		return Type{}, fmt.Errorf("window and prefix need causal=true")
	}
	d, err := storedAs(a.DType, F32)
	return Type{d, slices.Clone(q.Shape)}, err
}

// maskedScore stands for minus infinity, as transformers' eager attention has it: the lowest finite float32.
const maskedScore = -3.4028234663852886e38

func expandAttention(b *Builder, op *Op) *Value {
	a := op.Attrs.(AttentionAttrs)
	q, k, v := op.In[0], b.readable(op.In[1]), b.readable(op.In[2])
	s := b.Op(OpMul, nil, b.Op(OpEinsum, EinsumAttrs{"abcd,ebd->bcae"}, q, k), b.Const(F32, a.Scale))
	if a.Softcap != 0 {
		c := b.Const(F32, a.Softcap)
		s = b.Op(OpMul, nil, b.Op(OpTanh, nil, b.Op(OpDiv, nil, s, c)), c)
	}
	if a.Causal {
		s = b.Op(OpSelect, nil, attentionMask(b, a, q.Type.Shape[0], k.Type.Shape[0]), s, b.Const(F32, maskedScore))
	}
	e := b.Op(OpExp, nil, b.Op(OpSub, nil, s, b.Op(OpReduceMax, nil, s)))
	p := b.Op(OpDiv, nil, e, b.Op(OpReduceSum, nil, e))
	y := b.Op(OpEinsum, EinsumAttrs{"abcd,dae->cabe"}, p, v)
	if a.DType != Invalid {
		y = b.Convert(y, a.DType)
	}
	return y
}

// attentionMask returns the mask bool [S,T] of which keys each query sees.
func attentionMask(b *Builder, a AttentionAttrs, rows, keys Dim) *Value {
	scalarOf := func(d Dim) *Value {
		if d.IsConst() {
			return b.Const(I32, float64(d.N))
		}
		return b.Op(OpSymbol, SymbolAttrs{Ident(d.Sym)})
	}
	p := b.Op(OpIota, IotaAttrs{[]Dim{rows, D(1)}, 0})
	if a.Offset != D(0) {
		p = b.Op(OpAdd, nil, p, scalarOf(a.Offset))
	}
	j := b.Op(OpIota, IotaAttrs{[]Dim{D(1), keys}, 1})
	mask := b.Op(OpLe, nil, j, p)
	if a.Window != 0 {
		mask = b.Op(OpAnd, nil, mask, b.Op(OpGt, nil, j, b.Op(OpSub, nil, p, b.Const(I32, float64(a.Window)))))
	}
	if a.Prefix != D(0) {
		n := scalarOf(a.Prefix)
		both := b.Op(OpAnd, nil, b.Op(OpLt, nil, p, n), b.Op(OpLt, nil, j, n))
		mask = b.Op(OpOr, nil, mask, both)
	}
	return mask
}
