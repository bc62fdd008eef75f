// Package check tests compiled code against the reference evaluator, kernel by kernel, and a whole model against
// reference activations, layer by layer.
package check

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"

	"pgc/checkpoint/hf"
	"pgc/codegen"
	"pgc/codegen/cpu"
	"pgc/codegen/weights"
	"pgc/internal/build"
	"pgc/ir"
	"pgc/ir/eval"
	"pgc/ir/target"
	"pgc/models/paligemma"
	"pgc/runtime/engine"
	"pgc/runtime/entry"
	"pgc/runtime/native"
	"pgc/runtime/process"
	"pgc/runtime/program"
)

// loaded is a compiled model, from a checkpoint or from an executable.
type loaded struct {
	c      *hf.Checkpoint // nil for an executable
	source weights.Source
	vocab  int // size of the vocabulary
	codes  int // entries of the mask decoder's codebook
	m      *ir.Module
	r      *codegen.Result
	e      *engine.Engine
	params map[*ir.Value]*eval.Tensor // weights already decoded
	close  func()
}

// load compiles a checkpoint in memory for a target.
func load(ctx context.Context, dir string, t target.Target, o build.Options, trace bool) (*loaded, error) {
	c, err := o.Open(dir)
	if err != nil {
		return nil, err
	}
	l := &loaded{c: c, source: build.Source(ctx, c), vocab: c.Config.Facts().VocabSize, params: map[*ir.Value]*eval.Tensor{}, close: c.Close}
	if c.Masks != nil {
		l.codes = c.Masks.Entries
	}
	if l.m, err = build.Module(c, o, trace); err != nil {
		return nil, err
	}
	if l.r, err = codegen.Compile(ctx, l.m, cpu.Backend(t)); err != nil {
		return nil, err
	}
	code, err := native.LoadCode(l.r.Code.Bytes)
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
	if err := build.WriteWeights(ctx, &into{section.Bytes()}, l.r, c, o); err != nil {
		return nil, err
	}
	if l.e, err = engine.New(l.r.Program, code.Bytes(), section.Bytes(), native.DefaultThreads()); err != nil {
		return nil, err
	}
	l.close = func() { l.e.Close(); code.Close(); section.Close(); c.Close() }
	return l, nil
}

// into is a writer that fills memory from its front.
type into struct{ rest []byte }

