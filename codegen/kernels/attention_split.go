package kernels

import (
	"math"
	"math/bits"

	"pgc/ir/scalar"
	"pgc/ir/tile"
)

// AttentionStep names the part of attention a kernel does. One kernel has the queries of a position that share a key head in
// the lanes of a vector and in one task, which leaves lanes empty and other threads idle where these are few: decoding. Three
// kernels, one behind the other, then hand on what they have in memory (WorkLen floats):
//
//	AttentionScores   q, k -> work     scores; a task for a key head and scoreKeys keys, which lie in the lanes
//	AttentionWeights  work -> work     softmax, block by block; a task for a query
//	AttentionValues   work, v -> out   sums of values; a task for a key head and valueUnit to valueElems elements of the head,
//	                                   which lie in the lanes
//
// In a batch with positions these are one more operand of each. Every number is computed from the same ones in the same
// order as in one kernel: bits are equal.
type AttentionStep int

const (
	Whole AttentionStep = iota
	AttentionScores
	AttentionWeights
	AttentionValues
)

const (
	scoreKeys  = keyBlock / 2 // whole vectors of every instruction set, as keyBlock
	valueUnit  = 16           // a line of float32 values
	valueElems = 4 * valueUnit
)

// splitHeads are the most key heads, of all sequences, that leave threads of a large machine without a task; splitRows are the most
// queries of a head whose sums stay in registers; splitWork is how many multiply-adds, with all keys, are worth two more launches.
const (
	splitHeads = 64
	splitRows  = 8
	splitWork  = 1 << 18
)

// Splits reports whether attention should be three kernels.
func (s *Attention) Splits() bool {
	return s.S == Const(1) && (s.T.Sym != "" || s.Batch.Positions) && s.heads() <= splitHeads && s.R <= splitRows &&
		s.T.N*s.G*s.R*s.H >= splitWork && s.Q[3] == 1 && s.K[2] == 1 && s.V[2] == 1 && s.Out[3] == 1
}

// What lies in work: the scores or weights of every block of keys by queries, keys together; then for every query the factors by
// which a block's weights make older results shrink; then the sums of weights.

func (s *Attention) queryCount() int64 { return s.heads() * s.R }
func (s *Attention) blocks() int64     { return (s.T.N + keyBlock - 1) / keyBlock }
func (s *Attention) factorsAt() int64  { return s.queryCount() * s.blocks() * keyBlock }
func (s *Attention) sumsAt() int64     { return s.factorsAt() + s.queryCount()*s.blocks() }

// WorkLen counts the floats that the three kernels hand on.
func (s *Attention) WorkLen() int64 { return s.sumsAt() + s.queryCount() }

// ofBlock locates the scores or weights of the queries of a key head and the block of keys at t.
func (a *tileAttn) ofBlock(work, head, t *tile.Value) *tile.Value {
	b := a.g.b
	index := b.Add(b.Mul(head, b.Int(a.blocks())), b.Div(t, b.Int(keyBlock)))
	return b.PtrAdd(work, b.Mul(index, b.Int(a.R*keyBlock)))
}

// factor locates that of a query for the block of keys at t.
func (a *tileAttn) factorOf(work, query, t *tile.Value) *tile.Value {
	b := a.g.b
	index := b.Add(b.Mul(query, b.Int(a.blocks())), b.Div(t, b.Int(keyBlock)))
	return b.PtrAdd(work, b.Add(index, b.Int(a.factorsAt())))
}

// sumOf locates the sum of a query's weights.
func (a *tileAttn) sumOf(work, query *tile.Value) *tile.Value {
	return a.g.b.PtrAdd(work, a.g.b.Add(query, a.g.b.Int(a.sumsAt())))
}

// seen returns the range of keys that the queries, which stand at one position, see, and where its first block begins.
func (a *tileAttn) seen() (first, lo, hi *tile.Value) {
	b := a.g.b
	lo, hi = a.visible(b.Int(0), b.Int(a.R))
	return b.Mul(b.Div(lo, b.Int(keyBlock)), b.Int(keyBlock)), lo, hi
}

// buildScores makes the scores of scoreKeys keys, a vector of keys at a time.
func (a *tileAttn) buildScores() {
	g, b, lanes := a.g, a.g.b, int64(a.g.lanes)
	a.qp, a.k = g.in(0, tile.F32), g.in(1, a.KV)
	work := g.result(0, tile.F32)
	a.positionsAt(2)
	a.sizes()
	a.q = b.Scratch(int(a.R * a.H))
	g.out.Tasks = append(a.headFactors(), Factor{a.T, scoreKeys})
	inHead := b.Div(b.Add(a.total, b.Int(scoreKeys-1)), b.Int(scoreKeys))
	all, t := b.Div(b.Task(), inHead), b.Mul(b.Rem(b.Task(), inHead), b.Int(scoreKeys))
	head := a.choose(all)
	first, lo, hi := a.seen()
	some := b.Logic(tile.And, b.Compare(tile.LE, first, t), b.Compare(tile.LT, t, hi))
	b.When(some, func() {
		a.scaledQueries(a.where(head, a.Q))
		keys := b.PtrAdd(a.k, b.Mul(head, b.Int(a.K[1])))
		block := a.ofBlock(work, all, t)
		b.Range(t, b.Min(hi, b.Add(t, b.Int(scoreKeys))), b.Int(lanes), func(key *tile.Value) {
			to := b.PtrAdd(block, b.Rem(key, b.Int(keyBlock)))
			hidden := a.outside(key, lo, hi)
			for r, s := range a.products(keys, key, b.Sub(hi, b.Int(1))) {
				if a.Softcap != 0 {
					s = b.Expr(a.capped(), []*tile.Value{s}, int(lanes))
				}
				b.Store(to, b.Int(int64(r)*keyBlock), b.Select(hidden, b.Float(math.Inf(-1), int(lanes)), s))
			}
		})
	})
}

