package ptx

import (
	"fmt"
	"math"
	"slices"

	"pgc/codegen/backend"
	"pgc/codegen/kernels"
	"pgc/ir/tile"
)

// attendOne is attention of one position: a group of up to eight queries that share a key head. The keys that it sees are
// shared among blocks of threads, 64 for each and 16 for each warp, which reads keys and values once, straight into the
// registers that multiply them. A block leaves its maximum, the sums of weights and the weighted sums in memory; the last
// one that does so for the group adds them in the order of the keys.
//
// Queries are the rows of operand A for the scores, their rests rows 8 and on, and columns of operand B for the values: so scores are
// weights where the tensor cores take them. Which element of a head is which k, or which row of an operand, is free; the order here lets
// each thread read 16 neighboring bytes.
type attendOne struct {
	*attention

	group, part  string // of the task: which queries, and which keys
	queries      string // "0" or the first query of the group among those of the key head
	g, t         string // the thread's place in fragments: lane/4 and lane%4
	lo, hi       string // keys that the queries see
	first, parts string // of the parts that hold such keys: the first, and how many there are
	key          string // first of the warp
	row          string // predicate: the thread's query is one; "" where all are
	scores       [2][]string
	zero         string
	top          string // of the thread's query, in the block
	slab         string
	work         string // of the group's first part
}

const (
	keysOfPart = 16 * threads / warp
	groupRows  = 8 // queries of a group
	warps      = threads / warp
)

// groups counts the groups of a key head.
func (a *attendOne) groups() int64 { return (a.R + groupRows - 1) / groupRows }

// rows counts the queries of a group.
func (a *attendOne) rows() int64 { return min(a.R, groupRows) }

// columns is the elements of a head with padding, as a block sums them, and slabRow the floats between rows of them in
// shared memory.
func (a *attendOne) columns() int64 { return (a.H + 63) / 64 * 64 }
func (a *attendOne) slabRow() int64 { return a.columns() + 4 }

// What lies in shared memory: the warps' maxima and sums of weights, whether the block is the last, and the warps' sums.
const (
	totalsAt = warps * groupRows * 4
	lastAt   = 2 * totalsAt
	slabAt   = lastAt + 16
)

func (a *attendOne) shared() int64 { return slabAt + warps*groupRows*a.slabRow()*4 }

// A part in memory: the sums of every query, then the maxima of all, then their sums of weights.
func (a *attendOne) maximaAt() int64  { return a.rows() * a.columns() * 4 }
func (a *attendOne) partBytes() int64 { return a.maximaAt() + 2*groupRows*4 }

// mostParts counts the parts of a group at most.
func (a *attendOne) mostParts() int64 { return (a.T.N + keysOfPart - 1) / keysOfPart }

func (a *attendOne) build(name string) *backend.Launches {
	tasks, groups := a.heads(), int64(1)
	tasks = append(tasks, kernels.Factor{Size: kernels.Const(a.groups()), Div: 1})
	for _, f := range tasks {
		groups *= f.Size.N
	}
	a.text.WriteString(fmt.Sprintf("\t.global .align 4 .b32 arrived[%d];\n", groups)) // zero, and again after the kernel
	params := a.begin(true)
	a.g, a.t = a.to(word, "shr.u32", a.lane, "2"), a.to(word, "and.b32", a.lane, "3")
	a.zero = a.to(word, "mov.b32", "0")
	a.tasks("0", 1, a.params[len(a.list)], func(task string) {
		next := a.label("next")
		a.locate(a.to(word, "cvt.u32.u64", task), next)
		a.multiplyKeys()
		a.weigh()
		a.multiplyValues()
		a.keep()
		a.lastOnly(next)
		a.merge()
		a.place(next)
	})
	tasks = append(tasks, kernels.Factor{Size: a.T, Div: keysOfPart})
	k := a.kernel(name, params, a.shared(), tasks)
	return &backend.Launches{Kernels: []*backend.Kernel{k}, WorkBytes: groups * a.mostParts() * a.partBytes()}
}

