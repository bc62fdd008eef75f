package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"pgc/golden"
)

// DemoAnswer is what transformers answers about a sample picture, by how much it is sure of every token, and the areas
// in pixels of the masks that torch decodes of an answer to segment.
type DemoAnswer struct {
	Checkpoint, Image, Kind, Prompt, Text string
	Tokens                                []int32
	Margin                                float64
	Areas                                 []int
}

// DemoAnswers returns the folder of the demo checkpoints and transformers' answers
// (models/paligemma/demo/train/samples.py).
func DemoAnswers(t *testing.T) (demo string, answers []DemoAnswer) {
	t.Helper()
	demo = filepath.Join(golden.Dir(), "..", "models", "paligemma", "demo")
	raw, err := os.ReadFile(filepath.Join(demo, "pictures", "reference.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &answers); err != nil {
		t.Fatal(err)
	}
	return demo, answers
}