// scaledQueries copies the rows at(r) of the queries, times factor, into scratch.
func (a *tileAttn) scaledQueries(at func(i *tile.Value) *tile.Value) {
	b, lanes := a.g.b, a.g.lanes
	b.Range(b.Int(0), b.Int(a.R), b.Int(1), func(r *tile.Value) {
		from, to := b.PtrAdd(a.qp, at(r)), b.PtrAdd(a.q, b.Mul(r, b.Int(a.H)))
		a.squares(func(h *tile.Value, n int) {
			q := a.g.load(from, h, lanes, a.tail(n))
			a.g.store(to, h, b.Mul(q, b.Float(a.factor(), lanes)), a.tail(n))
		})
	})
}

// outside reports for a vector of keys from `key` on which ones are not from lo on and before hi.
func (a *tileAttn) outside(key, lo, hi *tile.Value) *tile.Value {
	b, lanes := a.g.b, a.g.lanes
	all := func(x *tile.Value) *tile.Value { return b.Splat(b.Cast(tile.Narrow, x), lanes) }
	at := b.Add(all(key), b.Iota(lanes))
	return b.Logic(tile.Or, b.Compare(tile.LT, at, all(lo)), b.Compare(tile.LE, all(hi), at))
}

// products multiplies every query by a vector of keys from `key` on, of which none behind `last` is read. Squares of elements are
// transposed, so that sums of several keys grow together, each in the order of the elements.
func (a *tileAttn) products(keys, key, last *tile.Value) []*tile.Value {
	b, lanes := a.g.b, a.g.lanes
	rows := collect(lanes, func(i int) *tile.Value {
		return b.PtrAdd(keys, b.Mul(b.Min(b.Add(key, b.Int(int64(i))), last), b.Int(a.K[0])))
	})
	add := func(h *tile.Value, n int, sums []*tile.Value) []*tile.Value {
		square := collect(lanes, func(i int) *tile.Value { return a.g.load(rows[i], h, lanes, a.tail(n)) })
		for j, x := range transposed(b, square)[:n] {
			sums = collect(len(sums), func(r int) *tile.Value {
				q := b.Load(a.q, b.Add(h, b.Int(int64(r)*a.H+int64(j))), 1)
				return b.FMA(b.Splat(q, lanes), x, sums[r])
			})
		}
		return sums
	}
	whole := a.H / int64(lanes) * int64(lanes)
	sums := b.For(b.Int(0), b.Int(whole), b.Int(int64(lanes)), zeros(b, int(a.R), lanes), func(h *tile.Value, c []*tile.Value) []*tile.Value {
		return add(h, lanes, c)
	})
	if whole < a.H {
		sums = add(b.Int(whole), int(a.H-whole), sums)
	}
	return sums
}

// buildWeights makes weights of all scores of a query, with the factor of every block: softmax of attention.strip, whose partial
// sums take every keyStep-th key.
func (a *tileAttn) buildWeights() {
	g, b, lanes := a.g, a.g.b, a.g.lanes
	work := g.result(0, tile.F32)
	a.positionsAt(0)
	a.sizes()
	g.out.Tasks = append(a.headFactors(), Factor{Const(a.R), 1})
	query := b.Task()
	all, r := b.Div(query, b.Int(a.R)), b.Rem(query, b.Int(a.R))
	a.choose(all)
	first, _, hi := a.seen()
	weight := func(x, top *tile.Value, lanes int) *tile.Value {
		return b.Expr(scalar.Exp2Falling(scalar.X(0, scalar.F32)), []*tile.Value{b.Sub(x, b.Splat(top, lanes))}, lanes)
	}
	end := b.For(first, hi, b.Int(keyBlock), []*tile.Value{b.Float(hidden, 1), b.Float(0, 1)}, func(t *tile.Value, c []*tile.Value) []*tile.Value {
		p, n := b.PtrAdd(a.ofBlock(work, all, t), b.Mul(r, b.Int(keyBlock))), a.keys(t, hi)
		top := b.For(b.Int(0), n, b.Int(int64(lanes)), []*tile.Value{b.Float(hidden, lanes)}, func(i *tile.Value, c []*tile.Value) []*tile.Value {
			return []*tile.Value{b.Max(c[0], b.Load(p, i, lanes))}
		})[0]
		most := b.Max(c[0], b.Reduce(tile.Max, top))
		sums := b.For(b.Int(0), n, b.Int(int64(lanes)), []*tile.Value{b.Float(0, keyStep)}, func(i *tile.Value, c []*tile.Value) []*tile.Value {
			e, sum := weight(b.Load(p, i, lanes), most, lanes), c[0]
			b.Store(p, i, e)
			for first := 0; first < lanes; first += keyStep {
				sum = b.Add(sum, b.Shuffle(e, e, first, first+1, first+2, first+3))
			}
			return []*tile.Value{sum}
		})[0]
		part := func(i int) *tile.Value { return b.Lane(sums, i) }
		sum := b.Add(b.Add(part(0), part(1)), b.Add(part(2), part(3)))
		factor := weight(c[0], most, 1)
		b.Store(a.factorOf(work, query, t), b.Int(0), factor)
		return []*tile.Value{most, b.FMA(c[1], factor, sum)}
	})
	b.Store(a.sumOf(work, query), b.Int(0), end[1])
}

