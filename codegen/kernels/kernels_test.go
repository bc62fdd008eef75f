package kernels

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"pgc/codegen/internal/link/linktest"
	"pgc/codegen/llvm"
	"pgc/codegen/packing"
	"pgc/ir/scalar"
	"pgc/ir/target"
	"pgc/ir/target/targettest"
	"pgc/ir/tile"
)

func build(t testing.TB, tgt target.Target, s Spec) (*Kernel, *linktest.Code) {
	t.Helper()
	k, err := Build("k", s, tgt)
	if err != nil {
		t.Fatal(err)
	}
	if err := tile.Verify(k.Tile); err != nil {
		t.Fatal(err)
	}
	return k, load(t, tgt, k)
}

// load assembles a kernel and loads its code.
func load(t testing.TB, tgt target.Target, k *Kernel) *linktest.Code {
	t.Helper()
	source, err := llvm.Emit(tgt, []*tile.Kernel{k.Tile})
	if err != nil {
		t.Fatal(err)
	}
	obj, err := llvm.Assemble(context.Background(), source, tgt)
	if err != nil {
		t.Fatal(err)
	}
	return linktest.Load(t, obj)
}

// tasksOf counts the tasks of a kernel whose grains are as given.
func tasksOf(k *Kernel, syms map[string]int64, grains []int64) int64 {
	units := func(s Size, unit int64) int64 {
		n := s.N
		if s.Sym != "" {
			n = syms[s.Sym]
		}
		return (n + unit - 1) / unit
	}
	tasks := int64(1)
	for _, f := range k.Tasks {
		tasks *= units(f.Size, f.Div)
	}
	for i, g := range k.Grains {
		sum := int64(0)
		for _, s := range g {
			sum += units(s.Size, s.Unit*min(s.Most, grains[i]))
		}
		tasks *= sum
	}
	return tasks
}

// coarsest returns the grains of a kernel with the fewest tasks.
func coarsest(k *Kernel) (grains []int64) {
	for _, g := range k.Grains {
		grains = append(grains, g.Most())
	}
	return grains
}

// run calls a kernel natively: ins are its operands, out its result. It does so with any grains, since no result
// depends on them.
func run(t testing.TB, k *Kernel, code *linktest.Code, syms map[string]int64, out any, ins ...any) {
	t.Helper()
	grains := coarsest(k)
	for i, most := range grains {
		grains[i] = 1 + anyGrain.Int64N(most)
	}
	runGrains(t, k, code, syms, grains, out, ins...)
}

// anyGrain chooses grains.
var anyGrain = rand.New(rand.NewPCG(7, 8))

func runGrains(t testing.TB, k *Kernel, code *linktest.Code, syms map[string]int64, grains []int64, out any, ins ...any) {
	t.Helper()
	var args []any
	for _, a := range k.Args {
		switch a.Kind {
		case ArgIn:
			args = append(args, ins[a.Index])
		case ArgOut:
			args = append(args, out)
		case ArgSym:
			args = append(args, syms[a.Sym])
		case ArgGrain:
			args = append(args, grains[a.Index])
		}
	}
	code.Run(t, linktest.Call{Symbol: "k", Tasks: tasksOf(k, syms, grains), Args: args, ScratchBytes: k.Tile.ScratchBytes})
}

func randoms(rng *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return v
}

// pack lays an n×k matrix out in panels as bf16 or f32 and returns what the kernel sees of it, too.
func pack(w []float32, n, k int, elem tile.Elem) (packed any, seen []float32) {
	seen = append([]float32(nil), w...)
	f := make([]float32, packing.Len(1, int64(n), int64(k)))
	h := make([]uint16, len(f))
	for i := 0; i < n; i++ {
		for j := 0; j < k; j++ {
			at := i/PanelWidth*k*PanelWidth + j*PanelWidth + i%PanelWidth
			bits := math.Float32bits(w[i*k+j]) >> 16
			if elem == tile.BF16 {
				seen[i*k+j] = math.Float32frombits(bits << 16)
			}
			f[at], h[at] = w[i*k+j], uint16(bits)
		}
	}
	if elem == tile.BF16 {
		return h, seen
	}
	return f, seen
}

// ulp is what rounding to float32 changes a number by at most, relative to it.
const ulp = 0x1p-24

// dotProduct is Σ x·y of the elements of x, and how far a sum in float32 may be from it: the roundings of k partial
// sums, each about as large as √k terms, mostly cancel, which leaves √k of them.
func dotProduct(x, y []float32) (sum, allowed float64) {
	squares := 0.0
	for i, v := range x {
		p := float64(v) * float64(y[i])
		sum += p
		squares += p * p
	}
	return sum, 4 * ulp * math.Sqrt(float64(len(x))*squares)
}

