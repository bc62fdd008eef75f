package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"pgc/codegen/backend"
	"pgc/codegen/cpu"
	"pgc/codegen/kernels"
	"pgc/codegen/schedule"
	"pgc/runtime/native"
	"pgc/runtime/program"
)

// weightBytes is the memory that weights are read from, in turn: more than caches hold.
const weightBytes = 256 << 20

// meter times single kernels on one thread.
type meter struct {
	ctx     context.Context
	o       TuneOptions
	weights *made          // what every operand begins in
	at      int64          // where the weights of the next run begin: no run finds what the one before has left in a cache
	out     *native.Memory // results
	peaks   Peaks          // of one thread
}

func newMeter(ctx context.Context, o TuneOptions) (*meter, error) {
	m := &meter{ctx: ctx, o: o}
	var err error
	if m.weights, err = makeUp(weightBytes); err != nil {
		return nil, err
	}
	if m.out, err = native.Reserve(weightBytes); err != nil { // touched as far as results are long
		m.weights.memory.Close()
		return nil, err
	}
	if err := m.measure(); err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

// measure measures the limits of one thread as kernels are timed, by the least of many times.
func (m *meter) measure() error {
	list, err := peakKernels(m.o.Target)
	if err != nil {
		return err
	}
	var ks []*backend.Kernel
	for _, k := range list {
		ks = append(ks, &backend.Kernel{Kernel: program.Kernel{Name: k.name}, Tile: k.tile})
	}
	memory, starts, err := m.load(ks)
	if err != nil {
		return err
	}
	defer memory.Close()
	const runs = 40
	for i, k := range list {
		pointers := []uintptr{m.out.Addr()}
		to, tasks := &m.peaks.Bandwidth, int64(weightBytes/chunkBytes)
		switch k.name {
		case fmaName():
			to, tasks = &m.peaks.Flops, 1
		case bfloatName():
			to, tasks = &m.peaks.BF16, 1
		case intName(8):
			to, tasks = &m.peaks.Int8, 1
		case intName(4):
			to, tasks = &m.peaks.Int4, 1
		case cacheName():
			to, tasks = &m.peaks.Cache, 1
			fallthrough
		default:
			pointers = []uintptr{m.weights.memory.Addr(), m.out.Addr()}
		}
		t := &timed{subject: subject{weight: -1}, kernel: starts[i], tasks: tasks}
		if t.args, err = native.Reserve(int64(8 * len(pointers))); err != nil {
			return err
		}
		if t.scratch, err = native.Reserve(k.tile.ScratchBytes); err != nil {
			return err
		}
		for i, p := range pointers {
			binary.LittleEndian.PutUint64(t.args.Bytes()[8*i:], uint64(p))
		}
		for range runs {
			seconds, err := t.run(m)
			if err != nil {
				return err
			}
			*to = max(*to, float64(k.work*tasks)/seconds)
		}
		t.close()
	}
	m.peaks.BF16 = max(m.peaks.BF16, m.peaks.Flops) // as f32
	m.peaks.Int4 = max(m.peaks.Int4, m.peaks.Int8)  // 4 bits are also bytes
	return nil
}

// load makes code of kernels, and says where each begins.
func (m *meter) load(ks []*backend.Kernel) (memory *native.Memory, starts []uintptr, err error) {
	code, err := cpu.Backend(m.o.Target).Assemble(m.ctx, ks)
	if err != nil {
		return nil, nil, err
	}
	if memory, err = native.LoadCode(code.Bytes); err != nil {
		return nil, nil, err
	}
	for _, at := range code.Offsets {
		starts = append(starts, memory.Addr()+uintptr(at))
	}
	return memory, starts, nil
}

func (m *meter) close() {
	m.weights.memory.Close()
	m.out.Close()
}

// timed is a kernel that can be run.
type timed struct {
	subject
	kernel        uintptr
	tasks         int64
	args, scratch *native.Memory
}

func (k *timed) close() {
	k.args.Close()
	k.scratch.Close()
}

// run calls the kernel and returns the seconds of processor time that this process spent on it. Its weights are the next
// slice of memory.
func (k *timed) run(m *meter) (float64, error) {
	if k.weight >= 0 {
		if m.at+k.in[k.weight] > weightBytes {
			m.at = 0
		}
		binary.LittleEndian.PutUint64(k.args.Bytes()[8*k.weight:], uint64(m.weights.memory.Addr())+uint64(m.at))
		m.at += k.in[k.weight]
	}
	start, err := processorTime()
	if err != nil {
		return 0, err
	}
	if err := native.Call(k.kernel, k.args.Addr(), k.tasks, k.scratch.Addr()); err != nil {
		return 0, err
	}
	end, err := processorTime()
	return end - start, err
}

// processorTime returns the seconds that processors gave to this process, which other programs' work does not count in.
func processorTime() (float64, error) {
	var t unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t)
	return float64(t.Nano()) / 1e9, err
}

