package ptx

import (
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgc/codegen/kernels"
	"pgc/codegen/ptx/emu"
	"pgc/ir/scalar"
	"pgc/ir/tile"
)

// matmulCase is a product by sizes; the expressions are below.
type matmulCase struct {
	m, k, blocks, n int
	accs            int
	out             tile.Elem
}

func matmulCases() []matmulCase {
	return []matmulCase{{1, 7, 1, 5, 1, tile.F32}, {131, 75, 1, 203, 1, tile.F32}, {65, 200, 1, 33, 2, tile.BF16}, {3, 64, 3, 10, 1, tile.F32},
		{70, 33, 5, 37, 2, tile.F32}, {64, 128, 1, 128, 1, tile.F32}, {groupM*blockM + 65, 7, 1, 130, 1, tile.F32}}
}

func f32(i int) *scalar.Expr { return scalar.X(i, scalar.F32) }

// spec: with one accumulator acc·2 + bias + residual, with two gelu-like gating of one by the other.
func (c matmulCase) spec() *kernels.Matmul {
	n, bn := int64(c.n), int64(c.blocks*c.n)
	e := scalar.Fn(scalar.Mul, f32(0), scalar.C(2))
	if c.accs == 2 {
		e = scalar.Fn(scalar.Mul, f32(0), scalar.Fn(scalar.Tanh, f32(1)))
	}
	e = scalar.Fn(scalar.Add, scalar.Fn(scalar.Add, e, f32(c.accs)), f32(c.accs+1))
	s := &kernels.Matmul{M: kernels.Size{N: int64(c.m + 50), Sym: "S"}, K: int64(c.k), XStride: padded(int64(c.k)) + 8, Parts: []kernels.Part{{
		Blocks: int64(c.blocks), N: n, Elem: tile.BF16, Accs: c.accs,
		Extra: []kernels.Operand{{Elem: tile.F32, Strides: []int64{0, n, 1}}, {Elem: tile.F32, Strides: []int64{bn, n, 1}}},
		Exprs: []*scalar.Expr{e}, Outs: []kernels.Out{{Elem: c.out, Strides: []int64{bn, n, 1}}}}}}
	if c.m == 1 {
		s.M = kernels.Const(1)
	}
	return s
}

func (c matmulCase) kernels(t testing.TB) []*Kernel {
	t.Helper()
	s := c.spec()
	ks, err := parts(fmt.Sprintf("matmul_%dx%dx%dx%dx%d_%s", c.m, c.k, c.blocks, c.n, c.accs, c.out), s, kernels.Arg{}, s.XStride)
	if err != nil {
		t.Fatal(err)
	}
	return ks
}

// bfloats makes rows of n bfloat16 numbers, stride elements apart, the last one not padded, and what they are as
// floats.
func bfloats(rng *rand.Rand, rows, n, stride int) (packed []uint16, seen []float64) {
	for r := range rows {
		for range n {
			bits := math.Float32bits(float32(rng.NormFloat64())) >> 16
			packed, seen = append(packed, uint16(bits)), append(seen, float64(math.Float32frombits(bits<<16)))
		}
		for range stride - n {
			if r < rows-1 {
				packed = append(packed, 0x7fc0) // NaN, which nobody may read
			}
		}
	}
	return packed, seen
}

func randoms(rng *rand.Rand, n int) []float32 {
	return filled(n, func() float32 { return float32(rng.NormFloat64()) })
}

// operands are the arguments of a case's kernel, what they hold, and the buffer of the result.
type operands struct {
	args           []any
	x              []float64
	w              [][]float64
	bias, residual []float32
	out            []byte
}

func (c matmulCase) operands(t testing.TB) operands {
	rng := rand.New(rand.NewPCG(1, 2))
	s, bn := c.spec(), c.blocks*c.n
	packed, x := bfloats(rng, c.m, c.k, int(s.XStride))
	o := operands{args: []any{memory(t, packed)}, x: x, bias: randoms(rng, bn), residual: randoms(rng, c.m*bn), out: make([]byte, c.m*bn*c.out.Bytes())}
	for range c.accs {
		packed, w := bfloats(rng, bn, c.k, int(padded(int64(c.k))))
		o.w, o.args = append(o.w, w), append(o.args, memory(t, packed))
	}
	o.args = append(o.args, memory(t, o.bias), memory(t, o.residual), emu.Pointer{Memory: &emu.Memory{Data: o.out}})
	if c.m > 1 {
		o.args = append(o.args, int64(c.m))
	}
	return o
}