func TestMatmul(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, tgt := range targettest.Runnable(t) {
		for _, elem := range []tile.Elem{tile.F32, tile.BF16} {
			for _, shape := range [][3]int{{1, 37, 45}, {31, 37, 45}, {203, 131, 300}, {2, 16, 1}, {13, 1, 7}, {1, 300, 515}} {
				m, n, k := shape[0], shape[1], shape[2]
				f32 := func(i int) *scalar.Expr { return scalar.X(i, scalar.F32) }
				s := &Matmul{M: Const(int64(m)), K: int64(k), XStride: int64(k + 3), Parts: []Part{{
					Blocks: 1, N: int64(n), Elem: elem, Accs: 2,
					Extra: []Operand{{Elem: tile.F32, Strides: []int64{0, 0, 1}}, {Elem: tile.F32, Strides: []int64{int64(n), 0, 1}}},
					Exprs: []*scalar.Expr{scalar.Fn(scalar.Add, scalar.Fn(scalar.Mul, f32(0), scalar.Fn(scalar.Tanh, f32(1))),
						scalar.Fn(scalar.Add, f32(2), f32(3)))},
					Outs: []Out{{Elem: tile.F32, Strides: []int64{int64(n), 0, 1}}}}}}
				if m > 1 {
					s.M = Size{N: int64(m + 50), Sym: "S"}
				}
				x, bias, res := randoms(rng, m*(k+3)), randoms(rng, n), randoms(rng, m*n)
				w0, seen0 := pack(randoms(rng, n*k), n, k, elem)
				w1, seen1 := pack(randoms(rng, n*k), n, k, elem)
				kern, code := build(t, tgt, s)
				out := make([]float32, m*n)
				run(t, kern, code, map[string]int64{"S": int64(m)}, out, x, w0, w1, bias, res)
				worst := 0.0
				for i := 0; i < m; i++ {
					for j := 0; j < n; j++ {
						row := x[i*(k+3):][:k]
						a0, e0 := dotProduct(row, seen0[j*k:])
						a1, e1 := dotProduct(row, seen1[j*k:])
						th := math.Tanh(a1)
						want := a0*th + float64(bias[j]) + float64(res[i*n+j])
						allowed := e0*math.Abs(th) + e1*math.Abs(a0)*(1-th*th) +
							8*ulp*(math.Abs(a0*th)+math.Abs(float64(bias[j]))+math.Abs(float64(res[i*n+j])))
						worst = max(worst, math.Abs(float64(out[i*n+j])-want)/allowed)
					}
				}
				t.Logf("%s %s %v: worst error %.2g of the one allowed", tgt.Name, elem, shape, worst)
				if !(worst < 1) {
					t.Errorf("%s %s %v: error %g of the one allowed", tgt.Name, elem, shape, worst)
				}
				// One row alone gives the same bits.
				one := *s
				one.M = Const(1)
				kern1, code1 := build(t, tgt, &one)
				single := make([]float32, n)
				last := m - 1
				run(t, kern1, code1, nil, single, x[last*(k+3):], w0, w1, bias, res[last*n:])
				for j := range single {
					if single[j] != out[last*n+j] {
						t.Fatalf("%s %s %v: column %d of the last row is %g alone and %g beside others", tgt.Name, elem, shape, j, single[j], out[last*n+j])
					}
				}
			}
		}
	}
}

// naiveAttention is the definition, in float64.
func naiveAttention(s *Attention, S, T, prefix, offset int, q, k, v []float32) []float64 {
	G, R, H := int(s.G), int(s.R), int(s.H)
	out := make([]float64, S*G*R*H)
	for i := 0; i < S; i++ {
		for g := 0; g < G; g++ {
			for r := 0; r < R; r++ {
				scores := make([]float64, T)
				sum := 0.0
				for t := range scores {
					for h := 0; h < H; h++ {
						scores[t] += float64(q[((i*G+g)*R+r)*H+h]) * float64(k[(t*G+g)*H+h])
					}
					scores[t] *= s.Scale
					if s.Softcap != 0 {
						scores[t] = s.Softcap * math.Tanh(scores[t]/s.Softcap)
					}
					pos := offset + i
					seen := !s.Causal || t <= pos && (s.Window == 0 || t > pos-int(s.Window)) || t < prefix && pos < prefix
					if !seen {
						scores[t] = math.Inf(-1)
					}
					scores[t] = math.Exp(scores[t])
					sum += scores[t]
				}
				for h := 0; h < H; h++ {
					for t := range scores {
						out[((i*G+g)*R+r)*H+h] += scores[t] / sum * float64(v[(t*G+g)*H+h])
					}
				}
			}
		}
	}
	return out
}

