package ptx

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"pgc/codegen/ptx/emu"
	"pgc/ir/tile"
	"pgc/runtime/program"
)

// tensorParams loads the parameters of a test's kernel, and which thread and lane this is.
func tensorParams(a *asm) (in, out, tasks, thread, lane string) {
	load := func(name string) string {
		return a.to(long, "cvta.to.global.u64", a.parameter(name))
	}
	in, out, tasks = load("in"), load("out"), a.parameter("tasks")
	thread = a.to(word, "mov.u32", "%tid.x")
	lane = a.to(word, "and.b32", thread, num(warp-1))
	return in, out, tasks, thread, lane
}

// tensorKernel is one step of the tensor cores for a warp: task i takes the words of its lanes' fragments, A (4), B (2)
// and C (4), from in, fragment by fragment, and leaves D (4) in out.
func tensorKernel() *Kernel {
	a := &asm{}
	in, out, tasks, thread, lane := tensorParams(a)
	a.tasks(a.to(word, "shr.u32", thread, "5"), threads/warp, binding{reg: tasks}, func(task string) {
		from := a.to(long, "mad.wide.u32", lane, "4", a.to(long, "mad.lo.s64", task, num(10*4*warp), in))
		var words []string
		for i := range int64(6) {
			words = append(words, a.to(word, "ld.global.b32", at(from, i*4*warp)))
		}
		var c []string
		for i := range int64(4) {
			c = append(c, a.to(float, "ld.global.f32", at(from, (6+i)*4*warp)))
		}
		d := a.regs(float, 4)
		a.do(mma, vector(d...), vector(words[:4]...), vector(words[4:]...), vector(c...))
		to := a.to(long, "mad.wide.u32", lane, "4", a.to(long, "mad.lo.s64", task, num(4*4*warp), out))
		for i := range int64(4) {
			a.do("st.global.f32", at(to, i*4*warp), d[i])
		}
	})
	return &Kernel{Kernel: program.Kernel{Name: "tensor", Threads: threads, TaskThreads: warp},
		Text: a.entry("tensor", []param{{"u64", "param_in"}, {"u64", "param_out"}, {"u64", "param_tasks"}})}
}

// tensorInputs are the fragments of n steps, of numbers of a dozen kinds.
func tensorInputs(n int) []uint32 {
	rng := rand.New(rand.NewPCG(9, 10))
	var words []uint32
	for i := range n {
		number := func(c bool) uint32 {
			v := rng.NormFloat64()
			switch i % 12 {
			case 1: // far apart
				v = math.Ldexp(v, rng.IntN(40)-20)
			case 2: // very far apart
				v = math.Ldexp(v, rng.IntN(100)-50)
			case 3: // powers of two, so that ties occur
				v = math.Copysign(math.Ldexp(1, rng.IntN(16)-8), v)
			case 4: // tiny: products are subnormal in f32
				v = math.Ldexp(v, -70+rng.IntN(12))
				if c {
					v = math.Ldexp(v, -66)
				}
			case 5: // a sum far larger than the products
				if c {
					v = math.Ldexp(v, 8+rng.IntN(20))
				}
			case 6: // none
				if c {
					v = 0
				}
			case 7: // mostly zeros, of both signs
				if rng.IntN(4) > 0 {
					v = math.Copysign(0, v)
				}
			case 8: // infinities and NaN among others
				if rng.IntN(60) == 0 {
					v = []float64{math.Inf(1), math.Inf(-1), math.NaN(), 0}[rng.IntN(4)]
				}
			case 9: // overflow
				v = math.Ldexp(v, 58+rng.IntN(6))
				if c {
					v = math.Ldexp(v, 64)
				}
			case 10: // factors that are subnormal, and some that are huge
				v = math.Ldexp(v, -134+rng.IntN(8))
				if rng.IntN(2) == 0 && !c {
					v = math.Ldexp(v, 240)
				}
			case 11: // sums that are often zero
				v = math.Copysign(1, v)
				if c {
					v *= float64(rng.IntN(3)) * 4
				}
			}
			return math.Float32bits(float32(v))
		}
		for range 6 * warp {
			words = append(words, number(false)>>16|number(false)&^0xffff)
		}
		for range 4 * warp {
			words = append(words, number(true))
		}
	}
	return words
}

// recorded is what an H100 made of the first steps of tensorInputs; go test -update writes it where PGC_CUDA is set.
const recorded, recordedSteps = "testdata/tensor_h100.bin", 48

