package eval

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"pgc/ir"
)

func TestEveryOperationHasAMeaning(t *testing.T) {
	for _, def := range ir.Ops() {
		ways := 0
		for _, has := range []bool{def.Elementwise(), def.Reduces(), def.Fused(), plain[def] != nil, several[def] != nil} {
			if has {
				ways++
			}
		}
		if ways != 1 {
			t.Errorf("%s has %d meanings, want one", def.Name, ways)
		}
	}
}

// Every conformance case is evaluated, repeatably, to finite numbers, and a wrong result is noticed.
func TestCases(t *testing.T) {
	for _, def := range ir.Ops() {
		cases, err := Cases(def)
		if err != nil {
			t.Error(err)
			continue
		}
		again, _ := Cases(def)
		for i, c := range cases {
			var rounded []*Tensor
			for k, want := range c.Want {
				for _, v := range want.Data {
					if math.IsNaN(v) || math.IsInf(v, 0) {
						t.Errorf("%s: result %g", c.Name, v)
					}
				}
				if _, err := Compare(again[i].Want[k], want, ir.Tol{}); err != nil {
					t.Errorf("not repeatable: %v", err)
				}
				rounded = append(rounded, want.Convert(want.DType))
			}
			if worst, err := c.Check(rounded...); err != nil || worst > 1 {
				t.Errorf("%s: the rounded reference fails: %v", c.Name, err)
			}
			for _, r := range rounded {
				if len(r.Data) == 0 {
					continue
				}
				right := r.Data[0]
				r.Data[0] += 1 + math.Abs(right)
				if _, err := c.Check(rounded...); err == nil {
					t.Errorf("%s: a wrong element passes", c.Name)
				}
				r.Data[0] = right
			}
		}
	}
}

func TestErrors(t *testing.T) {
	m := &ir.Module{Symbols: []ir.Symbol{{Name: "S", Max: 4}}}
	f := m.NewFunc("f")
	table := f.AddParam(ir.Weight, "w", "table", ir.T(ir.F32, ir.Dims(3, 2)...))
	ids := f.AddParam(ir.Input, "ids", "", ir.T(ir.I32, ir.Sym("S")))
	b := ir.NewBuilder(f)
	rows := b.Op(ir.OpGather, nil, table, ids)
	f.Return("y", b.Op(ir.OpDynamicUpdateSlice, nil, rows, rows, b.Op(ir.OpSymbol, ir.SymbolAttrs{Name: "S"})))

	in := func(id int32, n int) map[string]*Tensor {
		ids := make([]int32, n)
		ids[0] = id
		return map[string]*Tensor{"table": New(ir.F32, 3, 2), "ids": FromInt32(ids, n)}
	}
	for _, c := range []struct {
		want   string
		inputs map[string]*Tensor
		s      int
	}{
		{"ids[0] is 3, the table has 3 rows", in(3, 2), 2},
		{"ids[0] is -1", in(-1, 2), 2},
		{"@f %2 dynamic_update_slice: elements 2 to 4 are outside dimension 0 of the state, [2 2]", in(0, 2), 2},
		{`input "ids" is i32[2] with 2 values, expected i32[3]`, in(0, 2), 3},
		{`no tensor for the weight "table"`, map[string]*Tensor{"ids": New(ir.I32, 1)}, 1},
		{"symbol S is 5, expected 0 to 4", in(0, 5), 5},
	} {
		_, err := Func(f, c.inputs, map[string]int{"S": c.s})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
	if _, err := Func(f, in(0, 2), nil); err == nil || !strings.Contains(err.Error(), "symbol S has no value") {
		t.Errorf("got %v", err)
	}
}

func TestStorageRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, d := range []ir.DType{ir.Bool, ir.I32, ir.F32, ir.BF16, ir.F16} {
		x, err := Random(rng, ir.T(d, ir.Dims(3, 7)...), nil, ir.Range{Lo: -100, Hi: 100})
		if err != nil {
			t.Fatal(err)
		}
		y, err := Decode(d, x.Encode(), 3, 7)
		if err != nil {
			t.Fatal(err)
		}
		if worst, err := Compare(y, x, ir.Tol{}); err != nil {
			t.Errorf("%s: %g: %v", d, worst, err)
		}
		if _, err := Decode(d, x.Encode()[1:], 3, 7); err == nil {
			t.Errorf("%s: short storage is read", d)
		}
	}
	for v, want := range map[float64]uint16{1: 0x3f80, 1.00390625: 0x3f80, 1.01171875: 0x3f82, -2: 0xc000, math.Inf(1): 0x7f80, 3.4e38: 0x7f80} {
		if got := bf16bits(v); got != want {
			t.Errorf("bf16 of %g is %#x, want %#x", v, got, want)
		}
	}
	if b := bf16bits(math.NaN()); b&0x7f80 != 0x7f80 || b&0x7f == 0 {
		t.Errorf("bf16 of NaN is %#x", b)
	}
}
