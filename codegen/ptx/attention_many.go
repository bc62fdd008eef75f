package ptx

import (
	"math"
	"math/bits"

	"pgc/codegen/backend"
	"pgc/codegen/kernels"
	"pgc/ir/tile"
)

// attendMany is attention of many rows (FlashAttention, Dao et al. 2022). A block of threads has 64 rows of a key head, 16
// in each warp, whose queries stay in shared memory; keys and values come there block by block, keys while the last values
// are multiplied and values while the scores are computed. Scores, their running maxima and sums, and the accumulators are
// registers, in which scores are weights as the tensor cores take them. Only blocks of keys that some row does not see whole
// are masked. Keys and values that are not bfloat16, or do not begin at multiples of 16 bytes, are first copied to where
// rows are padded and planes of bfloat16 follow each other (operands), so that one way of copying serves all.
type attendMany struct {
	*attention
	operands

	s0, count           string // first position of the task among the queries; rows
	firstPos, lastPos   string // of the task
	x, y                string // the thread's piece of eight elements and first row, as all copies are shared
	active              string // predicate: the piece is one of a row; "" where all are
	left                string // how many elements of the head there are from the piece on
	target              string // where the thread copies queries to
	readQ, readK, readV string
	fromK, fromV        string // of the next block
	nextK, nextV        string // how many rows there are from the thread's own on
	scores              [][]string
	sums                [][]string
	maxima, totals      [2]string
	lowest, highest     [2]string // of the keys that the thread's rows see; lowest "" for 0
	key                 string    // first of the block
	end                 string    // of the keys that the task sees
}

const rowsOfBlock = 16 * threads / warp

func (a *attendMany) padded() int64 { return (a.H + 15) / 16 * 16 }
func (a *attendMany) pieces() int64 { return a.padded() / 8 }

// keys are those of a block: what fits into 99 KiB with the queries, which are two planes.
func (a *attendMany) keys() int64 {
	n := int64(64)
	if a.padded() > 128 {
		n = 32
	}
	if a.padded() > 16 { // else a copy takes 64 keys
		n /= a.planes
	}
	return n
}

// rowBytes is the distance of rows in shared memory: an odd number of pieces, so that eight of them meet in no bank.
func (a *attendMany) rowBytes() int64 { return (a.pieces() + 1) * chunk }

// A plane of the queries, and of the keys or values of a block. Planes of an operand follow each other.
func (a *attendMany) planeQ() int64  { return rowsOfBlock * a.rowBytes() }
func (a *attendMany) planeKV() int64 { return a.keys() * a.rowBytes() }

func (a *attendMany) atK() int64 { return 2 * a.planeQ() }
func (a *attendMany) atV() int64 { return a.atK() + a.planes*a.planeKV() }

// slabRow is the floats between rows of the result in shared memory: the threads that write it meet in no bank.
func (a *attendMany) slabRow() int64 { return (a.padded()+23)/32*32 + 8 }

func (a *attendMany) slabBytes() int64 { return rowsOfBlock * a.slabRow() * 4 }

func (a *attendMany) shared() int64 { return max(a.atV()+a.planes*a.planeKV(), a.slabBytes()) }

// across is how many threads copy a row, and down how many rows they copy at a time.
func (a *attendMany) across() int64 { return 1 << bits.Len64(uint64(a.pieces()-1)) }
func (a *attendMany) down() int64   { return threads / a.across() }

// positions counts the positions of a task.
func (a *attendMany) positions() int64 { return rowsOfBlock / a.R }

func (a *attendMany) build(name string) *backend.Launches {
	if a.R > rowsOfBlock {
		fail("%d queries share a key head, expected %d at most: compile with --target cpu", a.R, rowsOfBlock)
	}
	out, spec := &backend.Launches{}, a.Attention
	a.operands = operands{planes: 1}
	if a.numbers() > 1 || !a.alignedK() || !a.alignedV() {
		a.copied(name, out)
	}
	params := a.begin(false)
	a.setup()
	a.tasks("0", 1, a.params[len(a.list)], func(task string) {
		a.locate(a.to(word, "cvt.u32.u64", task))
		a.queries()
		a.clear()
		a.blocks()
		a.finish()
	})
	tasks := append(a.heads(), kernels.Factor{Size: a.S, Div: a.positions()})
	k := a.kernel(name, params, a.shared(), tasks)
	k.Spec = spec
	out.Kernels = append(out.Kernels, k)
	return out
}