// tasks is the number of tasks of a case's kernel.
func (c matmulCase) tasks(k *Kernel) int64 {
	return int64((c.m+blockM-1)/blockM) * ((k.Tasks[1].Size.N + k.Tasks[1].Div - 1) / k.Tasks[1].Div)
}

// error is the largest one of a result, relative to values above one.
func (c matmulCase) error(o operands) float64 {
	worst, bn := 0.0, c.blocks*c.n
	for i := range c.m {
		for j := range bn {
			accs := make([]float64, 2)
			for a := range o.w {
				for l := range c.k {
					accs[a] += o.x[i*c.k+l] * o.w[a][j*c.k+l]
				}
			}
			want := 2 * accs[0]
			if c.accs == 2 {
				want = accs[0] * math.Tanh(accs[1])
			}
			want += float64(o.bias[j]) + float64(o.residual[i*bn+j])
			if e := math.Abs(element(c.out, o.out, i*bn+j)-want) / max(1, math.Abs(want)); !(e <= worst) {
				worst = e
			}
		}
	}
	return worst
}

func TestMatmul(t *testing.T) {
	for _, c := range matmulCases() {
		k, o := c.kernels(t)[0], c.operands(t)
		stats := launch(t, parsed(t, k), k, c.tasks(k), o.args...)
		worst, limit := c.error(o), 2e-6*math.Sqrt(float64(c.k))
		if c.out == tile.BF16 {
			limit = 1.01 / 256 // half a unit in the last place
		}
		t.Logf("%+v: error %.2g, %d warp instructions, %d waits for banks", c, worst, stats.Instructions, stats.Conflicts)
		if !(worst < limit) {
			t.Errorf("%+v: error %g, at most %g allowed", c, worst, limit)
		}
		if stats.Conflicts != 0 {
			t.Errorf("%+v: accesses to shared memory meet in banks", c)
		}
	}
}

// Without any one of the barriers and waits, the emulator finds the race; and without the swizzle, that banks are
// waited for.
func TestEveryBarrierCounts(t *testing.T) {
	c := matmulCases()[1]
	k := c.kernels(t)[0]
	lines := strings.SplitAfter(moduleOf([]*Kernel{k}), "\n")
	try := func(lines []string) (emu.Stats, error) {
		m, err := emu.Parse(strings.Join(lines, ""))
		if err != nil {
			t.Fatal(err)
		}
		return m.Run(emu.Launch{Entry: k.Name, Args: append(c.operands(t).args, c.tasks(k))})
	}
	barriers := 0
	for i, line := range lines {
		op := strings.Fields(line + " .")[0]
		if !slices.Contains([]string{"bar.sync", "bar.warp.sync", "cp.async.wait_group"}, op) {
			continue
		}
		barriers++
		without := slices.Clone(lines)
		without[i] = "\n"
		_, err := try(without)
		t.Logf("without %q of line %d: %v", strings.TrimSpace(line), i+1, err)
		if err == nil {
			t.Errorf("nobody misses %q of line %d", strings.TrimSpace(line), i+1)
		}
	}
	if barriers != 6 {
		t.Errorf("%d barriers and waits, expected 6", barriers)
	}
	plain := regexp.MustCompile(`xor.b32 (%r\d+), (%r\d+), %r\d+`)
	for i := range lines {
		lines[i] = plain.ReplaceAllString(lines[i], "add.s32 $1, $2, 0")
	}
	if stats, err := try(lines); err != nil || stats.Conflicts == 0 {
		t.Errorf("not swizzled: %d waits for banks, %v", stats.Conflicts, err)
	}
}

// element reads element i of a buffer.
func element(e tile.Elem, b []byte, i int) float64 {
	bits := uint32(0)
	for j, x := range b[i*e.Bytes() : (i+1)*e.Bytes()] {
		bits |= uint32(x) << (8 * j)
	}
	if e == tile.BF16 {
		bits <<= 16
	}
	return float64(math.Float32frombits(bits))
}
