// Package passes rewrites the plain graph a model builds into the fused operations that kernels exist for, one file a
// pass, and plans its memory.
//
// A pass matches operations and types, never names, layer counts or sizes. Every fused operation it builds names its
// plain equivalent (OpDef.Expand), against which tests compare it. The package imports ir and nothing else of the
// project.
package passes

import (
	"fmt"
	"time"

	"pgc/ir"
)

// Pass is one rewriting of a function.
type Pass struct {
	Name     string
	Doc      string
	Required bool // codegen relies on it; it cannot be switched off
	// Run rewrites f, asking the budget before each rewrite, and returns how many it did.
	Run func(f *ir.Func, b *Budget) (rewrites int)
}

// Pipeline lists the passes in the order they run. The table constraints in order.go says why.
var Pipeline = []Pass{
	{Name: "fold-constants", Run: foldConstants, Doc: "what depends on constants only is computed"},
	{Name: "canonicalize", Run: canonicalize, Doc: "views merge and sink below elementwise operations, products become products of rows, identities go"},
	{Name: "cse", Run: cse, Doc: "equal operations on equal operands become one"},
	{Name: "fuse-attention", Run: fuseAttention, Doc: "scores, cap, mask, softmax and weighted sum become one attention"},
	{Name: "sink-gather", Run: sinkGather, Doc: "rows picked from a row-wise result are picked from its operands: the end of the last layer for the last token only"},
	{Name: "fuse-rotary", Run: fuseRotary, Doc: "rotary embeddings become the epilogue of their projection"},
	{Name: "cse-again", Run: cse, Doc: "the gathers that sinking copied, and the angles that queries and keys share, become one again"},
	{Name: "dce", Run: dce, Doc: "what nothing uses goes"},
	{Name: "fuse-matmul", Run: fuseMatmul, Doc: "products with weights take bias, residual, activation, soft cap and the gate of a GLU as epilogue"},
	{Name: "merge-matmul", Run: mergeMatmul, Doc: "matmuls of one operand, as queries, keys and values, become one with several results"},
	{Name: "fuse-row", Run: fuseRow, Doc: "norms and softmax: last-axis reductions and what surrounds them become one row"},
	{Name: "store-results", Run: storeResults, Doc: "results that are only stored in 16 bits are stored so by the operation that has them"},
	{Name: "fuse-prologue", Run: fusePrologue, Doc: "the norm of a single row moves into the matmul that reads it"},
	{Name: "fuse-argmax", Run: fuseArgmax, Doc: "the argmax of a single row moves into the matmul that makes it: logits that only greedy decoding reads are never written"},
	{Name: "fuse-map", Run: fuseMap, Doc: "chains of elementwise operations, lookups and concatenations become one map"},
	{Name: "legalize", Required: true, Run: legalize, Doc: "single plain operations become maps, rows and matmuls; views that strides cannot express become copies"},
	{Name: "final-dce", Required: true, Run: dce, Doc: "what fusion left behind goes"},
}

// Options controls a run of passes.
type Options struct {
	Off     map[string]bool // passes to leave out
	Check   bool            // verify after every pass, try it in other orders of operations, verify the plan; a failure carries the function as it was before
	Budget  *Budget         // how many rewrites optional passes may do; nil is any number
	Observe func(Step)      // called for every function before all passes and after every pass
}

// Step is one pass that ran on one function.
type Step struct {
	Pass     string   // empty for the function as it was before all passes
	Func     *ir.Func // as the pass left it
	Rewrites int
	Took     time.Duration
}

// Failure is a pass that went wrong: it left an invalid function, or panicked.
type Failure struct {
	Pass, Func string
	Err        error
	Before     string // the text of a module that holds the function as it was before; empty without Options.Check
}

// Error says which pass failed on which function, and how.
func (e *Failure) Error() string { return fmt.Sprintf("pass %s on @%s: %v", e.Pass, e.Func, e.Err) }

// Unwrap returns what went wrong.
func (e *Failure) Unwrap() error { return e.Err }

// Budget limits the number of rewrites, so that a wrong one can be found by bisection.
type Budget struct {
	Left int    // rewrites that may still be done
	Done int    // rewrites done
	Last string // the last one: the operation that was replaced
}

// Take asks for one more rewrite, that of op.
func (b *Budget) Take(op *ir.Op) bool {
	if b == nil {
		return true
	}
	if b.Left <= 0 {
		return false
	}
	b.Left--
	b.Done++
	b.Last = op.String()
	return true
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
	if err := Run(m, Pipeline, opt); err != nil {
		return err
	}
	for _, f := range m.Funcs {
		if err := Plan(f); err != nil {
			return err
		}
		if opt.Check {
			if err := CheckPlan(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// Run runs passes, in order, on every function of m.
func Run(m *ir.Module, list []Pass, opt Options) error {
	if opt.Observe != nil {
		for _, f := range m.Funcs {
			opt.Observe(Step{Func: f})
		}
	}
	for _, p := range list {
		if opt.Off[p.Name] {
			continue
		}
		for _, f := range m.Funcs {
			if err := run(p, f, opt); err != nil {
				return err
			}
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

func run(p Pass, f *ir.Func, opt Options) (err error) {
	var before *ir.Module // f alone
	if opt.Check {
		before = &ir.Module{Symbols: f.Module.Symbols}
		f.Clone(before)
	}
	failure := func(err error) error {
		e := &Failure{Pass: p.Name, Func: f.Name, Err: err}
		if before != nil {
			e.Before = before.String()
		}
		return e
	}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case error:
			err = failure(r)
		default:
			err = failure(fmt.Errorf("%v", r))
		}
	}()
	start := time.Now()
	budget := opt.Budget
	if p.Required {
		budget = nil
	}
	n := p.Run(f, budget)
	took := time.Since(start)
	if opt.Check {
		if err := f.Verify(); err != nil {
			return failure(err)
		}
		if opt.Budget == nil {
			if err := checkOrder(p, before.Funcs[0], f); err != nil {
				return failure(err)
			}
		}
	}
	if opt.Observe != nil {
		opt.Observe(Step{p.Name, f, n, took})
	}
	return nil
}
