package models

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
	"pgc/runtime/safetensors"
)

// TestRowsThatNobodyNeeds cuts the embedding before the image token, whose row no computation reads, and adds a token
// that has no row: logits keep their bits, and only a prompt with that token is refused.
func TestRowsThatNobodyNeeds(t *testing.T) {
	dir := golden.Copy(t, "pg1-odd")
	const rows, image = 1572, 1572
	cut(t, filepath.Join(dir, "model.safetensors"), "language_model.model.embed_tokens.weight", rows)
	golden.Edit(t, filepath.Join(dir, "config.json"), `"vocab_size": 1584`, `"vocab_size": 1572`)
	golden.Edit(t, filepath.Join(dir, "tokenizer.json"), `],"normalizer"`, `,{"id":1573,"content":"<extra>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":false}],"normalizer"`)
	exe := filepath.Join(t.TempDir(), "cut")
	r, err := build.Compile(t.Context(), dir, exe, e2e.Runtime(t), build.Options{CPU: "x86-64-v3", MaxTokens: 311})
	if err != nil {
		t.Fatal(err)
	}
	want := "the tokenizer has 1 token (the first is <extra>, id 1573) beyond the 1572 rows of the embedding: prompts with them are refused"
	if !slices.Contains(r.Notes, want) {
		t.Errorf("notes %q, expected %q", r.Notes, want)
	}
	picture := filepath.Join(golden.Dir(), "pictures", "noise.png")
	logits := func(exe string, vocab int) (all [][]byte) {
		out := filepath.Join(t.TempDir(), "out.safetensors")
		e2e.MustRun(t, exe, "forward", "--image", picture, "--prompt", "cat", "-o", out)
		f, err := safetensors.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		x, _ := f.Tensor("logits")
		for row := range slices.Chunk(x.Data, 4*vocab) {
			all = append(all, slices.Clone(row[:4*rows]))
		}
		return all
	}
	if a, b := logits(exe, rows), logits(e2e.Compiled(t, "pg1-odd"), 1584); !reflect.DeepEqual(a, b) {
		t.Error("logits differ from those of the whole embedding")
	}
	answer := exec.Command(exe, picture, "one <extra>")
	text, err := answer.CombinedOutput()
	if err == nil || !strings.Contains(string(text), "is <extra>, id 1573, which the model does not have: its embedding has 1572 rows") {
		t.Errorf("a prompt with a token that has no row: %v %s", err, text)
	}
}

// cut leaves the first rows of a tensor.
func cut(t *testing.T, path, name string, rows int) {
	t.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var specs []safetensors.Spec
	var data [][]byte
	for _, key := range f.Names() {
		x, _ := f.Tensor(key)
		if key == name {
			x.Data = x.Data[:len(x.Data)/x.Shape[0]*rows]
			x.Shape[0] = rows
		}
		specs = append(specs, safetensors.Spec{Name: key, DType: x.DType, Shape: x.Shape})
		data = append(data, x.Data)
	}
	w, err := safetensors.Create(path+".cut", nil, specs)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range data {
		if _, err := w.Write(d); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), os.Rename(path+".cut", path)); err != nil {
		t.Fatal(err)
	}
}
