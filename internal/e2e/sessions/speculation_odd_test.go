package sessions

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
	"pgc/runtime/entry"
	"pgc/runtime/generate"
	"pgc/runtime/sample"
)

// guessing is e2e.WithAdapters with guesses.
func guessing(t *testing.T) (*generate.Session, *spy) {
	t.Helper()
	return watched(t, e2e.Once(t, "pg2-odd-adapters-ngram", func(exe string) {
		o := build.Options{CPU: "x86-64-v3", MaxTokens: 311, Adapters: e2e.Adapters(t), Draft: "ngram"}
		e2e.Build(t, exe, filepath.Join(golden.Dir(), "pg2-odd"), e2e.Runtime(t), o)
	}))
}

// told is all of an answer that guessing must leave as it is, with the tokens and texts as they were told one by one.
func told(t *testing.T, s *generate.Session, r generate.Request) (string, *generate.Speculation) {
	t.Helper()
	var tokens []generate.Token
	r.OnToken = func(k generate.Token) { tokens = append(tokens, k) }
	a, err := s.Generate(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	all, err := json.Marshal([]any{a.Text, a.Tokens, a.Logprobs, a.Top, a.FinishReason, a.Objects, tokens})
	if err != nil {
		t.Fatal(err)
	}
	return string(all), a.Speculation
}

// TestSpeculationOddly compares what is told of answers with and without guesses where they end in the middle of guessed
// tokens, where something else than the likeliest token is chosen, and under every adapter.
func TestSpeculationOddly(t *testing.T) {
	plain, _ := watched(t, e2e.WithAdapters(t))
	s, x := guessing(t)
	x.p.MinBatch = 1 // verifying costs nothing until it is measured: guesses are tried whatever the machine does beside
	accepted := 0
	same := func(what string, r generate.Request, guesses bool) {
		t.Helper()
		want, none := told(t, plain, r)
		x.reset()
		got, n := told(t, s, r)
		if got != want {
			t.Errorf("%s:\n%s, expected\n%s", what, got, want)
		}
		if none != nil || (n != nil) != guesses || !guesses && x.runs[entry.Verify] > 0 {
			t.Errorf("%s: %v is told of guesses, and %v without", what, n, none)
		}
		if n != nil {
			accepted += n.AcceptedTokens
		}
	}
	list := generate.Request{Images: noise(t), Prompt: "detect cat ; cat ; cat ; cat", MaxNewTokens: 100, IgnoreEOS: true}
	for adapter := range len(plain.Model.Adapters) + 1 {
		r := list
		r.Adapter = adapter
		same(fmt.Sprintf("adapter %d", adapter), r, true)
	}
	whole, err := plain.Generate(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	for n := 20; n < 33; n++ { // ends of every place among the tokens that are verified together
		r := list
		r.MaxNewTokens = n
		same(fmt.Sprintf("%d tokens", n), r, true)
	}
	stops := 0
	for at := range whole.Text { // where letters begin
		if at < 20 || at > 40 {
			continue
		}
		r := list
		r.Stop = []string{whole.Text[:at], "no such text"}
		same(fmt.Sprintf("stop text of %d bytes", at), r, true)
		stops++
	}
	if stops < 5 {
		t.Errorf("%d stop texts in %q", stops, whole.Text)
	}
	for what, change := range map[string]func(r *generate.Request){
		"special tokens":   func(r *generate.Request) { r.KeepSpecials = true },
		"<eos> ends":       func(r *generate.Request) { r.IgnoreEOS = false },
		"no picture":       func(r *generate.Request) { r.Images = nil },
		"two pictures":     func(r *generate.Request) { r.Images = append(r.Images, noise(t)...) },
		"one word":         func(r *generate.Request) { r.Prompt = "a" },
		"no word":          func(r *generate.Request) { r.Images, r.Prompt = nil, "" },
		"specials of text": func(r *generate.Request) { r.Prompt, r.ParseSpecials = "<loc0001><loc0001><loc0001>", true },
	} {
		r := list
		change(&r)
		same(what, r, true)
	}
	for what, change := range map[string]func(r *generate.Request){
		"no token":            func(r *generate.Request) { r.MaxNewTokens = 0 },
		"drawn":               func(r *generate.Request) { r.Sample = sample.Config{Temperature: 0.7, TopK: 5, Seed: 3} },
		"penalty":             func(r *generate.Request) { r.Sample.RepetitionPenalty = 1.3 },
		"log-probabilities":   func(r *generate.Request) { r.Logprobs = true },
		"and those of others": func(r *generate.Request) { r.Logprobs, r.TopLogprobs = true, 3 },
	} {
		r := list
		change(&r)
		same(what, r, false)
	}
	for i, r := range asked(t, plain, noise(t), true) {
		g, err := s.Grammar(tasks[i])
		if err != nil {
			t.Fatal(err)
		}
		want, _ := told(t, plain, r)
		r.Grammar = g
		if got, n := told(t, s, r); got != want || n != nil {
			t.Errorf("task %d: %s (%v), expected\n%s", i, got, n, want)
		}
	}
	if accepted < 100 {
		t.Errorf("%d guesses were right, expected most", accepted)
	}
}

// TestSpeculationInABatch has sequences come and go, with adapters of their own: one that is left alone, in any batch slot,
// guesses. Tokens are those of single runs without guesses.
func TestSpeculationInABatch(t *testing.T) {
	plain, _ := watched(t, e2e.WithAdapters(t))
	for _, least := range []int{1, 2, 9} { // sequences that are stepped together
		s, x := guessing(t)
		x.p.MinBatch = least
		d := generate.NewScheduler(s)
		var jobs []*generate.Job
		var requests []generate.Request
		for i := range 10 {
			r := generate.Request{Images: noise(t), Prompt: "detect cat ; cat ; cat ; cat", MaxNewTokens: 10 + 12*i, IgnoreEOS: true, Adapter: i % (len(plain.Model.Adapters) + 1)}
			if i%5 == 3 {
				r.Sample.Temperature = 0.5
			}
			requests, jobs = append(requests, r), append(jobs, d.Submit(t.Context(), r))
		}
		drafts := 0
		for i, j := range jobs {
			got, err := j.Wait()
			if err != nil {
				t.Fatal(err)
			}
			want, err := plain.Generate(t.Context(), requests[i])
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.Tokens, want.Tokens) || got.Text != want.Text || got.FinishReason != want.FinishReason {
				t.Errorf("from %d sequences on together, request %d: %v, expected %v", least, i, got.Tokens, want.Tokens)
			}
			if got.Speculation != nil {
				drafts += got.Speculation.Drafts
			}
		}
		if d.Close(); least == 1 && drafts == 0 {
			t.Error("nothing was guessed")
		}
		t.Logf("from %d sequences on together: %d drafts", least, drafts)
	}
}
