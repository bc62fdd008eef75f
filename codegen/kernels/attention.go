package kernels

import (
	"math"

	"pgc/ir/scalar"
	"pgc/ir/tile"
)

// Attention is softmax(mask(softcap(scale · q·kᵀ)))·v for query groups that share a key head, computed over blocks of
// keys with a running maximum and sum (Milakov and Gimelshein 2018; FlashAttention, Dao et al. 2022), so that no S×T
// tensor exists. q and out are [S, G, R, H], k and v [T, G, H].
//
// The lanes of a vector are query rows: scores of a block are K·Qᵀ, so maxima and sums run down columns without
// crossing lanes, and keys and values are read as they lie. Key blocks begin at multiples of keyBlock and masked keys
// add exact zeros: a row's result depends neither on the rows beside it nor on how the work is split.
type Attention struct {
	S, T           Size
	G, R, H        int64
	KV, Elem       tile.Elem // of k and v; of the result
	Q, Out         [4]int64  // strides in elements
	K, V           [3]int64
	OutOffset      int64
	Scale, Softcap float64
	Causal         bool
	Prefix, Offset Size  // Prefix may be the constant 0: none
	Window         int64 // 0 for none
}

// Kind is "attention".
func (s *Attention) Kind() string { return "attention" }

const (
	keyBlock = 64
	hidden   = -1e30 // a score that no real one comes near
)

// tileAttn is the state of one task: rows × one key head.
type tileAttn struct {
	*Attention
	g         *gen
	vecs      int
	nr        int64
	k, v      *tile.Value
	q, p, acc *tile.Value // scratch: Qᵀ [H][nr], scores [keyBlock][nr], accumulators [H][nr]
	m, l, pos *tile.Value // scratch: [nr] running maximum, running sum, positions (as floats)
	prefix    *tile.Value
	total     *tile.Value
}