// setup computes where the thread copies to and where it reads.
func (a *attendMany) setup() {
	a.x, a.y = a.to(word, "and.b32", a.thread, num(a.across()-1)), a.to(word, "shr.u32", a.thread, num(log2(a.across())))
	if a.across() > a.pieces() {
		a.active = a.to(pred, "setp.lt.s32", a.x, num(a.pieces()))
	}
	a.left = a.to(word, "sub.s32", num(a.H), a.to(word, "shl.b32", a.x, "3"))
	a.target = a.to(word, "mad.lo.s32", a.y, num(a.rowBytes()), a.to(word, "mad.lo.s32", a.x, num(chunk), a.base))
	// ldmatrix: lane i gives the address of row i%8 of matrix i/8. For queries the matrices are rows 0–7 and 8–15 of the
	// first eight elements, then of the next; for keys the elements of eight keys and then of the next eight; for values,
	// which are transposed, as for queries.
	row, high := a.to(word, "and.b32", a.lane, "15"), a.to(word, "shr.u32", a.lane, "4")
	at := a.to(word, "mad.lo.s32", row, num(a.rowBytes()), a.to(word, "mad.lo.s32", high, num(chunk), a.base))
	a.readQ = a.to(word, "mad.lo.s32", a.warpID, num(16*a.rowBytes()), at)
	a.readV = a.to(word, "add.s32", at, num(a.atV()))
	key := a.to(word, "mad.lo.s32", high, "8", a.to(word, "and.b32", a.lane, "7"))
	piece := a.to(word, "and.b32", a.to(word, "shr.u32", a.lane, "3"), "1")
	a.readK = a.to(word, "mad.lo.s32", key, num(a.rowBytes()), a.to(word, "mad.lo.s32", piece, num(chunk), a.base))
	a.readK = a.to(word, "add.s32", a.readK, num(a.atK()))
}

// locate finds the task's rows and the keys that they see. Later positions, which see more keys, come first.
func (a *attendMany) locate(task string) {
	s := a.size(a.S)
	blocks := a.to(word, "div.u32", a.to(word, "add.s32", s, num(a.positions()-1)), num(a.positions()))
	a.choose(a.to(word, "div.u32", task, blocks))
	block := a.to(word, "sub.s32", a.to(word, "sub.s32", blocks, "1"), a.to(word, "rem.u32", task, blocks))
	a.s0 = a.to(word, "mul.lo.s32", block, num(a.positions()))
	positions := a.to(word, "min.s32", a.to(word, "sub.s32", s, a.s0), num(a.positions()))
	a.count = a.to(word, "mul.lo.s32", positions, num(a.R))
	a.firstPos = a.to(word, "add.s32", a.s0, a.first)
	a.lastPos = a.to(word, "add.s32", a.to(word, "sub.s32", positions, "1"), a.firstPos)
	// The keys that rows see are intervals, which begin and end later for later rows; the first row sees all of a prefix.
	lo, hi := a.sees(a.firstPos)
	if a.Causal {
		_, last := a.sees(a.lastPos)
		hi = a.to(word, "max.s32", hi, last)
	}
	a.end, a.key = hi, a.to(word, "mov.b32", "0")
	if lo != "" {
		a.do("and.b32", a.key, lo, num(-a.keys()))
	}
	for i := range a.lowest {
		row := a.to(word, "mad.lo.s32", a.warpID, "16", a.to(word, "shr.u32", a.lane, "2"))
		row = a.to(word, "add.s32", row, num(int64(8*i)))
		a.lowest[i], a.highest[i] = a.sees(a.to(word, "add.s32", a.firstPos, a.to(word, "div.u32", row, num(a.R))))
	}
	a.fromK, a.nextK = a.source(a.k, a.K[0])
	a.fromV, a.nextV = a.source(a.v, a.V[0])
}

