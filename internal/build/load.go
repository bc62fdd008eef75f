package build

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"reflect"

	"golang.org/x/sys/unix"

	"pgc/checkpoint/hf"
	"pgc/codegen"
	"pgc/codegen/cpu"
	"pgc/ir"
	"pgc/ir/target"
	"pgc/passes"
	"pgc/runtime/cpufeature"
	"pgc/runtime/engine"
	"pgc/runtime/entry"
	"pgc/runtime/generate"
	"pgc/runtime/native"
	"pgc/runtime/program"
)

// Model is a model compiled to run in this process. Its functions return every layer's result.
type Model struct {
	Module  *ir.Module
	Session *generate.Session
	Inputs  map[string]Observed // by key of an observed weight
	close   func()
}

// Observed names the function and the output that hold the rows a weight is multiplied with.
type Observed struct{ Func, Output string }

// LoadOptions holds the options of Load.
type LoadOptions struct {
	Options
	Observe func(key string) bool // weights whose inputs are outputs, too; nil for none
	Image   *program.Executable   // an executable of the same checkpoint and options, whose weights are used; nil for none
	Folder  string                // where the weights lie otherwise, in a file without a name
}

// anyCPU is the target of loaded models, so that calibrations and reports are the same on every machine.
const anyCPU = "x86-64-v3"

// Load compiles the checkpoint. Close what it returns before c.
func Load(ctx context.Context, c *hf.Checkpoint, o LoadOptions) (*Model, error) {
	t, err := target.Find(anyCPU)
	if err != nil {
		return nil, err
	}
	if err := cpufeature.Check(t.Features); err != nil {
		return nil, fmt.Errorf("the model cannot run on this machine: %w", err)
	}
	tok, err := packTokenizer(c)
	if err != nil {
		return nil, err
	}
	l := &Model{Inputs: map[string]Observed{}}
	if l.Module, err = plain(c, o.Options, true); err != nil {
		return nil, err
	}
	if o.Observe != nil {
		for _, name := range []string{entry.EncodeImage, entry.Forward} {
			for key, output := range passes.Observe(l.Module.Func(name), o.Observe) {
				l.Inputs[key] = Observed{name, output}
			}
		}
	}
	if err := o.optimize(l.Module); err != nil {
		return nil, err
	}
	r, err := codegen.Compile(ctx, l.Module, cpu.Backend(t))
	if err != nil {
		return nil, err
	}
	var closers []func() error
	l.close = func() {
		for i := len(closers) - 1; i >= 0; i-- {
			closers[i]()
		}
	}
	ok := false
	defer func() {
		if !ok {
			l.close()
		}
	}()
	var weights []byte
	if o.Image != nil && reflect.DeepEqual(o.Image.Program.Weights, r.Program.Weights) {
		weights = o.Image.Weights
	} else {
		if weights, err = temporary(ctx, r, c, o); err != nil {
			return nil, err
		}
		closers = append(closers, func() error { return unix.Munmap(weights) })
	}
	code, err := native.LoadCode(r.Code.Bytes)
	if err != nil {
		return nil, err
	}
	closers = append(closers, code.Close)
	e, err := engine.New(r.Program, code.Bytes(), weights, native.DefaultThreads())
	if err != nil {
		return nil, err
	}
	closers = append(closers, e.Close)
	if l.Session, err = generate.New(describe(c, tok, o.Options), tok.Tokenizer, e); err != nil {
		return nil, err
	}
	ok = true
	return l, nil
}

// Close stops the threads and gives memory and disk back.
func (l *Model) Close() { l.close() }

// temporary maps the weights from an unlinked file, so that the system can evict what is not in use.
func temporary(ctx context.Context, r *codegen.Result, c *hf.Checkpoint, o LoadOptions) ([]byte, error) {
	f, err := os.CreateTemp(o.Folder, ".pgc-weights-*")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	os.Remove(f.Name())
	w := bufio.NewWriterSize(f, 1<<20)
	err = WriteWeights(ctx, w, r, c, o.Options)
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot keep the model's weights (%.1f GB) beside the executable for a while: %w", float64(r.Program.WeightBytes)/1e9, err)
	}
	return unix.Mmap(int(f.Fd()), 0, int(max(1, r.Program.WeightBytes)), unix.PROT_READ, unix.MAP_SHARED)
}
