// Package cpu is the backend for CPUs: tile kernels become LLVM IR and objects by llc, and these and the worker loop
// one position-independent image.
//
// It never sees a graph.
package cpu

import (
	"cmp"
	"context"
	"sync"

	"pgc/codegen/backend"
	"pgc/codegen/internal/link"
	"pgc/codegen/internal/sched"
	"pgc/codegen/llvm"
	"pgc/ir/target"
	"pgc/runtime/program"
)

// assemble compiles the kernels, equal ones once, and the worker loop with llc, and links them.
func assemble(ctx context.Context, t target.Target, ks []*backend.Kernel) (*backend.Code, error) {
	code := &backend.Code{Section: program.SectionCode, Align: link.MaxAlign}
	var functions []llvm.Function
	emitted := map[string]bool{}
	for _, k := range ks {
		f, err := Emit(t, k.Tile)
		if err != nil {
			return nil, err
		}
		if code.Names = append(code.Names, f.Symbol); !emitted[f.Symbol] {
			emitted[f.Symbol] = true
			functions = append(functions, f)
		}
	}
	worker, err := sched.Source(t.Arch)
	if err != nil {
		return nil, err
	}
	var loop []byte
	var failed error
	var wg sync.WaitGroup
	wg.Go(func() { loop, failed = llvm.Assemble(ctx, []byte(worker), t) })
	code.Objects, err = llvm.AssembleFunctions(ctx, functions, t)
	wg.Wait()
	if err = cmp.Or(err, failed); err != nil {
		return nil, err
	}
	code.Objects = append(code.Objects, loop)
	linked, err := link.Link(code.Objects)
	if err != nil {
		return nil, err
	}
	code.Bytes = linked.Code
	locate(code, linked)
	return code, nil
}

// locate notes where an image has the kernels and the worker loop, and what of it they need.
func locate(c *backend.Code, in *link.Image) {
	c.Worker = int64(in.Symbols[sched.Symbol])
	c.Offsets, c.Parts = nil, nil
	for _, p := range in.Parts {
		c.Parts = append(c.Parts, program.Part{At: int64(p.At), Bytes: int64(p.Bytes)})
	}
	for _, name := range c.Names {
		c.Offsets = append(c.Offsets, int64(in.Symbols[name]))
	}
}

// join links several programs into one image.
func join(codes []*backend.Code) ([]byte, []*backend.Code, error) {
	var objs [][][]byte
	for _, c := range codes {
		objs = append(objs, c.Objects)
	}
	images, err := link.Join(objs)
	if err != nil {
		return nil, nil, err
	}
	var placed []*backend.Code
	for i, c := range codes {
		p := *c
		locate(&p, images[i])
		placed = append(placed, &p)
	}
	return images[0].Code, placed, nil
}

// MinBatch is the smallest number of sequences for which a decoding step for all batch slots takes less time than a
// step for each sequence. It computes eight rows however many sequences there are: on two threads of Zen 5 in 4 bits
// that takes 1.1 to 1.4 times as long as one row with AVX-512-VNNI, and 2.5 to 3.2 times with AVX2, whose products, and
// not the memory, are the limit then.
func MinBatch(t target.Target) int {
	if t.Has(target.VNNI...) && t.Lanes == 16 {
		return 2
	}
	return 4
}
