package eval

import (
	"math/rand/v2"
	"strings"
	"testing"

	"pgc/ir"
)

// TestTooLarge evaluates values that fit a program's memory and not this one's.
func TestTooLarge(t *testing.T) {
	m := &ir.Module{Symbols: []ir.Symbol{{Name: "S", Max: 1 << 20}}}
	f := m.NewFunc("f")
	f.Return("y", ir.NewBuilder(f).Op(ir.OpIota, ir.IotaAttrs{Shape: []ir.Dim{ir.Sym("S"), ir.D(1 << 22)}}))
	const want = "i32[S,4194304] has 4398046511104 elements, expected at most 4294967296 where it is evaluated"
	if _, err := Func(f, nil, map[string]int{"S": 1 << 20}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("evaluation gave %v, expected %q", err, want)
	}
	if _, err := Func(f, nil, map[string]int{"S": 1}); err != nil {
		t.Errorf("evaluation of one row gave %v", err)
	}
	if _, err := Random(rand.New(rand.NewPCG(1, 2)), f.Results[0].Value.Type, map[string]int{"S": 1 << 20}, ir.Range{}); err == nil || err.Error() != want {
		t.Errorf("random values gave %v, expected %q", err, want)
	}
}
