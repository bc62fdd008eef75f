package check

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgc/internal/build"
	"pgc/ir/target"
	"pgc/runtime/safetensors"
)

func compareWith(t *testing.T, dir, path string) (report string, found []Deviation, err error) {
	t.Helper()
	var b strings.Builder
	found, err = Reference(t.Context(), &b, dir, path, build.Options{CPU: "x86-64-v3", MaxTokens: 311})
	return b.String(), found, err
}

// traced loads a checkpoint once, and returns what does to files of references what compareWith does.
func traced(t *testing.T, dir string) func(path string) (report string, found []Deviation, err error) {
	t.Helper()
	tgt, err := target.Find("x86-64-v3")
	if err != nil {
		t.Fatal(err)
	}
	l, err := load(t.Context(), dir, tgt, options(), true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.close() })
	return func(path string) (string, []Deviation, error) {
		t.Helper()
		ref, err := safetensors.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer ref.Close()
		var b strings.Builder
		found, err := l.against(t.Context(), &b, path, ref)
		return b.String(), found, err
	}
}

// TestReference: the golden references agree, every tensor of theirs is compared.
func TestReference(t *testing.T) {
	for _, name := range []string{"pg1-odd", "pg2-odd"} {
		compare := traced(t, checkpoint(name))
		for _, file := range []string{"suffix", "two"} {
			report, found, err := compare(filepath.Join(checkpoint(name), "reference-"+file+".safetensors"))
			if err != nil || len(found) > 0 || strings.Contains(report, "not in the reference") {
				t.Errorf("%s %s: %v, %v\n%s", name, file, found, err, report)
			}
			if lines := strings.Count(report, "\n"); lines < 10 {
				t.Errorf("%s %s: only %d tensors compared", name, file, lines)
			}
		}
	}
}

// TestReferenceOfEmbeddings: the layers of a model that makes embeddings and the embedding agree.
func TestReferenceOfEmbeddings(t *testing.T) {
	report, found, err := compareWith(t, checkpoint("colpali-odd"), filepath.Join(checkpoint("colpali-odd"), "activations.safetensors"))
	if err != nil || len(found) > 0 || strings.Contains(report, "not in the reference") || !strings.Contains(report, "\nembeddings ") {
		t.Errorf("%v, %v\n%s", found, err, report)
	}
}

// rewrite copies a safetensors file with the bytes of one tensor changed in place.
func rewrite(t *testing.T, from, to, tensor string, change func(data []byte)) {
	t.Helper()
	whole, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	x, ok := f.Tensor(tensor)
	if !ok {
		t.Fatalf("%s has no tensor %s: %v", from, tensor, f.Names())
	}
	at := bytes.Index(whole, x.Data)
	change(whole[at : at+len(x.Data)])
	if err := os.WriteFile(to, whole, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestReferencePlanted plants a deviation: in an activation of the reference, which alone is named, at its place; and
// in weights of the checkpoint, where the layer that uses them is named first and the layers before it are right.
func TestReferencePlanted(t *testing.T) {
	ref, compare := filepath.Join(checkpoint("pg1-odd"), "reference-two.safetensors"), traced(t, checkpoint("pg1-odd"))
	for _, c := range []struct {
		tensor, want string
		index        []int
	}{
		{"layers.1", "layers.1", []int{0, 1}},
		{"vision.layers.2", "vision.layers.2[0]", []int{0, 1}},
		{"logits", "logits", []int{0, 1}},
	} {
		to := filepath.Join(t.TempDir(), "reference.safetensors")
		rewrite(t, ref, to, c.tensor, func(data []byte) { data[4+3] ^= 0x80; data[4+2] ^= 0x40 }) // sign and exponent of element 1
		report, found, err := compare(to)
		if err != nil || len(found) != 1 || found[0].Tensor != c.want || !slices.Equal(found[0].Index, c.index) {
			t.Errorf("%s: %v, %v\n%s", c.tensor, found, err, report)
		}
	}
	nan := filepath.Join(t.TempDir(), "nan.safetensors")
	rewrite(t, ref, nan, "layers.0", func(data []byte) { data[8], data[9], data[10], data[11] = 0, 0, 0xc0, 0x7f })
	if _, found, err := compare(nan); err != nil || len(found) != 1 || !math.IsNaN(found[0].Error) {
		t.Errorf("not a number: %v, %v", found, err)
	}

	dir := filepath.Join(t.TempDir(), "pg1-odd")
	if err := os.CopyFS(dir, os.DirFS(checkpoint("pg1-odd"))); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "model.safetensors")
	for _, c := range []struct{ tensor, want string }{
		{"vision_tower.vision_model.encoder.layers.1.mlp.fc1.weight", "vision.layers.1[0]"},
		{"multi_modal_projector.linear.bias", "image_hidden_states"},
		{"language_model.model.layers.2.self_attn.v_proj.weight", "layers.2"},
		{"language_model.model.norm.weight", "norm"},
	} {
		rewrite(t, filepath.Join(checkpoint("pg1-odd"), "model.safetensors"), file, c.tensor, func(data []byte) {
			for i := 3; i < len(data); i += 4 {
				data[i] ^= 0x80
			}
		})
		report, found, err := compareWith(t, dir, ref)
		if err != nil || len(found) == 0 || found[0].Tensor != c.want {
			t.Errorf("%s: %v, %v\n%s", c.tensor, found, err, report)
			continue
		}
		t.Logf("%s: %s", c.tensor, found[0])
	}
}

// TestReferenceErrors: files that are no reference of the checkpoint.
func TestReferenceErrors(t *testing.T) {
	mine, other := checkpoint("pg1-odd"), checkpoint("pg2-odd")
	ids := filepath.Join(t.TempDir(), "ids.safetensors")
	rewrite(t, filepath.Join(mine, "reference-two.safetensors"), ids, "input_ids", func(data []byte) { data[3] = 1 })
	types := filepath.Join(t.TempDir(), "types.safetensors")
	rewrite(t, filepath.Join(mine, "reference-two.safetensors"), types, "token_type_ids", func(data []byte) { data[4] = 1 })
	compare := traced(t, mine)
	for _, c := range []struct{ path, want string }{
		{filepath.Join(other, "reference-two.safetensors"), "pixel_values"},
		{filepath.Join(mine, "model.safetensors"), "pixel_values is missing"},
		{ids, "input_ids holds"},
		{types, "token_type_ids"},
	} {
		if _, _, err := compare(c.path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected an error that says %q", filepath.Base(c.path), err, c.want)
		}
	}
	if _, _, err := compareWith(t, mine, filepath.Join(mine, "config.json")); err == nil || !strings.Contains(err.Error(), "config.json") {
		t.Errorf("no file of tensors: %v", err)
	}
	var b strings.Builder
	if _, err := Reference(t.Context(), &b, mine, filepath.Join(mine, "reference-two.safetensors"), build.Options{CPU: "x86-64-v3", MaxTokens: 40}); err == nil || !strings.Contains(err.Error(), "--max-tokens") {
		t.Errorf("a prompt over the capacity: %v", err)
	}
}
