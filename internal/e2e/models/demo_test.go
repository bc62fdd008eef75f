package models

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgc/internal/e2e"
)

// TestDemo compiles the demo checkpoints and compares their answers about the sample pictures with transformers',
// and those for which no logits are written with those for which they are.
func TestDemo(t *testing.T) {
	demo, rows := e2e.DemoAnswers(t)
	dir := t.TempDir()
	built, requests := map[string]string{}, map[string]*strings.Builder{}
	compared := 0
	for _, r := range rows {
		exe := built[r.Checkpoint]
		if exe == "" {
			exe = filepath.Join(dir, r.Checkpoint)
			e2e.CompileTo(t, exe, filepath.Join(demo, r.Checkpoint))
			built[r.Checkpoint], requests[r.Checkpoint] = exe, &strings.Builder{}
		}
		picture := filepath.Join(demo, "pictures", r.Image)
		fmt.Fprintf(requests[r.Checkpoint], "{\"images\":[%q],\"prompt\":%q,\"logprobs\":LOGPROBS}\n", picture, r.Prompt)
		if r.Margin < 1e-3 {
			continue // a tie in the reference
		}
		var got struct {
			Text   string
			Tokens []int32
		}
		out := e2e.MustRun(t, exe, "generate", "--json", "--image", picture, "--prompt", r.Prompt)
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatal(err)
		}
		compared++
		if !slices.Equal(got.Tokens, r.Tokens) || got.Text != r.Text {
			t.Errorf("%s %s %q: %q, transformers says %q", r.Checkpoint, r.Image, r.Prompt, got.Text, r.Text)
		}
	}
	for name, exe := range built {
		var answers [2][]e2e.Reply
		for i, logprobs := range []string{"false", "true"} {
			in := filepath.Join(dir, logprobs+".jsonl")
			if err := os.WriteFile(in, []byte(strings.ReplaceAll(requests[name].String(), "LOGPROBS", logprobs)), 0o644); err != nil {
				t.Fatal(err)
			}
			answers[i] = e2e.Replies(t, e2e.MustRun(t, exe, "batch", "--input", in, "--output", "-"))
		}
		for i, a := range answers[0] {
			if b := answers[1][i]; len(a.Tokens) == 0 || !slices.Equal(a.Tokens, b.Tokens) || len(b.Logprobs) != len(b.Tokens) {
				t.Errorf("%s, answer %d: tokens %v without log-probabilities, %v with %d of them", name, i, a.Tokens, b.Tokens, len(b.Logprobs))
			}
		}
	}
	t.Logf("%d of %d answers compared, %d checkpoints", compared, len(rows), len(built))
	if len(built) != 2 || compared < 100 {
		t.Errorf("only %d answers of %d checkpoints compared", compared, len(built))
	}
}
