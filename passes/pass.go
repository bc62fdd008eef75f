// Package passes rewrites the plain graph a model builds into the fused operations that kernels exist for, one file a
// pass, and plans its memory.
//
// A pass matches operations and types, never names, layer counts or sizes. Every fused operation it builds names its
// plain equivalent (OpDef.Expand), against which tests compare it. The package imports ir and nothing else of the
// project.
package passes

import (
	"errors"
	"fmt"
	"time"

	"pgc/ir"
)

// Pass is one rewriting of a function.
type Pass struct {
	Name     string
	Doc      string
	Required bool // codegen relies on it; it cannot be switched off
	Run      func(f *ir.Func) (rewrites int)
}

// Pipeline lists the passes in the order they run, with the reason of each place.
var Pipeline = []Pass{
	// First, so that every later pass meets one form of a thing; folding before the identities that constants show.
	{Name: "fold-constants", Doc: "what depends on constants only is computed", Run: foldConstants},
	{Name: "canonicalize", Doc: "views merge and sink below elementwise operations, products become products of rows, identities go", Run: canonicalize},
	{Name: "cse", Doc: "equal operations on equal operands become one", Run: cse},
	// Before the row pass, which would take the softmax inside.
	{Name: "fuse-attention", Doc: "scores, cap, mask, softmax and weighted sum become one attention", Run: fuseAttention},
	// After attention, which mixes rows and so stops it; before the fusions, which would hide row-wise operations.
	{Name: "sink-gather", Doc: "rows picked from a row-wise result are picked from its operands: logits of the last token only", Run: sinkGather},
	{Name: "cse-again", Doc: "the gathers that sinking copied become one again", Run: cse},
	{Name: "dce", Doc: "what nothing uses goes", Run: dce},
	// Before rows and maps: an epilogue saves a pass over memory, so matrix products choose first.
	{Name: "fuse-matmul", Doc: "products with weights take bias, residual, activation, soft cap and the gate of a GLU as epilogue", Run: fuseMatmul},
	// Before maps, which would take the ends of norms.
	{Name: "fuse-row", Doc: "norms and softmax: last-axis reductions and what surrounds them become one row", Run: fuseRow},
	{Name: "fuse-map", Doc: "chains of elementwise operations, lookups and concatenations become one map", Run: fuseMap},
	// What is left of the plain operations gets the form that kernels exist for.
	{Name: "legalize", Doc: "single plain operations become maps and rows; views that strides cannot express become copies", Required: true, Run: legalize},
	{Name: "final-dce", Doc: "what fusion left behind goes", Required: true, Run: dce},
}

// Options controls a run of the pipeline.
type Options struct {
	Off    map[string]bool // passes to leave out
	Check  bool            // verify after every pass
	Report func(pass string, f *ir.Func, rewrites int, took time.Duration)
}

// Optimize runs the pipeline on every function of m and plans buffers. An error names the pass and the function.
func Optimize(m *ir.Module, opt Options) error {
	for name := range opt.Off {
		p := Find(name)
		if p == nil {
			return fmt.Errorf("no pass is named %q", name)
		}
		if p.Required {
			return fmt.Errorf("pass %s cannot be switched off: code generation relies on it", name)
		}
	}
	for _, p := range Pipeline {
		if opt.Off[p.Name] {
			continue
		}
		for _, f := range m.Funcs {
			if err := run(p, f, opt); err != nil {
				return err
			}
		}
	}
	for _, f := range m.Funcs {
		if err := Plan(f); err != nil {
			return err
		}
	}
	return nil
}

// Find returns the pass of that name, or nil.
func Find(name string) *Pass {
	for i := range Pipeline {
		if Pipeline[i].Name == name {
			return &Pipeline[i]
		}
	}
	return nil
}

// RunOne runs one pass on a function and verifies the result.
func RunOne(p Pass, f *ir.Func) error { return run(p, f, Options{Check: true}) }

func run(p Pass, f *ir.Func, opt Options) (err error) {
	defer func() {
		if r := recover(); r != nil {
			var e *ir.Error
			if re, ok := r.(error); ok && errors.As(re, &e) {
				err = fmt.Errorf("pass %s on @%s: %w", p.Name, f.Name, e)
				return
			}
			panic(r)
		}
	}()
	start := time.Now()
	n := p.Run(f)
	if opt.Check {
		if err := f.Verify(); err != nil {
			return fmt.Errorf("after pass %s: %w", p.Name, err)
		}
	}
	if opt.Report != nil {
		opt.Report(p.Name, f, n, time.Since(start))
	}
	return nil
}
