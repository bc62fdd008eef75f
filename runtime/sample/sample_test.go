package sample

import (
	"cmp"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func read(t *testing.T, name string, into any) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// row is a list of scores in which null is -Inf.
type row []float32

// UnmarshalJSON reads null as -Inf.
func (r *row) UnmarshalJSON(raw []byte) error {
	var values []*float32
	if err := json.Unmarshal(raw, &values); err != nil {
		return err
	}
	for _, v := range values {
		if v == nil {
			*r = append(*r, float32(math.Inf(-1)))
		} else {
			*r = append(*r, *v)
		}
	}
	return nil
}

// TestProcessors compares scores with those of the processors that transformers' generate puts together.
func TestProcessors(t *testing.T) {
	var cases []struct {
		Temperature    float64
		TopK           int     `json:"top_k"`
		TopP           float64 `json:"top_p"`
		Penalty        float64 `json:"repetition_penalty"`
		Suppress, Seen []int32
		Logits, Scores row
	}
	read(t, "processors.json", &cases)
	worst, hidden, tied := 0.0, 0, 0
	for i, c := range cases {
		cfg := Config{Temperature: c.Temperature, TopK: c.TopK, TopP: c.TopP, RepetitionPenalty: c.Penalty}
		if err := cfg.Check(); err != nil {
			t.Error(err)
		}
		s := New(cfg, len(c.Logits), c.Suppress)
		s.load(c.Logits)
		s.penalize(c.Seen)
		if !s.warp(argmax(s.scores)) {
			t.Errorf("case %d: scores overflow", i)
		}
		// Which of equal scores top-p keeps is open, so then only how many of each score are kept counts.
		got, sorted := slices.Clone(s.scores), slices.Sorted(slices.Values(c.Logits))
		if ties := len(slices.Compact(sorted)) < len(got); ties && c.TopP < 1 {
			tied++
			slices.Sort(got)
			slices.Sort(c.Scores)
		}
		for id, want := range c.Scores {
			switch masked := math.IsInf(float64(want), -1); {
			case masked != math.IsInf(float64(got[id]), -1):
				t.Errorf("case %d %+v: score %d is %g, transformers has %g", i, cfg, id, got[id], want)
			case masked:
				hidden++
			default:
				worst = max(worst, math.Abs(float64(got[id]-want))/math.Max(1, math.Abs(float64(want))))
			}
		}
	}
	t.Logf("%d cases, %d masked scores, %d cases with ties, worst error %.2g", len(cases), hidden, tied, worst)
	if len(cases) < 40 || hidden < 300 || tied > 10 || worst > 1e-7 {
		t.Errorf("%d cases, %d masked scores, worst error %g, expected at most 1e-7", len(cases), hidden, worst)
	}
}

// TestGreedy compares tokens and log-probabilities with generate and compute_transition_scores.
func TestGreedy(t *testing.T) {
	var c struct {
		Suppress, Tokens []int32
		Logprobs         []float64
		Logits           []row
	}
	read(t, "greedy.json", &c)
	s, worst := New(Config{TopK: 3, TopP: .5}, len(c.Logits[0]), c.Suppress), 0.0
	for i, logits := range c.Logits {
		before := slices.Clone(logits)
		id := s.Next(logits, nil)
		logprob := s.Logprob(logits, id)
		if id != c.Tokens[i] {
			t.Errorf("step %d chooses %d, transformers %d", i, id, c.Tokens[i])
		}
		if !slices.Equal(logits, before) {
			t.Errorf("step %d changes the logits", i)
		}
		worst = max(worst, math.Abs(logprob-c.Logprobs[i]))
	}
	t.Logf("%d steps, worst error of a log-probability %.2g", len(c.Tokens), worst)
	if worst > 1e-6 {
		t.Errorf("worst error of a log-probability %g, expected at most 1e-6", worst)
	}
}

func TestChoice(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, c := range []struct {
		name     string
		cfg      Config
		logits   []float32
		suppress []int32
		seen     []int32
		want     int32
		logprob  float64
	}{
		{"first of equals", Config{}, []float32{1, 2, 2, 9}, []int32{3}, nil, 1, 2 - math.Log(math.E+2*math.Exp(2))},
		{"suppressed ids beyond the vocabulary", Config{}, []float32{1, 3}, []int32{-1, 2, 99}, nil, 1, 3 - math.Log(math.E+math.Exp(3))},
		{"penalty of positive scores", Config{RepetitionPenalty: 2}, []float32{3, 2, -1}, nil, []int32{0, 0, -1, 7}, 1, 2 - math.Log(math.Exp(3)+math.Exp(2)+math.Exp(-1))},
		{"penalty of negative scores", Config{RepetitionPenalty: 2}, []float32{-1, -1.5, -9}, nil, []int32{0}, 1, -1.5 - math.Log(math.Exp(-1)+math.Exp(-1.5)+math.Exp(-9))},
		{"NaN", Config{}, []float32{nan, 1, nan}, nil, nil, 1, 0},
		{"only NaN", Config{}, []float32{nan, nan}, []int32{0}, nil, 1, 0},
		{"all but -Inf", Config{Temperature: 1}, []float32{-inf, -inf, -inf}, []int32{0}, nil, 1, 0},
		{"+Inf", Config{Temperature: 1}, []float32{0, inf, 2}, nil, nil, 1, 0},
		{"the coldest temperature", Config{Temperature: 1e-300}, []float32{0, 3, 2}, nil, nil, 1, 3 - math.Log(1+math.Exp(3)+math.Exp(2))},
		{"a cold temperature", Config{Temperature: 1e-40}, []float32{0, 3, 2}, nil, nil, 1, 3 - math.Log(1+math.Exp(3)+math.Exp(2))},
		{"one token", Config{Temperature: 1, TopK: 1, TopP: .1}, []float32{-7}, nil, nil, 0, 0},
		{"huge scores", Config{Temperature: 1, TopP: .9}, []float32{3e38, -3e38, 0}, nil, nil, 0, 0},
	} {
		s := New(c.cfg, len(c.logits), c.suppress)
		for range 2 { // a sampler keeps nothing from step to step
			id := s.Next(c.logits, c.seen)
			logprob := s.Logprob(c.logits, id)
			if best := argmax(c.logits); s.Settles(best) && c.logits[best] == c.logits[best] && best != id {
				t.Errorf("%s: %d settles the choice, which is %d", c.name, best, id)
			}
			if id != c.want || !(math.Abs(logprob-c.logprob) < 1e-6) {
				t.Errorf("%s: token %d with log-probability %g, expected %d with %g", c.name, id, logprob, c.want, c.logprob)
			}
		}
	}
}

// TestFrequencies draws often and compares with the distribution that the warpers leave.
func TestFrequencies(t *testing.T) {
	logits := []float32{0, 1, 2, 3, 9}
	for _, c := range []struct {
		cfg  Config
		want []float64
	}{
		{Config{Temperature: 1}, []float64{math.Exp(-3), math.Exp(-2), math.Exp(-1), 1, 0}},
		{Config{Temperature: 2}, []float64{math.Exp(-1.5), math.Exp(-1), math.Exp(-.5), 1, 0}},
		{Config{Temperature: 1, TopK: 2}, []float64{0, 0, math.Exp(-1), 1, 0}},
		{Config{Temperature: 1, TopP: .7}, []float64{0, 0, math.Exp(-1), 1, 0}},
		{Config{Temperature: 1, TopP: .5}, []float64{0, 0, 0, 1, 0}},
		{Config{Temperature: 1, TopK: 3, TopP: .99}, []float64{0, math.Exp(-2), math.Exp(-1), 1, 0}},
	} {
		s := New(c.cfg, len(logits), []int32{4})
		const n = 40000
		count := make([]float64, len(logits))
		for range n {
			count[s.Next(logits, nil)]++
		}
		total, chi := 0.0, 0.0
		for _, w := range c.want {
			total += w
		}
		for i, w := range c.want {
			if want := n * w / total; w == 0 && count[i] > 0 {
				t.Errorf("%+v: token %d is drawn", c.cfg, i)
			} else if w > 0 {
				chi += (count[i] - want) * (count[i] - want) / want
			}
		}
		t.Logf("%+v: chi² %.2f", c.cfg, chi)
		if chi > 16.3 { // 0.1 % with three degrees of freedom
			t.Errorf("%+v: chi² %.1f, counts %v", c.cfg, chi, count)
		}
	}
}

// TestSeed pins the generator: a seed gives the same tokens for ever.
func TestSeed(t *testing.T) {
	draw := func(seed uint64) (ids []int32) {
		s := New(Config{Temperature: 1, Seed: seed}, 10, nil)
		for range 16 {
			ids = append(ids, s.Next(make([]float32, 10), nil))
		}
		return ids
	}
	if got, want := draw(7), []int32{4, 0, 5, 2, 8, 7, 3, 4, 7, 3, 6, 1, 5, 7, 2, 7}; !slices.Equal(got, want) {
		t.Errorf("seed 7 draws %v, expected %v", got, want)
	}
	if slices.Equal(draw(7), draw(8)) {
		t.Error("seeds 7 and 8 draw the same")
	}
}

// A token that is suppressed, no token, or chosen otherwise than greedily settles nothing.
func TestSettles(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		best int32
		want bool
	}{
		{Config{}, 1, true}, {Config{RepetitionPenalty: 1, TopK: 3}, 1, true}, {Config{}, 2, false}, {Config{}, -1, false}, {Config{}, 4, false},
		{Config{Temperature: 1}, 1, false}, {Config{RepetitionPenalty: 1.5}, 1, false},
	} {
		if got := New(c.cfg, 4, []int32{2}).Settles(c.best); got != c.want {
			t.Errorf("%+v, token %d: %v, expected %v", c.cfg, c.best, got, c.want)
		}
	}
}

