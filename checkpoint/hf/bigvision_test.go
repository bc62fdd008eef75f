package hf_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgc/checkpoint/hf"
	"pgc/golden"
)

// axes of an array of big_vision are those of a weight in another order: golden/gen/bigvision.py wrote the fixture of the
// weights of the golden checkpoint.
func TestBigVision(t *testing.T) {
	tokenizer := filepath.Join(golden.Dir(), "pg2-odd")
	want, err := hf.Load(tokenizer, hf.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	c, err := hf.Load(filepath.Join("testdata", "pg2-odd.npz"), hf.Options{Tokenizer: tokenizer})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.Name != "pg2-odd" || len(c.Weights) != len(want.Weights) || len(c.Notes) != 1 {
		t.Fatalf("%s has %d weights and the notes %q, expected %d", c.Name, len(c.Weights), c.Notes, len(want.Weights))
	}
	for _, w := range want.Weights {
		got, err := c.Tensor(w.Name)
		if err != nil {
			t.Fatal(err)
		}
		expected, _ := want.Tensor(w.Name)
		if got.DType != expected.DType || !slices.Equal(got.Shape, w.Shape) || !bytes.Equal(whole(got), whole(expected)) {
			t.Errorf("%s differs", w.Name)
		}
		parts := make([]byte, len(whole(got)))
		for at := 0; got.Read != nil && at < len(parts); at += 46 {
			got.Read(parts[at:min(at+46, len(parts))], int64(at))
		}
		if got.Read != nil && !bytes.Equal(parts, whole(got)) {
			t.Errorf("%s read in parts differs", w.Name)
		}
	}
	facts, expected := c.Config.Facts(), want.Config.Facts()
	expected.TieWordEmbeddings, expected.SlidingWindow = facts.TieWordEmbeddings, 4096 // which an array does not say
	if got, want := fmt.Sprint(facts), fmt.Sprint(expected); got != want {
		t.Errorf("the configuration is %s, expected %s", got, want)
	}
	if _, files, err := hf.Files(filepath.Join("testdata", "pg2-odd.npz"), hf.Options{Tokenizer: tokenizer}); err != nil || len(files) < 2 || !strings.HasSuffix(files[0], ".npz") {
		t.Errorf("it reads %q, error %v", files, err)
	}
}

// whole returns the bytes of a tensor.
func whole(t hf.Tensor) []byte {
	if t.Read == nil {
		return t.Data
	}
	n := t.DType.Bytes()
	for _, d := range t.Shape {
		n *= d
	}
	out := make([]byte, n)
	t.Read(out, 0)
	return out
}

// TestBrokenBigVision holds errors to their words.
func TestBrokenBigVision(t *testing.T) {
	tokenizer := filepath.Join(golden.Dir(), "pg2-odd")
	arrays := func(change func(map[string][]int)) string {
		shapes := map[string][]int{}
		f, err := zip.OpenReader(filepath.Join("testdata", "pg2-odd.npz"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, e := range f.File {
			r, _ := e.Open()
			var head [10]byte
			r.Read(head[:])
			text := make([]byte, binary.LittleEndian.Uint16(head[8:]))
			r.Read(text)
			r.Close()
			_, shape, _ := strings.Cut(string(text), "'shape': (")
			shape, _, _ = strings.Cut(shape, ")")
			name, dims := strings.TrimSuffix(e.Name, ".npy"), []int{}
			for d := range strings.SplitSeq(strings.Trim(shape, ", "), ", ") {
				n := 0
				fmt.Sscan(d, &n)
				dims = append(dims, n)
			}
			shapes[name] = dims
		}
		change(shapes)
		path := filepath.Join(t.TempDir(), "x.npz")
		out, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		z := zip.NewWriter(out)
		for name, shape := range shapes {
			w, err := z.CreateHeader(&zip.FileHeader{Name: name + ".npy", Method: zip.Store})
			if err != nil {
				t.Fatal(err)
			}
			n, text := 4, ""
			for _, d := range shape {
				n *= d
				text += fmt.Sprint(d, ", ")
			}
			text = fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }\n", text)
			w.Write(append([]byte("\x93NUMPY\x01\x00"), byte(len(text)), byte(len(text)>>8)))
			w.Write([]byte(text))
			w.Write(make([]byte, n))
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := arrays(func(map[string][]int) {})
	if c, err := hf.Load(file, hf.Options{Tokenizer: tokenizer}); err != nil {
		t.Fatal(err)
	} else {
		c.Close()
	}
	const post = "params/llm/layers/post_ffw_norm/scale"
	for _, c := range []struct {
		path, tokenizer, want string
	}{
		{file, "", "$ has no tokenizer: expected --tokenizer DIR with tokenizer.json or tokenizer.model of PaliGemma"},
		{arrays(func(m map[string][]int) { delete(m, post) }), tokenizer,
			"$: array llm/layers/post_ffw_norm/scale is missing: expected a PaliGemma of big_vision whose layers are stacked (scan)"},
		{arrays(func(m map[string][]int) { m[post] = append(m[post], 1) }), tokenizer,
			"$: array llm/layers/post_ffw_norm/scale has shape [4 42 1], expected 2 dimensions"},
		{arrays(func(m map[string][]int) { m["params/llm/more"] = m[post] }), tokenizer,
			"$: array llm/more is not part of a PaliGemma: expected the model's alone, or others outside img/ and llm/"},
		{arrays(func(m map[string][]int) { m["params/img/pos_embedding"] = []int{1, 35, 22} }), tokenizer,
			"$: array img/pos_embedding has 35 positions for patches of 5 by 5, expected those of a square image"},
		{arrays(func(m map[string][]int) { m["params/llm/layers/mlp/linear"] = []int{4, 52, 42} }), tokenizer,
			"$: tensor params/llm/layers/mlp/linear has shape [42 52], config.json asks for [42 51]: expected the config.json that was saved with the weights"},
		{arrays(func(m map[string][]int) { clear(m) }), tokenizer,
			"$ holds no array llm/embedder/input_embedding: expected a PaliGemma of big_vision, or a folder of a Hugging Face checkpoint"},
	} {
		if _, err := hf.Load(c.path, hf.Options{Tokenizer: c.tokenizer}); err == nil || strings.ReplaceAll(err.Error(), c.path, "$") != c.want {
			t.Errorf("error  %v\nwanted %s", err, c.want)
		}
	}
}
