package kernels

import "pgc/ir/tile"

// Attention is softmax(mask(softcap(scale · q·kᵀ)))·v for query groups that share a key head, computed over blocks of
// keys with a running maximum and sum (Milakov and Gimelshein 2018; FlashAttention, Dao et al. 2022), so that no S×T
// tensor exists. q and out are [S, G, R, H], k and v [T, G, H], for every sequence of a batch.
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
	Batch          Batch
	Step           AttentionStep
	// Aligned says that q, k, v and out begin at multiples of 16 bytes.
	Aligned bool
}

// Batch describes several sequences: their number, the elements between them, and whether an i32 for each, instead of
// Offset, holds the position of its first query. A query before position 0 sees no key, and no key behind the last
// position is read. The zero Batch is one sequence.
type Batch struct {
	N            Size
	Q, K, V, Out int64
	Positions    bool
	Position     int64 // elements between positions
}

// attnSchedule blocks attention; no result depends on it.
type attnSchedule struct {
	vecs   int   // vectors of query rows in the microkernel
	mr     int   // its rows: keys for scores
	elems  int   // and elements of the head for values
	strips int64 // of vecs vectors of query rows in a task, which take each block of keys and values in turn
	copies bool  // each block is copied first, so that it lies together and is float32
}

// attnSchedule: the microkernel fills the register file as a product's does. Tasks of one head follow each other, since
// that head's keys and values are then in a cache: on Zen 5 and one thread, 4096 × 4096 × 16 heads of 72 run at 90–97 %
// of what multiply-adds reach where heads in turn gave 62 %. Where those do not fit the second-level cache, strips
// share the blocks (another 3–5 %; 3 % behind on 256 × 256 × 72), as long as 64 tasks are left and their queries and
// accumulators stay in the second-level cache. Rows of keys that lie multiples of 2 KiB apart fall into a few sets of a
// cache: copies gain 20 % with AVX2, nothing with AVX-512 (2058 × 2058 × 8 × 256, 4 key heads); of bfloat16 keys they
// gain 1–4 %; for two strips or at other strides they lose 2–8 %. Where one vector holds all queries, registers have room
// for more elements of the head (21 % less time on Zen 3, 4 key heads), not for more keys, whose rows are far apart.
func (g *gen) attnSchedule(s *Attention) attnSchedule {
	row := g.table.Attention(g.target)
	d := attnSchedule{vecs: row.Vecs, mr: row.MR, elems: row.MR, strips: 1}
	if s.S.Sym == "" && s.S.N*s.R <= int64(g.lanes) {
		d.vecs, d.elems = 1, row.MR*row.Vecs
	}
	const cache = 256 << 10
	if w := int64(d.vecs * g.lanes); 8*s.T.N*s.H > cache {
		for d.strips < int64(row.Strips) && s.S.N*s.R*s.heads() >= 64*2*d.strips*w && 8*s.H*2*d.strips*w <= cache {
			d.strips *= 2
		}
	}
	folded := func(stride int64) bool { return stride > s.H && stride*int64(s.KV.Bytes())%2048 == 0 }
	d.copies = d.strips >= 4 && s.K[2] == 1 && s.V[2] == 1 && (s.KV != tile.F32 || folded(s.K[0]) || folded(s.V[0]))
	return d
}

const (
	keyBlock = 96    // keys of a block: whole microkernels of every instruction set. 48, 64, 144 and 192 are within 2 %
	keyStep  = 4     // keys that softmax takes at a time
	hidden   = -1e30 // finite stand-in for the score -Inf of what is masked
)

// heads counts the key heads of all sequences together.
func (s *Attention) heads() int64 { return max(1, s.Batch.N.N) * s.G }

// headFactors returns the factors of the number of tasks that are numbers of key heads.
func (s *Attention) headFactors() []Factor {
	heads := Factor{Const(s.G), 1}
	if s.Batch == (Batch{}) {
		return []Factor{heads}
	}
	return []Factor{{s.Batch.N, 1}, heads}
}

// tileAttn does one task: rows × one key head. Rows are taken in strips of w, the microkernel's width.
type tileAttn struct {
	*Attention
	attnSchedule
	g             *gen
	w             int64
	qp, k, v, out *tile.Value // what is there in memory, of the task's sequence
	at            *tile.Value // the positions of all sequences, or nil
	q, p, acc     *tile.Value // scratch: Qᵀ [strips][H][w], scores [keyBlock+keyStep][w], accumulators [strips][H][w]
	m, l, pos     *tile.Value // scratch, of every row: running maximum, running sum, position (as a float)
	copyK, copyV  *tile.Value // scratch: [keyBlock][row]
	row           int64
	prefix, total *tile.Value
	offset, first *tile.Value // of queries: the first one's position; the task's first row
}

