package ptx

import (
	"fmt"
	"slices"

	"pgc/codegen/backend"
	"pgc/codegen/kernels"
	"pgc/ir/tile"
	"pgc/runtime/program"
)

// failure is why a kernel cannot be emitted; recovered turns it into an error.
type failure string

func fail(format string, args ...any) { panic(failure(fmt.Sprintf(format, args...))) }

func recovered(name string, err *error) {
	if r := recover(); r != nil {
		f, ok := r.(failure)
		if !ok {
			panic(r)
		}
		*err = fmt.Errorf("kernel %s: PTX: %s", name, string(f))
	}
}

// emitTile lowers a kernel that was built for sm80 or quads; it also says whether all accesses of four elements a thread
// are one. A kernel that needs scratch memory, or fragments that are neither scalar nor of those lanes, fails.
func emitTile(k *kernels.Kernel) (out *backend.Kernel, whole bool) {
	if k.Tile.ScratchBytes > 0 {
		fail("it uses %d bytes of scratch memory a thread, which a warp has not", k.Tile.ScratchBytes)
	}
	e := newEmitter(&asm{directives: ".minnctapersm 4\n"}) // else ptxas spills for more blocks than that
	out = &backend.Kernel{Kernel: program.Kernel{Name: k.Tile.Name, Threads: threads, TaskThreads: 1}, Args: k.Args, Tasks: k.Tasks, Tile: k.Tile}
	params := e.declare(k.Tile.Params)
	for i, a := range k.Args {
		e.params[i].aligned = a.Aligned || a.Kind == kernels.ArgWork || a.Kind == kernels.ArgLocal
	}
	thread := e.to(word, "mov.u32", "%tid.x")
	if e.each = elements(k.Tile.Body); e.each > 0 {
		out.TaskThreads = warp
		e.lanes(e.to(word, "and.b32", thread, num(warp-1)))
		thread = e.to(word, "shr.u32", thread, "5")
	}
	e.tasks(thread, int64(threads/out.TaskThreads), e.params[len(k.Tile.Params)], func(task string) {
		e.task = task
		e.block(k.Tile.Body)
	})
	out.Text = e.entry(out.Name, params)
	return out, !e.apart
}

// cellBit marks a parameter that is not the value itself but, in the other bits, the address of a cell in global memory
// which holds it. So one launch record, as in a graph, serves calls with other symbols: they write the cells.
const cellBit = 63

// parameter reads a parameter, from its cell if it has one.
func (a *asm) parameter(name string) string {
	r := a.to(long, "ld.param.u64", at("param_"+name, 0))
	cell := a.to(pred, "setp.lt.s64", r, "0")
	a.onlyIf(cell, "ld.global.b64", r, at(a.to(long, "and.b64", r, num(1<<cellBit-1)), 0))
	return r
}

// declare lists the entry's parameters, those of the tile kernel and then the number of tasks, and reads them.
func (e *emitter) declare(tp []tile.KernelParam) []param {
	all := withTasks(tp)
	for _, p := range all {
		e.params = append(e.params, binding{reg: e.resolve(p)})
	}
	return entryParams(all)
}

// withTasks adds the number of tasks to parameters, behind the others.
func withTasks(tp []tile.KernelParam) []tile.KernelParam {
	return append(slices.Clone(tp), tile.KernelParam{Name: "tasks", Type: tile.Scalar(tile.I64)})
}

// entryParams lists parameters as the entry has them.
func entryParams(tp []tile.KernelParam) (all []param) {
	for _, p := range tp {
		all = append(all, param{"u64", "param_" + p.Name})
	}
	return all
}

// resolve reads a parameter.
func (e *emitter) resolve(p tile.KernelParam) string {
	r := e.parameter(p.Name)
	if p.Type.Ptr {
		r = e.to(long, "cvta.to.global.u64", r)
	}
	e.byName[p.Name] = r
	return r
}

// tasks runs body for task first, first+n·blocks, …: number `in` of block `of` n per block.
func (a *asm) tasks(in string, n int64, tasks binding, body func(task string)) {
	task := a.to(long, "mad.wide.u32", a.to(word, "mov.u32", "%ctaid.x"), num(n), a.to(long, "cvt.u64.u32", in))
	step := a.to(long, "mul.wide.u32", a.to(word, "mov.u32", "%nctaid.x"), num(n))
	more, done := a.label("task"), a.label("done")
	a.place(more)
	a.onlyIf(a.to(pred, "setp.ge.s64", task, tasks.reg), "bra", done)
	body(task)
	a.do("add.s64", task, task, step)
	a.do("bra", more)
	a.place(done)
}

