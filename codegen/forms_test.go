package codegen_test

import (
	"math"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"pgc/codegen/kernels"
	"pgc/codegen/llvm"
	"pgc/ir"
	"pgc/ir/eval"
	"pgc/ir/quant"
	"pgc/ir/scalar"
	"pgc/ir/target"
	"pgc/ir/target/targettest"
	"pgc/ir/tile"
)

// TestIntegerFormsAgree multiplies 1 to 33 and 266 rows of integers on every instruction set that this machine runs, and
// expects the bits of the first one everywhere: sums are exact, whatever instructions make them. Several sets run under
// an emulator (make test-arm64) or where there is AVX-512.
func TestIntegerFormsAgree(t *testing.T) {
	sets := targettest.All(t)
	if len(sets) < 2 {
		t.Skip("this CPU runs one of the instruction sets: there is nothing to compare (make test-arm64 does)")
	}
	const most = 266
	for i, c := range []struct {
		dtype string
		k, n  int
	}{{"i8g32", 45, 67}, {"i8g64", 16, 33}, {"i8g128", 301, 70}, {"i4g32", 133, 19}, {"i4g64", 75, 40}, {"i4g128", 515, 67}} {
		var first []float32
		for _, tgt := range sets {
			m := gatedModule(t, c.dtype, "i8"+c.dtype[2:], c.k, c.n)
			w := randomWeights(t, m)
			x, err := eval.Random(rand.New(rand.NewPCG(5, uint64(i))), ir.T(ir.F32, ir.Dims(most, c.k)...), nil, ir.Range{Lo: -1, Hi: 1})
			if err != nil {
				t.Fatal(err)
			}
			e := compiled(t, m, w, tgt, 2)
			same := func(f string, rows int, got []float32) {
				t.Helper()
				for j, v := range got {
					if math.Float32bits(v) != math.Float32bits(first[j]) {
						t.Fatalf("%s on %s, @%s of %d rows: row %d, column %d is %g, on %s %g", c.dtype, tgt.Name, f, rows, j/c.n, j%c.n, v, sets[0].Name, first[j])
					}
				}
			}
			for rows := most; rows > 0; rows-- {
				if rows > 33 && rows < most {
					continue
				}
				put(t, e, "many", "many.x", x.Float32()[:rows*c.k]...)
				call(t, e, "many", map[string]int{"S": rows})
				got := get[float32](t, e, "many", "many.y", rows*c.n)
				if first == nil {
					first = got
				}
				same("many", rows, got)
			}
			put(t, e, "one", "one.x", x.Float32()[:c.k]...)
			call(t, e, "one", nil)
			same("one", 1, get[float32](t, e, "one", "one.y", c.n))
		}
		t.Logf("%s, K %d, N %d: %d sets agree", c.dtype, c.k, c.n, len(sets))
	}
}

// TestMatrixProductsAssembly looks at the loops of arm64's products of two rows by two columns: as many instructions as
// 32 (bfloat16: 16) multiply-adds each need, a load of 16 bytes for every two rows and every two columns of 8 bytes, and
// neither shuffles nor spills beside them.
func TestMatrixProductsAssembly(t *testing.T) {
	tgt, err := target.Find("neoverse-n2")
	if err != nil {
		t.Fatal(err)
	}
	count := func(body, pattern string) int {
		return len(regexp.MustCompile(`(?m)^\s+`+pattern).FindAllString(body, -1))
	}
	for _, c := range []struct {
		name, instruction string
		x, w              kernels.Group
	}{
		{"int4", "smmla", kernels.Group{Format: quant.Int8, Len: 128}, kernels.Group{Format: quant.Int4, Len: 128}},
		{"bf16", "bfmmla", kernels.Group{}, kernels.Group{}},
	} {
		s := &kernels.Matmul{M: kernels.Const(266), K: 2048, XStride: 2048, X: c.x, BF16: c.x.Len == 0, Parts: []kernels.Part{{Blocks: 1, N: 64, Elem: tile.I8,
			Accs: 1, Group: c.w, Exprs: []*scalar.Expr{scalar.X(0, scalar.F32)}, Outs: []kernels.Out{{Elem: tile.F32, Strides: []int64{64, 0, 1}}}}}}
		if s.BF16 {
			s.Parts[0].Elem = tile.BF16
		}
		k, err := kernels.Build("k", s, tgt)
		if err != nil {
			t.Fatal(err)
		}
		ir, err := llvm.Emit(tgt, []*tile.Kernel{k.Tile})
		if err != nil {
			t.Fatal(err)
		}
		asm, err := llvm.Assembly(t.Context(), ir, tgt)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, block := range regexp.MustCompile(`(?m)^\.LBB\w+:`).Split(string(asm), -1) {
			block, _, loops := strings.Cut(block, "\tb.le") // innermost loops end so
			if n := count(block, c.instruction); !loops || n != 6*16*16/32 {
				continue // of fewer rows
			}
			found = true
			loads := 2*count(block, `ldp\s+q`) + count(block, `ldr\s+q`)
			if others := count(block, `(mov|dup|zip\d|ext|ins|str|stp)\s`); loads != 2*(6/2+16/2) || others != 0 || strings.Contains(block, "Spill") || strings.Contains(block, "Reload") {
				t.Errorf("%s: %d loads of 16 bytes, expected 22, and %d moves:\n%s", c.name, loads, others, block)
			}
			t.Logf("%s: %d %s of %d instructions", c.name, 48, c.instruction, count(block, `[a-z]`)+1)
		}
		if !found {
			t.Errorf("%s: no loop has 48 %s:\n%s", c.name, c.instruction, asm)
		}
	}
}