func TestAttention(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	type one struct {
		s                    Attention
		S, T, prefix, offset int
	}
	// Bounds of 5000 make schedules of long pictures: tasks of many strips, and copies where rows of keys lie 2048
	// bytes apart or are bfloat16.
	prefix, past := Size{Sym: "P"}, Size{Sym: "past"}
	long, keys := Size{N: 5000, Sym: "S"}, Size{N: 5000, Sym: "T"}
	cases := []one{
		{Attention{G: 3, R: 1, H: 13, Scale: .3}, 25, 25, 0, 0},
		{Attention{G: 1, R: 8, H: 10, Scale: .3, Causal: true, Prefix: prefix, Offset: past}, 71, 71, 60, 0},
		{Attention{G: 2, R: 3, H: 14, Scale: .5, Softcap: 5, Causal: true, Prefix: prefix, Offset: past, Window: 9}, 90, 90, 40, 0},
		{Attention{G: 2, R: 3, H: 14, Scale: .5, Softcap: 5, Causal: true, Prefix: prefix, Offset: past, Window: 19}, 1, 150, 40, 149},
		{Attention{G: 1, R: 8, H: 32, Scale: .2, Causal: true, Offset: past}, 1, 130, 0, 129},
		{Attention{G: 2, R: 1, H: 6, Scale: .2, Causal: true, Offset: past}, 1, 1, 0, 0},
		{Attention{G: 4, R: 1, H: 72, Scale: .1, S: long, T: keys}, 2 * keyBlock, 2 * keyBlock, 0, 0},
		{Attention{G: 4, R: 1, H: 71, Scale: .1, S: long, T: keys}, keyBlock + 1, keyBlock + 1, 0, 0},
		{Attention{G: 4, R: 2, H: 128, Scale: .1, S: long, T: keys, Causal: true, Prefix: prefix, Offset: past, Window: 50}, 130, 230, 120, 100},
		{Attention{G: 8, R: 3, H: 64, Scale: .1, S: long, T: keys, Causal: true, Offset: past}, 99, 99, 0, 0},
		{Attention{G: 2, R: 4, H: 21, Scale: .1, S: long, T: keys, KV: tile.BF16, Causal: true, Prefix: prefix, Offset: past}, 150, 150, 149, 0},
		{Attention{G: 2, R: 4, H: 21, Scale: .1, KV: tile.BF16, Causal: true, Prefix: prefix, Offset: past}, 1, 100, 98, 99},
	}
	for _, tgt := range targettest.Runnable(t) {
		for i, c := range cases {
			for _, symbolic := range []bool{true, false} {
				if symbolic && c.S == 1 || !symbolic && c.s.S == long {
					continue
				}
				s := c.s
				s.Elem = tile.F32
				if s.KV == 0 {
					s.KV = tile.F32
				}
				G, R, H := s.G, s.R, s.H
				s.Q, s.Out = [4]int64{G * R * H, R * H, H, 1}, [4]int64{G * R * H, R * H, H, 1}
				s.K, s.V = [3]int64{G * H, H, 1}, [3]int64{G * H, H, 1}
				if s.S != long {
					s.S, s.T = Const(int64(c.S)), Size{N: 200, Sym: "T"}
					if symbolic {
						s.S = Size{N: 200, Sym: "S"}
					}
				}
				q, k, v := randoms(rng, c.S*int(G*R*H)), randoms(rng, c.T*int(G*H)), randoms(rng, c.T*int(G*H))
				var keys, values any = k, v
				if s.KV == tile.BF16 {
					keys, values = narrowed(k), narrowed(v)
				}
				want := naiveAttention(&s, c.S, c.T, c.prefix, c.offset, q, k, v)
				kern, code := build(t, tgt, &s)
				out := make([]float32, len(want))
				syms := map[string]int64{"S": int64(c.S), "T": int64(c.T), "P": int64(c.prefix), "past": int64(c.offset)}
				run(t, kern, code, syms, out, q, keys, values)
				worst := 0.0
				for j := range out {
					worst = max(worst, math.Abs(float64(out[j])-want[j]))
				}
				t.Logf("%s case %d: worst error %.2g", tgt.Name, i, worst)
				if !(worst < 3e-6) {
					t.Errorf("%s case %d: error %g", tgt.Name, i, worst)
				}
				if c.S == 1 {
					sameInSteps(t, tgt, s, syms, out, q, keys, values)
				}
				if !symbolic {
					continue
				}
				// The last query alone gives the same bits.
				single := s
				single.S = Const(1)
				kern, code = build(t, tgt, &single)
				alone := make([]float32, G*R*H)
				at := len(q) - len(alone)
				syms["past"] += int64(c.S - 1)
				run(t, kern, code, syms, alone, q[at:], keys, values)
				if i == 1 {
					sameInSteps(t, tgt, single, syms, alone, q[at:], keys, values)
				}
				for j := range alone {
					if alone[j] != out[at+j] {
						t.Fatalf("%s case %d: element %d of the last query is %g alone and %g beside others", tgt.Name, i, j, alone[j], out[at+j])
					}
				}
			}
		}
	}
}

