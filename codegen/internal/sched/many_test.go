package sched_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgc/checkpoint/random"
	"pgc/codegen"
	"pgc/codegen/cpu"
	"pgc/ir"
	"pgc/ir/target"
	"pgc/models"
	"pgc/passes"
	"pgc/runtime/entry"
	"pgc/runtime/program"
)

// A core of the model that these tests compute with: operations on float32, on bytes, and bytes read from memory, each a
// second. Only their ratios count.
const (
	floatRate  = 100e9
	byteRate   = 400e9
	memoryRate = 12e9
)

// What the protocol takes: an atomic addition to a line that others also add to, which happen one after the other, and the
// end of a launch until all have seen it.
const (
	atomicTime = 60e-9
	endTime    = 1e-6
)

// layersOf lowers a model of a released size with so many layers of the encoder and of the decoder, and room for so many tokens.
func layersOf(t *testing.T, size string, layers int, tokens int64, dtype ir.DType, cpuName string) *program.Program {
	t.Helper()
	_, cfg, err := random.Config(size)
	if err != nil {
		t.Fatal(err)
	}
	stored := func(key string) ir.DType {
		for _, matrix := range []string{"_proj.weight", ".fc1.weight", ".fc2.weight"} {
			if strings.HasSuffix(key, matrix) {
				return dtype
			}
		}
		return ir.BF16
	}
	m, err := cfg.WithLayers(layers).Graph(models.Options{KV: ir.F32, MaxTokens: int(tokens), DType: stored, QuantizeActivations: dtype.IsQuantized()})
	if err != nil {
		t.Fatal(err)
	}
	if err := passes.Optimize(m, passes.Options{}); err != nil {
		t.Fatal(err)
	}
	tgt, err := target.Find(cpuName)
	if err != nil {
		t.Fatal(err)
	}
	r, err := codegen.Lower(m, cpu.Backend(tgt))
	if err != nil {
		t.Fatal(err)
	}
	return r.Program
}

// launched is a launch for a number of threads.
type launched struct {
	kernel  *program.Kernel
	tasks   int64
	seconds float64 // on one core
	flops   int64
}

// launches returns the launches of a function for so many threads and positions.
func launches(p *program.Program, name string, threads int, positions int64) (out []launched) {
	f := p.Func(name)
	values := make([]int64, len(p.Symbols), len(p.Symbols)+8)
	for i, s := range p.Symbols {
		values[i] = min(positions, s.Max)
	}
	for i := range f.Launches {
		l := &f.Launches[i]
		k := &p.Kernels[l.Kernel]
		rate := floatRate
		if k.LHS == "int8" {
			rate = byteRate
		}
		flops := l.Flops.Eval(values)
		seconds := max(float64(flops)/rate, float64(l.Bytes.Eval(values))/memoryRate)
		out = append(out, launched{k, l.Divide(values[:len(values)+len(l.Grains)], threads), seconds, flops})
	}
	return out
}

// share and run are the protocol's arithmetic (see take.go): tasks of a worker's share, and the run with a number of those
// that are in no share.
func share(tasks, workers int64) int64 { return min(max(tasks/(2*workers), 1), program.MaxShare) }

func run(number, tasks, workers int64) int64 {
	for tasks > 0 {
		length := max(tasks/(4*workers), 1)
		if number < workers {
			return max(0, min(length, tasks-number*length))
		}
		number, tasks = number-workers, tasks-workers*length
	}
	return 0
}