// race builds the candidates of some laps, compares their results with those of the first, and races them. tables gives
// the schedules of a candidate. One that cannot be built is left out.
func (m *meter) race(laps []subject, n int, seconds float64, tables func(i int) *schedule.Table) (int, []result, error) {
	var ks []*backend.Kernel
	var of []int // which candidate
	for i := range n {
		built := make([]*backend.Kernel, len(laps))
		var err error
		for l, s := range laps {
			var k *kernels.Kernel
			name := fmt.Sprintf("candidate_%d_%d", i, l)
			if k, err = kernels.BuildBy(tables(i), name, s.spec, m.o.Target); err != nil {
				break
			}
			built[l] = &backend.Kernel{Kernel: program.Kernel{Name: name}, Args: k.Args, Tasks: k.Tasks, Grains: k.Grains, Tile: k.Tile}
		}
		if err != nil && i == 0 {
			return 0, nil, err
		}
		if err == nil {
			ks, of = append(ks, built...), append(of, i)
		}
	}
	memory, starts, err := m.load(ks)
	if err != nil {
		return 0, nil, err
	}
	defer memory.Close()
	var runs []*timed
	defer func() {
		for _, k := range runs {
			k.close()
		}
	}()
	for i, k := range ks {
		t, err := m.prepare(laps[i%len(laps)], k, starts[i])
		if err != nil {
			return 0, nil, err
		}
		runs = append(runs, t)
	}
	for l := range laps {
		if err := m.compare(runs, l, len(laps)); err != nil {
			return 0, nil, err
		}
	}
	best, some, err := race(len(of), len(laps), seconds, func(i, l int) (float64, error) {
		if err := m.ctx.Err(); err != nil {
			return 0, err
		}
		return runs[i*len(laps)+l].run(m)
	})
	if err != nil {
		return 0, nil, err
	}
	all := make([]result, n)
	for i, candidate := range of {
		all[candidate] = some[i]
	}
	return of[best], all, nil
}

// prepare lays out the arguments of a kernel: operands one behind the other in made-up memory, the result, grains as
// coarse as they come.
func (m *meter) prepare(s subject, k *backend.Kernel, kernel uintptr) (*timed, error) {
	t := &timed{subject: s, kernel: kernel, tasks: 1}
	for _, n := range append([]int64{s.out}, s.in...) {
		if n > weightBytes {
			return nil, fmt.Errorf("%s takes %d MiB for an operand, expected at most %d", s.name, n>>20, weightBytes>>20)
		}
	}
	var err error
	if t.args, err = native.Reserve(int64(8 * len(k.Args))); err != nil {
		return nil, err
	}
	if t.scratch, err = native.Reserve(k.Tile.ScratchBytes); err != nil {
		return nil, err
	}
	put := func(i int, v uint64) { binary.LittleEndian.PutUint64(t.args.Bytes()[8*i:], v) }
	for i, a := range k.Args {
		switch a.Kind {
		case kernels.ArgIn:
			put(i, uint64(m.weights.memory.Addr()))
		case kernels.ArgOut:
			put(i, uint64(m.out.Addr()))
		case kernels.ArgGrain:
			put(i, uint64(k.Grains[a.Index].Most()))
		default:
			return nil, fmt.Errorf("%s has an argument of kind %d, expected operands, a result and grains", s.name, a.Kind)
		}
	}
	units := func(n, of int64) int64 { return (n + of - 1) / of }
	for _, f := range k.Tasks {
		t.tasks *= units(f.Size.N, f.Div)
	}
	for _, g := range k.Grains {
		sum := int64(0)
		for _, s := range g {
			sum += units(s.Size.N, s.Unit*s.Most)
		}
		t.tasks *= sum
	}
	return t, nil
}

// compare runs lap l of every candidate on the same operands and expects the results of the first.
func (m *meter) compare(runs []*timed, l, laps int) error {
	var want []byte
	for i := l; i < len(runs); i += laps {
		k := runs[i]
		out := m.out.Bytes()[:k.out]
		clear(out)
		m.at = 0
		if _, err := k.run(m); err != nil {
			return err
		}
		if want == nil {
			want = bytes.Clone(out)
		} else if !bytes.Equal(out, want) {
			return fmt.Errorf("%s: candidate %d of a schedule has other results than the first: that is a defect of the kernels", k.name, i/laps)
		}
	}
	return nil
}
