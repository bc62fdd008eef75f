package ptx

import (
	"fmt"
	"math"

	"pgc/codegen/backend"
	"pgc/codegen/kernels"
	"pgc/ir/scalar"
	"pgc/ir/tile"
	"pgc/runtime/program"
)

// top is a kernel of a Top being emitted. An element and its index are one integer of 64 bits, an entry, and the greatest
// entries come first: of equal elements the first. Blocks read the row once, two runs of it each, and leave a sorted run
// of the greatest entries; further kernels merge such runs until one is left. Nothing depends on the order in which
// blocks run, and nothing on the elements but what is compared.
type top struct {
	*emitter
	*kernels.Top
	run     int64 // entries of a run, a power of two
	threads int64 // of a block: two entries of a run each
	chunks  int64 // of two runs that a row has
	list    []tile.KernelParam
	args    []kernels.Arg

	base, thread string
}

// leastRun is the shortest run: a warp for each block.
const leastRun = 2 * warp

// newTop begins a kernel, which reads the sizes of outer dimensions that are symbols.
func newTop(s *kernels.Top) *top {
	t := &top{emitter: newEmitter(&asm{}), Top: s, run: leastRun}
	for t.run < s.K {
		t.run *= 2
	}
	t.threads = t.run / 2
	t.chunks = (s.Row.C.N + 2*t.run - 1) / (2 * t.run)
	for _, d := range s.Row.Outer {
		if d.Sym != "" {
			t.add(d.Sym, tile.Scalar(tile.I64), kernels.Arg{Kind: kernels.ArgSym, Sym: d.Sym})
		}
	}
	return t
}

// add adds a parameter.
func (t *top) add(name string, typ tile.Type, a kernels.Arg) {
	for _, p := range t.list {
		if p.Name == name {
			return
		}
	}
	t.list, t.args = append(t.list, tile.KernelParam{Name: name, Type: typ}), append(t.args, a)
}

func (t *top) pointer(name string, e tile.Elem, a kernels.Arg) {
	t.add(name, tile.Type{Elem: e, Lanes: 1, Ptr: true}, a)
}

// Where results go.
const (
	valuesOut = iota
	indicesOut
	sumOut
)

// topOf emits the kernels of a Top.
func topOf(name string, s *kernels.Top) (out *backend.Launches, err error) {
	defer recovered(name, &err)
	out = &backend.Launches{}
	work := func(n int64) kernels.Arg {
		a := kernels.Arg{Kind: kernels.ArgWork, Index: int(out.WorkBytes)}
		out.WorkBytes += (n + 255) / 256 * 256
		return a
	}
	t := newTop(s)
	rows := int64(1)
	for _, d := range s.Row.Outer {
		rows *= d.N
	}
	maxima, sums := work(4*rows*t.chunks), work(4*rows*t.chunks)
	runs := t.chunks
	to := work(8 * t.run * rows * runs)
	out.Kernels = append(out.Kernels, t.sortRuns(name+"_runs", maxima, sums, to))
	for i := 0; runs > 1; i++ {
		t, from := newTop(s), to
		each := mergedAtOnce(runs)
		left := (runs + each - 1) / each
		to = work(8 * t.run * rows * left)
		out.Kernels = append(out.Kernels, t.merge(fmt.Sprintf("%s_merge%d", name, i), from, to, runs, each))
		runs = left
	}
	k, err := emitSpec(name+"_sum", partialSums(s, t.chunks))
	if err != nil {
		return nil, err
	}
	for i, a := range k.Args {
		switch {
		case a.Kind == kernels.ArgIn && a.Index == 0:
			k.Args[i] = maxima
		case a.Kind == kernels.ArgIn:
			k.Args[i] = sums
		case a.Kind == kernels.ArgOut:
			k.Args[i].Index = sumOut
		}
	}
	out.Kernels = append(out.Kernels, k)
	return out, nil
}

