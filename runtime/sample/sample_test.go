package sample

import (
	"math"
	"testing"
)

func TestGreedy(t *testing.T) {
	s := New(Config{}, 4, []int32{3})
	id, lp := s.Next([]float32{1, 2, 2, 9}, nil)
	want := 2 - math.Log(math.Exp(1)+2*math.Exp(2))
	if id != 1 || math.Abs(lp-want) > 1e-6 {
		t.Errorf("token %d with log-probability %g, want 1 with %g", id, lp, want)
	}
}

func TestRepetitionPenaltyChangesTheChoice(t *testing.T) {
	s := New(Config{RepetitionPenalty: 2}, 3, nil)
	if id, _ := s.Next([]float32{3, 2, -1}, []int32{0, 0}); id != 1 {
		t.Errorf("token %d, want 1", id)
	}
	if id, _ := s.Next([]float32{-1, -1.5, -9}, []int32{0}); id != 1 {
		t.Errorf("token %d, want 1", id)
	}
}

// TestFrequencies draws often and compares with the distribution that the filters leave.
func TestFrequencies(t *testing.T) {
	logits := []float32{0, 1, 2, 3}
	for _, c := range []struct {
		cfg  Config
		want []float64
	}{
		{Config{Temperature: 1}, []float64{math.Exp(-3), math.Exp(-2), math.Exp(-1), 1}},
		{Config{Temperature: 2}, []float64{math.Exp(-1.5), math.Exp(-1), math.Exp(-.5), 1}},
		{Config{Temperature: 1, TopK: 2}, []float64{0, 0, math.Exp(-1), 1}},
		{Config{Temperature: 1, TopP: .7}, []float64{0, 0, math.Exp(-1), 1}},
		{Config{Temperature: 1, TopP: .5}, []float64{0, 0, 0, 1}},
	} {
		s := New(c.cfg, 4, nil)
		const n = 20000
		count := make([]float64, 4)
		for range n {
			id, _ := s.Next(append([]float32(nil), logits...), nil)
			count[id]++
		}
		sum := 0.0
		for _, w := range c.want {
			sum += w
		}
		worst := 0.0
		for i, w := range c.want {
			worst = max(worst, math.Abs(count[i]/n-w/sum))
		}
		t.Logf("%+v: worst deviation of a frequency %.4f", c.cfg, worst)
		if worst > .012 {
			t.Errorf("%+v: frequencies %v", c.cfg, count)
		}
	}
}