// locate finds the task's queries and keys. A part that holds none that the queries see has nothing to do; the first one
// of queries that see no key writes zeros.
func (a *attendOne) locate(task, next string) {
	parts := a.to(word, "shr.u32", a.to(word, "add.s32", a.total, num(keysOfPart-1)), num(log2(keysOfPart)))
	a.group, a.part = a.to(word, "div.u32", task, parts), a.to(word, "rem.u32", task, parts)
	head := a.group
	a.queries = "0"
	if a.groups() > 1 {
		head = a.to(word, "div.u32", a.group, num(a.groups()))
		a.queries = a.to(word, "mul.lo.s32", a.to(word, "rem.u32", a.group, num(a.groups())), num(groupRows))
	}
	a.choose(head)
	a.lo, a.hi = a.sees(a.attention.first)
	if a.lo == "" {
		a.lo = "0"
	}
	a.first = "0"
	if a.lo != "0" {
		a.first = a.to(word, "shr.u32", a.lo, num(log2(keysOfPart)))
	}
	end := a.to(word, "shr.u32", a.to(word, "add.s32", a.hi, num(keysOfPart-1)), num(log2(keysOfPart)))
	a.parts = a.to(word, "sub.s32", end, a.first)
	some := a.label("some")
	none := a.to(pred, "setp.le.s32", a.hi, a.lo)
	a.onlyIf("!"+none, "bra", some)
	a.onlyIf(a.to(pred, "setp.ne.s32", a.part, "0"), "bra", next)
	a.note("No key is seen.")
	zero := floatNum(0)
	a.each(func(row, column string, inside string) {
		a.storeRow(row, column, inside, slices.Repeat([]string{a.to(float, "mov.f32", zero)}, 4))
	})
	a.do("bra", next)
	a.place(some)
	a.onlyIf(a.to(pred, "setp.lt.s32", a.part, a.first), "bra", next)
	a.onlyIf(a.to(pred, "setp.ge.s32", a.part, end), "bra", next)
	a.key = a.to(word, "mad.lo.s32", a.part, num(keysOfPart), a.to(word, "shl.b32", a.warpID, "4"))
	a.row = ""
	if a.R%groupRows != 0 {
		a.row = a.to(pred, "setp.lt.s32", a.to(word, "add.s32", a.g, a.queries), num(a.R))
	}
	a.slab = a.to(word, "mad.lo.s32", a.warpID, num(groupRows*a.slabRow()*4), a.base)
	a.work = a.offset64(a.byName["work"], a.group, a.mostParts()*a.partBytes())
}

// multiplyKeys computes the scores of the warp's keys. Of 32 elements of a head a thread has 8: the lower and upper k of
// one product and those of the next.
func (a *attendOne) multiplyKeys() {
	a.note("Scores.")
	mine := a.to(word, "shl.b32", a.t, "3") // the first of the thread's elements
	left := func(first, all int64) string {
		if first+all <= a.H {
			return ""
		}
		return a.to(word, "sub.s32", num(a.H-first), mine)
	}
	query := a.offset64(a.q, a.to(word, "add.s32", a.g, a.queries), 4*a.Q[2])
	query = a.offset64(query, mine, 4*a.Q[3])
	size := int64(a.KV.Bytes())
	var q [][][]string
	var k [2][][][]string
	for h := int64(0); h < a.H; h += 32 {
		q = append(q, a.load(eight{elem: tile.F32, stride: a.Q[3], aligned: a.alignedQ(), guard: a.row, left: left(h, 32)}, query, h*a.Q[3]*4))
	}
	for i := range k {
		key := a.to(word, "add.s32", a.to(word, "add.s32", a.key, a.g), num(int64(8*i)))
		there := a.seen(key)
		from := a.offset64(a.offset64(a.k, key, a.K[0]*size), mine, a.K[2]*size)
		for h := int64(0); h < a.H; h += 32 {
			k[i] = append(k[i], a.load(eight{a.KV, a.K[2], a.alignedK(), there, left(h, 32)}, from, h*a.K[2]*size))
		}
	}
	for i := range k {
		s := a.regs(float, 4)
		for _, r := range s {
			a.do("mov.f32", r, floatNum(0))
		}
		for h, planes := range k[i] {
			upper, rests := q[h][0], q[h][1]
			for _, w := range planes {
				for j := 0; j < 4; j += 2 {
					a.do(mma, vector(s...), vector(upper[j], rests[j], upper[j+1], rests[j+1]), vector(w[j:j+2]...), vector(s...))
				}
			}
		}
		a.scores[i] = []string{a.to(float, "add.rn.f32", s[0], s[2]), a.to(float, "add.rn.f32", s[1], s[3])}
	}
}