// source points a thread's copies at its piece of its first key.
func (a *attendMany) source(p string, stride int64) (from, rows string) {
	key := a.to(word, "add.s32", a.key, a.y)
	return a.offset64(a.offset64(p, key, 2*stride), a.x, chunk), a.to(word, "sub.s32", a.end, key)
}

// queries brings the rows of queries to shared memory; rows that are not there are zeros.
func (a *attendMany) queries() {
	a.note("Queries.")
	to := a.to(word, "mov.b32", a.target)
	piece := a.offset64(a.q, a.x, 8*4*a.Q[3])
	a.repeat(a.y, rowsOfBlock, a.down(), func(row string) {
		there := a.both(a.active, a.to(pred, "setp.lt.s32", row, a.count))
		words := a.load(eight{tile.F32, a.Q[3], a.alignedQ(), there, a.left}, a.ofRow(piece, row, a.Q, 4), 0)
		for p, w := range words {
			a.guarded(a.active, "st.shared.v4.b32", at(to, int64(p)*a.planeQ()), vector(w...))
		}
		a.do("add.s32", to, to, num(a.down()*a.rowBytes()))
	})
}

// ofRow is p moved to a row of the task.
func (a *attendMany) ofRow(p, row string, strides [4]int64, size int64) string {
	s, r := row, ""
	if a.R > 1 {
		s, r = a.to(word, "div.u32", row, num(a.R)), a.to(word, "rem.u32", row, num(a.R))
	}
	p = a.offset64(p, a.to(word, "add.s32", a.s0, s), strides[0]*size)
	if r != "" {
		p = a.offset64(p, r, strides[2]*size)
	}
	return p
}

// clear begins maxima, sums of weights and accumulators.
func (a *attendMany) clear() {
	for i := range a.maxima {
		a.maxima[i], a.totals[i] = a.to(float, "mov.f32", floatNum(hidden)), a.to(float, "mov.f32", floatNum(0))
	}
	a.sums = nil
	for range a.pieces() {
		sums := a.regs(float, 4)
		for _, r := range sums {
			a.do("mov.f32", r, floatNum(0))
		}
		a.sums = append(a.sums, sums)
	}
}

// blocks runs over the keys.
func (a *attendMany) blocks() {
	loop, done, last := a.label("keys"), a.label("end"), a.label("last")
	a.onlyIf(a.to(pred, "setp.ge.s32", a.key, a.end), "bra", done)
	a.copyBlock(a.fromK, a.nextK, a.K[0], a.atK())
	a.place(loop)
	a.arrived() // the keys, and all have read the last values
	a.copyBlock(a.fromV, a.nextV, a.V[0], a.atV())
	a.multiplyKeys()
	a.mask()
	words := a.softmax()
	a.do("add.s32", a.key, a.key, num(a.keys()))
	a.arrived() // the values, and all have read the keys
	more := a.to(pred, "setp.lt.s32", a.key, a.end)
	a.onlyIf("!"+more, "bra", last)
	a.copyBlock(a.fromK, a.nextK, a.K[0], a.atK())
	a.place(last)
	a.multiplyValues(words)
	a.onlyIf(more, "bra", loop)
	a.place(done)
}

// arrived waits for copies of all threads.
func (a *attendMany) arrived() {
	a.do("cp.async.wait_group", "0")
	a.do("bar.sync", "0")
}

// copyBlock brings the next block of keys or values to shared memory. Rows that are not there are zeros.
func (a *attendMany) copyBlock(from, rows string, stride, to int64) {
	full := num(chunk)
	if a.H < a.padded() && !a.padding {
		full = a.to(word, "selp.b32", num(chunk), "0", a.to(pred, "setp.gt.s32", a.left, "0"))
	}
	n := a.keys() / a.down()
	for i := range n {
		bytes := a.to(word, "selp.b32", full, "0", a.to(pred, "setp.gt.s32", rows, num(i*a.down())))
		for p := range a.planes {
			a.guarded(a.active, copyAsync, at(a.target, to+p*a.planeKV()+i*a.down()*a.rowBytes()), at(from, p*a.apart+i*a.down()*2*stride), num(chunk), bytes)
		}
	}
	a.do("cp.async.commit_group")
	a.do("add.s64", from, from, num(n*a.down()*2*stride))
	a.do("sub.s32", rows, rows, num(a.keys()))
}

