package gpu

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"sort"
	"sync"

	"pgc/runtime/program"
)

// modulesAtMost is how many modules the text of a program is split into: they are compiled at the same time.
const modulesAtMost = 16

// part is a module of some of the program's kernels.
type part struct {
	text    []byte
	kernels []int
}

// split divides the text of a program into modules of about the same length. The text begins with what all kernels
// share, then has kernel after kernel.
func split(p *program.Program, text []byte) ([]part, error) {
	order := make([]int, len(p.Kernels))
	for i := range order {
		order[i] = i
	}
	at := func(i int) int64 { return p.Kernels[i].CodeOffset - p.Text.Offset }
	sort.SliceStable(order, func(i, j int) bool { return at(order[i]) < at(order[j]) })
	if len(order) == 0 {
		return nil, nil
	}
	if end := p.Text.Offset + p.Text.Bytes; int64(len(text)) < end {
		return nil, fmt.Errorf("%d bytes of PTX, expected %d", len(text), end)
	}
	text = text[p.Text.Offset:][:p.Text.Bytes]
	head := text[:at(order[0])]
	share := max(1, (len(text)-len(head)+modulesAtMost-1)/modulesAtMost)
	var parts []part
	for n, i := range order {
		end := int64(len(text))
		if n+1 < len(order) {
			end = at(order[n+1])
		}
		if len(parts) == 0 || len(parts[len(parts)-1].text)-len(head) >= share {
			parts = append(parts, part{text: bytes.Clone(head)})
		}
		last := &parts[len(parts)-1]
		last.text, last.kernels = append(last.text, text[at(i):end]...), append(last.kernels, i)
	}
	return parts, nil
}

// compile compiles the program's kernels for the device, or finds them in the cache, and loads them. Several modules are
// compiled at the same time.
func (x *Executor) compile(ctx context.Context, text []byte) error {
	parts, err := split(x.p, text)
	if err != nil {
		return err
	}
	x.kernels, x.modules = make([]kernel, len(x.p.Kernels)), make([]Module, 0, len(parts))
	var mu sync.Mutex
	var all sync.WaitGroup
	var first error
	done, next := 0, 0
	work := func() {
		for {
			mu.Lock()
			i := next
			next++
			stop := first != nil || i >= len(parts)
			mu.Unlock()
			if stop {
				return
			}
			err := ctx.Err()
			var m Module
			if err == nil {
				m, err = x.module(parts[i].text)
			}
			mu.Lock()
			if err != nil && first == nil {
				first = x.failed(err)
			}
			if m != 0 {
				x.modules = append(x.modules, m)
			}
			if err == nil && first == nil {
				first = x.functions(m, parts[i].kernels)
			}
			if done++; x.options.Progress != nil {
				x.options.Progress("code", int64(done), int64(len(parts)))
			}
			mu.Unlock()
		}
	}
	for range min(len(parts), runtime.GOMAXPROCS(0)) {
		all.Go(work)
	}
	all.Wait()
	return first
}

// module compiles and loads a module, at the same time as others: its errors are the driver's own.
func (x *Executor) module(text []byte) (Module, error) {
	path := x.cached(text)
	if path != "" {
		if image, err := own(path); err == nil {
			if m, err := x.d.ModuleLoad(image); err == nil {
				return m, nil
			} // else it is damaged, and compiled again
		}
	}
	image, err := x.d.Link(text)
	if err != nil {
		return 0, err
	}
	if path != "" {
		keep(path, image, cacheBytes)
	}
	return x.d.ModuleLoad(image)
}

// functions finds the kernels of a module.
func (x *Executor) functions(m Module, numbers []int) error {
	for _, i := range numbers {
		k := &x.p.Kernels[i]
		f, err := x.d.ModuleGetFunction(m, k.Name)
		if err != nil {
			return x.failed(err)
		}
		shared := int64(0)
		if k.DynamicShared {
			shared = k.SharedBytes
		}
		blocks, err := x.d.Occupancy(f, k.Threads, shared)
		if err != nil {
			return x.failed(err)
		}
		if blocks < 1 {
			return fmt.Errorf("%s holds no block of kernel %s: %d threads and %d bytes of shared memory", x.d.Info().Name, k.Name, k.Threads, k.SharedBytes)
		}
		x.kernels[i] = kernel{f, int64(blocks) * int64(x.d.Info().Multiprocessors)}
	}
	return nil
}
