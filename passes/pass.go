// Package passes rewrites the plain graph of a model into the fused operations that kernels exist for, and plans its
// memory. Every pass has a file.
//
// A pass matches operations and types, never names, layer counts or sizes. Every fused operation expands into an
// equivalent of plain ones (OpDef.Expand), against which tests compare it.
package passes

import (
	"fmt"
	"slices"
	"time"

	"pgc/ir"
)

// Pass rewrites a function.
type Pass struct {
	Name     string
	Doc      string
	Required bool // codegen relies on it; it cannot be switched off
	Asked    bool // it runs only for machines that ask for it: Options.With
	// Run rewrites f, asking the budget before each rewrite, and returns how many it did.
	Run func(f *ir.Func, b *Budget) (rewrites int)
}

// Pipeline lists the passes in the order they run. The table constraints in order.go says why.
var Pipeline = []Pass{
	{Name: "lower-convolutions", Required: true, Run: lowerConvolutions, Doc: "turns convolutions into lookups and products with their weights"},
	{Name: "fold-constants", Run: foldConstants, Doc: "computes operations that depend on constants only"},
	{Name: "canonicalize", Run: canonicalize, Doc: "merges views and sinks them below elementwise operations, turns products into products of rows, folds identities"},
	{Name: "cse", Run: cse, Doc: "merges equal operations on equal operands"},
	{Name: "fuse-attention", Run: fuseAttention, Doc: "fuses scores, cap, mask, softmax and weighted sum into one attention"},
	{Name: "sink-gather", Run: sinkGather, Doc: "picks rows from the operands of row-wise operations, so that only the last token runs through the end of the last layer"},
	{Name: "fuse-rotary", Run: fuseRotary, Doc: "moves rotary embeddings into the epilogue of their projection"},
	{Name: "cse-again", Run: cse, Doc: "merges the gathers that sinking copied, and the angles that queries and keys share"},
	{Name: "dce", Run: dce, Doc: "removes dead operations"},
	{Name: "fuse-matmul", Run: fuseMatmul, Doc: "fuses bias, residual, activation, soft cap and the gate of a GLU into the epilogue of products with weights"},
	{Name: "join-products", Run: joinProducts, Doc: "lets products go on with a small one that is added to theirs, such as the second of a low-rank update"},
	{Name: "merge-matmul", Run: mergeMatmul, Doc: "merges matmuls of one operand, such as queries, keys and values, into one with several results"},
	{Name: "fuse-row", Run: fuseRow, Doc: "fuses reductions of the last axis and the operations around them, such as norms and softmax, into one row"},
	{Name: "store-results", Run: storeResults, Doc: "lets producers write bf16 and f16 directly"},
	{Name: "fuse-prologue", Run: fusePrologue, Doc: "moves the norm of a single row into the matmul that reads it"},
	{Name: "fuse-rows-prologue", Asked: true, Run: fuseRowsPrologue, Doc: "does so for products of many rows, for machines whose products compute the norms of all rows first"},
	{Name: "fuse-argmax", Run: fuseArgmax, Doc: "moves the argmax of a single row into the matmul that computes it, so that greedy decoding writes no logits"},
	{Name: "scatter-results", Run: scatterResults, Doc: "lets products write rows to their places in states, such as the keys and values of a batch"},
	{Name: "fuse-map", Run: fuseMap, Doc: "fuses chains of elementwise operations, lookups and concatenations into one map"},
	{Name: "legalize", Required: true, Run: legalize, Doc: "turns the remaining plain operations into maps, rows and matmuls, and views that strides cannot express into copies"},
	{Name: "final-dce", Required: true, Run: dce, Doc: "removes operations that fusion left dead"},
}

// Options controls a run of passes.
type Options struct {
	Off     map[string]bool // passes to leave out
	With    []string        // passes to run that are asked for
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
		if opt.Off[p.Name] || p.Asked && !slices.Contains(opt.With, p.Name) {
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
