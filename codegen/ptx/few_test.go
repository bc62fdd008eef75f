package ptx

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgc/codegen/kernels"
	"pgc/codegen/packing"
	"pgc/codegen/ptx/emu"
	store "pgc/codegen/weights"
	"pgc/ir"
	"pgc/ir/scalar"
	"pgc/ir/tile"
)

// productCase is a product of m rows in memory by weights of a type, with the sizes of its parts.
type productCase struct {
	d     ir.DType
	m, k  int
	accs  int      // of all parts but the last, which has one where there are several
	parts [][2]int // blocks and columns of each
	out   tile.Elem
	float bool // x is float32, not bfloat16
}

func (c productCase) String() string {
	x := "bf16"
	if c.float {
		x = "f32"
	}
	return fmt.Sprintf("%dx%d %s by %s %v, %d accumulators, %s", c.m, c.k, x, c.d, c.parts, c.accs, c.out)
}

// mostlyFloats makes x float32 in two of three cases.
func mostlyFloats(cases []productCase) []productCase {
	for i := range cases {
		cases[i].float = i%3 != 0
	}
	return cases
}

// limit is the error allowed, which the splitting of x adds to.
func (c productCase) limit() float64 {
	switch {
	case c.out == tile.BF16:
		return 1.02 / 256 // half a unit in the last place
	case c.float && c.accs > 1: // the first gates values as large as √k
		return 2e-5 * float64(c.k)
	case c.float:
		return 6e-5 * math.Sqrt(float64(c.k))
	}
	return 4e-6 * math.Sqrt(float64(c.k))
}

// xStride is the distance of rows of x.
func (c productCase) xStride() int64 { return int64(c.k + 5) }

// spec: with one accumulator acc·2 + bias + residual, with two one gated by the other.
func (c productCase) spec() *kernels.Matmul {
	s := &kernels.Matmul{M: kernels.Const(int64(c.m)), K: int64(c.k), XStride: c.xStride(), BF16: !c.float}
	if c.m > fewRows {
		s.M = kernels.Size{N: int64(c.m + 50), Sym: "S"}
	}
	for i, p := range c.parts {
		accs := c.accsOf(i)
		e := fn(scalar.Mul, f32(0), scalar.C(2))
		if accs == 2 {
			e = fn(scalar.Mul, f32(0), fn(scalar.Tanh, f32(1)))
		}
		e = fn(scalar.Add, fn(scalar.Add, e, f32(accs)), f32(accs+1))
		n, bn, apart := int64(p[1]), int64(p[0]*p[1]), int64(1)
		if n == 1 { // a block of one column, of which it does not matter how far the next one would be
			apart = 2
		}
		elem := tile.BF16
		if store.GroupOf(c.d).Len > 0 {
			elem = tile.I8
		}
		s.Parts = append(s.Parts, kernels.Part{Blocks: int64(p[0]), N: n, Elem: elem, Group: store.GroupOf(c.d), Accs: accs,
			Extra: []kernels.Operand{{Elem: tile.F32, Strides: []int64{0, n, apart}}, {Elem: tile.F32, Strides: []int64{bn, n, apart}}},
			Exprs: []*scalar.Expr{e}, Outs: []kernels.Out{{Elem: c.out, Strides: []int64{bn, n, apart}}}})
	}
	return s
}

// productRun is what a case's kernels read and write: operands and results by number.
type productRun struct {
	productCase
	in, out []emu.Pointer
	x       []float64     // rows
	w       [][][]float32 // by part and accumulator, rows in their order
	extra   [][2][]float32
	work    *emu.Memory
	syms    map[string]int64
	// Of the weights, on the device and in the file.
	bytesOfW, fileBytes int64
}

// kernels builds a case's kernels.
func (c productCase) kernels(t testing.TB) []*Kernel {
	t.Helper()
	return launchable(t, "matmul_"+c.name(), c.spec())
}

// name is what the case is, as a name of PTX.
func (c productCase) name() string {
	return regexp.MustCompile(`\W+`).ReplaceAllString(c.String(), "_")
}

// launchable builds the kernels of a spec.
func launchable(t testing.TB, name string, s kernels.Spec) []*Kernel {
	t.Helper()
	l, err := build(name, s)
	if err != nil {
		t.Fatal(err)
	}
	return l.Kernels
}

