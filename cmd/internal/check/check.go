// Package check tests compiled code against the reference evaluator, kernel by kernel, and a whole model against
// reference activations, layer by layer.
package check

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"

	"pgc/checkpoint/hf"
	"pgc/codegen"
	"pgc/codegen/weights"
	"pgc/internal/build"
	"pgc/ir"
	"pgc/ir/eval"
	"pgc/ir/target"
	"pgc/models/paligemma"
	"pgc/runtime/engine"
	"pgc/runtime/native"
	"pgc/runtime/program"
)

// loaded is a compiled model: a checkpoint compiled into memory, or an executable.
type loaded struct {
	c      *hf.Checkpoint // nil for an executable
	source weights.Source
	vocab  int // size of the vocabulary
	m      *ir.Module
	r      *codegen.Result
	e      *engine.Engine
	params map[*ir.Value]*eval.Tensor // weights already decoded
	close  func()
}

// load compiles a checkpoint in memory for a target. With single, every launch is also a function of its own, named
// FUNC#LAUNCH.
func load(ctx context.Context, dir string, t target.Target, o build.Options, trace, single bool) (*loaded, error) {
	c, err := hf.Load(dir)
	if err != nil {
		return nil, err
	}
	l := &loaded{c: c, source: build.Source(ctx, c), vocab: c.Config.Facts().VocabSize, params: map[*ir.Value]*eval.Tensor{}, close: c.Close}
	if l.m, err = build.Module(c, o, trace); err != nil {
		return nil, err
	}
	if l.r, err = codegen.Compile(ctx, l.m, t); err != nil {
		return nil, err
	}
	if single {
		addSingles(l.r.Program)
	}
	code, err := native.LoadCode(l.r.Code)
	if err != nil {
		return nil, err
	}
	section, err := native.Reserve(max(64, l.r.Program.WeightBytes))
	if err != nil {
		return nil, err
	}
	if o.Search { // the integers are not those that the evaluator would choose
		l.source = packed{l.source, l.r.Program, section.Bytes()}
	}
	if err := l.r.WriteWeights(&into{section.Bytes()}, build.Source(ctx, c), weights.Writing{Rounding: o.Rounding, Progress: o.Progress}); err != nil {
		return nil, err
	}
	if l.e, err = engine.New(l.r.Program, code.Bytes(), section.Bytes(), runtime.GOMAXPROCS(0)); err != nil {
		return nil, err
	}
	l.close = func() { l.e.Close(); code.Close(); section.Close(); c.Close() }
	return l, nil
}

// addSingles makes every launch of every function a function of its own.
func addSingles(p *program.Program) {
	for _, f := range p.Funcs[:len(p.Funcs):len(p.Funcs)] {
		for i := range f.Launches {
			one := f
			one.Name = fmt.Sprintf("%s#%d", f.Name, i)
			one.Launches = f.Launches[i : i+1]
			p.Funcs = append(p.Funcs, one)
		}
	}
}

// into writes to the front of memory.
type into struct{ rest []byte }