// mergedAtOnce is how many of a row's runs a block merges: all of few, else about as many as blocks of the kernel behind.
func mergedAtOnce(runs int64) int64 {
	if runs <= 16 {
		return runs
	}
	return int64(math.Ceil(math.Sqrt(float64(runs))))
}

// partialStrides are those of something that every chunk of a row has.
func partialStrides(s *kernels.Top, chunks int64) []int64 {
	outer := s.Row.Outer
	strides := make([]int64, len(outer)+1)
	strides[len(outer)] = 1
	for d, n := len(outer)-1, chunks; d >= 0; d-- {
		strides[d] = n
		n *= outer[d].N
	}
	return strides
}

// partialSums is the row that reduces the maxima and the sums of chunks: a sum counts as often as its maximum would if it
// were an element.
func partialSums(s *kernels.Top, chunks int64) *kernels.Row {
	x := kernels.Operand{Elem: tile.F32, Strides: partialStrides(s, chunks), Aligned: true}
	maximum, sum := scalar.X(0, scalar.F32), scalar.X(1, scalar.F32)
	args := []*scalar.Expr{maximum, scalar.X(2, scalar.F32), scalar.X(3, scalar.F32)}
	r := *s.Row
	r.In, r.C = []kernels.Operand{x, x}, kernels.Const(chunks)
	r.Reduce = []kernels.Reduction{
		{Kind: s.Row.Reduce[0].Kind, Expr: maximum},
		{Kind: s.Row.Reduce[1].Kind, Expr: scalar.Fn(scalar.Mul, sum, substituted(s.Row.Reduce[1].Expr, args))}}
	r.Expr = substituted(s.Row.Expr, args)
	return &r
}

// begin reads the parameters.
func (t *top) begin() []param {
	params := t.declare(t.list)
	t.thread = t.to(word, "mov.u32", "%tid.x")
	t.lanes(t.to(word, "and.b32", t.thread, num(warp-1)))
	t.base = t.to(word, "mov.u32", sharedName)
	return params
}

// eachTask runs body for the tasks of a block.
func (t *top) eachTask(body func(task string)) {
	t.tasks(t.to(word, "mov.b32", "0"), 1, t.params[len(t.list)], body)
}

// kernel is the emitted entry, of so many tasks for each row, which finds the greatest of n elements or entries.
func (t *top) kernel(name string, params []param, shared, tasks, n int64) *backend.Kernel {
	spec, row := *t.Top, *t.Row
	spec.Row, row.C = &row, kernels.Const(n)
	out := &backend.Kernel{Kernel: program.Kernel{Name: name, Threads: int(t.threads), TaskThreads: int(t.threads), SharedBytes: shared},
		Spec: &spec, Args: t.args}
	for _, d := range t.Row.Outer {
		out.Tasks = append(out.Tasks, kernels.Factor{Size: d, Div: 1})
	}
	out.Tasks = append(out.Tasks, kernels.Factor{Size: kernels.Const(tasks), Div: 1})
	out.Text = t.entryOf(&out.Kernel, params)
	return out
}

// offsetOf is where row number `row` begins by strides, in elements.
func (t *top) offsetOf(row string, strides []int64) string {
	off := t.to(long, "mov.b64", "0")
	for d := len(t.Row.Outer) - 1; d >= 0; d-- {
		i, size := row, num(t.Row.Outer[d].N)
		if s := t.Row.Outer[d].Sym; s != "" {
			size = t.byName[s]
		}
		if d > 0 {
			i, row = t.to(long, "rem.u64", row, size), t.to(long, "div.u64", row, size)
		}
		off = t.to(long, "mad.lo.s64", i, num(strides[d]), off)
	}
	return off
}

// split divides the number of a task into a row and one of n pieces of it.
func (t *top) split(task string, n int64) (row, piece string) {
	if n == 1 {
		return task, t.to(word, "mov.b32", "0")
	}
	return t.to(long, "div.u64", task, num(n)), t.to(word, "cvt.u32.u64", t.to(long, "rem.u64", task, num(n)))
}