// fragment reads four matrices.
func (a *attendMany) fragment(op, address string, offset int64) []string {
	d := a.regs(word, 4)
	a.do(op, vector(d...), at(address, offset))
	return d
}

// multiplyKeys computes the products of the warp's rows and the block's keys.
func (a *attendMany) multiplyKeys() {
	a.note("Scores.")
	a.scores = nil
	for range a.keys() / 8 {
		s := a.regs(float, 4)
		for _, r := range s {
			a.do("mov.f32", r, floatNum(0))
		}
		a.scores = append(a.scores, s)
	}
	for k := int64(0); k < a.padded(); k += 16 {
		q := [][]string{a.fragment(ldmatrix, a.readQ, 2*k), a.fragment(ldmatrix, a.readQ, a.planeQ()+2*k)}
		for n := int64(0); n < a.keys(); n += 16 {
			var f [][]string
			for p := range a.planes {
				f = append(f, a.fragment(ldmatrix, a.readK, p*a.planeKV()+n*a.rowBytes()+2*k))
			}
			combine(2, a.planes, func(x, y int64) {
				for i := range int64(2) {
					s := vector(a.scores[n/8+i]...)
					a.do(mma, s, vector(q[x]...), vector(f[y][2*i:2*i+2]...), s)
				}
			})
		}
	}
	for _, s := range a.scores {
		for i := range s {
			s[i] = a.apply(a.score, s[i])
		}
	}
}

// mask hides the scores of keys that rows do not see, unless all see all.
func (a *attendMany) mask() {
	after := a.to(word, "add.s32", a.key, num(a.keys()))
	all := a.to(pred, "setp.le.s32", after, a.total)
	if a.Causal {
		seen := a.to(pred, "setp.le.s32", after, a.to(word, "add.s32", a.firstPos, "1"))
		if a.Window > 0 {
			seen = a.both(seen, a.to(pred, "setp.gt.s32", a.key, a.to(word, "sub.s32", a.lastPos, num(a.Window))))
		}
		if a.prefix != "" {
			in := a.both(a.to(pred, "setp.le.s32", after, a.prefix), a.to(pred, "setp.lt.s32", a.lastPos, a.prefix))
			seen = a.to(pred, "or.pred", seen, in)
		}
		all = a.both(all, seen)
	}
	skip := a.label("seen")
	a.onlyIf(all, "bra", skip)
	first := a.to(word, "mad.lo.s32", a.to(word, "and.b32", a.lane, "3"), "2", a.key)
	for half := range a.highest {
		lo := a.lowest[half]
		end := a.to(word, "sub.s32", a.highest[half], first)
		if lo != "" { // both ends in one comparison: of key-lo, without sign, with how many there are
			end = a.to(word, "max.s32", a.to(word, "sub.s32", a.highest[half], lo), "0")
			lo = a.to(word, "sub.s32", first, lo)
		}
		for n, s := range a.scores {
			for i := range 2 {
				key, r := num(int64(8*n+i)), s[2*half+i]
				see := ""
				if lo == "" {
					see = a.to(pred, "setp.gt.s32", end, key)
				} else {
					see = a.to(pred, "setp.gt.u32", end, a.to(word, "add.s32", lo, key))
				}
				a.do("selp.f32", r, r, floatNum(math.Inf(-1)), see)
			}
		}
	}
	a.place(skip)
}