// seen is the predicate that the queries see a key.
func (a *attendOne) seen(key string) string {
	below := a.to(pred, "setp.lt.s32", key, a.hi)
	if a.lo == "0" {
		return below
	}
	return a.both(below, a.to(pred, "setp.ge.s32", key, a.lo))
}

// weigh makes weights of the scores, with the maximum of the block.
func (a *attendOne) weigh() {
	a.note("Weights.")
	first := a.to(word, "mad.lo.s32", a.t, "2", a.key)
	for i, s := range a.scores {
		for j := range s {
			see := a.seen(a.to(word, "add.s32", first, num(int64(8*i+j))))
			s[j] = a.to(float, "selp.f32", a.apply(a.score, s[j]), floatNum(math.Inf(-1)), see)
		}
	}
	top := a.to(float, "max.f32", a.scores[0][0], a.scores[0][1])
	top = a.to(float, "max.f32", top, a.to(float, "max.f32", a.scores[1][0], a.scores[1][1]))
	a.fold("max.f32", top)
	one := a.to(pred, "setp.eq.s32", a.t, "0")
	of := a.to(word, "mad.lo.s32", a.g, "4", a.base)
	mine := a.to(word, "mad.lo.s32", a.warpID, num(groupRows*4), of)
	a.onlyIf(one, "st.shared.f32", at(mine, 0), top)
	a.do("bar.sync", "0")
	a.top = a.to(float, "ld.shared.f32", at(of, 0))
	for w := int64(1); w < warps; w++ {
		a.top = a.to(float, "max.f32", a.top, a.to(float, "ld.shared.f32", at(of, w*groupRows*4)))
	}
	for _, s := range a.scores {
		for j := range s {
			s[j] = a.apply(a.weight, a.to(float, "sub.rn.f32", s[j], a.top))
		}
	}
	sum := a.to(float, "add.rn.f32", a.scores[0][0], a.scores[0][1])
	sum = a.to(float, "add.rn.f32", sum, a.to(float, "add.rn.f32", a.scores[1][0], a.scores[1][1]))
	a.fold("add.rn.f32", sum)
	a.onlyIf(one, "st.shared.f32", at(mine, totalsAt), sum)
}

// multiplyValues computes the warp's weighted sums, rows of which are elements of the head, and leaves them in shared
// memory. Of 64 elements of a key's values a thread has 8, of the keys that are its k.
func (a *attendOne) multiplyValues() {
	a.note("Values.")
	first, second := a.split(a.scores[0]), a.split(a.scores[1])
	weights := [][]string{append(first[0], second[0]...), append(first[1], second[1]...)}
	mine := a.to(word, "shl.b32", a.g, "3")
	size := int64(a.KV.Bytes())
	mineKey := a.to(word, "mad.lo.s32", a.t, "2", a.key)
	var from, there [4]string
	for i, d := range []int64{0, 1, 8, 9} {
		key := a.to(word, "add.s32", mineKey, num(d))
		there[i] = a.seen(key)
		from[i] = a.offset64(a.offset64(a.v, key, a.V[0]*size), mine, a.V[2]*size)
	}
	to := a.to(word, "mad.lo.s32", a.t, num(2*a.slabRow()*4), a.to(word, "mad.lo.s32", a.g, "32", a.slab))
	// Threads of every other row of operand A store their second half first: so no two of eight meet in a bank.
	swap := a.to(word, "and.b32", a.g, "1")
	odd := a.to(pred, "setp.ne.s32", swap, "0")
	now := a.to(word, "mad.lo.s32", swap, "16", to)
	then := a.to(word, "add.s32", a.to(word, "mad.lo.s32", swap, "-16", to), "16")
	var v [][4][][]string
	for h := int64(0); h < a.H; h += 64 {
		left := ""
		if h+64 > a.H {
			left = a.to(word, "sub.s32", num(a.H-h), mine)
		}
		var words [4][][]string
		for i := range words {
			words[i] = a.load(eight{a.KV, a.V[2], a.alignedV(), there[i], left}, from[i], h*a.V[2]*size)
		}
		v = append(v, words)
	}
	for i, words := range v {
		var sums [4][]string
		for j := range sums {
			sums[j] = a.regs(float, 4)
			for _, r := range sums[j] {
				a.do("mov.f32", r, floatNum(0))
			}
			operands := make([][]string, a.numbers())
			for p := range operands {
				for k := 0; k < 4; k += 2 {
					for _, half := range []string{pairOf, pairHigh} {
						operands[p] = append(operands[p], a.to(word, "prmt.b32", words[k][p][j], words[k+1][p][j], half))
					}
				}
			}
			combine(a.numbers(), 2, func(p, w int64) {
				a.do(mma, vector(sums[j]...), vector(operands[p]...), vector(weights[w]...), vector(sums[j]...))
			})
		}
		for row := range 2 {
			var halves [2][]string // of the thread's elements
			for j := range 4 {
				halves[j/2] = append(halves[j/2], sums[j][row], sums[j][row+2])
			}
			offset := slabAt + int64(row)*a.slabRow()*4 + int64(i)*64*4
			for n, to := range []string{now, then} {
				var values []string
				for j := range 4 {
					values = append(values, a.to(float, "selp.f32", halves[1-n][j], halves[n][j], odd))
				}
				a.do("st.shared.v4.f32", at(to, offset), vector(values...))
			}
		}
	}
}

