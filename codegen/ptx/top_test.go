package ptx

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgc/codegen/ptx/emu"
	"pgc/ir"
	"pgc/ir/eval"
)

// topCase is a top of rows of a length.
type topCase struct{ rows, n, k int }

// topCases have lengths that are even and odd, of one run, of one block, of several, and of more than a kernel merges.
var topCases = []topCase{{2, 7, 1024}, {1, 1024, 1024}, {3, 130, 3}, {1, 2240, 1024}, {3, 2049, 1000}, {8, 1792, 1024}, {1, 3*512 + 2, 200}, {2, 2 * 64 * 18, 1}}

func (c topCase) source() string {
	k := min(c.k, c.n)
	return fmt.Sprintf(`func @f(%%x: input f32[%d,%d]) {
  %%0, %%1, %%2 = top %%x {k=%d} : f32[%[1]d,%[4]d], i32[%[1]d,%[4]d], f32[%[1]d,1]
  return y0=%%0 : f32[%[1]d,%[4]d], y1=%%1 : i32[%[1]d,%[4]d], y2=%%2 : f32[%[1]d,1]
}`, c.rows, c.n, c.k, k)
}

// topRows are kinds of rows: random, of few different numbers, and with what is no number.
var topRows = map[string]func(rng *rand.Rand, i int) float64{
	"random": func(rng *rand.Rand, _ int) float64 { return float64(float32(6 * rng.NormFloat64())) },
	"equal":  func(*rand.Rand, int) float64 { return -3 },
	"few":    func(rng *rand.Rand, _ int) float64 { return float64(rng.IntN(3) - 1) },
	"rising": func(_ *rand.Rand, i int) float64 { return float64(i) / 1024 },
	"none":   func(*rand.Rand, int) float64 { return math.Inf(-1) },
	"ends":   func(rng *rand.Rand, _ int) float64 { return math.Inf(rng.IntN(2) - 1) },
	"zeros":  func(rng *rand.Rand, _ int) float64 { return math.Copysign(0, float64(rng.IntN(2))-0.5) },
	"NaN": func(rng *rand.Rand, i int) float64 {
		return []float64{math.NaN(), math.Inf(1), math.Inf(-1), float64(i % 5), -0.25}[rng.IntN(5)]
	},
}

// checkTop compares the results of a top with the reference: elements and indices are equal, a zero may lose its sign.
func checkTop(t *testing.T, name string, got, want map[string]*eval.Tensor) {
	t.Helper()
	for _, r := range []string{"y0", "y1", "y2"} {
		tol := ir.Tol{}
		if r == "y2" {
			tol = ir.OpTop.Tol
		}
		if _, miss := eval.Compare(got[r], want[r], tol); miss != nil {
			t.Errorf("%s %s: %v", name, r, miss)
		}
	}
}

// TestTop compares the kernels with the evaluator.
func TestTop(t *testing.T) { recordedTop.run(t) }

var recordedTop = &remade{test: func(t *testing.T) {
	for _, c := range topCases {
		d, plain := attended(t, "top", c.source())
		for kind, element := range topRows {
			rng := rand.New(rand.NewPCG(5, uint64(c.n)))
			x := eval.New(ir.F32, c.rows, c.n)
			for i := range x.Data {
				x.Data[i] = element(rng, i%c.n)
			}
			in := map[string]*eval.Tensor{"x": x}
			checkTop(t, fmt.Sprintf("%v %s", c, kind), d.call("f", in, nil), reference(t, plain, in, nil, nil))
		}
	}
}}

// TestTopOfVocabulary is a row of PaliGemma's vocabulary: it is read once, 16 bytes a thread, and results do not depend
// on the grid.
func TestTopOfVocabulary(t *testing.T) {
	c := topCase{1, 257216, 1024}
	d, plain := attended(t, "top", c.source())
	rng := rand.New(rand.NewPCG(1, 2))
	x := eval.New(ir.F32, 1, c.n)
	for i := range x.Data {
		x.Data[i] = topRows["random"](rng, i)
	}
	in := map[string]*eval.Tensor{"x": x}
	var got map[string]*eval.Tensor
	launches := launchesOf(t, func() { got = d.call("f", in, nil) })
	checkTop(t, "vocabulary", got, reference(t, plain, in, nil, nil))
	// arena is the memory that a launch's kernels hand on to each other, as it then is.
	arena := func(l launched) []byte {
		for _, a := range l.args {
			if p, ok := a.(emu.Pointer); ok && int64(len(p.Memory.Data)) == d.p.Func("f").ArenaBytes {
				return p.Memory.Data
			}
		}
		return nil
	}
	if len(launches) != 3 {
		t.Fatalf("%d kernels with barriers, expected three", len(launches))
	}
	total := int64(0)
	for i, all := range launches {
		k, l := all[0].kernel, all[0].again()
		stats, err := parsed(t, k).Run(emu.Launch{Entry: k.Name, Blocks: 1, Args: append(l.args, l.tasks), Counts: true})
		if err != nil {
			t.Fatal(err)
		}
		total += stats.Instructions
		read := int64(0)
		for _, n := range stats.Counts {
			if strings.HasPrefix(n.Name, "ld.global") && n.Width == 16 {
				read += n.Bytes
			}
		}
		if i == 0 && read != int64(4*c.n) {
			t.Errorf("%s reads %d bytes, 16 a thread, of a row of %d", k.Name, read, 4*c.n)
		}
		t.Logf("%s: %d tasks, %d instructions of warps, %d bytes read, %d waits for banks", k.Name, l.tasks, stats.Instructions, read, stats.Conflicts)
		if i+1 < len(launches) && (len(arena(l)) == 0 || !slices.Equal(arena(l), arena(launches[i+1][0]))) { // one block leaves what many left
			t.Errorf("what %s leaves depends on the grid", k.Name)
		}
	}
	t.Logf("%d instructions", total)
}
