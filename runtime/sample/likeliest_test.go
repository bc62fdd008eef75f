package sample

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// likeliest is the head of a row as a device makes it: its log-sum-exp is off by `off` of what it may be.
func likeliest(logits []float32, temperature float32, n int, off float64) Likeliest {
	scores, ids := make([]float32, len(logits)), make([]int32, len(logits))
	for i, v := range logits {
		scores[i], ids[i] = v/temperature, int32(i)
	}
	slices.SortFunc(ids, func(a, b int32) int {
		if c := cmp.Compare(scores[b], scores[a]); c != 0 {
			return c
		}
		return cmp.Compare(a, b)
	})
	l := Likeliest{IDs: ids[:n]}
	for _, id := range l.IDs {
		l.Scores = append(l.Scores, scores[id])
	}
	lse := logSumExp(scores)
	l.LogSumExp = float32(lse + off*sumError*(1+math.Abs(lse))*0.9)
	return l
}

// TestNextOf compares tokens drawn from the head of rows with those drawn from whole rows by samplers with the same seed:
// wherever the head tells a token it is the same, and where it does not, no random number is used up.
func TestNextOf(t *testing.T) {
	const vocab, n = 1500, 256
	rows := map[string]func(rng *rand.Rand) float32{
		"peaked": func(rng *rand.Rand) float32 { return float32(math.Pow(rng.Float64(), 40) * 20) },
		"flat":   func(rng *rand.Rand) float32 { return float32(rng.NormFloat64()) },
		"ties":   func(rng *rand.Rand) float32 { return float32(math.Floor(math.Pow(rng.Float64(), 12) * 16)) },
	}
	configs := []struct {
		Config
		least map[string]float64 // part of the tokens that the head must tell, by kind of rows
	}{
		{Config{Temperature: 1}, map[string]float64{"peaked": 0.9}},
		{Config{Temperature: 0.5}, map[string]float64{"peaked": 0.99}},
		{Config{Temperature: 1.7}, nil},
		{Config{Temperature: 1, TopK: 40}, map[string]float64{"peaked": 1, "flat": 1}},
		{Config{Temperature: 0.8, TopK: 240, TopP: 0.9}, map[string]float64{"peaked": 1, "flat": 1}},
		{Config{Temperature: 0.8, TopK: 256}, map[string]float64{}},
		{Config{Temperature: 1, TopP: 0.9}, map[string]float64{"peaked": 0.99}},
		{Config{Temperature: 0.6, TopP: 0.95}, map[string]float64{"peaked": 0.99}},
		{Config{Temperature: 1, TopP: 0.05}, map[string]float64{"peaked": 1}},
		{Config{Temperature: 1e-3, TopP: 0.5}, map[string]float64{"peaked": 1}},
		{Config{Temperature: 1, TopK: 300}, nil}, {Config{Temperature: 1, TopK: 5000}, map[string]float64{"peaked": 0.9}},
		{Config{Temperature: 1, TopK: 9, RepetitionPenalty: 1.1}, nil}, {Config{}, nil},
	}
	suppressed := []int32{0, 7, 8, 1499}
	for _, c := range configs {
		for kind, element := range rows {
			t.Run(fmt.Sprintf("%+v %s", c.Config, kind), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(2, 3))
				c.Seed = 5
				whole, head := New(c.Config, vocab, suppressed), New(c.Config, vocab, suppressed)
				told, tokens := 0, map[int32]bool{}
				const steps = 100
				logits := make([]float32, vocab)
				for i := range steps {
					for j := range logits {
						logits[j] = element(rng)
					}
					want := whole.Next(logits, nil)
					got, ok := head.NextOf(likeliest(logits, head.Temperature(), n, rng.Float64()*2-1))
					if ok {
						told++
					} else {
						got = head.Next(logits, nil)
					}
					if got != want {
						t.Fatalf("step %d: token %d, told %v, expected %d", i, got, ok, want)
					}
					tokens[want] = true
				}
				part := float64(told) / steps
				t.Logf("%.3f of the tokens are told, %d different ones", part, len(tokens))
				if part < c.least[kind] {
					t.Errorf("the head tells %g of the tokens, expected %g", part, c.least[kind])
				}
				if off := c.TopK >= n && c.TopK < vocab || c.RepetitionPenalty > 0 || c.Temperature == 0; off && told > 0 {
					t.Errorf("the head tells tokens")
				}
			})
		}
	}
}

// TestNextOfWholeRows: a head that is the whole row tells every token.
func TestNextOfWholeRows(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 3))
	for _, c := range []Config{{Temperature: 1.3}, {Temperature: 1, TopP: 0.9}, {Temperature: 1, TopK: 7, TopP: 0.4}, {Temperature: 2, TopK: 90}} {
		whole, head := New(c, 37, []int32{3}), New(c, 37, []int32{3})
		for range 200 {
			logits := make([]float32, 37)
			for i := range logits {
				logits[i] = float32(math.Round(rng.NormFloat64() * 2))
			}
			want := whole.Next(logits, nil)
			if got, ok := head.NextOf(likeliest(logits, head.Temperature(), 37, 1)); !ok || got != want {
				t.Fatalf("%+v: token %d, %v, expected %d", c, got, ok, want)
			}
		}
	}
}

// TestNextOfNoNumbers: rows with NaN or infinite scores are left to Next.
func TestNextOfNoNumbers(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	s := New(Config{Temperature: 1, TopK: 1}, 9, []int32{4})
	for _, l := range []Likeliest{{[]float32{nan, 1}, []int32{3, 2}, nan}, {[]float32{2, 1}, []int32{3, 2}, nan}, {[]float32{inf, 1}, []int32{3, 2}, inf},
		{[]float32{-inf, -inf}, []int32{3, 2}, -inf}, {[]float32{2, -inf}, []int32{4, 2}, 2}, {}} {
		if id, ok := s.NextOf(l); ok {
			t.Errorf("%v: token %d", l, id)
		}
	}
}
