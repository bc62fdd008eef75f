package codegen_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgc/codegen"
	"pgc/codegen/backend"
	"pgc/codegen/cpu"
	"pgc/codegen/ptx"
	"pgc/frontend/text"
	"pgc/ir"
	"pgc/ir/eval"
	"pgc/ir/target/targettest"
	"pgc/passes"
)

// lowRankModule has a function for each number of rows, with two low-rank products of one x, the first scaled, and a product
// by a matrix of type base to which two others are added.
func lowRankModule(t *testing.T, base, dtype string, k, n int, ranks [2]int, counts []int) *ir.Module {
	t.Helper()
	var out strings.Builder
	for _, rows := range counts {
		fmt.Fprintf(&out, "func @rows%d(\n    %%x%[1]d: input f32[%[1]d,%[2]d],\n", rows, k)
		for i, r := range ranks {
			fmt.Fprintf(&out, "    %%a%d: weight \"a%[1]d\" %[2]s[%[3]d,%[4]d],\n    %%b%[1]d: weight \"b%[1]d\" %[2]s[%[5]d,%[3]d]", i, dtype, r, k, n)
			out.WriteString([]string{",\n", ",\n"}[i])
		}
		fmt.Fprintf(&out, "    %%w: weight \"w\" %s[%d,%d]) {\n", base, n, k)
		next := 0
		line := func(format string, args ...any) string {
			fmt.Fprintf(&out, "  %%%d = %s\n", next, fmt.Sprintf(format, args...))
			next++
			return fmt.Sprintf("%%%d", next-1)
		}
		product := func(x, w string, n, k int) string {
			if of := map[bool]string{true: base, false: dtype}[w == "%w"]; of != "f32" {
				w = line("convert %s {dtype=f32} : f32[%d,%d]", w, n, k)
			}
			return line(`einsum %s, %s {spec="ab,cb->ac"} : f32[%d,%d]`, x, w, rows, n)
		}
		low := func(i, r int) string {
			inner := product(fmt.Sprintf("%%x%d", rows), fmt.Sprintf("%%a%d", i), r, k)
			if i == 0 {
				two := line("constant {dtype=f32, shape=[], values=[2]} : f32[]")
				inner = line("mul %s, %s : f32[%d,%d]", inner, two, rows, r)
			}
			return product(inner, fmt.Sprintf("%%b%d", i), n, r)
		}
		sum := product(fmt.Sprintf("%%x%d", rows), "%w", n, k)
		for i, r := range ranks {
			sum = line("add %s, %s : f32[%d,%d]", sum, low(i, r), rows, n)
		}
		fmt.Fprintf(&out, "  return y%d=%s : f32[%[1]d,%[3]d], z%[1]d=%[4]s : f32[%[1]d,%[3]d], s%[1]d=%[5]s : f32[%[1]d,%[3]d]\n}\n\n",
			rows, low(0, ranks[0]), n, low(1, ranks[1]), sum)
	}
	m, err := text.Parse("lowrank.pgir", out.String())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestLowRank multiplies by matrices of few rows, which lie row by row: a row among others has the bits that it has alone,
// and the values are the evaluator's.
func TestLowRank(t *testing.T) {
	counts := []int{1, 3, 8, 37}
	for _, tgt := range targettest.Runnable(t) {
		for i, c := range []struct {
			base, dtype string
			k, n        int
			ranks       [2]int
		}{{"i4g128", "bf16", 301, 67, [2]int{4, 16}}, {"bf16", "f32", 45, 83, [2]int{1, 7}}, {"f16", "f16", 64, 32, [2]int{31, 8}}} {
			name := fmt.Sprintf("%s %s beside %s of ranks %v", tgt.Name, c.dtype, c.base, c.ranks)
			m := lowRankModule(t, c.base, c.dtype, c.k, c.n, c.ranks, counts)
			w := randomWeights(t, m)
			plain := m.Func("rows1").Clone(&ir.Module{})
			e := compiled(t, m, w, tgt, 2)
			x, err := eval.Random(rand.New(rand.NewPCG(11, uint64(i))), ir.T(ir.F32, ir.Dims(37, c.k)...), nil, ir.Range{Lo: -1, Hi: 1})
			if err != nil {
				t.Fatal(err)
			}
			rows := x.Float32()
			alone, expected := map[string][]float32{}, map[string]*eval.Tensor{}
			for _, out := range []string{"y", "z", "s"} {
				expected[out] = eval.New(ir.F32, 37, c.n)
			}
			for r := range 37 {
				in := eval.New(ir.F32, 1, c.k)
				copy(in.Data, x.Data[r*c.k:])
				put(t, e, "rows1", "x1", rows[r*c.k:][:c.k]...)
				call(t, e, "rows1", nil)
				want := reference(t, plain, map[string]*eval.Tensor{"x1": in}, w, nil)
				for out, all := range expected {
					copy(all.Data[r*c.n:], want[out+"1"].Data)
					alone[out] = append(alone[out], get[float32](t, e, "rows1", out+"1", c.n)...)
				}
			}
			for out, all := range expected { // of all rows: the sum of one may cancel
				if worst := compare(alone[out], all); !(worst < 1e-6) {
					t.Errorf("%s: error %g of %s", name, worst, out)
				}
			}
			for _, n := range counts[1:] {
				in := fmt.Sprint("rows", n)
				put(t, e, in, fmt.Sprint("x", n), rows[:n*c.k]...)
				call(t, e, in, nil)
				for _, out := range []string{"y", "z", "s"} {
					for j, v := range get[float32](t, e, in, fmt.Sprint(out, n), n*c.n) {
						if want := alone[out][j]; math.Float32bits(v) != math.Float32bits(want) {
							t.Fatalf("%s: %s of %d rows: row %d, column %d is %g among others and %g alone", name, out, n, j/c.n, j%c.n, v, want)
						}
					}
				}
			}
		}
	}
}

// TestLowRankTakesNoPadding holds factors to the bytes that they have in a checkpoint, in files for CPUs, for GPUs and for both,
// which have them once.
func TestLowRankTakesNoPadding(t *testing.T) {
	processor, gpu := cpu.Backend(targettest.Runnable(t)[0]), ptx.Backend()
	for _, backends := range [][]*backend.Backend{{processor}, {gpu}, {processor, gpu}} {
		for dtype, size := range map[string]int64{"bf16": 2, "f32": 4} {
			var of []codegen.Variant
			for _, b := range backends {
				m := lowRankModule(t, dtype, dtype, 256, 64, [2]int{5, 16}, []int{1, 9})
				off := map[string]bool{}
				for _, pass := range b.Without {
					off[pass] = true
				}
				if err := passes.Optimize(m, passes.Options{Off: off, With: b.With}); err != nil {
					t.Fatal(err)
				}
				of = append(of, codegen.Variant{Module: m, Backend: b})
			}
			all, err := codegen.LowerVariants(of)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]int64{"a0": size * 5 * 256, "a1": size * 16 * 256, "b0": size * 64 * 5, "b1": size * 64 * 16, "w": size * 64 * 256}
			for _, w := range all[0].Program.Weights {
				if strings.HasPrefix(w.Name, "const ") { // factors of the products
					continue
				}
				if w.Bytes != want[w.Name] {
					t.Errorf("%s of %s takes %d bytes, expected %d", w.Name, dtype, w.Bytes, want[w.Name])
				}
				delete(want, w.Name)
			}
			if len(want) > 0 {
				t.Errorf("not stored: %v", want)
			}
		}
	}
}

