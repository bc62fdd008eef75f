package sessions

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
	"pgc/runtime/entry"
	"pgc/runtime/generate"
	"pgc/runtime/program"
	"pgc/runtime/sample"
)

// onGPU opens an executable of a checkpoint, whose vocabulary is longer than what a GPU tells of it, on an executor that
// is watched.
func onGPU(t *testing.T) (*generate.Session, *spy) {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "exe")
	e2e.Build(t, exe, filepath.Join(golden.Dir(), "pg1-odd"), e2e.Runtime(t), build.Options{Target: "cuda", MaxTokens: 311})
	s, x := watched(t, exe)
	if s.Model.VocabSize <= entry.MostLikely {
		t.Fatalf("%d tokens, all of which are told", s.Model.VocabSize)
	}
	return s, x
}

// TestLikeliest: on a GPU, answers that are drawn are the same whether tokens are chosen by the likeliest ones that the
// device tells, or, where their sum is made unusable, by all logits; which are copied only where they are needed.
func TestLikeliest(t *testing.T) {
	s, x := onGPU(t)
	const n = 3
	for _, c := range []struct {
		sample.Config
		logprobs bool
		rows     [2]int // least and most rows of logits that are copied
	}{
		{Config: sample.Config{Temperature: 1, TopK: 40, Seed: 1}},
		{Config: sample.Config{Temperature: 2.5, TopK: 900, TopP: 0.97, Seed: 2}},
		{Config: sample.Config{Temperature: 0.05, TopP: 0.9, Seed: 3}, rows: [2]int{0, 1}},
		{Config: sample.Config{Temperature: 0.2, TopP: 0.8, Seed: 4}, rows: [2]int{0, n}},
		{Config: sample.Config{Temperature: 1, Seed: 5}, rows: [2]int{1, n}}, // tokens that are not told are likely, too
		{Config: sample.Config{Temperature: 1, TopK: 1500, Seed: 6}, rows: [2]int{n, n}},
		{Config: sample.Config{Temperature: 1, TopK: 40, RepetitionPenalty: 1.2, Seed: 7}, rows: [2]int{n, n}},
		{Config: sample.Config{Temperature: 1, TopK: 40, Seed: 8}, logprobs: true, rows: [2]int{n, n}},
	} {
		r := generate.Request{Images: noise(t), Prompt: "caption en", MaxNewTokens: n, IgnoreEOS: true, Sample: c.Config, Logprobs: c.logprobs}
		answer := func(spoil bool) (tokens []int32, rows int) {
			t.Helper()
			x.reset()
			x.read = func(space program.Space, name string, data []byte) {
				switch {
				case space == program.SpaceOutput && name == entry.OutLogits:
					rows++
				case spoil && name == entry.OutLogSumExp:
					copy(data, []byte{0, 0, 0xc0, 0x7f})
				}
			}
			a, err := s.Generate(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			return a.Tokens, rows
		}
		name := fmt.Sprintf("%+v, log-probabilities %v", c.Config, c.logprobs)
		want, all := answer(true)
		got, rows := answer(false)
		t.Logf("%s: %d rows of logits, tokens %v", name, rows, got)
		if !slices.Equal(got, want) || len(got) != n {
			t.Errorf("%s: tokens %v, by all logits %v", name, got, want)
		}
		if all != n || rows < c.rows[0] || rows > c.rows[1] {
			t.Errorf("%s: %d rows of logits are copied, %d without their sum, expected %v and %d", name, rows, all, c.rows, n)
		}
	}
}

// TestLikeliestOfABatch draws answers of sequences with temperatures of their own in one step.
func TestLikeliestOfABatch(t *testing.T) {
	s, x := onGPU(t)
	x.p.MinBatch = 2
	const n = 4
	configs := []sample.Config{{Temperature: 1.5, TopK: 50, Seed: 1}, {Temperature: 0.05, TopP: 0.9, Seed: 2}, {}}
	request := func(c sample.Config) generate.Request {
		return generate.Request{Images: noise(t), Prompt: "caption en", MaxNewTokens: n, IgnoreEOS: true, Sample: c, Patient: true}
	}
	var want [][]int32
	for _, c := range configs {
		a, err := s.Generate(t.Context(), request(c))
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, a.Tokens)
	}
	d := generate.NewScheduler(s)
	defer d.Close()
	submitted, whole := make(chan struct{}), 0
	x.reset()
	x.run = func(name string) {
		if name == entry.Prefill {
			<-submitted
		}
	}
	x.read = func(space program.Space, name string, data []byte) {
		if space == program.SpaceOutput && name == entry.OutLogits {
			whole++
		}
	}
	var jobs []*generate.Job
	for _, c := range configs {
		jobs = append(jobs, d.Submit(t.Context(), request(c)))
	}
	close(submitted)
	for i, j := range jobs {
		a, err := j.Wait()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(a.Tokens, want[i]) {
			t.Errorf("%+v: tokens %v with others, %v alone", configs[i], a.Tokens, want[i])
		}
	}
	if x.runs[entry.LogitsBatch] == 0 || whole > int(math.Ceil(1.5*n)) {
		t.Errorf("logits_batch ran %d times, %d rows were copied, expected few", x.runs[entry.LogitsBatch], whole)
	}
}
