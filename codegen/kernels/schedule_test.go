package kernels

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgc/codegen/internal/link/linktest"
	"pgc/codegen/packing"
	"pgc/codegen/schedule"
	"pgc/ir/quant"
	"pgc/ir/scalar"
	"pgc/ir/target"
	"pgc/ir/target/targettest"
	"pgc/ir/tile"
)

// TestSchedulesChangeNoBit multiplies by every form that this CPU runs, blocked as the table says, and as some ends of the
// search space do: many rows, few and one have the same bits.
func TestSchedulesChangeNoBit(t *testing.T) {
	const k, n = 400, 160
	for _, tgt := range targettest.Runnable(t) {
		for _, f := range formats {
			var first []float32
			for _, rows := range []int64{70, 8, 1} {
				s := &Matmul{M: Const(rows), K: k, XStride: k, X: f.x, BF16: f.bf16, Parts: []Part{{Blocks: 1, N: n, Elem: f.elem, Group: f.w, Accs: 1,
					Exprs: []*scalar.Expr{scalar.X(0, scalar.F32)}, Outs: []Out{{Elem: tile.F32, Strides: []int64{n, 0, 1}}}}}}
				rng := rand.New(rand.NewPCG(21, 22))
				var x any = randoms(rng, 70*k)
				switch {
				case f.x.Len > 0:
					x = rowBytes(rng, 70, k, f.x.Len)
				case f.bf16:
					x = floatBytes(rng, tile.BF16, 70*k)
				}
				w := floatBytes(rng, f.elem, packing.Len(1, n, packing.PaddedK(k, f.bf16)))
				if f.w.Len > 0 {
					w = groupBytes(rng, f.w, n, k)
				}
				for _, p := range ends(s.Class(tgt), tgt, rows) {
					kern, code := buildAs(t, tgt, s, p)
					got := make([]float32, rows*n)
					run(t, kern, code, nil, got, x, w)
					if first == nil {
						first = got
					}
					if !slices.Equal(got, first[:rows*n]) {
						t.Errorf("%s on %s, %d rows, %+v: other bits than 70 rows as the table has them", f.name, tgt.Name, rows, p)
					}
				}
			}
		}
	}
}

// ends are the table's schedule, and the first and the last value of every step of the space for so many rows.
func ends(c schedule.Class, tgt target.Target, rows int64) []schedule.Product {
	now := schedule.Default.Of(c, tgt)
	space := schedule.OfMany(c, tgt)
	switch {
	case rows == 1:
		space = schedule.OfOne(c, tgt)
	case rows <= fewRows:
		space = schedule.OfFew(c, tgt)
	}
	out := []schedule.Product{now}
	for _, step := range space.Steps {
		if all := step.Next(now); len(all) > 0 {
			out = append(out, all[0], all[len(all)-1])
		}
	}
	f := forms[slices.IndexFunc(forms, func(f *mma) bool { return f.class == c })]
	return slices.DeleteFunc(out, func(p schedule.Product) bool { return f.takes(p, tgt.Lanes) != nil })
}

// buildAs is build with a schedule of the class of s.
func buildAs(t *testing.T, tgt target.Target, s *Matmul, p schedule.Product) (*Kernel, *linktest.Code) {
	t.Helper()
	row := schedule.Row{Class: s.Class(tgt), Family: tgt.Family, Lanes: tgt.Lanes, Product: p}
	k, err := BuildBy(schedule.Default.With(row), "k", s, tgt)
	if err != nil {
		t.Fatal(err)
	}
	return k, load(t, tgt, k)
}

// TestAttentionSchedulesChangeNoBit computes attention of so many keys that strips of queries share their blocks, of float32
// and bfloat16, as the ends of the search space block it.
func TestAttentionSchedulesChangeNoBit(t *testing.T) {
	const queries, keys, heads, width = 512, 544, 8, 64
	for _, tgt := range targettest.Runnable(t) {
		for _, kv := range []tile.Elem{tile.F32, tile.BF16} {
			s := &Attention{S: Const(queries), T: Const(keys), G: heads, R: 1, H: width, Scale: .1, KV: kv, Elem: tile.F32}
			s.Q, s.K = [4]int64{heads * width, width, width, 1}, [3]int64{heads * width, width, 1}
			s.Out, s.V = s.Q, s.K
			rng := rand.New(rand.NewPCG(31, 32))
			q, k, v := randoms(rng, queries*heads*width), floatBytes(rng, kv, keys*heads*width), floatBytes(rng, kv, keys*heads*width)
			now := schedule.Default.Attention(tgt)
			rows, strips := []schedule.Attention{now}, map[int64]bool{}
			for _, space := range []schedule.Space[schedule.Attention]{schedule.OfAttention(tgt), schedule.OfStrips(tgt)} {
				for _, step := range space.Steps {
					all := step.Next(now)
					rows = append(rows, all[0], all[len(all)-1])
				}
			}
			var first []float32
			for _, row := range rows {
				row.Family, row.Lanes = tgt.Family, tgt.Lanes
				kern, err := BuildBy(&schedule.Table{Products: schedule.Default.Products, Attentions: []schedule.Attention{row}}, "k", s, tgt)
				if err != nil {
					t.Fatal(err)
				}
				strips[append(coarsest(kern), 1)[0]] = true // of one strip there is no grain
				got := make([]float32, len(q))
				runGrains(t, kern, load(t, tgt, kern), nil, coarsest(kern), got, q, k, v)
				if first == nil {
					first = got
				}
				if !slices.Equal(got, first) {
					t.Errorf("%v keys on %s, %+v: other bits than the table's schedule", kv, tgt.Name, row)
				}
			}
			if len(strips) < 2 {
				t.Errorf("%v keys on %s: a task has as many strips whatever the schedule says", kv, tgt.Name)
			}
		}
	}
}

// TestImpossibleSchedules says why a kernel cannot be blocked so.
func TestImpossibleSchedules(t *testing.T) {
	v3, err := target.Find("x86-64-v3")
	if err != nil {
		t.Fatal(err)
	}
	w, x := Group{Format: quant.Int4, Len: 128}, Group{Format: quant.Int8, Len: 128}
	for want, change := range map[string]func(p *schedule.Product){
		"MR 0":     func(p *schedule.Product) { p.Many.MR = 0 },
		"KC 100":   func(p *schedule.Product) { p.Many.KC = 100 },
		"NC 40":    func(p *schedule.Product) { p.Many.NC = 40 },
		"Vecs 3":   func(p *schedule.Product) { p.Many.Vecs = 3 },
		"Side 0":   func(p *schedule.Product) { p.One.Side = 0 },
		"Chains 2": func(p *schedule.Product) { p.One.Side, p.One.Chains = 2, 2 },
		"few rows": func(p *schedule.Product) { p.Few.Vecs = 8 },
	} {
		s := &Matmul{M: Const(70), K: 256, XStride: 256, X: x, Parts: []Part{{Blocks: 1, N: 64, Elem: tile.I8, Group: w, Accs: 1,
			Exprs: []*scalar.Expr{scalar.X(0, scalar.F32)}, Outs: []Out{{Elem: tile.F32, Strides: []int64{64, 0, 1}}}}}}
		p := schedule.Default.Of(s.Class(v3), v3)
		change(&p)
		_, err := BuildBy(schedule.Default.With(schedule.Row{Class: s.Class(v3), Lanes: 8, Product: p}), "k", s, v3)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), fmt.Sprintf("kernel k: %s for x86-64-v3: ", s.Class(v3))) {
			t.Errorf("got %v, expected %s", err, want)
		}
	}
}
