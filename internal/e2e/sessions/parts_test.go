package sessions

import (
	"fmt"
	"slices"
	"testing"

	"pgc/codegen/ptx/emulated"
	"pgc/internal/build"
	"pgc/internal/e2e"
	"pgc/runtime/engine"
	"pgc/runtime/entry"
	"pgc/runtime/gpu"
	"pgc/runtime/program"
)

// TestParts compares parts of the logits, wherever they begin, and the hidden states of several tokens at once, with
// those of all logits and of token by token: they are equal to the bit, on the processor and on a GPU.
func TestParts(t *testing.T) {
	for _, c := range []struct {
		checkpoint string
		options    build.Options
	}{
		{"pg1-odd", build.Options{}},
		{"pg2-odd", build.Options{Storage: build.Storage{Weights: "int4", Group: 32}}},
		{"pg2-odd", build.Options{Storage: build.Storage{Weights: "int8", Compute: "f32"}}},
		{"pg1-bf16", build.Options{Storage: build.Storage{Compute: "bf16"}, KV: "bf16"}},
		{"pg1-bf16", build.Options{Target: "cuda"}},
		{"pg2-odd", build.Options{Target: "cuda", Storage: build.Storage{Weights: "int4", Group: 32}}},
	} {
		t.Run(fmt.Sprint(c.checkpoint, c.options.Target, c.options.Weights, c.options.Compute), func(t *testing.T) {
			image, err := program.OpenFile(e2e.CompiledWith(t, c.checkpoint, c.options))
			if err != nil {
				t.Fatal(err)
			}
			defer image.Close()
			e, err := openOn(t, image)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			compareParts(t, e)
		})
	}
}

// openOn opens an executable for the processor, or one for GPUs on an emulated one.
func openOn(t *testing.T, image *program.Executable) (*engine.Engine, error) {
	if image.Program.Target.Kind == program.CPU {
		return engine.Open(image, "", 2)
	}
	text, err := image.Code(image.Program)
	if err != nil {
		return nil, err
	}
	x, err := gpu.Of(&emulated.Driver{}).Load(t.Context(), image.Program, text, image.Weights, 0, engine.LoadOptions{})
	if err != nil {
		return nil, err
	}
	return engine.On(x, image.Program, 1), nil
}

func compareParts(t *testing.T, e *engine.Engine) {
	l := &engine.Lookup{Engine: e}
	decode, rows, logits := l.Func(entry.Decode), l.Func(entry.Rows), l.Func(entry.Logits)
	next, last := l.State(entry.StateNext), l.State(entry.StateLast)
	ids, positions, out := l.Input(rows, entry.InNext), l.Input(rows, entry.InPositions), l.Output(logits, entry.OutLogits)
	if l.Err != nil {
		t.Fatal(l.Err)
	}
	run := func(f *engine.Func) {
		t.Helper()
		if err := f.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	get := func(from engine.Tensor, first, n int) []float32 {
		t.Helper()
		v := make([]float32, n)
		if err := engine.Get(from, first, v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	hidden := 0
	for _, s := range e.Program.States {
		if s.Name == entry.StateLast {
			hidden = int(s.Bytes / 4)
		}
	}
	tokens := []int32{11, 302, 440, 77, 1001, 5, 64, 999, 123, 45, 600, 7}
	one := func(past int) {
		t.Helper()
		if err := engine.Put(next, 0, tokens[past:past+1]); err != nil {
			t.Fatal(err)
		}
		decode.Set(entry.SymSlot, 0)
		decode.Set(entry.SymPrefix, 0)
		decode.Set(entry.SymPast, past)
		decode.Set(entry.SymKeys, past+1)
		run(decode)
	}
	var want [][]float32
	for i := range tokens {
		one(i)
		want = append(want, get(last, 0, hidden))
	}
	for past := 0; past < len(tokens); {
		for n := 1; n <= entry.DecodeRows && past < len(tokens); n++ { // some tokens, and others behind them
			n := min(n, len(tokens)-past)
			some, at := [entry.DecodeRows]int32{}, [entry.DecodeRows]int32{}
			copy(some[:], tokens[past:past+n])
			for i := range at {
				at[i] = int32(past + i)
			}
			if engine.Put(ids, 0, some[:]) != nil || engine.Put(positions, 0, at[:]) != nil {
				t.Fatal("cannot put the tokens")
			}
			rows.Set(entry.SymSlot, 0)
			rows.Set(entry.SymPast, past)
			rows.Set(entry.SymKeys, past+entry.DecodeRows)
			rows.Set(entry.SymRow, n-1)
			run(rows)
			if got := get(last, 0, hidden); !slices.Equal(got, want[past+n-1]) {
				t.Errorf("%d tokens from %d on give other hidden states than one by one", n, past)
			}
			past += n
		}
	}
	if temperatures, err := logits.Input(entry.InTemperatures); err == nil { // on a GPU
		if err := engine.Put(temperatures, 0, []float32{1}); err != nil {
			t.Fatal(err)
		}
	}
	run(logits)
	vocabulary := 1584
	all := get(out, 0, vocabulary)
	for _, part := range []struct {
		name string
		size int
	}{{entry.Span, entry.SpanRows}, {entry.Few, entry.FewRows}} {
		f := l.Func(part.name)
		out := l.Output(f, entry.OutLogits)
		for _, panel := range []int{0, 1, 17, (vocabulary - part.size) / entry.PanelRows} {
			f.Set(entry.SymPanel, panel)
			run(f)
			if got := get(out, 0, part.size); !slices.Equal(got, all[panel*entry.PanelRows:][:part.size]) {
				t.Errorf("%s from panel %d on is not what all logits have there", part.name, panel)
			}
		}
	}
}