// The emulator's sums are those that tensor cores were seen to make, bit by bit.
func TestTensorCores(t *testing.T) {
	steps := int64(recordedSteps)
	if onGPU != nil {
		steps = 12000
	}
	k, in := tensorKernel(), memory(t, tensorInputs(int(steps)))
	out := emu.Pointer{Memory: &emu.Memory{Data: make([]byte, steps*4*warp*4)}}
	launch(t, parsed(t, k), k, steps, in, out)
	got := out.Memory.Data[:recordedSteps*4*warp*4]
	if *update && onGPU != nil {
		if err := os.WriteFile(recorded, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(recorded)
	if err != nil {
		t.Fatal(err)
	}
	if onGPU != nil && onGPU.Major != 9 {
		t.Skip("recorded on another generation")
	}
	for i := 0; i < len(want); i += 4 {
		if w, g := canonical(tile.F32, want[i:i+4]), canonical(tile.F32, got[i:i+4]); w != g {
			t.Errorf("step %d, register %d of thread %d: %s, recorded is %s", i/512, i/128%4, i/4%32, g, w)
		}
	}
}

// nothingKernel fills shared memory with ones, copies no bytes of 16 over them from an address that is a number, and
// stores what is there then: two of the floats of every thread.
func nothingKernel() *Kernel {
	a := &asm{}
	from, out := a.parameter("from"), a.parameter("out")
	a.parameter("tasks")
	out = a.to(long, "cvta.to.global.u64", out)
	thread := a.to(word, "mov.u32", "%tid.x")
	to := a.to(word, "mad.lo.s32", thread, num(chunk), a.to(word, "mov.u32", sharedName))
	one := a.to(float, "mov.f32", floatNum(1))
	for half := range int64(2) {
		a.do("st.shared.v2.f32", at(to, 8*half), vector(one, one))
	}
	a.do("cp.async.cg.shared.global", at(to, 0), at(from, 0), num(chunk), a.to(word, "sub.s32", thread, thread))
	a.do("cp.async.commit_group")
	a.do("cp.async.wait_group", "0")
	to64 := a.to(long, "mad.wide.u32", thread, "8", out)
	for half := range int64(2) {
		a.do("st.global.f32", at(to64, 4*half), a.to(float, "ld.shared.f32", at(to, 12*half)))
	}
	return &Kernel{Kernel: program.Kernel{Name: "nothing", Threads: threads, TaskThreads: threads},
		Text: a.entryOf(&program.Kernel{Name: "nothing", Threads: threads, SharedBytes: threads * chunk}, []param{{"u64", "param_from"}, {"u64", "param_out"}, {"u64", "param_tasks"}})}
}

// Copies of no bytes, which the product makes of rows outside its operands, write zeros and never look at the address.
func TestCopiesOfNothing(t *testing.T) {
	for _, from := range []int64{0, 16, 1 << 46} {
		k, out := nothingKernel(), memory(t, filled(2*threads, func() float32 { return 2 }))
		launch(t, parsed(t, k), k, 1, from, out)
		for i := range 2 * threads {
			if got := element(tile.F32, out.Memory.Data, i); got != 0 {
				t.Fatalf("from address %#x: float %d is %g", from, i, got)
			}
		}
	}
}

// tensorPeakKernel does nothing but steps of the tensor cores: every warp rounds of `chains` that do not wait for each
// other, on fragments from in, and stores the sum of all, which keeps them. There are as many tasks as warps.
func tensorPeakKernel(chains, rounds int64) *Kernel {
	a := &asm{}
	in, out, tasks, thread, lane := tensorParams(a)
	a.tasks(a.to(word, "shr.u32", thread, "5"), threads/warp, binding{reg: tasks}, func(task string) {
		from := a.to(long, "mad.wide.u32", lane, "4", in)
		var words []string
		for i := range int64(6) {
			words = append(words, a.to(word, "ld.global.b32", at(from, i*4*warp)))
		}
		var sums [][]string
		for range chains {
			c := a.regs(float, 4)
			for _, r := range c {
				a.do("mov.f32", r, floatNum(0))
			}
			sums = append(sums, c)
		}
		round := a.reg(word)
		a.do("mov.b32", round, "0")
		loop := a.label("round")
		a.place(loop)
		for _, c := range sums {
			a.do(mma, vector(c...), vector(words[:4]...), vector(words[4:]...), vector(c...))
		}
		a.do("add.s32", round, round, "1")
		a.onlyIf(a.to(pred, "setp.lt.s32", round, num(rounds)), "bra", loop)
		total := floatNum(0)
		for _, c := range sums {
			for _, r := range c {
				total = a.to(float, "add.rn.f32", r, total)
			}
		}
		a.do("st.global.f32", at(a.to(long, "mad.wide.u32", lane, "4", a.to(long, "mad.lo.s64", task, num(4*warp), out)), 0), total)
	})
	return &Kernel{Kernel: program.Kernel{Name: "peak", Threads: threads, TaskThreads: warp},
		Text: a.entry("peak", []param{{"u64", "param_in"}, {"u64", "param_out"}, {"u64", "param_tasks"}})}
}

// tensorFlops is the multiplications and additions of a step.
const tensorFlops = 2 * 16 * 8 * 16

// The kernel that finds the peak computes what it should, if it is short: rounds times A·B in every chain.
func TestTensorPeakKernel(t *testing.T) {
	const tasks, chains, rounds = 5, 3, 2
	k := tensorPeakKernel(chains, rounds)
	in, out := make([]uint32, 10*warp), emu.Pointer{Memory: &emu.Memory{Data: make([]byte, tasks*warp*4)}}
	for i := range in {
		in[i] = 0x3f803f80 // ones
	}
	launch(t, parsed(t, k), k, tasks, memory(t, in), out)
	for i := range tasks * warp {
		if got := math.Float32frombits(binary.LittleEndian.Uint32(out.Memory.Data[4*i:])); got != 16*rounds*4*chains {
			t.Fatalf("thread %d has %g, want %d", i, got, 16*rounds*4*chains)
		}
	}
	if n := strings.Count(k.Text, mma); n != chains {
		t.Errorf("%d instructions for %d chains", n, chains)
	}
}