func (s *Attention) build(g *gen) {
	b := g.b
	a := &tileAttn{Attention: s, g: g, vecs: 2}
	if s.S.Sym == "" && s.S.N*s.R <= int64(g.lanes) {
		a.vecs = 1
	}
	nr := int64(a.vecs * g.lanes)
	a.nr = nr
	qp := g.in(0, tile.F32)
	kp, vp := g.in(1, s.KV), g.in(2, s.KV)
	out := g.result(0, s.Elem)
	rows := b.Mul(g.size(s.S), b.Int(s.R))
	a.total = g.size(s.T)
	offset := b.Int(0)
	if s.Causal {
		offset = g.size(s.Offset)
		if s.Prefix != Const(0) {
			a.prefix = g.size(s.Prefix)
		}
	}
	a.q, a.p, a.acc = b.Scratch(int(s.H*nr)), b.Scratch(int(keyBlock*nr)), b.Scratch(int(s.H*nr))
	a.m, a.l, a.pos = b.Scratch(int(nr)), b.Scratch(int(nr)), b.Scratch(int(nr))

	g.out.Tasks = []Factor{{Size{N: s.S.N * s.R, Sym: s.S.Sym}, nr}, {Const(s.G), 1}}
	if s.S.Sym != "" && s.R > 1 {
		g.out.Tasks[0] = Factor{Size{N: s.S.N, Sym: s.S.Sym}, max(1, nr/s.R)}
	}
	// A task takes whole query positions, so that the number of tasks is a plain quotient.
	perTask := nr
	if s.S.Sym != "" && s.R > 1 {
		perTask = max(1, nr/s.R) * s.R
	}
	head := b.Rem(b.Task(), b.Int(s.G))
	first := b.Mul(b.Div(b.Task(), b.Int(s.G)), b.Int(perTask))
	count := b.Min(b.Int(perTask), b.Sub(rows, first))
	a.k = b.PtrAdd(kp, b.Mul(head, b.Int(s.K[1])))
	a.v = b.PtrAdd(vp, b.Mul(head, b.Int(s.V[1])))

	where := func(i *tile.Value, strides [4]int64) *tile.Value {
		row := b.Add(first, i)
		return b.Add(b.Mul(b.Div(row, b.Int(s.R)), b.Int(strides[0])),
			b.Add(b.Mul(head, b.Int(strides[1])), b.Mul(b.Rem(row, b.Int(s.R)), b.Int(strides[2]))))
	}
	a.queries(qp, count, func(i *tile.Value) *tile.Value { return where(i, s.Q) })
	b.Range(b.Int(0), b.Int(nr), b.Int(1), func(i *tile.Value) {
		at := b.Add(offset, b.Div(b.Add(first, i), b.Int(s.R)))
		b.Store(a.pos, i, b.Cast(tile.IToF, b.Cast(tile.Narrow, at)))
	})
	g.vectors(b.Int(nr), g.lanes, func(i, _ *tile.Value) {
		b.Store(a.m, i, b.Float(hidden, g.lanes))
		b.Store(a.l, i, b.Float(0, g.lanes))
	})
	g.vectors(b.Int(s.H*nr), g.lanes, func(i, _ *tile.Value) { b.Store(a.acc, i, b.Float(0, g.lanes)) })

	// The last key any row of the task may see, and the first one.
	lo, hi := b.Int(0), a.total
	if s.Causal {
		lastPos := b.Add(offset, b.Div(b.Sub(b.Add(first, count), b.Int(1)), b.Int(s.R)))
		hi = b.Min(a.total, b.Add(lastPos, b.Int(1)))
		firstPos := b.Add(offset, b.Div(first, b.Int(s.R)))
		if a.prefix != nil {
			inPrefix := b.Compare(tile.LT, firstPos, a.prefix)
			hi = b.Min(a.total, b.Max(hi, b.Select(inPrefix, a.prefix, hi)))
		}
		if s.Window > 0 {
			lo = b.Max(b.Int(0), b.Sub(b.Add(firstPos, b.Int(1)), b.Int(s.Window)))
			if a.prefix != nil {
				lo = b.Select(b.Compare(tile.LT, firstPos, a.prefix), b.Int(0), lo)
			}
			lo = b.Mul(b.Div(lo, b.Int(keyBlock)), b.Int(keyBlock))
		}
	}
	b.Range(lo, hi, b.Int(keyBlock), func(t *tile.Value) { a.block(t, b.Min(b.Int(keyBlock), b.Sub(hi, t))) })

	a.results(out, count, func(i *tile.Value) *tile.Value { return b.Add(where(i, s.Out), b.Int(s.OutOffset)) })
}

