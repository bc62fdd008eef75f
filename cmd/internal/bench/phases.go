package bench

import (
	"context"
	"slices"
	"time"

	"pgc/models/paligemma"
	"pgc/runtime/engine"
	"pgc/runtime/entry"
	"pgc/runtime/program"
)

// phase is a step of an answer: the functions that generation calls, in order.
type phase struct {
	name  string // as reports call it
	funcs []string
	syms  map[string]int
	runs  int // how often to time it
}

// bind returns the functions, ready to run.
func (p phase) bind(e *engine.Engine) ([]*engine.Func, error) {
	fs := make([]*engine.Func, len(p.funcs))
	for i, name := range p.funcs {
		var err error
		if fs[i], err = e.Func(name); err != nil {
			return nil, err
		}
		for s, v := range p.syms {
			fs[i].Set(s, v)
		}
	}
	return fs, nil
}

// profile runs functions one after another and reports every launch.
func profile(ctx context.Context, fs []*engine.Func) ([]engine.Timing, error) {
	var all []engine.Timing
	for _, f := range fs {
		end := 0.0
		if n := len(all); n > 0 {
			end = all[n-1].Start + all[n-1].Seconds
		}
		times, err := f.Profile(ctx)
		if err != nil {
			return nil, err
		}
		for _, t := range times {
			t.Start += end
			for i := range t.Threads {
				t.Threads[i].Start += time.Duration(end * float64(time.Second))
				t.Threads[i].End += time.Duration(end * float64(time.Second))
			}
			all = append(all, t)
		}
	}
	return all, nil
}

// phases returns the steps of an answer to a prompt of n tokens, of which the first are image tokens.
func phases(n int) []phase {
	return []phase{
		{entry.EncodeImage, []string{entry.EncodeImage}, nil, 3},
		{entry.Prefill, []string{entry.Prefill, entry.Greedy}, map[string]int{entry.SymTokens: n, entry.SymKeys: n, entry.SymPast: 0, entry.SymPrefix: n}, 3},
		{entry.Decode, []string{entry.Step}, map[string]int{entry.SymKeys: n + 1, entry.SymPast: n, entry.SymPrefix: n}, 10},
	}
}

// embedding returns the steps of embedding an image whose prompt has n tokens.
func embedding(n int) []phase {
	return []phase{
		{entry.EncodeImage, []string{entry.EncodeImage}, nil, 3},
		{entry.Embed, []string{entry.Embed}, map[string]int{entry.SymTokens: n}, 3},
	}
}

// together returns a step of decoding for all sequences of a batch, with n tokens before each.
func together(n int) phase {
	return phase{entry.DecodeBatch, []string{entry.StepBatch}, map[string]int{entry.SymKeys: n + 1}, 10}
}

// verify returns the step that verifies guesses, with n tokens before them.
func verify(n int) phase {
	return phase{entry.Verify, []string{entry.Verify}, map[string]int{entry.SymKeys: n + entry.VerifyRows, entry.SymPast: n, entry.SymPrefix: n}, 10}
}

// takesNext reports whether a function takes tokens of one sequence.
func takesNext(f *program.Func) bool {
	return slices.ContainsFunc(f.Inputs, func(in program.Port) bool { return in.Name == entry.InNext })
}

// prepare sets such a prompt in an executor, and a batch of sequences with n tokens before each.
func prepare(e *engine.Engine, n, imageTokens int) error {
	ids, slots, positions := make([]int32, n), make([]int32, n), make([]int32, paligemma.MaxBatch)
	for i := range n {
		ids[i], slots[i] = int32(5+i%7), -1
		if i < imageTokens {
			slots[i] = int32(i)
		}
	}
	for i := range positions {
		positions[i] = int32(n)
	}
	behind := make([]int32, paligemma.MaxBatch) // tokens of one sequence
	for i := range behind {
		behind[i] = int32(n + i)
	}
	inputs := map[string][]int32{entry.InIDs: ids, entry.InSlots: slots, entry.InPositions: positions, entry.InNext: ids}
	for _, p := range e.Program.Funcs {
		f, err := e.Func(p.Name)
		if err != nil {
			return err
		}
		for _, in := range p.Inputs {
			t, err := f.Input(in.Name)
			values := inputs[in.Name]
			if in.Name == entry.InPositions && takesNext(&p) {
				values = behind
			}
			if takesNext(&p) {
				values = values[:in.Bytes(nil)/in.DType.Bytes()]
			}
			if err == nil {
				err = engine.Put(t, 0, values)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}