func (s *Attention) build(g *gen) {
	a := &tileAttn{Attention: s, attnSchedule: g.attnSchedule(s), g: g}
	a.w = int64(a.vecs * g.lanes)
	switch s.Step {
	case Whole:
		a.buildWhole()
	case AttentionScores:
		a.buildScores()
	case AttentionWeights:
		a.buildWeights()
	case AttentionValues:
		a.buildValues()
	}
}

// buildWhole makes one kernel of attention.
func (a *tileAttn) buildWhole() {
	g, b, s, nr := a.g, a.g.b, a.Attention, a.w*a.strips
	if s.S.Sym != "" { // a task has whole positions, one at least
		nr = max(nr, roundUp(s.R, a.w))
	}
	a.qp, a.k, a.v, a.out = g.in(0, tile.F32), g.in(1, s.KV), g.in(2, s.KV), g.result(0, s.Elem)
	a.positionsAt(3)
	rows := b.Mul(g.size(s.S), b.Int(s.R))
	a.sizes()
	a.q, a.acc = b.Scratch(int(s.H*nr)), b.Scratch(int(s.H*nr))
	a.p = b.Scratch(int((keyBlock + keyStep) * a.w))
	a.m, a.l, a.pos = b.Scratch(int(nr)), b.Scratch(int(nr)), b.Scratch(int(nr))
	if a.copies {
		a.row = roundUp(s.H, int64(g.lanes))
		a.copyK, a.copyV = b.Scratch(int(keyBlock*a.row)), b.Scratch(int(keyBlock*a.row))
	}

	// A task takes whole query positions where their number is a symbol, so that the number of tasks is a plain
	// quotient.
	unit, blocks := a.w, Share{Size{N: s.S.N * s.R}, a.w, a.strips}
	if s.S.Sym != "" {
		positions := max(1, a.w/s.R)
		unit, blocks = positions*s.R, Share{s.S, positions, max(1, nr/s.R/positions)}
	}
	g.out.Tasks = s.headFactors()
	each := b.Mul(g.grain(blocks)[0], b.Int(unit))
	inHead := b.Div(b.Add(rows, b.Sub(each, b.Int(1))), each)
	head := a.choose(b.Div(b.Task(), inHead))
	a.first = b.Mul(b.Rem(b.Task(), inHead), each)
	count := b.Min(each, b.Sub(rows, a.first))
	w := b.Int(a.w)
	used := b.Mul(b.Div(b.Add(count, b.Int(a.w-1)), w), w)
	a.k = b.PtrAdd(a.k, b.Mul(head, b.Int(s.K[1])))
	a.v = b.PtrAdd(a.v, b.Mul(head, b.Int(s.V[1])))

	a.queries(count, used, a.where(head, s.Q))
	a.positions(used)
	a.clear(used)
	g.clear(a.acc, b.Mul(used, b.Int(s.H)))

	lo, hi := a.visible(b.Int(0), count)
	lo = b.Mul(b.Div(lo, b.Int(keyBlock)), b.Int(keyBlock))
	b.Range(lo, hi, b.Int(keyBlock), func(t *tile.Value) { a.block(t, hi, count) })
	a.results(b.PtrAdd(a.out, b.Int(s.OutOffset)), count, a.where(head, s.Out))
}

// positionsAt asks for the positions, operand i of the kernel, if there are any.
func (a *tileAttn) positionsAt(i int) {
	if a.Batch.Positions {
		a.at = a.g.in(i, tile.I32)
	}
}

// choose makes the task's sequence that of a key head, numbered through all sequences, and returns the head's number in
// it.
func (a *tileAttn) choose(head *tile.Value) *tile.Value {
	b := a.g.b
	if a.Batch == (Batch{}) {
		return head
	}
	sequence := b.Div(head, b.Int(a.G))
	for _, m := range []struct {
		p      **tile.Value
		stride int64
	}{{&a.qp, a.Batch.Q}, {&a.k, a.Batch.K}, {&a.v, a.Batch.V}, {&a.out, a.Batch.Out}} {
		if *m.p != nil {
			*m.p = b.PtrAdd(*m.p, b.Mul(sequence, b.Int(m.stride)))
		}
	}
	if a.at != nil {
		a.offset = b.Cast(tile.Widen, b.Load(a.at, b.Mul(sequence, b.Int(a.Batch.Position)), 1))
	}
	return b.Rem(head, b.Int(a.G))
}