// sameInSteps runs attention of one position as three kernels, which must give the bits of one.
func sameInSteps(t *testing.T, tgt target.Target, s Attention, syms map[string]int64, want, q []float32, keys, values any) {
	t.Helper()
	work, out := make([]float32, s.WorkLen()), make([]float32, len(want))
	step := func(at AttentionStep, out any, in ...any) {
		s.Step = at
		kern, code := build(t, tgt, &s)
		run(t, kern, code, syms, out, in...)
	}
	step(AttentionScores, work, q, keys)
	step(AttentionWeights, work)
	step(AttentionValues, out, work, values)
	for j := range out {
		if out[j] != want[j] {
			t.Fatalf("%s %+v: element %d is %g in three steps and %g in one", tgt.Name, s, j, out[j], want[j])
		}
	}
}

// narrowed rounds x to bfloat16 in place, and returns it so.
func narrowed(x []float32) []uint16 {
	out := make([]uint16, len(x))
	for i := range x {
		out[i] = uint16(math.Float32bits(x[i]) >> 16)
		x[i] = math.Float32frombits(uint32(out[i]) << 16)
	}
	return out
}

func TestRowAndMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	f32 := func(i int) *scalar.Expr { return scalar.X(i, scalar.F32) }
	mul, add := scalar.Mul, scalar.Add
	const rows = 5
	for _, tgt := range targettest.Runnable(t) {
		for _, c := range []int{1, 7, 16, 45, 300} {
			// RMSNorm: x * rsqrt(mean(x²) + eps) * (1 + w)
			ms := scalar.Fn(scalar.Div, f32(2), scalar.C(float64(c)))
			r := scalar.Fn(scalar.Div, scalar.C(1), scalar.Fn(scalar.Sqrt, scalar.Fn(add, ms, scalar.C(1e-6))))
			s := &Row{Outer: []Size{{N: 90, Sym: "S"}}, C: Const(int64(c)),
				In:     []Operand{{Elem: tile.F32, Strides: []int64{int64(c), 1}}, {Elem: tile.F32, Strides: []int64{0, 1}}},
				Reduce: []Reduction{{Kind: scalar.Sum, Expr: scalar.Fn(mul, f32(0), f32(0))}},
				Expr:   scalar.Fn(mul, scalar.Fn(mul, f32(0), r), scalar.Fn(add, scalar.C(1), f32(1))),
				Out:    Out{Elem: tile.F32, Strides: []int64{int64(c), 1}}}
			x, w, out := randoms(rng, rows*c), randoms(rng, c), make([]float32, rows*c)
			k, code := build(t, tgt, s)
			run(t, k, code, map[string]int64{"S": rows}, out, x, w)
			worst := 0.0
			for i := 0; i < rows; i++ {
				sum := 0.0
				for j := 0; j < c; j++ {
					sum += float64(x[i*c+j]) * float64(x[i*c+j])
				}
				for j := 0; j < c; j++ {
					want := float64(x[i*c+j]) / math.Sqrt(sum/float64(c)+1e-6) * (1 + float64(w[j]))
					worst = max(worst, math.Abs(want-float64(out[i*c+j])))
				}
			}
			t.Logf("%s rms %d: worst error %.2g", tgt.Name, c, worst)
			if !(worst < 5e-6) {
				t.Errorf("%s rms %d: error %g", tgt.Name, c, worst)
			}
		}
		// A lookup in a packed table, scaled: out[s, d] = table[ids[s], d] * 3 + index
		const vocab, width = 50, 21
		table := randoms(rng, vocab*width)
		packed, _ := pack(table, vocab, width, tile.F32)
		s := &Map{Dims: []Size{{N: 90, Sym: "S"}, Const(width)},
			In: []Operand{{Elem: tile.F32, Strides: []int64{0, PanelWidth}, Rows: &Lookup{Index: 1, Panel: width}},
				{Elem: tile.I32, Strides: []int64{1, 0}}, {Kind: Index, Dim: 1}},
			Exprs: []*scalar.Expr{scalar.Fn(add, scalar.Fn(mul, f32(0), scalar.C(3)), scalar.Fn(scalar.ToF32, scalar.X(2, scalar.I32)))},
			Outs:  []Out{{Elem: tile.F32, Strides: []int64{width, 1}}}}
		k, code := build(t, tgt, s)
		ids, out := []int32{49, 0, 17, 33, 16}, make([]float32, rows*width)
		run(t, k, code, map[string]int64{"S": rows}, out, packed, ids)
		for i := range out {
			if want := float32(table[int(ids[i/width])*width+i%width]*3) + float32(i%width); out[i] != want {
				t.Fatalf("%s lookup: element %d is %g, want %g", tgt.Name, i, out[i], want)
			}
		}
	}
}