func (w *into) Write(b []byte) (int, error) {
	n := copy(w.rest, b)
	w.rest = w.rest[n:]
	if n < len(b) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

// Kernels runs every function of a checkpoint or an executable launch by launch on random inputs and compares each distinct kernel, where
// it is first launched, with the evaluator on the very memory it read, for every instruction set that this machine has. A line per kernel
// goes to w; the result is the number of misses.
func Kernels(ctx context.Context, w io.Writer, path string, o build.Options) (misses int, err error) {
	err = eachSet(w, path, o, func(set program.Target) error {
		var l *loaded
		var err error
		if IsExecutable(path) {
			l, err = open(path, set.CPU)
		} else {
			var t target.Target
			if t, err = target.Find(set.CPU); err == nil {
				l, err = load(ctx, path, t, o, false, true)
			}
		}
		if err != nil {
			return err
		}
		defer l.close()
		n, err := l.kernels(ctx, w, o)
		misses += n
		return err
	})
	return misses, err
}

// kernels runs and compares the kernels of one instruction set.
func (l *loaded) kernels(ctx context.Context, w io.Writer, o build.Options) (misses int, err error) {
	rng := rand.New(rand.NewPCG(1, 1))
	seen := map[int]bool{}
	pixels := l.e.Floats("pixels")
	for i := range pixels {
		pixels[i] = float32(rng.Float64()*2 - 1)
	}
	rows := min(7, o.MaxTokens)
	if rows <= 0 {
		rows = 7
	}
	ids, slots := l.e.Ints("ids"), l.e.Ints("slots")
	for i := range rows {
		ids[i], slots[i] = int32(rng.IntN(l.vocab)), -1
		if i < 3 {
			slots[i] = int32(i)
		}
	}
	syms := map[string]int{"S": rows, "T": rows, "past": 0, "prefix": rows - 2, "F": 3, "R": 2}
	if err := l.e.ReserveCopies(); err != nil {
		return 0, err
	}
	if l.m.Func("decode_batch") != nil {
		positions := l.e.Ints("positions")
		for i := range paligemma.Sequences {
			positions[i] = int32(rows - i%2)
			syms[paligemma.PastOf(i)] = rows - i%2
		}
	}
	for _, f := range l.m.Funcs {
		if f.Name == "decode" { // behind the tokens that the functions before it left in the cache
			syms["past"], syms["T"] = rows, rows+1
		}
		n, err := l.function(ctx, w, f.Name, syms, seen)
		misses += n
		if err != nil {
			return misses, err
		}
	}
	return misses, nil
}

// function runs one function launch by launch. An operation of several launches is compared behind the last of them.
func (l *loaded) function(ctx context.Context, w io.Writer, name string, syms map[string]int, seen map[int]bool) (misses int, err error) {
	f := l.m.Func(name)
	fn := l.r.Program.Func(name)
	ops := l.r.Ops[name]
	for i := 0; i < len(ops); {
		if err := ctx.Err(); err != nil {
			return misses, err
		}
		op, first := ops[i], i
		fresh := "" // the first kernel that was not seen yet
		for ; i < len(ops) && ops[i] == op; i++ {
			kernel := fn.Launches[i].Kernel
			if !seen[kernel] && fresh == "" {
				fresh = l.r.Program.Kernels[kernel].Name
			}
			seen[kernel] = true
		}
		var in []*eval.Tensor
		for _, v := range op.In {
			if fresh == "" {
				break
			}
			t, err := l.read(f, v, syms)
			if err != nil {
				return misses, err
			}
			in = append(in, t)
		}
		for at := first; at < i; at++ {
			run, err := l.e.Func(fmt.Sprintf("%s#%d", name, at))
			if err != nil {
				return misses, err
			}
			for s, v := range syms {
				run.Set(s, v)
			}
			if err := run.Run(ctx, 0); err != nil {
				return misses, err
			}
		}
		if fresh == "" {
			continue
		}
		for _, v := range op.Results {
			worst, miss, err := l.compare(f, v, in, syms)
			if err != nil {
				return misses, err
			}
			verdict := "ok"
			if miss != nil {
				misses++
				verdict = "MISS " + miss.Error()
			}
			fmt.Fprintf(w, "%-16s @%-13s %-40s %8.2g of the tolerance  %s\n", fresh, name, v.Type, worst, verdict)
		}
	}
	return misses, nil
}

// compare compares what memory holds for a result of an operation with what the evaluator makes of the operands.
func (l *loaded) compare(f *ir.Func, v *ir.Value, in []*eval.Tensor, syms map[string]int) (worst float64, miss, err error) {
	op := v.Def
	want, err := eval.Op(l.m, op, in, syms)
	if err != nil {
		return 0, nil, err
	}
	got, err := l.read(f, v, syms)
	if err != nil {
		return 0, nil, err
	}
	worst, miss = compare(got, want[slices.Index(op.Results, v)], op.Def.Tol)
	if miss != nil && isArgmax(op) {
		return l.compareArgmax(op, in, got, want[0], syms)
	}
	return worst, miss, nil
}

// one evaluates an operation of one result.
func (l *loaded) one(op *ir.Op, syms map[string]int, in ...*eval.Tensor) (*eval.Tensor, error) {
	out, err := eval.Op(l.m, op, in, syms)
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// read returns the value that memory holds for v.
func (l *loaded) read(f *ir.Func, v *ir.Value, syms map[string]int) (*eval.Tensor, error) {
	shape, err := v.Type.Eval(syms)
	if err != nil {
		return nil, err
	}
	if p := parameter(v); p != nil && p.Kind == ir.Weight {
		return l.weight(f, v, syms)
	}
	if v.Def != nil && v.Buf.Space == ir.Folded {
		return l.one(v.Def, syms)
	}
	b := v.Buf
	var mem []byte
	switch b.Space {
	case ir.Arena:
		mem = l.e.Arena()
	case ir.Inputs:
		mem = l.e.Port(b.Param.Name)
	case ir.Outputs:
		mem = l.e.Port(f.Results[b.Result].Name)
	case ir.States:
		mem = l.e.State(l.r.State(b.Param))
	}
	at := b.Offset
	for _, t := range b.Terms {
		at += int64(syms[t.Sym]) * t.Stride
	}
	if v.Type.DType.IsQuantized() {
		return groups(v.Type.DType, mem[at:], shape), nil
	}
	size := v.Type.DType.MemoryBytes()
	t := eval.New(v.Type.DType, shape...)
	index := make([]int, len(shape))
	for i := range t.Data {
		off := at
		for d, k := range index {
			off += int64(k) * b.Strides[d] * size
		}
		one, err := eval.Decode(map[bool]ir.DType{true: ir.I32, false: v.Type.DType}[v.Type.DType == ir.Bool], mem[off:off+size], 1)
		if err != nil {
			return nil, err
		}
		t.Data[i] = one.Data[0]
		for d := len(index) - 1; d >= 0; d-- {
			if index[d]++; index[d] < shape[d] {
				break
			}
			index[d] = 0
		}
	}
	return t, nil
}

// parameter follows views to a parameter.
func parameter(v *ir.Value) *ir.Value {
	for v.Def != nil && (v.Def.Def == ir.OpReshape || v.Def.Def == ir.OpSlice || v.Def.Def == ir.OpTranspose || v.Def.Def == ir.OpBroadcast) {
		v = v.Def.In[0]
	}
	if v.IsParam() {
		return v
	}
	return nil
}

// weight evaluates a weight and the views over it from the checkpoint.
func (l *loaded) weight(f *ir.Func, v *ir.Value, syms map[string]int) (*eval.Tensor, error) {
	if v.Def != nil {
		in, err := l.weight(f, v.Def.In[0], syms)
		if err != nil {
			return nil, err
		}
		return l.one(v.Def, syms, in)
	}
	if t, ok := l.params[v]; ok {
		return t, nil
	}
	raw, err := l.source.Tensor(v.Key)
	if err != nil {
		return nil, err
	}
	stored := raw.DType
	if stored.IsQuantized() { // read back from an executable
		stored = ir.F32
	}
	t, err := eval.Decode(stored, raw.Data, raw.Shape...)
	if err != nil {
		return nil, err
	}
	if t.DType = v.Type.DType; t.DType != raw.DType { // stored otherwise than in the checkpoint: as the compiler does it
		t = t.Convert(t.DType)
	}
	l.params[v] = t
	return t, nil
}
