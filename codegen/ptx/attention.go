package ptx

import (
	"math"

	"pgc/codegen/backend"
	"pgc/codegen/kernels"
	"pgc/ir/scalar"
	"pgc/ir/tile"
	"pgc/runtime/program"
)

// attention is what the kernels of attention share: the task's sequence and key head, which keys its queries see, and
// how operands become bfloat16 and scores become weights.
//
// Queries, weights, and keys and values that are not bfloat16 themselves, are multiplied as two bfloat16 numbers each, the
// upper 16 bits and the rest rounded; products of two rests count for nothing. Scores and sums are float32. Keys are taken in
// blocks that begin at multiples of their length, whatever the number of keys, of rows, and of blocks of threads: so a
// row's bits depend on none of them.
type attention struct {
	*emitter
	*kernels.Attention
	list       []tile.KernelParam
	args       []kernels.Arg
	argK, argV kernels.Arg

	thread, warpID, base string
	q, k, v, out         string // of the task's sequence and key head
	total, first         string // keys; position of the sequence's first query
	prefix               string // "" for none
	score, weight        *expression
}

const (
	mostHead = 256      // elements of a head at most: accumulators are in registers
	hidden   = -1e30    // a maximum below that of every score; what is masked is -Inf
	pairOf   = "0x5410" // prmt: the lower halves of two words
	pairHigh = "0x7632" // and the upper ones
)

// attend emits the kernel of an attention: of one position, whose keys are shared among blocks, or of many.
func attend(name string, s *kernels.Attention) (out *backend.Launches, err error) {
	defer recovered(name, &err)
	if s.H > mostHead {
		fail("heads of %d elements, expected %d at most: compile with --target cpu", s.H, mostHead)
	}
	a := &attention{emitter: newEmitter(&asm{}), Attention: s, argK: kernels.Arg{Kind: kernels.ArgIn, Index: 1}, argV: kernels.Arg{Kind: kernels.ArgIn, Index: 2}, weight: newExpression(scalar.Exp2Falling(scalar.X(0, scalar.F32)), 1)}
	x := scalar.Fn(scalar.Mul, scalar.X(0, scalar.F32), scalar.C(s.Scale/math.Ln2))
	if s.Softcap != 0 {
		x = scalar.Fn(scalar.Tanh, scalar.Fn(scalar.Mul, scalar.X(0, scalar.F32), scalar.C(s.Scale/s.Softcap)))
		x = scalar.Fn(scalar.Mul, x, scalar.C(s.Softcap/math.Ln2))
	}
	a.score = newExpression(x, 1)
	if s.S == kernels.Const(1) {
		return (&attendOne{attention: a}).build(name), nil
	}
	return (&attendMany{attention: a}).build(name), nil
}

// pointer adds a parameter.
func (a *attention) pointer(name string, e tile.Elem, arg kernels.Arg) {
	a.list, a.args = append(a.list, tile.KernelParam{Name: name, Type: tile.Type{Elem: e, Lanes: 1, Ptr: true}}), append(a.args, arg)
}

// symbols adds those of sizes, each once.
func (a *attention) symbols(sizes ...kernels.Size) {
	seen := map[string]bool{}
	for _, s := range sizes {
		if s.Sym != "" && !seen[s.Sym] {
			seen[s.Sym] = true
			a.list = append(a.list, tile.KernelParam{Name: s.Sym, Type: tile.Scalar(tile.I64)})
			a.args = append(a.args, kernels.Arg{Kind: kernels.ArgSym, Sym: s.Sym})
		}
	}
}

// begin lists the parameters, reads them, and computes what is the same for all tasks.
func (a *attention) begin(work bool) []param {
	a.pointer("q", tile.F32, kernels.Arg{Kind: kernels.ArgIn, Index: 0})
	a.pointer("k", a.KV, a.argK)
	a.pointer("v", a.KV, a.argV)
	a.pointer("out", a.Elem, kernels.Arg{Kind: kernels.ArgOut})
	if a.Batch.Positions {
		a.pointer("positions", tile.I32, kernels.Arg{Kind: kernels.ArgIn, Index: 3})
	}
	if work {
		a.pointer("work", tile.F32, kernels.Arg{Kind: kernels.ArgWork})
	}
	sizes := []kernels.Size{a.S, a.T}
	if a.Causal && !a.Batch.Positions {
		sizes = append(sizes, a.Offset, a.Prefix)
	}
	a.symbols(sizes...)
	params := a.declare(a.list)
	a.thread = a.to(word, "mov.u32", "%tid.x")
	a.lanes(a.to(word, "and.b32", a.thread, num(warp-1)))
	a.warpID = a.to(word, "shr.u32", a.thread, "5")
	a.base = a.to(word, "mov.u32", sharedName)
	a.total = a.size(a.T)
	a.first = "0"
	if a.Causal && !a.Batch.Positions {
		a.first = a.size(a.Offset)
		if a.Prefix != kernels.Const(0) {
			a.prefix = a.size(a.Prefix)
		}
	}
	return params
}