func TestCheck(t *testing.T) {
	nan := math.NaN()
	for want, cfg := range map[string]Config{
		"temperature is -1":          {Temperature: -1},
		"temperature is NaN":         {Temperature: nan},
		"top_k is -2":                {TopK: -2},
		"top_p is 1.5":               {TopP: 1.5},
		"top_p is NaN":               {TopP: nan},
		"repetition_penalty is -0.5": {RepetitionPenalty: -.5},
		"repetition_penalty is +Inf": {RepetitionPenalty: math.Inf(1)},
	} {
		if err := cfg.Check(); err == nil || !strings.HasPrefix(err.Error(), want+", expected") {
			t.Errorf("%+v: error %v, expected %q", cfg, err, want)
		}
	}
}

func logits(n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(5 * math.Sin(float64(i)*12.9898))
	}
	return out
}

func TestNoAllocation(t *testing.T) {
	values, seen := logits(3001), []int32{1, 2, 3}
	for _, cfg := range []Config{{}, {RepetitionPenalty: 1.2}, {Temperature: 1, TopK: 50, TopP: .9, RepetitionPenalty: 1.2}} {
		s := New(cfg, len(values), []int32{0, 7})
		if n := testing.AllocsPerRun(10, func() { s.Logprob(values, s.Next(values, seen)) }); n != 0 {
			t.Errorf("%+v: %.0f allocations a step", cfg, n)
		}
	}
}

