package pgc_test

import (
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"

	"pgc"
)

// TestSuffix: the likelihood of a suffix is forward's, alone and in a batch, and asking for it changes no answer.
func TestSuffix(t *testing.T) {
	m, err := pgc.Open(captioner())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	all := requests()[:6]
	var want []*pgc.Answer
	for i := range all {
		plain, err := m.Generate(t.Context(), all[i])
		if err != nil {
			t.Fatal(err)
		}
		if plain.Suffix != nil {
			t.Errorf("answer %d has the score of no suffix", i)
		}
		if i%2 == 0 {
			suffix := "a cat"
			all[i].Suffix = &suffix
			f, err := m.Forward(t.Context(), pgc.ForwardRequest{Images: all[i].Images, Prompt: all[i].Prompt, Suffix: &suffix, ParseSpecials: all[i].ParseSpecials})
			if err != nil {
				t.Fatal(err)
			}
			plain.Suffix = &pgc.SuffixScore{Loss: f["loss"].Float32s[0], TokenLogprobs: f["token_logprobs"].Float32s}
			if math.IsNaN(float64(plain.Suffix.Loss)) || plain.Suffix.Loss <= 0 {
				t.Errorf("the loss is %v", plain.Suffix.Loss)
			}
		}
		want = append(want, plain)
	}
	same := func(how string, i int, got *pgc.Answer) {
		t.Helper()
		if got.Text != want[i].Text || !slices.Equal(got.Tokens, want[i].Tokens) || !reflect.DeepEqual(got.Suffix, want[i].Suffix) {
			t.Errorf("%s %d: %q with %v, expected %q with %v", how, i, got.Text, got.Suffix, want[i].Text, want[i].Suffix)
		}
	}
	for i, r := range all {
		got, err := m.Generate(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		same("alone", i, got)
	}
	next := 0
	for got, err := range m.Batch(t.Context(), slices.Values(all)) {
		if err != nil {
			t.Fatal(err)
		}
		same("in a batch", next, got)
		next++
	}
	text := ""
	got, err := m.Watch(t.Context(), all[0], func(token pgc.Token) { text += token.Text })
	if err != nil || text != want[0].Text {
		t.Fatalf("watched %q, %v, expected %q", text, err, want[0].Text)
	}
	same("watched", 0, got)
}

// TestSuffixCanceled: a loop over a batch of suffixes that ends early leaves nothing behind that Close would wait for.
func TestSuffixCanceled(t *testing.T) {
	m, err := pgc.Open(captioner())
	if err != nil {
		t.Fatal(err)
	}
	suffix, all := "a cat", requests()
	for i := range all {
		all[i].Suffix = &suffix
	}
	for range m.Batch(t.Context(), slices.Values(all)) {
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Generate(ctx, all[0]); !errors.Is(err, context.Canceled) {
		t.Errorf("a canceled request gave %v", err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}
