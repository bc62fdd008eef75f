package ir

import (
	"fmt"
	"slices"
)

// AttentionAttrs are the attributes of attention. Query row i has position p = Offset+i, or positions[b]+i in sequence
// b of a batch with positions. It sees key j iff Causal is off, or j ≤ p and (Window = 0 or j > p-Window), or both p
// and j are less than Prefix.
type AttentionAttrs struct {
	Scale   float64 `ir:"scale"`       // of the scores
	Softcap float64 `ir:"softcap,opt"` // scores become c·tanh(score/c); 0 is off
	Causal  bool    `ir:"causal,opt"`
	Window  int     `ir:"window,opt"` // keys a causal query sees back, itself included; 0 is all
	Prefix  Dim     `ir:"prefix,opt"` // length of the part in which everything sees everything; 0 is off
	Offset  Dim     `ir:"offset,opt"` // position of the first query
	DType   DType   `ir:"dtype,opt"`  // the 16-bit format that the result is stored in, if any
}

// OpAttention is grouped-query attention, softmax(mask(softcap(q·kᵀ·scale)))·v: q [S,G,R,H] has R query heads for each
// of the G heads of k and v [T,G,H], which may be bf16 or f16. The scores never exist as a tensor.
//
// In a batch q is [B,S,G,R,H], k and v are [B,T,G,H], and positions i32[B], if given, are the positions of the first
// queries among the keys. A query before position 0 sees no key: its result is 0.
var OpAttention = Define(OpDef{Name: "attention",
	Doc: "softmax of the scaled, capped and masked products of q and k, times v; 0 for a query at a negative position",
	In:  []Operands{{"q", Floats}, {"k", Plain}, {"v", Plain}, {"positions", Ints}}, Variadic: true, Attrs: AttentionAttrs{},
	Tol: Tol{ULP: 8, Norm: 1e-5}, Infer: inferAttention, Expand: expandAttention, Samples: attentionSamples(),
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
	if err := checkAttention(in); err != nil {
		return Type{}, err
	}
	if a.Window < 0 || a.Softcap < 0 || a.Prefix.N < 0 || a.Offset.N < 0 {
		return Type{}, fmt.Errorf("softcap, window, prefix and offset must not be negative")
	}
	if !a.Causal && (a.Window != 0 || a.Prefix != D(0) || len(in) > 3) {
		return Type{}, fmt.Errorf("window, prefix and positions need causal=true")
	}
	if len(in) > 3 && (a.Prefix != D(0) || a.Offset != D(0)) {
		return Type{}, fmt.Errorf("prefix and offset are those of all sequences, positions those of each: they exclude each other")
	}
	d, err := storedAs(a.DType, F32)
	return Type{d, slices.Clone(in[0].Shape)}, err
}

// checkAttention tests the types of the operands.
func checkAttention(in []Type) error {
	q, k, v := in[0], in[1], in[2]
	n := q.Rank() - 4 // dimensions of a batch
	if n < 0 || n > 1 || k.Rank() != n+3 || !k.Equal(v) || !slices.Equal(q.Shape[:n], k.Shape[:n]) ||
		q.Shape[n+1] != k.Shape[n+1] || q.Shape[n+3] != k.Shape[n+2] {
		return fmt.Errorf("q is %s, k is %s, v is %s, expected [S,G,R,H], [T,G,H], [T,G,H] or [B,S,G,R,H], [B,T,G,H], [B,T,G,H]", q, k, v)
	}
	if len(in) > 4 || len(in) == 4 && (n == 0 || !in[3].Equal(T(I32, q.Shape[0]))) {
		return fmt.Errorf("q is %s and positions are %s, expected [B,S,G,R,H] and i32[B]", q, in[3])
	}
	return nil
}

// maskedScore is the score of masked keys: the lowest finite float32, as in transformers' eager attention.
const maskedScore = -3.4028234663852886e38

func expandAttention(b *Builder, op *Op) []*Value {
	a := op.Attrs.(AttentionAttrs)
	q, k, v := op.In[0], b.readable(op.In[1]), b.readable(op.In[2])
	n := q.Type.Rank() - 4
	scores, sum := "abcd,ebd->bcae", "abcd,dae->cabe"
	if n == 1 {
		scores, sum = "zabcd,zebd->zbcae", "zabcd,zdae->zcabe"
	}
	s := b.Op(OpMul, nil, b.Op(OpEinsum, EinsumAttrs{scores}, q, k), b.Const(F32, a.Scale))
	if a.Softcap != 0 {
		c := b.Const(F32, a.Softcap)
		s = b.Op(OpMul, nil, b.Op(OpTanh, nil, b.Op(OpDiv, nil, s, c)), c)
	}
	rows, keys := q.Type.Shape[n], k.Type.Shape[n]
	var p *Value // positions of the queries, [S,1] or [B,1,1,S,1]
	if a.Causal {
		p = attentionPositions(b, a, rows, op.In[3:])
		s = b.Op(OpSelect, nil, attentionMask(b, a, p, keys), s, b.Const(F32, maskedScore))
	}
	e := b.Op(OpExp, nil, b.Op(OpSub, nil, s, b.Op(OpReduceMax, nil, s)))
	w := b.Op(OpDiv, nil, e, b.Op(OpReduceSum, nil, e))
	y := b.Op(OpEinsum, EinsumAttrs{sum}, w, v)
	if len(op.In) > 3 {
		seen := b.Op(OpGe, nil, b.Reshape(p, []Dim{q.Type.Shape[0], rows, D(1), D(1), D(1)}), b.Const(I32, 0))
		y = b.Op(OpSelect, nil, seen, y, b.Const(F32, 0))
	}
	if a.DType != Invalid {
		y = b.Convert(y, a.DType)
	}
	return []*Value{y}
}

// attentionPositions returns the positions of the queries, [S,1], or [B,1,1,S,1] if every sequence has its own.
func attentionPositions(b *Builder, a AttentionAttrs, rows Dim, positions []*Value) *Value {
	p := b.Op(OpIota, IotaAttrs{[]Dim{rows, D(1)}, 0})
	switch {
	case len(positions) > 0:
		first := b.Reshape(positions[0], []Dim{positions[0].Type.Shape[0], D(1), D(1), D(1), D(1)})
		p = b.Op(OpAdd, nil, p, first)
	case a.Offset != D(0):
		p = b.Op(OpAdd, nil, p, scalarOf(b, a.Offset))
	}
	return p
}

// attentionMask returns the mask bool [S,T] or [B,1,1,S,T]: which keys the queries at positions p see.
func attentionMask(b *Builder, a AttentionAttrs, p *Value, keys Dim) *Value {
	j := b.Op(OpIota, IotaAttrs{[]Dim{D(1), keys}, 1})
	mask := b.Op(OpLe, nil, j, p)
	if a.Window != 0 {
		mask = b.Op(OpAnd, nil, mask, b.Op(OpGt, nil, j, b.Op(OpSub, nil, p, b.Const(I32, float64(a.Window)))))
	}
	if a.Prefix != D(0) {
		n := scalarOf(b, a.Prefix)
		both := b.Op(OpAnd, nil, b.Op(OpLt, nil, p, n), b.Op(OpLt, nil, j, n))
		mask = b.Op(OpOr, nil, mask, both)
	}
	return mask
}

// scalarOf adds a constant or the value of a symbol.
func scalarOf(b *Builder, d Dim) *Value {
	if d.IsConst() {
		return b.Const(I32, float64(d.N))
	}
	return b.Op(OpSymbol, SymbolAttrs{Ident(d.Sym)})
}
