// Package bench times compiled kernels and compares them with what the machine can do, measured a moment before.
package bench

import (
	"context"
	"time"

	"pgc/codegen/link"
	"pgc/codegen/llvm"
	"pgc/codegen/sched"
	"pgc/ir/target"
	"pgc/ir/tile"
	"pgc/runtime/native"
	"pgc/runtime/program"
)

// Peaks are the limits of the machine on some threads.
type Peaks struct {
	Flops     float64 `json:"fma_flops_per_s"` // float32 multiply-adds from registers, two operations each
	Bandwidth float64 `json:"read_bytes_per_s"`
}

const (
	fmaSteps  = 1 << 20
	readBytes = 1 << 29 // more than any cache
	readTasks = 256
)

// peakKernels are a kernel of nothing but multiply-adds and one that reads memory.
func peakKernels(t target.Target) (fma, read *tile.Kernel, flops int64, err error) {
	const accs = 12
	flops = int64(fmaSteps) * accs * int64(t.Lanes) * 2
	fma, err = tile.Build("peak_fma", func(b *tile.Builder) {
		out := b.Ptr("out", tile.F32)
		init := make([]*tile.Value, accs)
		for i := range init {
			init[i] = b.Float(float64(i), t.Lanes)
		}
		x := b.Load(out, b.Int(0), t.Lanes)
		acc := b.For(b.Int(0), b.Int(fmaSteps), b.Int(1), init, func(_ *tile.Value, c []*tile.Value) []*tile.Value {
			next := make([]*tile.Value, accs)
			for i := range next {
				next[i] = b.FMA(x, x, c[i])
			}
			return next
		})
		for i, a := range acc {
			at := b.Add(b.Mul(b.Task(), b.Int(accs*16)), b.Int(int64(16+i*t.Lanes)))
			b.Store(out, at, a)
		}
	})
	if err != nil {
		return nil, nil, 0, err
	}
	read, err = tile.Build("peak_read", func(b *tile.Builder) {
		in, out := b.Ptr("in", tile.F32), b.Ptr("out", tile.F32)
		const per = readBytes / 4 / readTasks
		lanes := int64(t.Lanes)
		src := b.PtrAdd(in, b.Mul(b.Task(), b.Int(per)))
		init := make([]*tile.Value, 8)
		for i := range init {
			init[i] = b.Float(0, t.Lanes)
		}
		acc := b.For(b.Int(0), b.Int(per), b.Int(8*lanes), init, func(i *tile.Value, c []*tile.Value) []*tile.Value {
			next := make([]*tile.Value, 8)
			for j := range next {
				next[j] = b.Max(c[j], b.Load(src, b.Add(i, b.Int(int64(j)*lanes)), t.Lanes))
			}
			return next
		})
		sum := acc[0]
		for _, a := range acc[1:] {
			sum = b.Max(sum, a)
		}
		b.Store(out, b.Mul(b.Task(), b.Int(16)), sum)
	})
	return fma, read, flops, err
}

// Measure finds the peaks of this machine with kernels of the given target, the best of several runs.
func Measure(ctx context.Context, t target.Target, threads int) (Peaks, error) {
	fma, read, flops, err := peakKernels(t)
	if err != nil {
		return Peaks{}, err
	}
	m, err := llvm.Emit(t, []*tile.Kernel{fma, read})
	if err != nil {
		return Peaks{}, err
	}
	worker, err := sched.Source()
	if err != nil {
		return Peaks{}, err
	}
	var objs [][]byte
	for _, src := range []string{m.String(), worker} {
		obj, err := llvm.Assemble(ctx, []byte(src), t)
		if err != nil {
			return Peaks{}, err
		}
		objs = append(objs, obj)
	}
	image, err := link.Link(objs)
	if err != nil {
		return Peaks{}, err
	}
	code, err := native.LoadCode(image.Code)
	if err != nil {
		return Peaks{}, err
	}
	defer code.Close()
	memory, err := native.Reserve(readBytes + 1<<20)
	if err != nil {
		return Peaks{}, err
	}
	defer memory.Close()
	b := memory.Bytes()
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	pool, err := native.Start(code.Bytes(), int64(image.Symbols[sched.Symbol]), threads, 64)
	if err != nil {
		return Peaks{}, err
	}
	defer pool.Close()
	p := &program.Program{Kernels: []program.Kernel{{Name: "fma", CodeOffset: int64(image.Symbols["peak_fma"])},
		{Name: "read", CodeOffset: int64(image.Symbols["peak_read"])}}}
	arena := func(offset int64) program.Arg {
		return program.Arg{Space: program.SpaceArena, Offset: offset, OffsetSym: -1}
	}
	best := func(kernel, tasks int, args ...program.Arg) (float64, error) {
		f := &program.Func{Name: "peak", Launches: []program.Launch{{Kernel: kernel, Tasks: program.C(int64(tasks)), Args: args}}}
		table, err := native.NewTable(p, f, code.Bytes())
		if err != nil {
			return 0, err
		}
		defer table.Close()
		if err := table.Bind(&native.Bases{Arena: memory.Addr()}, nil); err != nil {
			return 0, err
		}
		least := 1e9
		for range 5 {
			start := time.Now()
			if err := pool.Run(table); err != nil {
				return 0, err
			}
			least = min(least, time.Since(start).Seconds())
		}
		return least, ctx.Err()
	}
	s, err := best(0, 4*threads, arena(readBytes))
	if err != nil {
		return Peaks{}, err
	}
	peaks := Peaks{Flops: float64(flops*int64(4*threads)) / s}
	if s, err = best(1, readTasks, arena(0), arena(readBytes)); err != nil {
		return Peaks{}, err
	}
	peaks.Bandwidth = readBytes / s
	return peaks, nil
}
