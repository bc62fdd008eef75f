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

// emit lowers a kernel that was built for sm80. A kernel that needs scratch memory, or fragments that are neither
// scalar nor a warp's width, is an error.
func emit(k *kernels.Kernel) (out *backend.Kernel, err error) {
	defer recovered(k.Tile.Name, &err)
	if k.Tile.ScratchBytes > 0 {
		fail("it uses %d bytes of scratch memory a thread, which a warp has not", k.Tile.ScratchBytes)
	}
	e := newEmitter(&asm{})
	out = &backend.Kernel{Kernel: program.Kernel{Name: k.Tile.Name, Threads: threads, TaskThreads: 1}, Args: k.Args, Tasks: k.Tasks, Tile: k.Tile}
	params := e.declare(k.Tile.Params)
	thread := e.to(word, "mov.u32", "%tid.x")
	if hasVectors(k.Tile.Body) {
		out.TaskThreads = warp
		e.lanes(e.to(word, "and.b32", thread, num(warp-1)))
		thread = e.to(word, "shr.u32", thread, "5")
	}
	e.tasks(thread, int64(threads/out.TaskThreads), e.params[len(k.Tile.Params)], func(task string) {
		e.task = task
		e.block(k.Tile.Body)
	})
	out.Text = e.entry(out.Name, params)
	return out, nil
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

// hasVectors reports whether any value of a block is a vector; others are errors.
func hasVectors(b *tile.Block) bool {
	found := false
	see := func(vs []*tile.Value) {
		for _, v := range vs {
			if n := v.Type.Lanes; n != 1 && n != warp {
				fail("a fragment of %d lanes; a warp has %d", n, warp)
			}
			found = found || v.Type.Lanes == warp
		}
	}
	for _, in := range b.Insts {
		see(in.Out)
		for _, inner := range in.Blocks {
			see(inner.Args)
			found = hasVectors(inner) || found
		}
	}
	return found
}

// binding is what stands for a parameter: a register, which may be a pointer into shared memory; or, of a pointer that
// fragments are read through at no offset, the register that holds such a fragment.
type binding struct {
	reg    string
	shared bool
	held   string
}

// emitter lowers one tile kernel.
type emitter struct {
	*asm
	params []binding
	byName map[string]string      // the registers of the entry's parameters
	vals   map[*tile.Value]string // registers, or immediates
	shared map[*tile.Value]bool   // pointers into shared memory
	held   map[*tile.Value]string // what pointers stand for that no memory is behind
	task   string
	// Of a warp: the lane as 32 and 64 bits, and whether it is the first. Empty where each thread has its own task.
	lane, lane64, first string
}

func newEmitter(a *asm) *emitter {
	return &emitter{asm: a, byName: map[string]string{}, vals: map[*tile.Value]string{}, shared: map[*tile.Value]bool{}, held: map[*tile.Value]string{}}
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
		default:
			row, ok := emissions[in.Op]
			if !ok {
				fail("no emission for %s", in.Op)
			}
			e.vals[in.Out[0]] = row(e, in, e.args(in))
		}
	}
}

func (e *emitter) args(in *tile.Inst) []string {
	out := make([]string, len(in.Args))
	for i, a := range in.Args {
		out[i] = e.vals[a]
	}
	return out
}

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

// variables gives values that control flow merges a register each.
func (e *emitter) variables(vs []*tile.Value) []string {
	out := make([]string, len(vs))
	for i, v := range vs {
		if v.Type.Ptr {
			fail("a loop or branch carries a pointer")
		}
		out[i] = e.reg(classOf(v.Type))
		e.vals[v] = out[i]
	}
	return out
}

// assign moves values to variables as if at once.
func (e *emitter) assign(vars []string, from []*tile.Value) {
	src := make([]string, len(from))
	overlap := false
	for i, v := range from {
		src[i] = e.vals[v]
		overlap = overlap || src[i] != vars[i] && slices.Contains(vars, src[i])
	}
	if overlap {
		for i, v := range from {
			d := e.reg(classOf(v.Type))
			e.move(d, src[i], v.Type)
			src[i] = d
		}
	}
	for i, v := range from {
		e.move(vars[i], src[i], v.Type)
	}
}

// loop emits a counted loop. Its bounds are the same in all threads of a warp that fragments span.
func (e *emitter) loop(in *tile.Inst) {
	body := in.Blocks[0]
	index := e.variables(body.Args[:1])
	carried := e.variables(body.Args[1:])
	e.assign(index, in.Args[:1])
	e.assign(carried, in.Args[3:])
	head, end := e.label("loop"), e.label("end")
	e.place(head)
	e.onlyIf(e.to(pred, "setp.ge.s64", index[0], e.vals[in.Args[1]]), "bra", end)
	e.block(body)
	e.assign(carried, body.Yield)
	e.do("add.s64", index[0], index[0], e.vals[in.Args[2]])
	e.do("bra", head)
	e.place(end)
	for i, out := range in.Out {
		e.vals[out] = carried[i]
	}
}

func (e *emitter) branch(in *tile.Inst) {
	outs := e.variables(in.Out)
	then, otherwise := in.Blocks[0], in.Blocks[1]
	end := e.label("end")
	skip := end
	empty := len(otherwise.Insts) == 0 && len(otherwise.Yield) == 0
	if !empty {
		skip = e.label("else")
	}
	e.onlyIf("!"+e.vals[in.Args[0]], "bra", skip)
	e.block(then)
	e.assign(outs, then.Yield)
	if !empty {
		e.do("bra", end)
		e.place(skip)
		e.block(otherwise)
		e.assign(outs, otherwise.Yield)
	}
	e.place(end)
}