// accsOf is the number of accumulators of a part.
func (c productCase) accsOf(part int) int {
	if part > 0 && part == len(c.parts)-1 {
		return 1
	}
	return c.accs
}

// run makes random operands. Equal seeds make equal rows and weights, whatever the number of rows.
func (c productCase) run(t testing.TB) *productRun {
	rng := rand.New(rand.NewPCG(1, 2))
	r := &productRun{productCase: c, syms: map[string]int64{"S": int64(c.m)}}
	for i, p := range c.parts {
		var ws [][]float32
		var pointers []emu.Pointer
		for range c.accsOf(i) {
			w := newPacked(t, rng, c.d, 1, 1, int64(p[1]), int64(p[0]*p[1]), int64(c.k))
			on := w.onDevice(t)
			r.bytesOfW, r.fileBytes = r.bytesOfW+int64(len(on)), r.fileBytes+w.Bytes
			pointers = append(pointers, emu.Pointer{Memory: &emu.Memory{Data: on}})
			ws = append(ws, w.values(t))
		}
		bias := randoms(rng, p[0]*p[1])
		residual := randoms(rng, 400*p[0]*p[1])[:c.m*p[0]*p[1]]
		r.w, r.extra = append(r.w, ws), append(r.extra, [2][]float32{bias, residual})
		r.in = append(r.in, append(pointers, memory(t, bias), memory(t, residual))...)
		out := &emu.Memory{Data: make([]byte, c.m*p[0]*p[1]*c.out.Bytes())}
		r.out = append(r.out, emu.Pointer{Memory: out})
	}
	if c.float {
		rows := make([]float32, (c.m-1)*int(c.xStride())+c.k)
		for i := range rows {
			if rows[i] = float32(math.NaN()); i%int(c.xStride()) < c.k { // NaN is what nobody may read
				rows[i] = float32(rng.NormFloat64())
				r.x = append(r.x, float64(rows[i]))
			}
		}
		r.in = append([]emu.Pointer{memory(t, rows)}, r.in...)
		return r
	}
	packed, x := bfloats(rng, c.m, c.k, int(c.xStride()))
	r.x = x
	r.in = append([]emu.Pointer{memory(t, packed)}, r.in...)
	return r
}