func (w *into) Write(b []byte) (int, error) {
	n := copy(w.rest, b)
	w.rest = w.rest[n:]
	if n < len(b) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

// Kernels runs every function of a checkpoint or an executable launch by launch on random inputs and compares each
// distinct kernel, where it is first launched, with the evaluator on the very memory it read, for every instruction set
// that this machine has or, if there are some, on a GPU. A line per kernel goes to w; the result is the number of
// mismatches.
func Kernels(ctx context.Context, w io.Writer, path string, o build.Options, gpus engine.GPUs) (mismatches int, err error) {
	if gpus != nil && !IsExecutable(path) {
		dir, remove, err := process.TempDir("pgc-check-")
		if err != nil {
			return 0, err
		}
		defer remove()
		exe := filepath.Join(dir, "model")
		o.Target = "cuda"
		if _, err := build.Compile(ctx, path, exe, []byte("\x7fELF"), o); err != nil {
			return 0, err
		}
		path = exe
	}
	err = eachVariant(w, path, o, gpus, func(set program.Target) error {
		var l *loaded
		var err error
		if IsExecutable(path) {
			l, err = open(ctx, path, set, gpus)
		} else {
			var t target.Target
			if t, err = target.Find(set.CPU); err == nil {
				l, err = load(ctx, path, t, o, false)
			}
		}
		if err != nil {
			return err
		}
		defer l.close()
		n, err := l.kernels(ctx, w, o)
		mismatches += n
		return err
	})
	return mismatches, err
}

// kernels runs and compares the kernels of one instruction set.
func (l *loaded) kernels(ctx context.Context, w io.Writer, o build.Options) (mismatches int, err error) {
	seen := map[int]bool{}
	rows := min(7, o.MaxTokens)
	if rows <= 0 {
		rows = 7
	}
	if err := l.e.Slots(l.r.Program.Slots); err != nil {
		return 0, err
	}
	if err := l.inputs(rows); err != nil {
		return 0, err
	}
	syms := map[string]int{entry.SymTokens: rows, entry.SymPrefix: rows - 2, entry.SymRow: 0, entry.SymRows: 2, entry.SymSlot: 1, entry.SymPanel: 1}
	for _, f := range l.m.Funcs {
		syms[entry.SymPast], syms[entry.SymKeys] = 0, rows
		if name := entry.Plain(f.Name); name == entry.Decode || name == entry.Step { // behind the tokens that the functions before them left in the cache
			syms[entry.SymPast], syms[entry.SymKeys] = rows, rows+1
		}
		n, err := l.function(ctx, w, f.Name, syms, seen)
		mismatches += n
		if err != nil {
			return mismatches, err
		}
	}
	return mismatches, nil
}

// inputs fills the inputs of all functions, and the states that none of them fills, with random numbers; a prompt has
// rows tokens.
func (l *loaded) inputs(rows int) error {
	rng := rand.New(rand.NewPCG(1, 1))
	pixels := make([]float32, elements(l.m.Func(entry.EncodeImage).Param(entry.InPixels).Type))
	for i := range pixels {
		pixels[i] = float32(rng.Float64()*2 - 1)
	}
	ids, slots := make([]int32, rows), make([]int32, rows)
	for i := range rows {
		ids[i], slots[i] = int32(rng.IntN(l.vocab)), -1
		if i < 3 {
			slots[i] = int32(i)
		}
	}
	positions, next := make([]int32, paligemma.MaxBatch), make([]int32, paligemma.MaxBatch)
	for i := range positions {
		positions[i], next[i] = int32(rows-i%2), int32(rng.IntN(l.vocab))
	}
	for _, p := range l.r.Program.Funcs {
		f, err := l.e.Func(p.Name)
		if err != nil {
			return err
		}
		for _, in := range p.Inputs {
			t, err := f.Input(in.Name)
			if err != nil {
				return err
			}
			switch in.Name {
			case entry.InPixels:
				err = engine.Put(t, 0, pixels)
			case entry.InIDs:
				err = engine.Put(t, 0, ids)
			case entry.InSlots:
				err = engine.Put(t, 0, slots)
			case entry.InCodes:
				codes := make([]int32, elements(l.m.Func(p.Name).Param(in.Name).Type))
				for i := range codes {
					codes[i] = int32(rng.IntN(l.codes))
				}
				err = engine.Put(t, 0, codes)
			case entry.InNext: // of tokens of one sequence, which have a position each
				err = engine.Put(t, 0, next[:elements(l.m.Func(p.Name).Param(in.Name).Type)])
			case entry.InTemperatures:
				temperatures := make([]float32, elements(l.m.Func(p.Name).Param(in.Name).Type))
				for i := range temperatures {
					temperatures[i] = float32(0.5 + rng.Float64())
				}
				err = engine.Put(t, 0, temperatures)
			case entry.InPositions:
				of := positions
				if next := l.m.Func(p.Name).Param(entry.InNext); next != nil {
					of = []int32{}
					for i := range elements(next.Type) {
						of = append(of, int32(max(0, rows-elements(next.Type)+i)))
					}
				}
				err = engine.Put(t, 0, of)
			}
			if err != nil {
				return err
			}
		}
	}
	for _, state := range l.r.Program.States {
		if state.Name != entry.StateNextBatch {
			continue
		}
		t, err := l.e.State(state.Name)
		if err != nil {
			return err
		}
		return engine.Put(t, 0, next)
	}
	return nil
}

// function runs one function launch by launch. An operation of several launches is compared after the last of them.
func (l *loaded) function(ctx context.Context, w io.Writer, name string, syms map[string]int, seen map[int]bool) (mismatches int, err error) {
	f := l.m.Func(name)
	fn := l.r.Program.Func(name)
	ops := l.r.Ops[name]
	run, err := l.e.Func(name)
	if err != nil {
		return mismatches, err
	}
	for s, v := range syms {
		run.Set(s, v)
	}
	for i := 0; i < len(ops); {
		if err := ctx.Err(); err != nil {
			return mismatches, err
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
				return mismatches, err
			}
			in = append(in, t)
		}
		for at := first; at < i; at++ {
			if err := run.RunLaunch(ctx, at); err != nil {
				return mismatches, err
			}
		}
		if fresh == "" {
			continue
		}
		for _, v := range op.Results {
			worst, miss, err := l.compare(f, v, in, syms)
			if err != nil {
				return mismatches, err
			}
			verdict := "ok"
			if miss != nil {
				mismatches++
				verdict = "MISS " + miss.Error()
			}
			fmt.Fprintf(w, "%-16s @%-13s %-40s %8.2g of the tolerance  %s\n", fresh, name, v.Type, worst, verdict)
		}
	}
	return mismatches, nil
}