// elements is how many lanes of the fragments of a block a thread has: 1 or 4, or 0 where there are scalars only.
func elements(b *tile.Block) int {
	n := 0
	see := func(vs []*tile.Value) {
		for _, v := range vs {
			switch l := v.Type.Lanes; {
			case l == 1:
			case l != warp && l != 4*warp || n > 0 && l != n*warp:
				fail("a fragment of %d lanes; a warp has %d or %d", l, warp, 4*warp)
			default:
				n = l / warp
			}
		}
	}
	for _, in := range b.Insts {
		see(in.Out)
		for _, inner := range in.Blocks {
			see(inner.Args)
			n = max(n, elements(inner))
		}
	}
	return n
}

// binding is what stands for a parameter: a register, which may be a pointer into shared memory; or, of a pointer that
// fragments are read through at no offset, the registers that hold such a fragment.
type binding struct {
	reg     string
	shared  bool
	held    []string
	aligned bool // a pointer is a multiple of 16
}

// emitter lowers one tile kernel. A value is one register or immediate, or of fragments of four lanes a thread four of
// them: lane i of a fragment is element i%4 of thread i/4, else that of thread i.
type emitter struct {
	*asm
	params []binding
	byName map[string]string // the registers of the entry's parameters
	vals   map[*tile.Value][]string
	shared map[*tile.Value]bool     // pointers into shared memory
	held   map[*tile.Value][]string // what pointers stand for that no memory is behind
	known  map[*tile.Value]int64    // multiples: of numbers, and in bytes of pointers
	each   int                      // lanes of a fragment that a thread has
	apart  bool                     // some access of four lanes is four
	task   string
	// Of a warp: the lane as 32 and 64 bits, and whether it is the first. Empty where each thread has its own task.
	lane, lane64, first string
}

func newEmitter(a *asm) *emitter {
	return &emitter{asm: a, byName: map[string]string{}, vals: map[*tile.Value][]string{}, shared: map[*tile.Value]bool{},
		held: map[*tile.Value][]string{}, known: map[*tile.Value]int64{}}
}

// lanes makes a warp's threads the lanes of fragments.
func (e *emitter) lanes(lane string) {
	e.lane, e.lane64 = lane, e.to(long, "cvt.u64.u32", lane)
	e.first = e.to(pred, "setp.eq.s32", lane, "0")
}

func (e *emitter) block(b *tile.Block) {
	for _, in := range b.Insts {
		switch in.Op {
		case tile.For:
			e.loop(in)
		case tile.If:
			e.branch(in)
		case tile.Store, tile.StoreTail:
			e.store(in)
		case tile.Prefetch: // only a hint
		case tile.Load, tile.LoadTail:
			e.vals[in.Out[0]] = e.load(in)
		case tile.Reduce:
			e.vals[in.Out[0]] = []string{e.reduce(in)}
		case tile.Lane:
			e.vals[in.Out[0]] = []string{e.laneOf(in)}
		case tile.Iota:
			e.vals[in.Out[0]] = e.iota()
		default:
			row, ok := emissions[in.Op]
			if !ok {
				fail("no emission for %s", in.Op)
			}
			out := make([]string, e.count(in.Out[0].Type))
			for i := range out {
				out[i] = row(e, in, e.args(in, i))
			}
			e.vals[in.Out[0]] = out
			e.note1(in)
		}
	}
}

// count is how many registers a value of a type has.
func (e *emitter) count(t tile.Type) int {
	if t.Lanes > 1 {
		return e.each
	}
	return 1
}

// args are the operands of element i.
func (e *emitter) args(in *tile.Inst, i int) []string {
	out := make([]string, len(in.Args))
	for n, a := range in.Args {
		out[n] = e.element(a, i)
	}
	return out
}

// element is element i of a value; a scalar is that of all.
func (e *emitter) element(v *tile.Value, i int) string {
	all := e.vals[v]
	return all[min(i, len(all)-1)]
}

// scalar is a value that is one.
func (e *emitter) scalar(v *tile.Value) string { return e.vals[v][0] }

