package bench

import (
	"time"

	"pgc/models/paligemma"
	"pgc/runtime/engine"
)

// phase is a step of an answer: functions as generation calls them, one after another, named after the first.
type phase struct {
	funcs []string
	syms  map[string]int
	runs  int // how often to time it
}

func (p phase) name() string { return p.funcs[0] }

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
func profile(fs []*engine.Func) ([]engine.Timing, error) {
	var all []engine.Timing
	for _, f := range fs {
		end := 0.0
		if n := len(all); n > 0 {
			end = all[n-1].Start + all[n-1].Seconds
		}
		times, err := f.Profile()
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

// phases are the steps of an answer to a prompt of n tokens that begin with those of a picture.
func phases(n, imageTokens int) []phase {
	return []phase{
		{[]string{"encode_image"}, nil, 3},
		{[]string{"prefill", "greedy"}, map[string]int{"S": n, "T": n, "past": 0, "prefix": n, "F": imageTokens}, 3},
		{[]string{"decode", "greedy"}, map[string]int{"S": 1, "T": n + 1, "past": n, "prefix": n}, 10},
	}
}

// embedding are the steps of embedding an image whose prompt has n tokens.
func embedding(n, imageTokens int) []phase {
	return []phase{
		{[]string{"encode_image"}, nil, 3},
		{[]string{"embed"}, map[string]int{"S": n, "F": imageTokens}, 3},
	}
}

// together is a step of decoding for all sequences of a batch, with n tokens before each.
func together(n int) phase {
	p := phase{[]string{"decode_batch", "greedy_batch"}, map[string]int{}, 10}
	for i := range paligemma.Sequences {
		p.syms[paligemma.PastOf(i)] = n
	}
	return p
}

// prepare gives an engine such a prompt.
func prepare(e *engine.Engine, n, imageTokens int) {
	ids, slots := e.Ints("ids"), e.Ints("slots")
	for i := range n {
		ids[i], slots[i] = int32(5+i%7), -1
		if i < imageTokens {
			slots[i] = int32(i)
		}
	}
}
