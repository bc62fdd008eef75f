package kernels

import (
	"math"

	"pgc/ir/scalar"
	"pgc/ir/tile"
)

// Scores are in units of the binary logarithm: queries are multiplied by scale/ln 2 when they are transposed, or with a
// soft cap by scale/cap, which tanh then gets. Weights are 2^(score - maximum), exactly zero for masked keys.

// factor returns what queries are multiplied by.
func (s *Attention) factor() float64 {
	if s.Softcap != 0 {
		return s.Scale / s.Softcap
	}
	return s.Scale / math.Ln2
}

// capped is a score with the soft cap.
func (s *Attention) capped() *scalar.Expr {
	return scalar.Lower(scalar.Fn(scalar.Mul, scalar.Fn(scalar.Tanh, scalar.X(0, scalar.F32)), scalar.C(s.Softcap/math.Ln2)))
}

// cap applies the soft cap to the scores of n keys.
func (a *tileAttn) cap(n *tile.Value) {
	if a.Softcap == 0 {
		return
	}
	b, lanes := a.g.b, a.g.lanes
	x := a.capped()
	b.Range(b.Int(0), b.Mul(n, b.Int(a.w)), b.Int(int64(lanes)), func(at *tile.Value) {
		b.Store(a.p, at, b.Expr(x, []*tile.Value{b.Load(a.p, at, lanes)}, lanes))
	})
}

// mask hides the scores of keys t … t+n-1 from those of the w rows from i on that do not see them.
func (a *tileAttn) mask(i, t, n *tile.Value) {
	b, lanes := a.g.b, a.g.lanes
	if !a.Causal {
		return
	}
	firstPos, lastPos := a.position(i), a.position(b.Add(i, b.Int(a.w-1)))
	all := b.Compare(tile.LE, b.Add(t, n), b.Add(firstPos, b.Int(1)))
	if a.Window > 0 {
		all = b.Logic(tile.And, all, b.Compare(tile.LT, b.Sub(lastPos, b.Int(a.Window)), t))
	}
	if a.prefix != nil {
		in := b.Logic(tile.And, b.Compare(tile.LE, b.Add(t, n), a.prefix), b.Compare(tile.LT, lastPos, a.prefix))
		all = b.Logic(tile.Or, all, in)
	}
	b.Either(all, func() {}, func() {
		b.Range(b.Int(0), n, b.Int(1), func(key *tile.Value) {
			for v := range a.vecs {
				at := b.Add(b.Mul(key, b.Int(a.w)), b.Int(int64(v*lanes)))
				pos := b.Load(a.pos, b.Add(i, b.Int(int64(v*lanes))), lanes)
				b.Store(a.p, at, a.masked(b.Load(a.p, at, lanes), pos, b.Add(t, key)))
			}
		})
	})
}

// masked hides a score whose key the queries at pos do not see. Positions are compared as floats, exact to 2^24.
func (a *tileAttn) masked(s, pos, key *tile.Value) *tile.Value {
	b, lanes := a.g.b, a.g.lanes
	num := func(x *tile.Value) *tile.Value {
		return b.Splat(b.Cast(tile.IToF, b.Cast(tile.Narrow, x)), lanes)
	}
	at := num(key)
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

// softmax makes weights of the scores of n keys and the w rows from i on, brings the rows' maxima and sums up to date,
// and returns the factors that their older results shrink by. It takes keyStep keys at a time, each into a sum of its
// own; those after the last weigh nothing.
func (a *tileAttn) softmax(i, n *tile.Value) []*tile.Value {
	b, lanes := a.g.b, a.g.lanes
	end := b.PtrAdd(a.p, b.Mul(n, b.Int(a.w)))
	for j := range (keyStep - 1) * a.vecs {
		b.Store(end, b.Int(int64(j*lanes)), b.Float(math.Inf(-1), lanes))
	}
	at := func(key *tile.Value, r, v int) *tile.Value {
		return b.Add(b.Mul(key, b.Int(a.w)), b.Int(int64(r)*a.w+int64(v*lanes)))
	}
	row := func(v int) *tile.Value { return b.Add(i, b.Int(int64(v*lanes))) }

	old := collect(a.vecs, func(v int) *tile.Value { return b.Load(a.m, row(v), lanes) })
	top := b.For(b.Int(0), n, b.Int(keyStep), old, func(key *tile.Value, c []*tile.Value) []*tile.Value {
		return collect(a.vecs, func(v int) *tile.Value {
			s := collect(keyStep, func(r int) *tile.Value { return b.Load(a.p, at(key, r, v), lanes) })
			return b.Max(c[v], b.Max(b.Max(s[0], s[1]), b.Max(s[2], s[3])))
		})
	})
	weight := scalar.Exp2Falling(scalar.X(0, scalar.F32))
	sums := b.For(b.Int(0), n, b.Int(keyStep), zeros(b, keyStep*a.vecs, lanes), func(key *tile.Value, c []*tile.Value) []*tile.Value {
		return collect(len(c), func(j int) *tile.Value {
			r, v := j/a.vecs, j%a.vecs
			e := b.Expr(weight, []*tile.Value{b.Sub(b.Load(a.p, at(key, r, v), lanes), top[v])}, lanes)
			b.Store(a.p, at(key, r, v), e)
			return b.Add(c[j], e)
		})
	})
	factor := make([]*tile.Value, a.vecs)
	for v := range factor {
		factor[v] = b.Expr(weight, []*tile.Value{b.Sub(old[v], top[v])}, lanes)
		sum := b.Add(b.Add(sums[v], sums[a.vecs+v]), b.Add(sums[2*a.vecs+v], sums[3*a.vecs+v]))
		b.Store(a.l, row(v), b.FMA(b.Load(a.l, row(v), lanes), factor[v], sum))
		b.Store(a.m, row(v), top[v])
	}
	return factor
}
