package codegen_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgc/ir"
	"pgc/ir/target/targettest"
	"pgc/models/paligemma"
	"pgc/runtime/program"
)

// step is what the functions behind a token return.
type step struct {
	last, logits []float32
	next         int32
}

// TestBatch decodes some sequences of different lengths one by one, and then together, in other batch slots: hidden
// states, logits and likeliest tokens are the same bits.
func TestBatch(t *testing.T) {
	const sequences, steps = 5, 3
	slots := []int{6, 1, 0, 7, 3}
	plain := func(d ir.DType) func(string) ir.DType { return func(string) ir.DType { return d } }
	for _, kind := range []struct {
		name   string
		gemma2 bool
		opt    paligemma.Options
	}{
		// With so large a cache the attention of a single row is three kernels, alone and in a batch.
		{"f32", false, paligemma.Options{MaxTokens: 5300, DType: plain(ir.F32)}},
		{"bf16, products of bf16", true, paligemma.Options{MaxTokens: 90, KV: ir.BF16, BF16Activations: true, DType: plain(ir.BF16)}},
		{"int4", true, paligemma.Options{MaxTokens: 90, KV: ir.BF16, QuantizeActivations: true, DType: func(key string) ir.DType {
			if strings.HasSuffix(key, "_proj.weight") || key == "lm_head.weight" {
				return ir.I4G32
			}
			return ir.BF16
		}}},
	} {
		cfg := tiny(kind.gemma2)
		for i, tgt := range targettest.Runnable(t) {
			if i > 0 && kind.opt.KV == ir.Invalid {
				break // floats are floats
			}
			m := modelOf(t, cfg, kind.opt, "prefill", "decode", "step", "logits", "greedy", "decode_batch", "step_batch", "logits_batch")
			e := compiled(t, m, randomWeights(t, m), tgt, 2)
			if err := e.Slots(paligemma.MaxBatch); err != nil {
				t.Fatal(err)
			}
			attentions := func(name string) (n int) {
				for _, l := range e.Program.Func(name).Launches {
					if strings.HasPrefix(e.Program.Kernels[l.Kernel].Name, "attention") {
						n++
					}
				}
				return n
			}
			layers := cfg.Text.NumHiddenLayers
			each := layers
			if kind.opt.MaxTokens > 5000 {
				each = 3 * layers
			}
			if n, m := attentions("decode_batch"), attentions("decode"); n != each || m != each {
				t.Errorf("%s %s: %d launches of attention, %d of a single row, expected %d of each", kind.name, tgt.Name, n, m, each)
			}
			hidden, vocab, patches := cfg.Text.HiddenSize, cfg.Text.VocabSize, cfg.Vision.Tokens()
			rng := rand.New(rand.NewPCG(5, 6))
			features := make([]float32, patches*hidden)
			for i := range features {
				features[i] = rng.Float32() - 0.5
			}
			put(t, e, "prefill", "features", features...)
			token := func(sequence, at int) int32 { return int32((sequence*131 + at*17 + 5) % vocab) }
			length := func(sequence int) int { return patches + 3 + 9*sequence }
			prefill := func(sequence, slot int) {
				n := length(sequence)
				ids, images := make([]int32, n), make([]int32, n)
				for i := range n {
					ids[i], images[i] = token(sequence, i), -1
					if i < patches {
						images[i] = int32(i)
					}
				}
				put(t, e, "prefill", "ids", ids...)
				put(t, e, "prefill", "slots", images...)
				call(t, e, "prefill", map[string]int{"S": n, "T": n, "past": 0, "prefix": n - 2, "slot": slot})
			}
			// result is what is there of a sequence behind a step of so many and the logits of that step.
			result := func(row, of int, logits, last, next string) step {
				return step{get[float32](t, e, logits, last, of*hidden)[row*hidden:][:hidden], get[float32](t, e, logits, "logits", of*vocab)[row*vocab:][:vocab],
					get[int32](t, e, logits, next, of)[row]}
			}
			var want [sequences][steps]step
			for s := range sequences {
				prefill(s, 2)
				for i := range steps {
					at := length(s) + i
					name := []string{"decode", "step"}[i%2]
					put(t, e, name, "next", token(s, at))
					call(t, e, name, map[string]int{"T": at + 1, "past": at, "prefix": length(s) - 2, "slot": 2})
					call(t, e, "logits", nil)
					if name == "decode" {
						call(t, e, "greedy", nil)
					}
					want[s][i] = result(0, 1, "logits", "last", "next")
				}
			}
			for s := range sequences {
				prefill(s, slots[s])
			}
			// Slot 4 stays empty: what is there is neither read nor written.
			empty := func(state string) ([]byte, int64) {
				n := e.Program.States[slices.IndexFunc(e.Program.States, func(s program.State) bool { return s.Name == state })].Bytes
				return bytes.Repeat([]byte{0xff}, int(n)), 4 * n
			}
			for _, state := range []string{"k0", "v0"} {
				data, at := empty(state)
				if err := tensor(t, e, "decode", state).PutBytes(at, data); err != nil {
					t.Fatal(err)
				}
			}
			// The last sequence joins at the second step, the first one leaves then.
			joins := func(s int) int { return s / (sequences - 1) }
			for i := range steps + 1 {
				keys := 0
				ids, positions := make([]int32, paligemma.MaxBatch), slices.Repeat([]int32{-1}, paligemma.MaxBatch)
				for s, slot := range slots {
					if n := i - joins(s); n >= 0 && n < steps {
						at := length(s) + n
						ids[slot], positions[slot] = token(s, at), int32(at)
						keys = max(keys, at+1)
					}
				}
				for _, name := range []string{"decode_batch", "step_batch"} { // the second does the first's work again
					put(t, e, name, "next_batch", ids...)
					put(t, e, name, "positions", positions...)
					call(t, e, name, map[string]int{"T": keys})
				}
				call(t, e, "logits_batch", nil)
				for s, slot := range slots {
					i := i - joins(s)
					if i < 0 || i >= steps {
						continue
					}
					got := result(slot, paligemma.MaxBatch, "logits_batch", "last_batch", "next_batch")
					if !sameBits(got.last, want[s][i].last) || !sameBits(got.logits, want[s][i].logits) || got.next != want[s][i].next {
						t.Fatalf("%s %s: step %d of sequence %d differs in a batch: token %d, alone %d; hidden %g…, alone %g…", kind.name, tgt.Name,
							i, s, got.next, want[s][i].next, got.last[:3], want[s][i].last[:3])
					}
				}
			}
			for _, state := range []string{"k0", "v0"} {
				data, at := empty(state)
				got := make([]byte, len(data))
				if err := tensor(t, e, "decode", state).GetBytes(at, got); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, data) {
					t.Errorf("%s %s: an empty slot of %s was written", kind.name, tgt.Name, state)
				}
			}
		}
	}
}

func sameBits(x, y []float32) bool {
	return slices.EqualFunc(x, y, func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) })
}
