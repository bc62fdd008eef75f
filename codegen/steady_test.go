package codegen_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"pgc/ir"
	"pgc/ir/target/targettest"
	"pgc/models/paligemma"
	"pgc/runtime/engine"
)

// A step of decoding allocates nothing, with a context that can be canceled, too.
func TestDecodingAllocatesNothing(t *testing.T) {
	m := modelOf(t, tiny(true), paligemma.Options{MaxTokens: 90, DType: func(string) ir.DType { return ir.BF16 }}, "decode", "step")
	w := randomWeights(t, m)
	e := compiled(t, m, w, targettest.Runnable(t)[0], 2)
	decode, err := e.Func("decode")
	if err != nil {
		t.Fatal(err)
	}
	step, err := e.Func("step")
	if err != nil {
		t.Fatal(err)
	}
	next := make([]int32, 1)
	token := tensor(t, e, "step", "next")
	for name, ctx := range map[string]context.Context{"background": context.Background(), "cancellable": t.Context()} {
		past := 0
		n := testing.AllocsPerRun(50, func() {
			for _, f := range []*engine.Func{decode, step} {
				f.Set("prefix", 3)
				f.Set("past", past)
				f.Set("T", past+1)
				if err := engine.Put(token, 0, next); err != nil {
					t.Fatal(err)
				}
				if err := f.Run(ctx); err != nil {
					t.Fatal(err)
				}
			}
			if err := engine.Get(token, 0, next); err != nil {
				t.Fatal(err)
			}
			next[0] %= 7
			past++
		})
		t.Logf("%s: %g allocations a step", name, n)
		if n != 0 {
			t.Errorf("%s: %g allocations a step, want none", name, n)
		}
	}
}

// A prompt that is canceled at a random moment leaves nothing behind: the next one has its bits.
func TestCanceledPromptLeavesNothing(t *testing.T) {
	m := modelOf(t, tiny(false), paligemma.Options{MaxTokens: 90, DType: func(string) ir.DType { return ir.F32 }}, "prefill")
	e := compiled(t, m, randomWeights(t, m), targettest.Runnable(t)[0], 3)
	f, err := e.Func("prefill")
	if err != nil {
		t.Fatal(err)
	}
	const n = 80
	ids, slots := make([]int32, n), make([]int32, n)
	for i := range n {
		ids[i], slots[i] = int32(i*7%31), -1
	}
	put(t, e, "prefill", "ids", ids...)
	put(t, e, "prefill", "slots", slots...)
	for s, v := range map[string]int{"S": n, "T": n, "past": 0, "prefix": n} {
		f.Set(s, v)
	}
	prompt := func(ctx context.Context) ([]float32, error) {
		err := f.Run(ctx)
		return get[float32](t, e, "prefill", "last", tiny(false).Text.HiddenSize), err
	}
	want, err := prompt(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	prompt(t.Context())
	usual := time.Since(begin)
	rng := rand.New(rand.NewPCG(3, 4))
	canceled := 0
	for range 300 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rng.Int64N(int64(usual))))
		switch got, err := prompt(ctx); {
		case errors.Is(err, context.DeadlineExceeded):
			canceled++
		case err != nil:
			t.Fatal(err)
		case !sameBits(got, want):
			t.Fatal("a prompt that was not canceled has other bits")
		}
		cancel()
		if got, err := prompt(context.Background()); err != nil || !sameBits(got, want) {
			t.Fatalf("error %v, or other bits, after a cancellation", err)
		}
	}
	t.Logf("%d of 300 prompts were canceled; one takes %v", canceled, usual)
	if canceled == 0 {
		t.Error("no prompt was canceled")
	}
}