// each runs body for the thread's pieces of four columns of rows: inside is the predicate that there is such a row and
// column.
func (a *attendOne) each(body func(row, column, inside string)) {
	pieces := a.columns() / 4
	for i := int64(0); i < a.rows()*pieces; i += threads {
		n := a.thread
		if i > 0 {
			n = a.to(word, "add.s32", a.thread, num(i))
		}
		inside := ""
		if i+threads > a.rows()*pieces {
			inside = a.to(pred, "setp.lt.s32", n, num(a.rows()*pieces))
		}
		row, column := a.to(word, "div.u32", n, num(pieces)), a.to(word, "shl.b32", a.to(word, "rem.u32", n, num(pieces)), "2")
		body(row, column, inside)
	}
}

// keep adds the sums of the warps, in their order, and writes the part to memory.
func (a *attendOne) keep() {
	a.note("The part.")
	a.do("bar.sync", "0")
	part := a.offset64(a.work, a.part, a.partBytes())
	a.each(func(row, column, inside string) {
		from := a.to(word, "mad.lo.s32", row, num(a.slabRow()*4), a.to(word, "mad.lo.s32", column, "4", a.base))
		var total []string
		for w := range int64(warps) {
			one := a.four(float, inside, "ld.shared.v4.f32", from, slabAt+w*groupRows*a.slabRow()*4)
			if total == nil {
				total = one
				continue
			}
			for i := range total {
				total[i] = a.to(float, "add.rn.f32", total[i], one[i])
			}
		}
		to := a.offset64(a.offset64(part, row, a.columns()*4), column, 4)
		a.guarded(inside, "st.global.v4.f32", at(to, 0), vector(total...))
	})
	query := a.to(pred, "setp.lt.s32", a.thread, num(groupRows))
	skip := a.label("kept")
	a.onlyIf("!"+query, "bra", skip)
	of := a.to(word, "mad.lo.s32", a.thread, "4", a.base)
	total := a.to(float, "ld.shared.f32", at(of, totalsAt))
	top := a.to(float, "ld.shared.f32", at(of, 0))
	for w := int64(1); w < warps; w++ {
		total = a.to(float, "add.rn.f32", total, a.to(float, "ld.shared.f32", at(of, totalsAt+w*groupRows*4)))
		top = a.to(float, "max.f32", top, a.to(float, "ld.shared.f32", at(of, w*groupRows*4)))
	}
	to := a.offset64(part, a.thread, 4)
	a.do("st.global.f32", at(to, a.maximaAt()), top)
	a.do("st.global.f32", at(to, a.maximaAt()+groupRows*4), total)
	a.place(skip)
}