// TestLowRankSharesKernels expects products of other ranks, and those that are scaled otherwise, to have the same kernels: a rank is
// a number of the launch, and so is how far rows of what the first product gives are apart.
func TestLowRankSharesKernels(t *testing.T) {
	b := cpu.Backend(targettest.Runnable(t)[0])
	of := func(ranks [2]int, scale string) (names, texts []string) {
		m := lowRankModule(t, "i4g128", "bf16", 256, 64, ranks, []int{1, 3, 9})
		for _, f := range m.Funcs { // the sums alone
			f.Results = f.Results[2:]
		}
		m, err := text.Parse("lowrank.pgir", strings.ReplaceAll(m.String(), "values=[2]", "values=["+scale+"]"))
		if err != nil {
			t.Fatal(err)
		}
		if err := passes.Optimize(m, passes.Options{}); err != nil {
			t.Fatal(err)
		}
		r, err := codegen.Lower(m, b)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range r.Kernels {
			names, texts = append(names, k.Name), append(texts, k.Tile.String())
		}
		return names, texts
	}
	names, texts := of([2]int{4, 16}, "2")
	for _, other := range []struct {
		ranks [2]int
		scale string
	}{{[2]int{16, 4}, "0.5"}, {[2]int{1, 31}, "1"}, {[2]int{8, 8}, "2"}} {
		n, x := of(other.ranks, other.scale)
		if !slices.Equal(n, names) || !slices.Equal(x, texts) {
			t.Errorf("ranks %v, the first scaled by %s: kernels %v, expected %v of the same code", other.ranks, other.scale, n, names)
		}
	}
}
