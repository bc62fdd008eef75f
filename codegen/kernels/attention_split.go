package kernels

import "pgc/ir/tile"

// AttentionStep names the part of attention a kernel does. The rows of one position that share a key head are one task,
// which leaves other threads idle where key heads are fewer than these: decoding. Three kernels then share its work among tasks,
// one behind the other, and hand on what they have in memory (WorkLen floats):
//
//	AttentionScores   q, k -> work     scores; a task for a key head and scoreKeys keys
//	AttentionWeights  work -> work     softmax, block by block; a task for a key head
//	AttentionValues   work, v -> out   sums of values; a task for a key head and valueUnit to valueElems elements of the head
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
	scoreKeys  = keyBlock / 2 // whole microkernels, as keyBlock
	valueElems = 48           // likewise
	valueUnit  = 16           // a line of float32 values
)

// splitHeads are the most key heads, of all sequences, that leave threads of a large machine without a task; splitRows are the most
// queries of a head that one vector of every instruction set, or two, hold; splitWork is how many multiply-adds, with all keys, are
// worth two more launches.
const (
	splitHeads = 64
	splitRows  = 8
	splitWork  = 1 << 18
)

// Splits reports whether attention should be three kernels.
func (s *Attention) Splits() bool {
	return s.S == Const(1) && (s.T.Sym != "" || s.Batch.Positions) && s.heads() <= splitHeads && s.R <= splitRows && s.T.N*s.G*s.R*s.H >= splitWork
}

// What lies in work: the scores or weights of every block, then for every block the factors by which its weights make
// older results shrink, then the sums of weights.

const (
	widest    = 16 // lanes of a task at most, with splitRows queries
	scoresLen = (keyBlock + keyStep) * widest
)

func (s *Attention) blocks() int64    { return (s.T.N + keyBlock - 1) / keyBlock }
func (s *Attention) factorsAt() int64 { return s.heads() * s.blocks() * scoresLen }
func (s *Attention) sumsAt() int64    { return s.factorsAt() + s.heads()*s.blocks()*widest }

// WorkLen counts the floats that the three kernels hand on.
func (s *Attention) WorkLen() int64 { return s.sumsAt() + s.heads()*widest }

// seen returns the range of keys that the queries see, from the beginning of a block on.
func (a *tileAttn) seen() (lo, hi *tile.Value) {
	b := a.g.b
	lo, hi = a.visible(b.Int(0), b.Int(a.R))
	return b.Mul(b.Div(lo, b.Int(keyBlock)), b.Int(keyBlock)), hi
}

// ofBlock locates the n floats that a block of a head's keys has in work, of those from `first` on.
func (a *tileAttn) ofBlock(work, head, block *tile.Value, n, first int64) *tile.Value {
	b := a.g.b
	index := b.Add(b.Mul(head, b.Int(a.blocks())), block)
	return b.PtrAdd(work, b.Add(b.Mul(index, b.Int(n)), b.Int(first)))
}

// sumsOf locates the sums of a head's weights.
func (a *tileAttn) sumsOf(work, head *tile.Value) *tile.Value {
	b := a.g.b
	return b.PtrAdd(work, b.Add(b.Mul(head, b.Int(widest)), b.Int(a.sumsAt())))
}

// eachBlock runs body for every block of keys that the queries of a head see: keys t and behind, below hi. It points
// a.p at the block's scores and passes where its factors are.
func (a *tileAttn) eachBlock(work, head *tile.Value, body func(t, hi, factors *tile.Value)) {
	b := a.g.b
	lo, hi := a.seen()
	b.Range(lo, hi, b.Int(keyBlock), func(t *tile.Value) {
		block := b.Div(t, b.Int(keyBlock))
		a.p = a.ofBlock(work, head, block, scoresLen, 0)
		body(t, hi, a.ofBlock(work, head, block, widest, a.factorsAt()))
	})
}

