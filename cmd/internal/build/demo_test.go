package build

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgc/golden"
)

// TestDemo compiles the demo checkpoints and compares their answers about the sample pictures with transformers'
// (models/paligemma/demo/train/samples.py).
func TestDemo(t *testing.T) {
	demo := filepath.Join(golden.Dir(), "..", "models", "paligemma", "demo")
	raw, err := os.ReadFile(filepath.Join(demo, "pictures", "reference.json"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct {
		Checkpoint, Image, Prompt, Text string
		Tokens                          []int32
		Margin                          float64
	}
	if err := json.Unmarshal(raw, &rows); err != nil {
		t.Fatal(err)
	}
	elf, dir := runtimeELF(t), t.TempDir()
	built := map[string]string{}
	compared := 0
	for _, r := range rows {
		exe := built[r.Checkpoint]
		if exe == "" {
			exe = filepath.Join(dir, r.Checkpoint)
			if _, err := Compile(t.Context(), filepath.Join(demo, r.Checkpoint), exe, elf, Options{CPU: "x86-64-v3"}); err != nil {
				t.Fatal(err)
			}
			built[r.Checkpoint] = exe
		}
		if r.Margin < 1e-3 {
			continue // a tie in the reference
		}
		var got struct {
			Text   string
			Tokens []int32
		}
		out := output(t, exe, "generate", "--json", "--image", filepath.Join(demo, "pictures", r.Image), "--prompt", r.Prompt)
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatal(err)
		}
		compared++
		if !slices.Equal(got.Tokens, r.Tokens) || got.Text != r.Text {
			t.Errorf("%s %s %q: %q, transformers says %q", r.Checkpoint, r.Image, r.Prompt, got.Text, r.Text)
		}
	}
	t.Logf("%d of %d answers compared, %d checkpoints", compared, len(rows), len(built))
	if len(built) != 2 || compared < 100 {
		t.Errorf("only %d answers of %d checkpoints compared", compared, len(built))
	}
}