// BenchmarkNext is a step over Gemma's vocabulary, with the log-probability and without.
func BenchmarkNext(b *testing.B) {
	values := logits(257216)
	for name, cfg := range map[string]Config{"greedy": {}, "top-k": {Temperature: 1, TopK: 50}, "top-p": {Temperature: 1, TopP: .9}} {
		b.Run(name, func(b *testing.B) {
			s := New(cfg, len(values), nil)
			for b.Loop() {
				s.Logprob(values, s.Next(values, nil))
			}
		})
		b.Run(name+" id", func(b *testing.B) {
			s := New(cfg, len(values), nil)
			for b.Loop() {
				s.Next(values, nil)
			}
		})
	}
}

// TestTop: the likeliest tokens in order, the first of equals first, with the log-probabilities that Logprob tells.
func TestTop(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	logits := []float32{1, 3, 9, 3, nan, 2, inf}
	s := New(Config{}, 8, []int32{2})
	got := s.Top(logits, 3)
	var ids []int32
	for _, a := range got {
		ids = append(ids, a.ID)
		if want := s.Logprob(logits, a.ID); a.Logprob != want {
			t.Errorf("token %d has %v, Logprob says %v", a.ID, a.Logprob, want)
		}
	}
	if !slices.Equal(ids, []int32{1, 3, 5}) {
		t.Errorf("the likeliest are %v", ids)
	}
	if all := s.Top(logits, 20); len(all) != 4 || all[3].ID != 0 {
		t.Errorf("all are %v", all)
	}
	if none := s.Top([]float32{nan, inf}, 2); none != nil || s.Top(logits, 0) != nil {
		t.Errorf("%v of none", none)
	}
	logits = make([]float32, 2000)
	for i := range logits {
		logits[i] = float32((i*7919)%2000) / 100
	}
	s = New(Config{}, len(logits), nil)
	order := s.Top(logits, len(logits))
	if !slices.IsSortedFunc(order, func(a, b Alternative) int { return cmp.Compare(b.Logprob, a.Logprob) }) || !slices.Equal(s.Top(logits, 20), order[:20]) {
		t.Error("tokens are out of order")
	}
}