// buildScores makes the scores of scoreKeys keys.
func (a *tileAttn) buildScores() {
	g, b := a.g, a.g.b
	a.qp, a.k = g.in(0, tile.F32), g.in(1, a.KV)
	work := g.result(0, tile.F32)
	a.positionsAt(2)
	a.sizes()
	a.q, a.pos = b.Scratch(int(a.H*a.w)), b.Scratch(int(a.w))
	g.out.Tasks = append(a.headFactors(), Factor{a.T, scoreKeys})
	inHead := b.Div(b.Add(a.total, b.Int(scoreKeys-1)), b.Int(scoreKeys))
	all, t := b.Div(b.Task(), inHead), b.Mul(b.Rem(b.Task(), inHead), b.Int(scoreKeys))
	head := a.choose(all)
	lo, hi := a.seen()
	some := b.Logic(tile.And, b.Compare(tile.LE, lo, t), b.Compare(tile.LT, t, hi))
	b.When(some, func() {
		rows, used := b.Int(a.R), b.Int(a.w)
		a.queries(rows, used, a.where(head, a.Q))
		a.positions(used)
		within := b.Rem(t, b.Int(keyBlock))
		a.p = b.PtrAdd(a.ofBlock(work, all, b.Div(t, b.Int(keyBlock)), scoresLen, 0), b.Mul(within, used))
		keys := operand{b.PtrAdd(a.k, b.Add(b.Mul(head, b.Int(a.K[1])), b.Mul(t, b.Int(a.K[0])))), a.K[0], a.K[2]}
		a.scores(b.Int(0), t, b.Min(b.Int(scoreKeys), b.Sub(hi, t)), keys, anyRest)
	})
}

// buildWeights makes weights of all scores of a key head, with the factors of every block.
func (a *tileAttn) buildWeights() {
	g, b := a.g, a.g.b
	work := g.result(0, tile.F32)
	a.positionsAt(0)
	a.sizes()
	a.m, a.l = b.Scratch(int(a.w)), b.Scratch(int(a.w))
	g.out.Tasks = a.headFactors()
	all := b.Task()
	a.choose(all)
	a.clear(b.Int(a.w))
	a.eachBlock(work, all, func(t, hi, factors *tile.Value) {
		for v, f := range a.softmax(b.Int(0), a.keys(t, hi)) {
			b.Store(factors, b.Int(int64(v*g.lanes)), f)
		}
	})
	sums := a.sumsOf(work, all)
	for v := range a.vecs {
		b.Store(sums, b.Int(int64(v*g.lanes)), b.Load(a.l, b.Int(int64(v*g.lanes)), g.lanes))
	}
}

// buildValues sums valueElems elements of the head, or where threads are many as few as valueUnit.
func (a *tileAttn) buildValues() {
	g, b := a.g, a.g.b
	work := g.in(0, tile.F32)
	a.v, a.out = g.in(1, a.KV), g.result(0, a.Elem)
	a.positionsAt(2)
	a.sizes()
	a.acc = b.Scratch(int(min(a.H, valueElems) * a.w))
	units := (a.H + valueUnit - 1) / valueUnit
	g.out.Tasks = a.headFactors()
	grain := g.grain(Share{Const(a.H), valueUnit, min(units, valueElems/valueUnit)})[0]
	parts, each := g.over(b.Int(units), grain), b.Mul(grain, b.Int(valueUnit))
	all, first := b.Div(b.Task(), parts), b.Mul(b.Rem(b.Task(), parts), each)
	end := b.Min(b.Int(a.H), b.Add(first, each))
	head := a.choose(all)
	a.l = a.sumsOf(work, all)
	// elems sums n elements of the head from `from` on.
	elems := func(from *tile.Value, n int64) {
		spec := *a.Attention
		spec.H = n
		p := *a
		p.Attention = &spec
		g.clear(a.acc, b.Int(n*a.w))
		p.eachBlock(work, all, func(t, hi, factors *tile.Value) {
			factor := collect(a.vecs, func(v int) *tile.Value { return b.Load(factors, b.Int(int64(v*g.lanes)), g.lanes) })
			at := b.Add(b.Mul(head, b.Int(a.V[1])), b.Add(b.Mul(t, b.Int(a.V[0])), b.Mul(from, b.Int(a.V[2]))))
			p.values(a.acc, a.keys(t, hi), operand{b.PtrAdd(a.v, at), a.V[0], a.V[2]}, factor)
		})
		p.results(b.PtrAdd(a.out, b.Add(b.Mul(from, b.Int(a.Out[3])), b.Int(a.OutOffset))), b.Int(a.R), a.where(head, a.Out))
	}
	at := first
	for _, n := range []int64{valueElems, valueUnit, a.H % valueUnit} {
		if n == 0 || n > a.H {
			continue
		}
		length := b.Int(n)
		whole := b.Add(at, b.Mul(b.Div(b.Sub(end, at), length), length))
		b.Range(at, whole, length, func(from *tile.Value) { elems(from, n) })
		at = whole
	}
}
