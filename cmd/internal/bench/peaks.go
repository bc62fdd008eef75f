// Package bench times compiled kernels and whole answers, and compares them with the limits of the machine, which it
// measures before and after.
package bench

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"pgc/codegen/backend"
	"pgc/codegen/cpu"
	"pgc/ir/target"
	"pgc/runtime/native"
	"pgc/runtime/program"
)

// Peaks holds the limits of the machine for a number of threads.
type Peaks struct {
	Flops     float64 `json:"fma_flops_per_s"`   // float32 multiply-adds from registers, two operations each
	BF16      float64 `json:"bf16_flops_per_s"`  // products of bfloat16, added up in float32
	Int8      float64 `json:"int8_ops_per_s"`    // exact products of bytes, added up in 32 bits
	Int4      float64 `json:"int4_ops_per_s"`    // products of 4 by 8 bits, added up in 32 bits
	Bandwidth float64 `json:"read_bytes_per_s"`  // memory, the best of some ways to read it
	Cache     float64 `json:"cache_bytes_per_s"` // the second-level caches
}

// most returns the larger of two measurements, limit by limit.
func (p Peaks) most(o Peaks) Peaks {
	return Peaks{max(p.Flops, o.Flops), max(p.BF16, o.BF16), max(p.Int8, o.Int8), max(p.Int4, o.Int4), max(p.Bandwidth, o.Bandwidth), max(p.Cache, o.Cache)}
}

const (
	readBytes = 1 << 29 // more than any cache
	outBytes  = 1 << 20
)

// prober measures peaks with kernels of one target.
type prober struct {
	ctx     context.Context
	threads int
	kernels []peakKernel
	code    *native.Memory
	entry   map[string]int64
	worker  int64
	memory  *native.Memory
	weights []byte // of the executable, mapped from the file; read as well as memory if there are enough
	pool    *native.Pool
}

func newProber(ctx context.Context, t target.Target, threads int, weights []byte) (*prober, error) {
	p := &prober{ctx: ctx, threads: threads, weights: weights, entry: map[string]int64{}}
	if err := p.build(t); err != nil {
		return nil, err
	}
	if err := p.start(); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// build compiles the kernels and the worker loop.
func (p *prober) build(t target.Target) error {
	var err error
	if p.kernels, err = peakKernels(t); err != nil {
		return err
	}
	var ks []*backend.Kernel
	for _, k := range p.kernels {
		ks = append(ks, &backend.Kernel{Kernel: program.Kernel{Name: k.name}, Tile: k.tile})
	}
	code, err := cpu.Backend(t).Assemble(p.ctx, ks)
	if err != nil {
		return err
	}
	for i, k := range ks {
		p.entry[k.Name] = code.Offsets[i]
	}
	p.worker = code.Worker
	p.code, err = native.LoadCode(code.Bytes)
	return err
}

// start reserves memory, in huge pages where the system grants them, and starts threads.
func (p *prober) start() error {
	var err error
	if p.memory, err = native.Reserve(readBytes + outBytes); err != nil {
		return err
	}
	b := p.memory.Bytes()
	unix.Madvise(b, unix.MADV_HUGEPAGE) // a wish
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	scratch := int64(0)
	for _, k := range p.kernels {
		scratch = max(scratch, k.tile.ScratchBytes)
	}
	p.pool, err = native.Start(p.code.Bytes(), p.worker, p.threads, scratch)
	return err
}

func (p *prober) close() {
	if p.pool != nil {
		p.pool.Close()
	}
	p.memory.Close()
	p.code.Close()
}

// measure measures the peaks, the best of several runs of every kernel.
func (p *prober) measure() (Peaks, error) {
	out := p.memory.Addr() + readBytes
	var peaks Peaks
	for _, m := range []struct {
		name  string
		tasks int
		to    *float64
		args  []uintptr
	}{
		{fmaName(), 4 * p.threads, &peaks.Flops, []uintptr{out}},
		{bfloatName(), 4 * p.threads, &peaks.BF16, []uintptr{out}},
		{intName(8), 4 * p.threads, &peaks.Int8, []uintptr{out}},
		{intName(4), 4 * p.threads, &peaks.Int4, []uintptr{out}},
		{cacheName(), 4 * p.threads, &peaks.Cache, []uintptr{p.memory.Addr(), out}},
	} {
		rate, err := p.rate(m.name, m.tasks, m.args...)
		if err != nil {
			return Peaks{}, err
		}
		*m.to = max(*m.to, rate)
	}
	peaks.BF16 = max(peaks.BF16, peaks.Flops) // as f32
	peaks.Int4 = max(peaks.Int4, peaks.Int8)  // 4 bits are also bytes
	for _, n := range streams {
		for _, place := range p.places() {
			rate, err := p.rate(readName(n), readBytes/chunkBytes, place, out)
			if err != nil {
				return Peaks{}, err
			}
			peaks.Bandwidth = max(peaks.Bandwidth, rate)
		}
	}
	return peaks, nil
}

// places lists the addresses from which readBytes are read.
func (p *prober) places() []uintptr {
	list := []uintptr{p.memory.Addr()}
	if len(p.weights) >= readBytes {
		list = append(list, native.Addr(p.weights))
	}
	return list
}

// rate returns the work per second of so many tasks of a kernel with these pointers.
func (p *prober) rate(name string, tasks int, pointers ...uintptr) (float64, error) {
	prog := &program.Program{Kernels: []program.Kernel{{Name: name, CodeOffset: p.entry[name]}}}
	l := program.Launch{Tasks: program.C(int64(tasks))}
	for i := range pointers {
		l.Args = append(l.Args, program.Arg{Space: program.SpaceInput, Index: i})
	}
	table, err := native.NewTable(prog, &program.Func{Name: name, Launches: []program.Launch{l}}, p.code.Bytes(), tasks)
	if err != nil {
		return 0, err
	}
	defer table.Close()
	if err := table.Bind(&native.Bases{Inputs: pointers}, nil); err != nil {
		return 0, err
	}
	var work int64
	for _, k := range p.kernels {
		if k.name == name {
			work = k.work * int64(tasks)
		}
	}
	best := 0.0
	for range 8 {
		start := time.Now()
		if err := p.pool.Run(p.ctx, table, 0, table.Launches()); err != nil {
			return 0, err
		}
		best = max(best, float64(work)/time.Since(start).Seconds())
	}
	return best, nil
}