// sizes asks for the symbols.
func (a *tileAttn) sizes() {
	g := a.g
	a.total, a.offset, a.first = g.size(a.T), g.b.Int(0), g.b.Int(0)
	if a.Causal && a.at == nil {
		a.offset = g.size(a.Offset)
		if a.Prefix != Const(0) {
			a.prefix = g.size(a.Prefix)
		}
	}
}

// where locates row i of the task.
func (a *tileAttn) where(head *tile.Value, strides [4]int64) func(i *tile.Value) *tile.Value {
	b := a.g.b
	return func(i *tile.Value) *tile.Value {
		row := b.Add(a.first, i)
		return b.Add(b.Mul(b.Div(row, b.Int(a.R)), b.Int(strides[0])),
			b.Add(b.Mul(head, b.Int(strides[1])), b.Mul(b.Rem(row, b.Int(a.R)), b.Int(strides[2]))))
	}
}

// positions notes where among the keys the task's rows stand.
func (a *tileAttn) positions(used *tile.Value) {
	b := a.g.b
	if !a.Causal {
		return
	}
	b.Range(b.Int(0), used, b.Int(1), func(i *tile.Value) {
		b.Store(a.pos, i, b.Cast(tile.IToF, b.Cast(tile.Narrow, a.position(i))))
	})
}

// clear begins the running maxima and sums.
func (a *tileAttn) clear(used *tile.Value) {
	b, lanes := a.g.b, a.g.lanes
	b.Range(b.Int(0), used, b.Int(int64(lanes)), func(i *tile.Value) {
		b.Store(a.m, i, b.Float(hidden, lanes))
		b.Store(a.l, i, b.Float(0, lanes))
	})
}

// position returns where among the keys row i of the task stands.
func (a *tileAttn) position(i *tile.Value) *tile.Value {
	b := a.g.b
	return b.Add(a.offset, b.Div(b.Add(a.first, i), b.Int(a.R)))
}

// visible returns the first key that any of n rows of the task from i on may see, and the end of those.
func (a *tileAttn) visible(i, n *tile.Value) (lo, hi *tile.Value) {
	b := a.g.b
	lo, hi = b.Int(0), a.total
	if !a.Causal {
		return lo, hi
	}
	firstPos := a.position(i)
	hi = b.Min(a.total, b.Add(a.position(b.Sub(b.Add(i, n), b.Int(1))), b.Int(1)))
	if a.Window > 0 {
		lo = b.Max(b.Int(0), b.Sub(b.Add(firstPos, b.Int(1)), b.Int(a.Window)))
	}
	if a.prefix != nil {
		inPrefix := b.Compare(tile.LT, firstPos, a.prefix)
		hi = b.Min(a.total, b.Max(hi, b.Select(inPrefix, a.prefix, hi)))
		lo = b.Select(inPrefix, b.Int(0), lo)
	}
	return lo, hi
}

// block takes keys t … t+keyBlock-1, those below hi, into the running softmax of the task's rows.
func (a *tileAttn) block(t, hi, count *tile.Value) {
	b := a.g.b
	keys := operand{b.PtrAdd(a.k, b.Mul(t, b.Int(a.K[0]))), a.K[0], a.K[2]}
	values := operand{b.PtrAdd(a.v, b.Mul(t, b.Int(a.V[0]))), a.V[0], a.V[2]}
	next := []operand{keys, values}
	if a.copies {
		n := a.keys(t, hi)
		keys, values = a.copied(keys, a.copyK, n), a.copied(values, a.copyV, n)
	}
	b.Range(b.Int(0), count, b.Int(a.w), func(i *tile.Value) {
		if a.strips > 1 {
			a.ahead(next, i)
		}
		if !a.Causal {
			a.strip(i, t, a.keys(t, hi), keys, values)
			return
		}
		lo, hi := a.visible(i, b.Min(b.Int(a.w), b.Sub(count, i)))
		n := a.keys(t, hi)
		some := b.Compare(tile.LT, b.Int(0), n)
		if a.Window > 0 {
			some = b.Logic(tile.And, some, b.Compare(tile.LT, lo, b.Add(t, n)))
		}
		b.When(some, func() { a.strip(i, t, n, keys, values) })
	})
}

// keys counts the keys of the block at t that are below hi.
func (a *tileAttn) keys(t, hi *tile.Value) *tile.Value {
	return a.g.b.Min(a.g.b.Int(keyBlock), a.g.b.Sub(hi, t))
}

// rest returns the binary digits of how many keys of a block may lie behind whole microkernels.
func (a *tileAttn) rest() int64 {
	if a.Causal || a.T.Sym != "" {
		return anyRest
	}
	return keyBlock%int64(a.mr) | a.T.N%keyBlock%int64(a.mr)
}

