package codegen_test

import (
	"slices"
	"testing"

	"pgc/ir"
	"pgc/ir/target/targettest"
)

// BenchmarkOperations times every operation of the table on its conformance cases:
//
//	go test ./codegen -run none -bench Operations/matmul
func BenchmarkOperations(b *testing.B) {
	targets := targettest.Runnable(b)
	bounded := []*ir.OpDef{ir.OpDynamicUpdateSlice, ir.OpSlice} // these bound symbols, so they have a module of their own
	others := slices.DeleteFunc(ir.Ops(), func(def *ir.OpDef) bool { return slices.Contains(bounded, def) })
	for _, ops := range [][]*ir.OpDef{others, bounded} {
		m, cases, w := conformance(b, ops)
		e := compiled(b, m, w, targets[len(targets)-1], 1)
		for _, f := range m.Funcs {
			c := cases[f.Name]
			call(b, e, f.Name, c.Syms)
			fn, err := e.Func(f.Name)
			if err != nil {
				b.Fatal(err)
			}
			b.Run(f.Name+" "+c.Name, func(b *testing.B) {
				b.SetBytes(int64(4 * len(c.Want[0].Data)))
				for b.Loop() {
					if err := fn.Run(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