// compare compares the memory of a result of an operation with the evaluator's result for the same operands.
func (l *loaded) compare(f *ir.Func, v *ir.Value, in []*eval.Tensor, syms map[string]int) (worst float64, miss, err error) {
	op := v.Def
	all, err := eval.Op(l.m, op, in, syms)
	if err != nil {
		return 0, nil, err
	}
	got, err := l.read(f, v, syms)
	if err != nil {
		return 0, nil, err
	}
	want := all[slices.Index(op.Results, v)]
	worst, miss = compare(got, want, l.tol(op, want))
	if miss != nil && isArgmax(op) {
		return l.compareArgmax(op, in, got, want, syms)
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
	mem, err := l.memory(f, v, shape, syms)
	if err != nil {
		return nil, err
	}
	if v.Type.DType.IsQuantized() {
		return groups(v.Type.DType, mem, shape), nil
	}
	size, n := v.Type.DType.MemoryBytes(), 1
	for _, d := range shape {
		n *= d
	}
	raw, index, off := make([]byte, 0, int64(n)*size), make([]int, len(shape)), int64(0)
	for range n {
		raw = append(raw, mem[off:off+size]...)
		for d := len(index) - 1; d >= 0; d-- {
			off += v.Buf.Strides[d] * size
			if index[d]++; index[d] < shape[d] {
				break
			}
			off -= int64(shape[d]) * v.Buf.Strides[d] * size
			index[d] = 0
		}
	}
	stored := v.Type.DType
	if stored == ir.Bool {
		stored = ir.I32
	}
	t, err := eval.Decode(stored, raw, shape...)
	if err != nil {
		return nil, err
	}
	t.DType = v.Type.DType
	return t, nil
}

// memory gets the bytes in which v lies, from its first element to its last.
func (l *loaded) memory(f *ir.Func, v *ir.Value, shape []int, syms map[string]int) ([]byte, error) {
	b := v.Buf
	run, err := l.e.Func(f.Name)
	if err != nil {
		return nil, err
	}
	var from engine.Tensor
	switch b.Space {
	case ir.Arena:
		from = l.e.Arena()
	case ir.Inputs:
		from, err = run.Input(b.Param.Name)
	case ir.Outputs:
		from, err = run.Output(f.Results[b.Result].Name)
	case ir.States:
		from = l.e.StateAt(l.r.State(b.Param))
	default:
		return nil, fmt.Errorf("%s: a value of type %s lies in the space %s, whose memory cannot be read", f.Name, v.Type, b.Space)
	}
	if err != nil {
		return nil, err
	}
	at := b.Offset
	for _, t := range b.Terms {
		at += int64(syms[t.Sym]) * t.Stride
	}
	n := l.m.Bytes(v.Type)
	if !v.Type.DType.IsQuantized() {
		n = 1
		for d, k := range shape {
			n += int64(k-1) * b.Strides[d]
		}
		n *= v.Type.DType.MemoryBytes()
	}
	mem := make([]byte, n)
	return mem, from.GetBytes(at, mem)
}

// parameter follows views to a parameter.
func parameter(v *ir.Value) *ir.Value {
	for v.Def != nil && (v.Def.Def == ir.OpReshape || v.Def.Def == ir.OpSlice || v.Def.Def == ir.OpTranspose || v.Def.Def == ir.OpBroadcast || v.Def.Def == ir.OpDynamicSlice) {
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
		all := []*eval.Tensor{in}
		for _, x := range v.Def.In[1:] { // where a slice begins
			t, err := l.read(f, x, syms)
			if err != nil {
				return nil, err
			}
			all = append(all, t)
		}
		return l.one(v.Def, syms, all...)
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
	t, err := eval.Decode(stored, raw.All(), raw.Shape...)
	if err != nil {
		return nil, err
	}
	if t.DType = v.Type.DType; t.DType != raw.DType { // stored otherwise than in the checkpoint: as the compiler does it
		t = t.Convert(t.DType)
	}
	l.params[v] = t
	return t, nil
}