// buildValues sums valueElems elements of the head, or where threads are many as few as valueUnit.
func (a *tileAttn) buildValues() {
	g, b, lanes := a.g, a.g.b, int64(a.g.lanes)
	work := g.in(0, tile.F32)
	a.v, a.out = g.in(1, a.KV), g.result(0, a.Elem)
	a.positionsAt(2)
	a.sizes()
	units := (a.H + valueUnit - 1) / valueUnit
	g.out.Tasks = a.headFactors()
	grain := g.grain(Share{Const(a.H), valueUnit, min(units, valueElems/valueUnit)})[0]
	parts, each := g.over(b.Int(units), grain), b.Mul(grain, b.Int(valueUnit))
	all, first := b.Div(b.Task(), parts), b.Mul(b.Rem(b.Task(), parts), each)
	count := b.Min(each, b.Sub(b.Int(a.H), first))
	head := a.choose(all)
	a.v = b.PtrAdd(a.v, b.Add(b.Mul(head, b.Int(a.V[1])), first))
	out := b.PtrAdd(a.out, b.Add(first, b.Int(a.OutOffset)))
	at := a.where(head, a.Out)
	// sum makes n vectors of elements from `from` on; tail counts the elements of one that is not whole.
	sum := func(from *tile.Value, n int, tail *tile.Value) {
		for j, x := range a.weighted(work, all, from, n, tail) {
			r, v := j/n, int64(j%n)
			g.store(b.PtrAdd(out, at(b.Int(int64(r)))), b.Add(from, b.Int(v*lanes)), x, tail)
		}
	}
	vectors, most, row := b.Div(count, b.Int(lanes)), min(a.H, valueElems)/lanes, g.table.Attention(g.target)
	inRegisters := min(row.MR*row.Vecs/int(a.R), int(most))
	rowBlocks(b, vectors, most, powerOfTwo(inRegisters), anyRest, func(at *tile.Value, n int) { sum(b.Mul(at, b.Int(lanes)), n, nil) })
	if rest := a.H % lanes; rest > 0 {
		whole := b.Mul(vectors, b.Int(lanes))
		b.When(b.Compare(tile.LT, whole, count), func() { sum(whole, 1, b.Int(rest)) })
	}
}

// weighted returns the results of every query for n vectors of elements from `from` on.
func (a *tileAttn) weighted(work, all, from *tile.Value, n int, tail *tile.Value) []*tile.Value {
	g, b, lanes := a.g, a.g.b, a.g.lanes
	query := func(r int) *tile.Value { return b.Add(b.Mul(all, b.Int(a.R)), b.Int(int64(r))) }
	first, _, hi := a.seen()
	load := func(p *tile.Value) *tile.Value { return b.Splat(b.Load(p, b.Int(0), 1), lanes) }
	sums := b.For(first, hi, b.Int(keyBlock), zeros(b, int(a.R)*n, lanes), func(t *tile.Value, c []*tile.Value) []*tile.Value {
		init := collect(len(c), func(j int) *tile.Value { return b.Mul(c[j], load(a.factorOf(work, query(j/n), t))) })
		values := b.PtrAdd(a.v, b.Add(b.Mul(t, b.Int(a.V[0])), from))
		w := func(k *tile.Value, v int) func(i int) *tile.Value {
			return func(int) *tile.Value {
				return g.load(values, b.Add(b.Mul(k, b.Int(a.V[0])), b.Int(int64(v*lanes))), lanes, tail)
			}
		}
		m := micro{mma: form(g.target, F32, F32, 1, 1, 0), rows: int(a.R), vecs: n, chains: 1, units: 1,
			x: lhs{p: a.ofBlock(work, all, t), stride: keyBlock, mul: 1, div: 1, words: 1}, w: w}
		return m.run(g, a.keys(t, hi), init)
	})
	return collect(len(sums), func(j int) *tile.Value { return b.Mul(sums[j], a.share(load(a.sumOf(work, query(j/n))))) })
}

// powerOfTwo returns the largest one up to n, and 1 for less.
func powerOfTwo(n int) int { return 1 << (bits.Len(uint(max(1, n))) - 1) }