// softmax makes weights of scores, as operand A of the next product, and brings maxima, sums and accumulators up to date.
func (a *attendMany) softmax() (words [][][]string) {
	a.note("Weights.")
	for half := range a.maxima {
		top := a.to(float, "mov.f32", a.scores[0][2*half])
		for n, s := range a.scores {
			for i := range 2 {
				if n+i > 0 {
					a.do("max.f32", top, top, s[2*half+i])
				}
			}
		}
		a.fold("max.f32", top)
		top = a.to(float, "max.f32", top, a.maxima[half])
		factor := a.apply(a.weight, a.to(float, "sub.rn.f32", a.maxima[half], top))
		a.do("mov.f32", a.maxima[half], top)
		sum := ""
		for _, s := range a.scores {
			for i := 2 * half; i < 2*half+2; i++ {
				s[i] = a.apply(a.weight, a.to(float, "sub.rn.f32", s[i], top))
				if sum == "" {
					sum = s[i]
				} else {
					sum = a.to(float, "add.rn.f32", sum, s[i])
				}
			}
		}
		a.do("fma.rn.f32", a.totals[half], a.totals[half], factor, sum)
		for _, s := range a.sums {
			for i := 2 * half; i < 2*half+2; i++ {
				a.do("mul.rn.f32", s[i], s[i], factor)
			}
		}
	}
	for _, s := range a.scores {
		words = append(words, a.split(s))
	}
	return words
}

// multiplyValues adds the products of weights and values.
func (a *attendMany) multiplyValues(words [][][]string) {
	a.note("Values.")
	for k := int64(0); k < a.keys(); k += 16 {
		var w [2]string
		for x := range w {
			w[x] = vector(append(append([]string{}, words[k/8][x]...), words[k/8+1][x]...)...)
		}
		for p := range a.planes { // one after the other, which takes fewer registers
			for n := int64(0); n < a.padded(); n += 16 {
				f := a.fragment(transposed, a.readV, p*a.planeKV()+k*a.rowBytes()+2*n)
				for _, w := range w[:2-p] {
					for i := range int64(2) {
						c := vector(a.sums[n/8+i]...)
						a.do(mma, c, w, vector(f[2*i:2*i+2]...), c)
					}
				}
			}
		}
	}
}

const transposed = "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16"

// finish divides by the sums of weights and stores the rows, through shared memory, where neighbors lie together.
func (a *attendMany) finish() {
	a.note("Results.")
	if a.slabBytes() > a.atV() || a.Batch.Positions || a.Window > 0 {
		a.do("bar.sync", "0") // all have read the last values, or, where no keys are seen, have written the queries
	}
	slab := a.to(word, "mad.lo.s32", a.warpID, num(16*a.slabRow()*4), a.base)
	mine := a.to(word, "mad.lo.s32", a.to(word, "shr.u32", a.lane, "2"), num(4*a.slabRow()), slab)
	mine = a.to(word, "mad.lo.s32", a.to(word, "and.b32", a.lane, "3"), "8", mine)
	for half := range a.totals {
		a.fold("add.rn.f32", a.totals[half])
		inverse := a.inverse(a.totals[half])
		for n, s := range a.sums {
			x, y := a.to(float, "mul.rn.f32", s[2*half], inverse), a.to(float, "mul.rn.f32", s[2*half+1], inverse)
			a.do("st.shared.v2.f32", at(mine, int64(half)*8*4*a.slabRow()+int64(n)*32), vector(x, y))
		}
	}
	a.do("bar.warp.sync", everyone)
	width := a.storeWidth(16 / int64(a.Elem.Bytes()))
	pieces := (a.H + width - 1) / width
	size := int64(a.Elem.Bytes())
	a.repeat(a.lane, 16*pieces, warp, func(i string) {
		row, piece := a.to(word, "div.u32", i, num(pieces)), a.to(word, "rem.u32", i, num(pieces))
		from := a.to(word, "mad.lo.s32", row, num(4*a.slabRow()), a.to(word, "mad.lo.s32", piece, num(4*width), slab))
		var values []string
		if width == 1 {
			values = []string{a.to(float, "ld.shared.f32", at(from, 0))}
		}
		for j := int64(0); width > 1 && j < width; j += 4 {
			v := a.regs(float, 4)
			a.do("ld.shared.v4.f32", vector(v...), at(from, 4*j))
			values = append(values, v...)
		}
		r := a.to(word, "mad.lo.s32", a.warpID, "16", row)
		to := a.offset64(a.ofRow(a.out, r, a.Out, size), piece, width*a.Out[3]*size)
		a.store(a.to(pred, "setp.lt.s32", r, a.count), to, values)
	})
	a.do("bar.sync", "0") // before the next task's queries
}