// move copies to a register.
func (e *emitter) move(d, v string, t tile.Type) {
	if d != v {
		e.do("mov."+classes[classOf(t)].typ, d, v)
	}
}

// register returns v in a register, for what takes no immediate.
func (e *emitter) register(v string, t tile.Type) string {
	if v[0] == '%' {
		return v
	}
	d := e.reg(classOf(t))
	e.move(d, v, t)
	return d
}

// variables gives values that control flow merges registers.
func (e *emitter) variables(vs []*tile.Value) {
	for _, v := range vs {
		if v.Type.Ptr {
			fail("a loop or branch carries a pointer")
		}
		e.vals[v] = e.regs(classOf(v.Type), e.count(v.Type))
	}
}

// assign moves values to variables as if at once.
func (e *emitter) assign(vars, from []*tile.Value) {
	var to, src []string
	var types []tile.Type
	for i, v := range from {
		for n, r := range e.vals[vars[i]] {
			to, src, types = append(to, r), append(src, e.element(v, n)), append(types, v.Type)
		}
	}
	overlap := false
	for i, r := range src {
		overlap = overlap || r != to[i] && slices.Contains(to, r)
	}
	if overlap {
		for i, r := range src {
			src[i] = e.reg(classOf(types[i]))
			e.move(src[i], r, types[i])
		}
	}
	for i, r := range src {
		e.move(to[i], r, types[i])
	}
}

// mostUnrolled is how many instructions a loop of constant bounds may become.
const mostUnrolled = 192

// loop emits a counted loop, or its turns one after the other if they are few: then loads of several are on their way.
// Its bounds are the same in all threads of a warp that fragments span.
func (e *emitter) loop(in *tile.Inst) {
	body := in.Blocks[0]
	if e.unrolled(in) {
		return
	}
	index, carried := body.Args[:1], body.Args[1:]
	e.variables(body.Args)
	e.known[index[0]] = min(e.multiple(in.Args[0]), e.multiple(in.Args[2]))
	e.assign(index, in.Args[:1])
	e.assign(carried, in.Args[3:])
	i := e.scalar(index[0])
	head, end := e.label("loop"), e.label("end")
	e.place(head)
	e.onlyIf(e.to(pred, "setp.ge.s64", i, e.scalar(in.Args[1])), "bra", end)
	e.block(body)
	e.assign(carried, body.Yield)
	e.do("add.s64", i, i, e.scalar(in.Args[2]))
	e.do("bra", head)
	e.place(end)
	for n, out := range in.Out {
		e.vals[out] = e.vals[carried[n]]
	}
}

// unrolled emits a loop of few turns without branches.
func (e *emitter) unrolled(in *tile.Inst) bool {
	lo, ok0 := tile.ConstInt(in.Args[0])
	hi, ok1 := tile.ConstInt(in.Args[1])
	step, ok2 := tile.ConstInt(in.Args[2])
	body := in.Blocks[0]
	if !ok0 || !ok1 || !ok2 || step < 1 || (hi-lo+step-1)/step*int64(max(1, len(body.Insts)))*int64(max(1, e.each)) > mostUnrolled {
		return false
	}
	for n, v := range body.Args[1:] {
		e.vals[v] = e.vals[in.Args[3+n]]
	}
	for i := lo; i < hi; i += step {
		e.vals[body.Args[0]], e.known[body.Args[0]] = []string{num(i)}, multipleOf(i)
		e.block(body)
		var next [][]string
		for _, v := range body.Yield {
			next = append(next, e.vals[v])
		}
		for n, v := range body.Args[1:] {
			e.vals[v] = next[n]
		}
	}
	for n, out := range in.Out {
		e.vals[out] = e.vals[body.Args[1+n]]
	}
	return true
}

func (e *emitter) branch(in *tile.Inst) {
	e.variables(in.Out)
	then, otherwise := in.Blocks[0], in.Blocks[1]
	end := e.label("end")
	skip := end
	empty := len(otherwise.Insts) == 0 && len(otherwise.Yield) == 0
	if !empty {
		skip = e.label("else")
	}
	e.onlyIf("!"+e.scalar(in.Args[0]), "bra", skip)
	e.block(then)
	e.assign(in.Out, then.Yield)
	if !empty {
		e.do("bra", end)
		e.place(skip)
		e.block(otherwise)
		e.assign(in.Out, otherwise.Yield)
	}
	e.place(end)
}
