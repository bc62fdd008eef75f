package pgc_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"

	"pgc"
	"pgc/golden"
	"pgc/runtime/safetensors"
)

// TestForward compares with transformers' results, and with the file that ForwardFile writes.
func TestForward(t *testing.T) {
	m := open(t)
	for _, c := range golden.Cases() {
		if filepath.Base(c.Checkpoint) != "pg1-odd" {
			continue
		}
		ref := openTensors(t, c.Path)
		var names []string
		if err := json.Unmarshal([]byte(ref.Metadata["images"]), &names); err != nil {
			t.Fatal(err)
		}
		r := pgc.ForwardRequest{Prompt: ref.Metadata["prompt"]}
		for _, name := range names {
			r.Images = append(r.Images, pgc.File(filepath.Join(golden.Dir(), "pictures", name)))
		}
		if suffix, ok := ref.Metadata["suffix"]; ok {
			r.Suffix = &suffix
		}
		got, err := m.Forward(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "forward.safetensors")
		if err := m.ForwardFile(t.Context(), r, path); err != nil {
			t.Fatal(err)
		}
		file := openTensors(t, path)
		if len(got) != len(file.Names()) {
			t.Errorf("%s: %d tensors, expected %v", c.Name, len(got), file.Names())
		}
		for name, tensor := range got {
			stored, _ := file.Tensor(name)
			if !slices.Equal(stored.Shape, tensor.Shape) || !slices.Equal(golden.Floats(file, name), tensor.Float32s) && !slices.Equal(golden.Ints(file, name), tensor.Int32s) {
				t.Errorf("%s: %s differs from the file's", c.Name, name)
			}
		}
		if e, at := golden.Error(got["logits"].Float32s, golden.Floats(ref, "logits")); !(e <= 1e-4) {
			t.Errorf("%s: logit %d is off by %g of the largest", c.Name, at, e)
		}
	}
}

func openTensors(t *testing.T, path string) *safetensors.File {
	t.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