// operand locates a block of keys or values, and the elements between keys and between elements of the head.
type operand struct {
	p       *tile.Value
	key, el int64
}

// copied copies n rows of the head's length into scratch.
func (a *tileAttn) copied(from operand, to, n *tile.Value) operand {
	b, lanes := a.g.b, a.g.lanes
	b.Range(b.Int(0), n, b.Int(1), func(i *tile.Value) {
		p := b.PtrAdd(from.p, b.Mul(i, b.Int(from.key)))
		q := b.PtrAdd(to, b.Mul(i, b.Int(a.row)))
		for h := int64(0); h < a.H; h += int64(lanes) {
			b.Store(q, b.Int(h), a.g.load(p, b.Int(h), lanes, a.tail(min(lanes, int(a.H-h)))))
		}
	})
	return operand{to, a.row, 1}
}

// ahead asks for a strip's share of the block of keys and values after this one.
func (a *tileAttn) ahead(of []operand, i *tile.Value) {
	b := a.g.b
	share := keyBlock / a.strips
	first := b.Add(b.Mul(b.Div(i, b.Int(a.w)), b.Int(share)), b.Int(keyBlock))
	for _, x := range of {
		if x.el != 1 {
			continue
		}
		b.Range(first, b.Add(first, b.Int(share)), b.Int(1), func(key *tile.Value) {
			for h := int64(0); h < a.H; h += lineElems(x.p) {
				b.Prefetch(x.p, b.Add(b.Mul(key, b.Int(x.key)), b.Int(h)), 2)
			}
		})
	}
}

// strip takes n keys from t on into the running softmax of the w rows from i on.
func (a *tileAttn) strip(i, t, n *tile.Value, keys, values operand) {
	b := a.g.b
	a.scores(i, t, n, keys, a.rest())
	a.values(b.PtrAdd(a.acc, b.Mul(i, b.Int(a.H))), n, values, a.softmax(i, n))
}

// scores computes what softmax gets of n keys from t on and the w rows from i on: rows are keys, columns are queries. rest is rowBlocks'.
func (a *tileAttn) scores(i, t, n *tile.Value, keys operand, rest int64) {
	b, lanes := a.g.b, a.g.lanes
	queries := a.vectors(b.PtrAdd(a.q, b.Mul(i, b.Int(a.H))))
	rowBlocks(b, n, a.T.N, a.mr, rest, func(first *tile.Value, rows int) {
		p := b.PtrAdd(a.p, b.Mul(first, b.Int(a.w)))
		x := lhs{p: b.PtrAdd(keys.p, b.Mul(first, b.Int(keys.key))), stride: keys.key, mul: keys.el, div: 1, words: 1}
		for j, s := range a.micro(rows, x, queries).run(a.g, b.Int(a.H), zeros(b, rows*a.vecs, lanes)) {
			b.Store(p, b.Int(int64(j*lanes)), s)
		}
	})
	a.cap(n)
	a.mask(i, t, n)
}

// values multiplies accumulators by factor and adds n keys' values times their weights: rows are elements of the head,
// columns are queries.
func (a *tileAttn) values(acc, n *tile.Value, values operand, factor []*tile.Value) {
	b, lanes := a.g.b, a.g.lanes
	rowBlocks(b, b.Int(a.H), a.H, a.elems, anyRest, func(first *tile.Value, rows int) {
		c := b.PtrAdd(acc, b.Mul(first, b.Int(a.w)))
		init := collect(rows*a.vecs, func(j int) *tile.Value {
			return b.Mul(b.Load(c, b.Int(int64(j*lanes)), lanes), factor[j%a.vecs])
		})
		x := lhs{p: b.PtrAdd(values.p, b.Mul(first, b.Int(values.el))), stride: values.el, mul: values.key, div: 1, words: 1}
		for j, v := range a.micro(rows, x, a.vectors(a.p)).run(a.g, n, init) {
			b.Store(c, b.Int(int64(j*lanes)), v)
		}
	})
}

// micro makes the inner loop over rows of keys or of elements of the head.
func (a *tileAttn) micro(rows int, x lhs, w vectors) micro {
	return micro{mma: form(a.g.target, F32, F32, 1, 1, 0), rows: rows, vecs: a.vecs, chains: 1, x: x, w: w}
}

// vectors reads rows of w elements.
func (a *tileAttn) vectors(p *tile.Value) vectors {
	b, lanes := a.g.b, a.g.lanes
	return func(k *tile.Value, v int) func(i int) *tile.Value {
		return func(int) *tile.Value { return b.Load(p, b.Add(b.Mul(k, b.Int(a.w)), b.Int(int64(v*lanes))), lanes) }
	}
}