// block takes keys t…t+n-1 into the running softmax.
func (a *tileAttn) block(t, n *tile.Value) {
	b, lanes, nr := a.g.b, a.g.lanes, a.nr
	mr := map[int]int{4: 8, 8: 6, 16: 12}[lanes]
	scratch := func(p *tile.Value) []source {
		out := make([]source, a.vecs)
		for v := range out {
			out[v] = source{p, int64(v * lanes)}
		}
		return out
	}
	// Scores: rows are keys, columns are queries.
	score := micro{lanes: lanes, aRow: a.K[0], aK: a.K[2], b: scratch(a.q), bK: a.nr}
	keys := b.PtrAdd(a.k, b.Mul(t, b.Int(a.K[0])))
	rowBlocks(b, n, mr, func(first *tile.Value, rows int) {
		mk := score
		mk.rows = rows
		s := mk.run(b, b.PtrAdd(keys, b.Mul(first, b.Int(a.K[0]))), b.Int(a.H), zeros(b, rows*a.vecs, lanes))
		for r := 0; r < rows; r++ {
			key := b.Add(t, b.Add(first, b.Int(int64(r))))
			for v := 0; v < a.vecs; v++ {
				at := b.Add(b.Mul(b.Add(first, b.Int(int64(r))), b.Int(nr)), b.Int(int64(v*lanes)))
				b.Store(a.p, at, a.masked(a.capped(s[r*a.vecs+v]), key, v))
			}
		}
	})
	// The running maximum and sum, and the factor that older results shrink by.
	exp := scalar.Lower(scalar.Fn(scalar.Exp, scalar.X(0, scalar.F32)))
	factor := make([]*tile.Value, a.vecs)
	for v := range factor {
		at := b.Int(int64(v * lanes))
		old := b.Load(a.m, at, lanes)
		top := b.For(b.Int(0), n, b.Int(1), []*tile.Value{old}, func(i *tile.Value, c []*tile.Value) []*tile.Value {
			return []*tile.Value{b.Max(c[0], b.Load(a.p, b.Add(b.Mul(i, b.Int(nr)), at), lanes))}
		})[0]
		factor[v] = b.Expr(exp, []*tile.Value{b.Sub(old, top)}, lanes)
		sum := b.For(b.Int(0), n, b.Int(1), []*tile.Value{b.Float(0, lanes)}, func(i *tile.Value, c []*tile.Value) []*tile.Value {
			where := b.Add(b.Mul(i, b.Int(nr)), at)
			s := b.Load(a.p, where, lanes)
			e := b.Expr(exp, []*tile.Value{b.Sub(s, top)}, lanes)
			e = b.Select(b.Compare(tile.LE, s, b.Float(hidden, lanes)), b.Float(0, lanes), e)
			b.Store(a.p, where, e)
			return []*tile.Value{b.Add(c[0], e)}
		})[0]
		b.Store(a.l, at, b.FMA(b.Load(a.l, at, lanes), factor[v], sum))
		b.Store(a.m, at, top)
	}
	// Values: rows are elements of the head, columns are queries.
	value := micro{lanes: lanes, aRow: a.V[2], aK: a.V[0], b: scratch(a.p), bK: a.nr}
	values := b.PtrAdd(a.v, b.Mul(t, b.Int(a.V[0])))
	rowBlocks(b, b.Int(a.H), mr, func(first *tile.Value, rows int) {
		mk := value
		mk.rows = rows
		c := b.PtrAdd(a.acc, b.Mul(first, b.Int(nr)))
		init := make([]*tile.Value, rows*a.vecs)
		for i := range init {
			init[i] = b.Mul(b.Load(c, b.Int(int64(i*lanes)), lanes), factor[i%a.vecs])
		}
		for i, v := range mk.run(b, b.PtrAdd(values, b.Mul(first, b.Int(a.V[2]))), n, init) {
			b.Store(c, b.Int(int64(i*lanes)), v)
		}
	})
}

// capped scales a score and applies the soft cap.
func (a *tileAttn) capped(s *tile.Value) *tile.Value {
	x := scalar.Fn(scalar.Mul, scalar.X(0, scalar.F32), scalar.C(a.Scale))
	if a.Softcap != 0 {
		t := scalar.Fn(scalar.Tanh, scalar.Fn(scalar.Div, x, scalar.C(a.Softcap)))
		x = scalar.Fn(scalar.Mul, t, scalar.C(a.Softcap))
	}
	return a.g.b.Expr(scalar.Lower(x), []*tile.Value{s}, a.g.lanes)
}

// masked hides a score whose key the queries of vector v do not see. Positions are compared as floats, exact to 2^24.
func (a *tileAttn) masked(s, key *tile.Value, v int) *tile.Value {
	if !a.Causal {
		return s
	}
	b, lanes := a.g.b, a.g.lanes
	num := func(x *tile.Value) *tile.Value {
		return b.Splat(b.Cast(tile.IToF, b.Cast(tile.Narrow, x)), lanes)
	}
	pos, at := b.Load(a.pos, b.Int(int64(v*lanes)), lanes), num(key)
	seen := b.Compare(tile.LE, at, pos)
	if a.Window > 0 {
		seen = b.Logic(tile.And, seen, b.Compare(tile.LT, b.Sub(pos, b.Float(float64(a.Window), lanes)), at))
	}
	if a.prefix != nil {
		p := num(a.prefix)
		both := b.Logic(tile.And, b.Compare(tile.LT, at, p), b.Compare(tile.LT, pos, p))
		seen = b.Logic(tile.Or, seen, both)
	}
	return b.Select(seen, s, b.Float(math.Inf(-1), lanes))
}