// size is an extent in a register.
func (a *attention) size(s kernels.Size) string {
	if s.Sym != "" {
		return a.to(word, "cvt.u32.u64", a.byName[s.Sym])
	}
	return a.to(word, "mov.b32", num(s.N))
}

// kernel is the emitted entry.
func (a *attention) kernel(name string, params []param, shared int64, tasks []kernels.Factor) *backend.Kernel {
	out := &backend.Kernel{Spec: a.Attention, Args: a.args, Tasks: tasks, Kernel: program.Kernel{Name: name, Threads: threads,
		TaskThreads: threads, SharedBytes: shared, DynamicShared: shared > mostStatic}}
	out.Text = a.entryOf(&out.Kernel, params)
	return out
}

// heads are the factors of the number of tasks that count key heads.
func (a *attention) heads() []kernels.Factor {
	heads := []kernels.Factor{{Size: kernels.Const(a.G), Div: 1}}
	if a.Batch == (kernels.Batch{}) {
		return heads
	}
	return append([]kernels.Factor{{Size: a.Batch.N, Div: 1}}, heads...)
}

// sequence takes the number of a key head apart: its sequence, "" where there is one, and its number there.
func (a *attention) sequence(head string) (sequence, in string) {
	if a.Batch == (kernels.Batch{}) {
		return "", head
	}
	return a.to(word, "div.u32", head, num(a.G)), a.to(word, "rem.u32", head, num(a.G))
}

// choose finds the operands of a key head, numbered through all sequences.
func (a *attention) choose(head string) {
	sequence, in := a.sequence(head)
	place := func(name string, e tile.Elem, ofHead, ofSequence int64) string {
		p := a.offset64(a.byName[name], in, ofHead*int64(e.Bytes()))
		if sequence != "" {
			p = a.offset64(p, sequence, ofSequence*int64(e.Bytes()))
		}
		return p
	}
	a.q, a.k, a.v = place("q", tile.F32, a.Q[1], a.Batch.Q), place("k", a.KV, a.K[1], a.Batch.K), place("v", a.KV, a.V[1], a.Batch.V)
	a.out = place("out", a.Elem, a.Out[1], a.Batch.Out)
	if a.OutOffset != 0 {
		a.out = a.to(long, "add.s64", a.out, num(a.OutOffset*int64(a.Elem.Bytes())))
	}
	if a.Batch.Positions {
		a.first = a.to(word, "ld.global.b32", at(a.offset64(a.byName["positions"], sequence, 4*a.Batch.Position), 0))
	}
}

// offset64 is p moved by n·size bytes.
func (a *asm) offset64(p, n string, size int64) string {
	if size == 0 {
		return p
	}
	return a.offset(p, n, size)
}

// sees returns the keys that a query at a position sees: from lo, "" for 0, to below hi.
func (a *attention) sees(position string) (lo, hi string) {
	if !a.Causal {
		return "", a.total
	}
	next := a.to(word, "add.s32", position, "1")
	hi = next
	if a.Window > 0 {
		lo = a.to(word, "max.s32", a.to(word, "sub.s32", next, num(a.Window)), "0")
	}
	if a.prefix != "" {
		within := a.to(pred, "setp.lt.s32", position, a.prefix)
		hi = a.to(word, "selp.b32", a.prefix, hi, within)
		if lo != "" {
			lo = a.to(word, "selp.b32", "0", lo, within)
		}
	}
	return lo, a.to(word, "min.s32", hi, a.total)
}

// both is the predicate that two hold; "" always holds.
func (a *asm) both(p, q string) string {
	switch {
	case p == "":
		return q
	case q == "":
		return p
	}
	return a.to(pred, "and.pred", p, q)
}

// aligned reports whether pieces of n elements begin at multiples of their size.
func (a *attention) aligned(n int64, last int64, strides ...int64) bool {
	ok := a.Aligned && last == 1 && a.H%n == 0
	for _, s := range strides {
		ok = ok && s%n == 0
	}
	return ok
}

func (a *attention) alignedQ() bool {
	return a.aligned(8, a.Q[3], a.Q[0], a.Q[1], a.Q[2], a.Batch.Q)
}

func (a *attention) alignedK() bool { return a.aligned(8, a.K[2], a.K[0], a.K[1], a.Batch.K) }
func (a *attention) alignedV() bool { return a.aligned(8, a.V[2], a.V[0], a.V[1], a.Batch.V) }

// eight describes eight elements of a head as operands are read.
type eight struct {
	elem    tile.Elem
	stride  int64 // elements between them
	aligned bool  // they are one access, or two of floats
	guard   string
	left    string // how many elements of the head there are from the first on; "" where there are eight
}

// numbers counts the bfloat16 numbers of a key's or value's element.
func (a *attention) numbers() int64 {
	if a.KV == tile.BF16 {
		return 1
	}
	return 2
}