// lastOnly leaves to next all blocks but the last one that writes a part of the group.
func (a *attendOne) lastOnly(next string) {
	a.note("The last block adds the parts.")
	a.do("bar.sync", "0")
	zero := a.to(pred, "setp.eq.s32", a.thread, "0")
	skip := a.label("counted")
	a.onlyIf("!"+zero, "bra", skip)
	counter := a.offset64(a.to(long, "mov.u64", "arrived"), a.group, 4)
	most := a.to(word, "sub.s32", a.parts, "1")
	before := a.to(word, "atom.acq_rel.gpu.global.inc.u32", at(counter, 0), most) // the last makes it 0
	a.do("st.shared.b32", at(a.base, lastAt), a.to(word, "sub.s32", before, most))
	a.place(skip)
	a.do("bar.sync", "0")
	a.onlyIf(a.to(pred, "setp.ne.s32", a.to(word, "ld.shared.b32", at(a.base, lastAt)), "0"), "bra", next)
}

// merge adds the parts in the order of the keys and stores the results.
func (a *attendOne) merge() {
	type piece struct {
		row, column, inside string
		from, of            string // sums and maxima of a part
		top, total          string
		sums                []string
	}
	var pieces []*piece
	first := a.offset64(a.work, a.register32(a.first), a.partBytes())
	a.each(func(row, column, inside string) {
		p := &piece{row: row, column: column, inside: inside}
		p.from = a.offset64(a.offset64(first, row, a.columns()*4), column, 4)
		p.of = a.offset64(first, row, 4)
		p.top, p.total = a.to(float, "mov.f32", floatNum(hidden)), a.to(float, "mov.f32", floatNum(0))
		p.sums = a.regs(float, 4)
		for _, r := range p.sums {
			a.do("mov.f32", r, floatNum(0))
		}
		pieces = append(pieces, p)
	})
	all := func(body func(p *piece, offset string)) {
		i, offset := a.to(word, "mov.b32", "0"), a.to(long, "mov.b64", "0")
		loop := a.label("part")
		a.place(loop)
		for _, p := range pieces {
			body(p, offset)
		}
		a.do("add.s64", offset, offset, num(a.partBytes()))
		a.do("add.s32", i, i, "1")
		a.onlyIf(a.to(pred, "setp.lt.s32", i, a.parts), "bra", loop)
	}
	read := func(p *piece, offset string, behind int64) string {
		v := a.to(float, "mov.f32", floatNum(0))
		a.guarded(p.inside, "ld.global.f32", v, at(a.to(long, "add.s64", p.of, offset), a.maximaAt()+behind))
		return v
	}
	all(func(p *piece, offset string) { a.do("max.f32", p.top, p.top, read(p, offset, 0)) })
	all(func(p *piece, offset string) {
		factor := a.apply(a.weight, a.to(float, "sub.rn.f32", read(p, offset, 0), p.top))
		a.do("fma.rn.f32", p.total, read(p, offset, groupRows*4), factor, p.total)
		for i, v := range a.four(float, p.inside, "ld.global.v4.f32", a.to(long, "add.s64", p.from, offset), 0) {
			a.do("fma.rn.f32", p.sums[i], v, factor, p.sums[i])
		}
	})
	for _, p := range pieces {
		inverse := a.inverse(p.total)
		for i, s := range p.sums {
			p.sums[i] = a.to(float, "mul.rn.f32", s, inverse)
		}
		a.storeRow(p.row, p.column, p.inside, p.sums)
	}
}

// register32 is a word that may be an immediate.
func (a *asm) register32(v string) string {
	if v[0] == '%' {
		return v
	}
	return a.to(word, "mov.b32", v)
}

// storeRow stores four columns of a query of the group, those that there are.
func (a *attendOne) storeRow(row, column, inside string, values []string) {
	query := a.to(word, "add.s32", row, a.queries)
	if a.R%groupRows != 0 && a.groups() > 1 {
		inside = a.both(inside, a.to(pred, "setp.lt.s32", query, num(a.R)))
	}
	size := int64(a.Elem.Bytes())
	to := a.offset64(a.offset64(a.out, query, a.Out[2]*size), column, a.Out[3]*size)
	if a.storeWidth(4) == 4 {
		if a.H%64 != 0 {
			inside = a.both(inside, a.to(pred, "setp.lt.s32", column, num(a.H)))
		}
		a.store(inside, to, values)
		return
	}
	for i, v := range values {
		there := inside
		if a.H%64 != 0 {
			there = a.both(inside, a.to(pred, "setp.lt.s32", column, num(a.H-int64(i))))
		}
		one := to
		if d := int64(i) * a.Out[3] * size; d != 0 {
			one = a.to(long, "add.s64", to, num(d))
		}
		a.store(there, one, []string{v})
	}
}
