package ptx

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgc/codegen/ptx/emu"
)

// tensorKernel is one step of the tensor cores for a warp: task i takes the words of its lanes' fragments, A (4), B (2) and
// C (4), from in, fragment by fragment, and leaves D (4) in out.
func tensorKernel() *Kernel {
	a := &asm{}
	load := func(name string) string {
		return a.to(long, "cvta.to.global.u64", a.to(long, "ld.param.u64", at("param_"+name, 0)))
	}
	in, out, tasks := load("in"), load("out"), a.to(long, "ld.param.u64", at("param_tasks", 0))
	thread := a.to(word, "mov.u32", "%tid.x")
	lane := a.to(word, "and.b32", thread, num(warp-1))
	a.tasks(a.to(word, "shr.u32", thread, "5"), warps, binding{reg: tasks}, func(task string) {
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
	return &Kernel{Name: "tensor", Threads: threads, perTask: warp,
		Text: a.entry("tensor", []param{{"u64", "param_in"}, {"u64", "param_out"}, {"u64", "param_tasks"}}, 0)}
}

// tensorInputs are the fragments of n steps, of numbers of several kinds: alike, of exponents far apart, such that they
// cancel, small enough for subnormal products.
func tensorInputs(n int) []uint32 {
	rng := rand.New(rand.NewPCG(9, 10))
	var words []uint32
	for i := range n {
		number := func(c bool) uint32 {
			v := rng.NormFloat64()
			switch i % 8 {
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
			case 7: // mostly zeros
				if rng.IntN(4) > 0 {
					v = 0
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

// TestTensorCores compares a step of the tensor cores on the device with the emulator's.
func TestTensorCores(t *testing.T) {
	needGPU(t)
	const n = 4000
	k, words := tensorKernel(), tensorInputs(n)
	in, out := memory(t, words), emu.Pointer{Memory: &emu.Memory{Data: make([]byte, n*4*warp*4)}}
	before := onGPU.tally.sums
	launch(t, parsed(t, k), k, n, in, out)
	after := onGPU.tally.sums
	t.Logf("%d of %d sums differ", after.differ-before.differ, after.elements-before.elements)
	if dir := dump(); dir != "" {
		write(t, dir, "tensor.in", in.Memory.Data)
		write(t, dir, "tensor.out", out.Memory.Data)
	}
}

// tensorPeakKernel does nothing but steps of the tensor cores: every warp rounds of `chains` that do not wait for each
// other, on fragments from in, and stores the sum of all, which keeps them. There are as many tasks as warps.
func tensorPeakKernel(chains, rounds int64) *Kernel {
	a := &asm{}
	load := func(name string) string {
		return a.to(long, "cvta.to.global.u64", a.to(long, "ld.param.u64", at("param_"+name, 0)))
	}
	in, out, tasks := load("in"), load("out"), a.to(long, "ld.param.u64", at("param_tasks", 0))
	thread := a.to(word, "mov.u32", "%tid.x")
	lane := a.to(word, "and.b32", thread, num(warp-1))
	a.tasks(a.to(word, "shr.u32", thread, "5"), warps, binding{reg: tasks}, func(task string) {
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
	return &Kernel{Name: "peak", Threads: threads, perTask: warp,
		Text: a.entry("peak", []param{{"u64", "param_in"}, {"u64", "param_out"}, {"u64", "param_tasks"}}, 0)}
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

func dump() string { return os.Getenv("PGC_DUMP") }

func write(t testing.TB, dir, name string, b []byte) {
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
		t.Fatal(err)
	}
}