// values are a matrix' rows.
func (p packed) values(t testing.TB) []float32 {
	t.Helper()
	back, err := store.Unpack(p.Weight, p.file)
	if err != nil {
		t.Fatal(err)
	}
	if p.d != ir.BF16 {
		out := make([]float32, len(back.Data)/4)
		if _, err := binary.Decode(back.Data, binary.LittleEndian, out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	out := make([]float32, len(back.Data)/2)
	for i := range out {
		out[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(back.Data[2*i:])) << 16)
	}
	return out
}

// launch builds the kernels of the case and runs them.
func (r *productRun) launch(t testing.TB) (stats emu.Stats) {
	t.Helper()
	l, err := build("product", r.spec())
	if err != nil {
		t.Fatal(err)
	}
	r.work = &emu.Memory{Data: bytes.Repeat([]byte{0xff}, int(l.WorkBytes))}
	for _, k := range l.Kernels {
		args, tasks := r.arguments(k)
		s := launch(t, parsed(t, k), k, tasks, args...)
		stats.Instructions += s.Instructions
		stats.Conflicts += s.Conflicts
	}
	return stats
}

// arguments are those of a kernel of the case, and the number of its tasks.
func (r *productRun) arguments(k *Kernel) (args []any, tasks int64) {
	for _, a := range k.Args {
		switch a.Kind {
		case kernels.ArgIn:
			args = append(args, r.in[a.Index])
		case kernels.ArgOut:
			args = append(args, r.out[a.Index])
		case kernels.ArgWork:
			args = append(args, emu.Pointer{Memory: r.work, Offset: int64(a.Index)})
		case kernels.ArgSym:
			args = append(args, r.syms[a.Sym])
		}
	}
	tasks = 1
	for _, f := range k.Tasks {
		n := f.Size.N
		if f.Size.Sym != "" {
			n = r.syms[f.Size.Sym]
		}
		tasks *= (n + f.Div - 1) / f.Div
	}
	return args, tasks
}

// TestWeightsAreReadOnce counts what products of one row and of eight load in the width of a model of 3 billion
// parameters: weights in 16 bytes a thread, side by side, every byte once, and hardly more than the file has of them.
func TestWeightsAreReadOnce(t *testing.T) {
	for _, name := range []string{"bf16", "i8g128", "i4g128"} {
		d, _ := ir.ParseDType(name)
		for _, c := range []productCase{{d, 1, 2048, 2, [][2]int{{1, 96}}, tile.BF16, true}, {d, 8, 2048, 1, [][2]int{{2, 64}, {1, 64}}, tile.F32, true}} {
			r := c.run(t)
			l, err := build("product", c.spec())
			if err != nil {
				t.Fatal(err)
			}
			k := l.Kernels[0]
			if len(l.Kernels) != 1 {
				t.Fatalf("%v: %d kernels, expected one for all parts", c, len(l.Kernels))
			}
			args, tasks := r.arguments(k)
			stats, err := parsed(t, k).Run(emu.Launch{Entry: k.Name, Blocks: (tasks + 1) / 2, Args: append(args, tasks), Shared: dynamicBytes(k), Counts: true})
			if err != nil {
				t.Fatal(err)
			}
			read := int64(0)
			for _, n := range stats.Counts {
				if !strings.HasPrefix(n.Name, "ld.global.nc") || n.Threads == 0 {
					continue
				}
				read += n.Sectors * 32
				if n.Width != 16 || n.Uncoalesced != 0 {
					t.Errorf("%v: %s of line %d loads %d bytes a thread, %d sectors more than side by side", c, n.Name, n.Pos.Line, n.Width, n.Uncoalesced)
				}
			}
			if read != r.bytesOfW || read > r.fileBytes*102/100 {
				t.Errorf("%v: %d bytes of weights are read, the device has %d, the file %d", c, read, r.bytesOfW, r.fileBytes)
			}
			if stats.Conflicts != 0 {
				t.Errorf("%v: accesses to shared memory meet in banks", c)
			}
		}
	}
}

// error is the largest one of the results, relative to values above one.
func (r *productRun) error() float64 {
	worst := 0.0
	for p, size := range r.parts {
		n := size[0] * size[1]
		for i := range r.m {
			for j := range n {
				accs := make([]float64, 2)
				for a, w := range r.w[p] {
					for l := range r.k {
						accs[a] += r.x[i*r.k+l] * float64(w[j*r.k+l])
					}
				}
				want := 2 * accs[0]
				if r.accsOf(p) == 2 {
					want = accs[0] * math.Tanh(accs[1])
				}
				want += float64(r.extra[p][0][j]) + float64(r.extra[p][1][i*n+j])
				if e := math.Abs(element(r.productCase.out, r.out[p].Memory.Data, i*n+j)-want) / max(1, math.Abs(want)); !(e <= worst) {
					worst = e
				}
			}
		}
	}
	return worst
}

func fewCases() []productCase {
	one := [][2]int{{1, 27}}
	three := [][2]int{{3, 16}, {1, 37}, {2, 5}}
	cases := []productCase{{ir.BF16, 1, 7, 1, one, tile.F32, false}, {ir.BF16, 3, 43, 2, three, tile.BF16, false},
		{ir.BF16, 8, 1100, 1, [][2]int{{1, 40}}, tile.F32, false}, {ir.BF16, 5, 128, 1, three, tile.F32, false}, {ir.BF16, 8, 5000, 1, one, tile.F32, false}, {ir.BF16, 8, 2000, 2, [][2]int{{1, 40}}, tile.F32, false},
		{ir.BF16, 1, 5000, 1, one, tile.F32, false}}
	for i, d := range ir.Groups.List() {
		if (packing.Fragments{Group: store.GroupOf(d)}).Exact() {
			cases = append(cases, productCase{d, 1 + i, 43 + 131*i, 1 + i%2, one, tile.F32, false}, productCase{d, 8 - i, 512, 1 + (i+1)%2, three, tile.F32, false})
		}
	}
	return append(mostlyFloats(append(cases, splitCases()...)), productCase{ir.BF16, 3, 53, 1, [][2]int{{6, 1}}, tile.F32, true})
}

// TestFewRows compares products of up to eight rows with sums in float64, of every format, odd sizes and several parts.
func TestFewRows(t *testing.T) { recordedFew.run(t) }

var recordedFew = &remade{test: func(t *testing.T) {
	for _, c := range fewCases() {
		r := c.run(t)
		stats := r.launch(t)
		worst, limit := r.error(), c.limit()
		t.Logf("%v: error %.2g, %d warp instructions, %d waits for banks", c, worst, stats.Instructions, stats.Conflicts)
		if !(worst < limit) {
			t.Errorf("%v: error %g, at most %g allowed", c, worst, limit)
		}
		if stats.Conflicts != 0 {
			t.Errorf("%v: accesses to shared memory meet in banks", c)
		}
	}
}}

// TestFewRowsBits computes 8 rows, and the first of them alone and with some others: all have the same bits.
func TestFewRowsBits(t *testing.T) {
	for _, name := range []string{"bf16", "i8g64", "i4g32", "i4g128"} {
		d, _ := ir.ParseDType(name)
		productCase{d, 8, 700, 1, [][2]int{{1, 27}, {1, 16}}, tile.F32, true}.sameBits(t)
	}
	productCase{ir.BF16, 8, 700, 1, [][2]int{{1, 27}, {1, 16}}, tile.F32, false}.sameBits(t)
	for _, c := range splitCases() {
		c.m = 8
		c.sameBits(t)
	}
}

// sameBits compares the bits of 8 rows with those of fewer.
func (c productCase) sameBits(t *testing.T) {
	all := c.run(t)
	all.launch(t)
	for m := 1; m < 8; m++ {
		c.m = m
		some := c.run(t)
		for i, p := range some.in { // the same operands
			copy(p.Memory.Data, all.in[i].Memory.Data)
		}
		some.launch(t)
		for i, p := range some.out {
			if !bytes.Equal(p.Memory.Data, all.out[i].Memory.Data[:len(p.Memory.Data)]) {
				t.Errorf("%v: %d rows have other bits than 8", c, m)
			}
		}
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

func f32(i int) *scalar.Expr { return scalar.X(i, scalar.F32) }

func randoms(rng *rand.Rand, n int) []float32 {
	return filled(n, func() float32 { return float32(rng.NormFloat64()) })
}

// TestArgmaxOfProduct finds the greatest column of a product over several tasks, and of one whose blocks share K: the first
// of equals, -1 where there is a NaN.
func TestArgmaxOfProduct(t *testing.T) {
	productCase{ir.BF16, 1, 40, 1, [][2]int{{1, 1100}}, tile.F32, true}.argmax(t)
	productCase{ir.BF16, 1, 8192, 1, [][2]int{{1, 40}}, tile.F32, true}.argmax(t)
}

func (c productCase) argmax(t *testing.T) {
	n := c.parts[0][1]
	s := &kernels.Argmax{Matmul: c.spec()}
	l, err := build("choice", s)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range []func(bias []float32) int32{
		func([]float32) int32 { return -2 }, // whatever the product's is
		func(b []float32) int32 { b[n-1] = 1e6; return int32(n - 1) },
		func(b []float32) int32 {
			b[n*7/11], b[n*3/11] = float32(math.Inf(1)), float32(math.Inf(1))
			return int32(n * 3 / 11)
		},
		func(b []float32) int32 { b[n*9/11] = float32(math.NaN()); return -1 },
	} {
		r := c.run(t)
		bias := slices.Clone(r.extra[0][0])
		want := change(bias)
		r.in[2] = memory(t, bias)
		if want == -2 {
			r.launch(t)
			best := 0
			for i := range n {
				if element(tile.F32, r.out[0].Memory.Data, i) > element(tile.F32, r.out[0].Memory.Data, best) {
					best = i
				}
			}
			want = int32(best)
		}
		r.work = &emu.Memory{Data: make([]byte, l.WorkBytes)}
		r.out = []emu.Pointer{{Memory: &emu.Memory{Data: make([]byte, 4)}}}
		for _, k := range l.Kernels {
			args, tasks := r.arguments(k)
			launch(t, parsed(t, k), k, tasks, args...)
		}
		if got := int32(binary.LittleEndian.Uint32(r.out[0].Memory.Data)); got != want {
			t.Errorf("column %d, expected %d", got, want)
		}
	}
}
