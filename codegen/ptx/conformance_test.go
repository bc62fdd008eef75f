package ptx

import (
	"fmt"
	"slices"
	"testing"

	"pgc/ir"
	"pgc/ir/eval"
)

// TestConformance runs the conformance cases of every operation of the table in PTX against the reference evaluator.
// Products and attention are left to tests whose operands bfloat16 holds, updates of states to those of whole models.
func TestConformance(t *testing.T) {
	cases, stored, groups, kinds, worst, at := 0, 0, 0, map[string]int{}, 0.0, ""
	for _, def := range ir.Ops() {
		list, err := eval.Cases(def)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			if def == ir.OpMatmul || def == ir.OpAttention || ir.Overwritten(c.Func.Ops[0].Results[0]) != nil {
				continue
			}
			c.Widen()
			stores := c.Want[0].DType
			if stores.IsQuantized() || slices.ContainsFunc(c.Func.Params, func(p *ir.Value) bool { return p.Type.DType.IsQuantized() }) {
				groups++ // written through scratch memory, which has no PTX, and read by products
				continue
			}
			if !stores.IsArithmetic() {
				stored++
			}
			d, in := conformanceDevice(t, c)
			out := d.call(c.Func.Name, in, c.Syms)
			cases++
			for kind, n := range d.count {
				kinds[kind] += n
			}
			got := make([]*eval.Tensor, len(c.Want))
			for i := range got {
				got[i] = out[eval.ResultName(i, len(got))]
			}
			share, bad := c.Check(got...)
			if bad != nil {
				t.Errorf("%s: %v", c.Name, bad)
			}
			if share > worst {
				worst, at = share, c.Name
			}
		}
	}
	t.Logf("%d cases, %d with results in 16 bits, without %d of groups of integers; kernels %v: at most %.2g of the error allowed (%s)",
		cases, stored, groups, kinds, worst, at)
	if cases < 100 || stored < 5 || kinds["map"] == 0 || kinds["row"] == 0 || kinds["einsum"] == 0 {
		t.Errorf("only %d cases, %d with results in 16 bits, kernels %v", cases, stored, kinds)
	}
}

// conformanceDevice makes a device of a case's function, and its inputs by name.
func conformanceDevice(t *testing.T, c *eval.Case) (*device, map[string]*eval.Tensor) {
	t.Helper()
	m := &ir.Module{Symbols: slices.Clone(c.Func.Module.Symbols)}
	f := c.Func.Clone(m)
	in := map[string]*eval.Tensor{}
	for i, p := range f.Params {
		in[p.Name] = c.Inputs[fmt.Sprintf("x%d", i)]
	}
	return newDevice(t, m, nil), in
}
