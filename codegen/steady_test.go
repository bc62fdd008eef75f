package codegen_test

import (
	"context"
	"testing"

	"pgc/ir"
	"pgc/ir/target/targettest"
	"pgc/models/paligemma"
	"pgc/runtime/engine"
)

// A step of decoding allocates nothing, with a context that can be cancelled, too.
func TestDecodingAllocatesNothing(t *testing.T) {
	m, err := paligemma.Graph(tiny(true), paligemma.Options{MaxTokens: 90, DType: func(string) ir.DType { return ir.BF16 }})
	if err != nil {
		t.Fatal(err)
	}
	w := randomWeights(t, m)
	e := compiled(t, m, w, targettest.Runnable(t)[0], 2)
	decode, err := e.Func("decode")
	if err != nil {
		t.Fatal(err)
	}
	greedy, err := e.Func("greedy")
	if err != nil {
		t.Fatal(err)
	}
	decode.Set("S", 1)
	decode.Set("prefix", 3)
	for name, ctx := range map[string]context.Context{"background": context.Background(), "cancellable": t.Context()} {
		past := 0
		n := testing.AllocsPerRun(50, func() {
			e.Ints("ids")[0] = e.Ints("next")[0] % 7
			decode.Set("past", past)
			decode.Set("T", past+1)
			for _, f := range []*engine.Func{decode, greedy} {
				if err := f.Run(ctx, 0); err != nil {
					t.Fatal(err)
				}
			}
			past++
		})
		t.Logf("%s: %g allocations a step", name, n)
		if n != 0 {
			t.Errorf("%s: %g allocations a step, want none", name, n)
		}
	}
}