// elapsed simulates a launch of equal tasks, with every worker there from the beginning: how long it takes.
func elapsed(tasks int64, seconds float64, workers int64) float64 {
	if tasks == 0 {
		return 0
	}
	task, length := seconds/float64(tasks), share(tasks, workers)
	at := make([]float64, workers) // when each worker looks for more
	for i := range at {
		n := max(0, min(length, tasks-int64(i)*length))
		at[i] = float64(n) * (task + 20e-9)
	}
	shared := max(0, tasks-workers*length)
	counter := 0.0 // when the counter of runs is free again
	for number := int64(0); ; number++ {
		n := run(number, shared, workers)
		if n == 0 {
			break
		}
		i := slices.Index(at, slices.Min(at))
		counter = max(counter, at[i]) + atomicTime
		at[i] = counter + float64(n)*task
	}
	// Where there were runs, everyone looks for one more. Who has done tasks adds them to the count, unless they are all.
	did := min(tasks, workers)
	slices.Sort(at)
	for i, t := range at {
		counter = max(counter, t)
		if shared > 0 {
			counter += atomicTime
		}
		if did > 1 && int64(i) >= workers-did {
			counter += atomicTime
		}
	}
	return counter + endTime
}

// speedup is how many times as fast a function's layer is on some threads as on one, from the numbers of tasks alone and
// in the simulation. The layer is what three layers have more than two.
func speedup(three, two *program.Program, name string, threads int, positions int64) (counts, simulated float64) {
	var one, bound, sim float64
	for i, p := range []*program.Program{three, two} {
		sign := float64(1 - 2*i)
		for _, l := range launches(p, name, threads, positions) {
			rounds := (l.tasks + int64(threads) - 1) / int64(threads)
			one += sign * l.seconds
			bound += sign * l.seconds * float64(rounds) / float64(max(1, l.tasks))
			sim += sign * elapsed(l.tasks, l.seconds, int64(threads))
		}
	}
	return one / bound, one / sim
}

// TestManyThreads computes what numbers of tasks allow a layer of a 3B model to speed up by on up to 192 threads. Products of
// many rows have as many tasks as are wanted, those of one row as many as there are panels, those of eight one for two panels. The
// key heads of attention have several threads each, and so have rows of a feed-forward layer that are quantized.
func TestManyThreads(t *testing.T) {
	// What a layer speeds up by on 96 threads, at least.
	type least struct{ counts, simulated float64 }
	phases := map[string]least{entry.EncodeImage: {60, 50}, entry.Prefill: {60, 60}, entry.Decode: {60, 30}, entry.DecodeBatch: {60, 35}}
	for _, c := range []struct {
		size   string
		tokens int64
		cpu    string
		dtype  ir.DType
	}{
		{"paligemma-3b-224", 266, "cascadelake", ir.BF16}, {"paligemma-3b-224", 266, "cascadelake", ir.I8G128},
		{"paligemma-3b-224", 266, "cascadelake", ir.I4G128}, {"paligemma-3b-224", 266, "x86-64-v3", ir.I4G128},
		{"paligemma-3b-224", 266, "neoverse-n1", ir.BF16}, {"paligemma2-3b-448", 1100, "cascadelake", ir.I4G128},
	} {
		three, two := layersOf(t, c.size, 3, 2*c.tokens, c.dtype, c.cpu), layersOf(t, c.size, 2, 2*c.tokens, c.dtype, c.cpu)
		for _, threads := range []int{1, 2, 16, 32, 64, 96, 128, 192} {
			on := fmt.Sprintf("%s, %s, %s, %d threads", c.size, c.cpu, c.dtype, threads)
			for _, name := range slices.Sorted(maps.Keys(phases)) {
				counts, simulated := speedup(three, two, name, threads, c.tokens)
				t.Logf("%s: %s %.1f, simulated %.1f", on, name, counts, simulated)
				if want := phases[name]; threads == 96 && (counts < want.counts || simulated < want.simulated) {
					t.Errorf("%s: a layer of %s speeds up %.1f times, %.1f in the simulation, expected %g and %g", on, name, counts, simulated, want.counts, want.simulated)
				}
				for _, l := range launches(three, name, threads, c.tokens) {
					want := program.WantedTasks(threads)
					switch {
					case name == entry.DecodeBatch:
						want = min(want, 64)
					case l.flops < 1<<28: // of one row
						want = min(want, 88)
					}
					if l.kernel.RHS != "" && l.flops >= 1<<22 && l.tasks < want {
						t.Errorf("%s: kernel %s has %d tasks, expected %d", on, l.kernel.Name, l.tasks, want)
					}
				}
			}
		}
	}
}
