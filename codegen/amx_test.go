package codegen_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgc/codegen"
	"pgc/codegen/cpu"
	"pgc/codegen/internal/link"
	"pgc/codegen/llvm"
	"pgc/codegen/llvm/amxtest"
	store "pgc/codegen/weights"
	"pgc/ir"
	"pgc/ir/eval"
	"pgc/ir/quant"
	"pgc/ir/target"
	"pgc/models/paligemma"
	"pgc/passes"
	"pgc/runtime/engine"
	"pgc/runtime/native"
)

// emulated compiles a module for a target with AMX, and starts it on threads that have the emulator of AMX.
func emulated(t *testing.T, m *ir.Module, w store.Source, tgt target.Target, threads int) *engine.Engine {
	t.Helper()
	if err := passes.Optimize(m, passes.Options{Check: true}); err != nil {
		t.Fatal(err)
	}
	r, err := codegen.Compile(context.Background(), m, cpu.Backend(tgt))
	if err != nil {
		t.Fatal(err)
	}
	var section bytes.Buffer
	if err := r.WriteWeights(&section, w, store.Writing{}); err != nil {
		t.Fatal(err)
	}
	obj, err := llvm.Assemble(t.Context(), []byte(amxtest.Source(nil)), tgt)
	if err != nil {
		t.Fatal(err)
	}
	image, err := link.Link([][]byte{obj})
	if err != nil {
		t.Fatal(err)
	}
	all := slices.Clone(r.Code.Bytes)
	all = append(all, make([]byte, -len(all)&(link.MaxAlign-1))...)
	at := int64(len(all))
	all = append(all, image.Code...)
	next := at + int64(image.Symbols[amxtest.Next])
	binary.LittleEndian.PutUint64(all[next:], uint64(r.Program.WorkerOffset-next))
	r.Program.WorkerOffset = at + int64(image.Symbols[amxtest.Worker])

	code, err := native.LoadCode(all)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { code.Close() })
	mem, err := native.Reserve(int64(section.Len()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mem.Close() })
	copy(mem.Bytes(), section.Bytes())
	e, err := engine.New(r.Program, code.Bytes(), mem.Bytes(), threads)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// TestModelInTiles runs whole models in tile registers on four threads: products of integers have the bits that vectors
// give, those of bfloat16 the same for a prompt at once and token by token.
func TestModelInTiles(t *testing.T) {
	v3, err := target.Find("x86-64-v3")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []quant.Format{quant.None, quant.Int4} {
		cfg := tiny(false)
		cfg.Vision.NumHiddenLayers, cfg.Text.NumHiddenLayers = 1, 2
		cfg.Text.HiddenSize, cfg.Text.IntermediateSize = 91, 150
		opt := paligemma.Options{MaxTokens: 90, KV: ir.F32, BF16Activations: f == quant.None, DType: func(key string) ir.DType { return ir.BF16 }}
		if f != quant.None {
			opt.DType = func(key string) ir.DType {
				if strings.HasSuffix(key, "_proj.weight") {
					return ir.Quantized(f, 64)
				}
				return ir.F32
			}
			opt.QuantizeActivations = true
		}
		graph := func() *ir.Module {
			return modelOf(t, cfg, opt, "encode_image", "forward", "head", "prefill", "decode", "logits")
		}
		w := randomWeights(t, graph())
		rng := rand.New(rand.NewPCG(1, 9))
		pixels, err := eval.Random(rng, ir.T(ir.F32, ir.Dims(3, cfg.Vision.ImageSize, cfg.Vision.ImageSize)...), nil, ir.Range{Lo: -1, Hi: 1})
		if err != nil {
			t.Fatal(err)
		}
		patches := cfg.Vision.Tokens()
		tokens, prefix, vocab := patches+13, patches+8, cfg.Text.VocabSize
		ids, slots := make([]int32, tokens), make([]int32, tokens)
		for i := range ids {
			ids[i], slots[i] = int32(rng.IntN(vocab)), -1
			if i < patches {
				slots[i] = int32(i)
			}
		}
		answer := func(e *engine.Engine) (all, decoded []float32) {
			put(t, e, "encode_image", "pixels", pixels.Float32()...)
			call(t, e, "encode_image", map[string]int{"row": 0})
			for _, f := range []string{"forward", "prefill"} {
				put(t, e, f, "ids", ids...)
				put(t, e, f, "slots", slots...)
			}
			syms := map[string]int{"S": tokens, "T": tokens, "past": 0, "prefix": prefix, "slot": 0, "row": 0, "R": tokens}
			call(t, e, "forward", syms)
			call(t, e, "head", syms)
			all = get[float32](t, e, "head", "logits", tokens*vocab)
			call(t, e, "prefill", map[string]int{"S": prefix, "T": prefix, "past": 0, "prefix": prefix})
			for i := prefix; i < tokens; i++ {
				put(t, e, "decode", "next", ids[i])
				call(t, e, "decode", map[string]int{"T": i + 1, "past": i, "prefix": prefix})
			}
			call(t, e, "logits", nil)
			return all, get[float32](t, e, "logits", "logits", vocab)
		}
		for _, tgt := range amxtest.Targets(t) {
			all, decoded := answer(emulated(t, graph(), w, tgt, 4))
			if !sameBits(decoded, all[(tokens-1)*vocab:]) {
				t.Errorf("%s, %v: logits token by token differ from those of a prompt at once", tgt.Name, f)
			}
			if f == quant.None {
				continue
			}
			vectors := v3 // attention and norms have orders of sums by the width of vectors
			if tgt.Lanes > v3.Lanes {
				if vectors, err = target.Find("cascadelake"); err != nil {
					t.Fatal(err)
				}
			}
			if want, _ := answer(compiled(t, graph(), w, vectors, 2)); !sameBits(all, want) {
				t.Errorf("%s, %v: logits in tiles differ from those of vectors", tgt.Name, f)
			}
		}
	}
}

// TestGatedInTiles compares gated units in tile registers with the evaluator, two accumulators each, and rows alone with
// rows among others.
func TestGatedInTiles(t *testing.T) {
	for _, dtype := range []string{"bf16", "i8g64", "i4g128"} {
		rows, k, n := 77, 300, 67
		operand := "bf16"
		if dtype != "bf16" {
			operand = "i8" + dtype[2:]
		}
		m := gatedModule(t, dtype, operand, k, n)
		w := randomWeights(t, m)
		x, err := eval.Random(rand.New(rand.NewPCG(3, 3)), ir.T(ir.F32, ir.Dims(rows, k)...), nil, ir.Range{Lo: -1, Hi: 1})
		if err != nil {
			t.Fatal(err)
		}
		want := reference(t, m.Func("many"), map[string]*eval.Tensor{"many.x": x}, w, map[string]int{"S": rows})["many.y"]
		e := emulated(t, m, w, amxtest.Targets(t)[0], 3)
		put(t, e, "many", "many.x", x.Float32()...)
		call(t, e, "many", map[string]int{"S": rows})
		got := get[float32](t, e, "many", "many.y", rows*n)
		worst := compare(got, want)
		put(t, e, "one", "one.x", x.Float32()[(rows-1)*k:]...)
		call(t, e, "one", nil)
		alone := get[float32](t, e, "one", "one.y", n)
		if name := fmt.Sprintf("%s %v", dtype, [3]int{rows, k, n}); !(worst < 2e-6) || !sameBits(alone, got[(rows-1)*n:]) {
			t.Errorf("%s: error %g of the largest value; the last row alone is equal: %v", name, worst, sameBits(alone, got[(rows-1)*n:]))
		}
	}
}