// load reads eight elements as four words of bfloat16, and four of their rests unless they are bfloat16. What is not
// there is zero.
func (a *attention) load(x eight, address string, offset int64) [][]string {
	if x.aligned && x.elem != tile.F16 {
		guard := x.guard
		if x.left != "" {
			guard = a.both(guard, a.to(pred, "setp.gt.s32", x.left, "0"))
		}
		if x.elem == tile.F32 {
			f := append(a.four(float, guard, "ld.global.v4.f32", address, offset), a.four(float, guard, "ld.global.v4.f32", address, offset+16)...)
			return a.split(f)
		}
		return [][]string{a.four(word, guard, "ld.global.v4.b32", address, offset)}
	}
	var words, floats []string
	left := x.left
	if left != "" && x.guard != "" {
		left = a.to(word, "selp.b32", left, "0", x.guard)
	}
	for i := range int64(8) {
		guard := x.guard
		if left != "" {
			guard = a.to(pred, "setp.gt.s32", left, num(i))
		}
		place := at(address, offset+i*x.stride*int64(x.elem.Bytes()))
		switch x.elem {
		case tile.BF16:
			words = append(words, a.within(guard, "ld.global.u16", place))
		case tile.F16:
			h := a.reg(half)
			a.do("mov.b16", h, "0")
			a.guarded(guard, "ld.global.b16", h, place)
			floats = append(floats, a.to(float, "cvt.f32.f16", h))
		default:
			f := a.to(float, "mov.f32", floatNum(0))
			a.guarded(guard, "ld.global.f32", f, place)
			floats = append(floats, f)
		}
	}
	if floats != nil {
		return a.split(floats)
	}
	var out []string
	for i := 0; i < 8; i += 2 {
		out = append(out, a.to(word, "prmt.b32", words[i], words[i+1], pairOf))
	}
	return [][]string{out}
}

// four loads 16 bytes where a predicate holds, and zeros elsewhere.
func (a *attention) four(c class, guard, op, address string, offset int64) []string {
	d := a.regs(c, 4)
	if guard != "" {
		for _, r := range d {
			a.do("mov."+classes[c].typ, r, map[class]string{word: "0", float: floatNum(0)}[c])
		}
	}
	a.guarded(guard, op, vector(d...), at(address, offset))
	return d
}

// split makes floats words of two bfloat16: their upper halves, and the rests rounded.
func (a *asm) split(f []string) [][]string {
	var upper, rests []string
	rest := func(v string) string {
		bits := a.to(word, "and.b32", a.to(word, "mov.b32", v), "0xffff0000")
		return a.to(float, "sub.rn.f32", v, a.to(float, "mov.b32", bits))
	}
	for i := 0; i < len(f); i += 2 {
		low, high := a.to(word, "mov.b32", f[i]), a.to(word, "mov.b32", f[i+1])
		upper = append(upper, a.to(word, "prmt.b32", low, high, pairHigh))
		low, high = rest(f[i]), rest(f[i+1])
		rests = append(rests, a.to(word, "cvt.rn.bf16x2.f32", high, low))
	}
	return [][]string{upper, rests}
}

// combine runs body for the pairs of planes that are multiplied: all but those of two rests.
func combine(x, y int64, body func(i, j int64)) {
	for i := range x {
		for j := range y {
			if i+j < 2 {
				body(i, j)
			}
		}
	}
}

// fold combines the values of the four threads that share a row of an accumulator.
func (a *asm) fold(op, v string) {
	for _, n := range []string{"1", "2"} {
		a.do(op, v, v, a.to(float, "shfl.sync.bfly.b32", v, n, "31", everyone))
	}
}

// inverse is 1/l, or 0 of the sum of no weights.
func (a *asm) inverse(l string) string {
	r := a.to(float, "div.rn.f32", floatNum(1), l)
	return a.to(float, "selp.f32", floatNum(0), r, a.to(pred, "setp.eq.f32", l, floatNum(0)))
}

// storeWidth is how many neighboring elements of the result a thread stores, most or one.
func (a *attention) storeWidth(most int64) int64 {
	if a.aligned(most, a.Attention.Out[3], a.Out[0], a.Out[1], a.Out[2], a.Batch.Out, a.OutOffset) {
		return most
	}
	return 1
}

// store writes neighboring elements of the result.
func (a *attention) store(guard, address string, values []string) {
	if len(values) == 1 {
		v, typ := values[0], memoryType[a.Elem]
		switch a.Elem {
		case tile.BF16:
			v = a.bfloat16(v)
		case tile.F16:
			v = a.to(half, "cvt.rn.f16.f32", v)
		}
		a.guarded(guard, "st.global."+typ, at(address, 0), v)
		return
	}
	words := values
	typ := "f32"
	if a.Elem != tile.F32 {
		typ, words = "b32", nil
		round := map[tile.Elem]string{tile.BF16: "cvt.rn.bf16x2.f32", tile.F16: "cvt.rn.f16x2.f32"}[a.Elem]
		for i := 0; i < len(values); i += 2 {
			words = append(words, a.to(word, round, values[i+1], values[i]))
		}
	}
	a.guarded(guard, "st.global.v"+num(int64(len(words)))+"."+typ, at(address, 0), vector(words...))
}
