package models

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/x448/float16"

	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
	"pgc/models/paligemma"
	"pgc/runtime/safetensors"
)

// keyOf writes a canonical key as the layouts of Hugging Face have it: A is the hub's, B what transformers 5 saves of
// it, C and D have a leading model.
func keyOf(key string, layout byte) string {
	if key == "lm_head.weight" {
		return key
	}
	if rest, ok := strings.CutPrefix(key, "vision_tower."); ok && (layout == 'A' || layout == 'D') {
		key = "vision_tower.vision_model." + rest
	}
	if layout == 'C' || layout == 'D' {
		return "model." + key
	}
	if rest, ok := strings.CutPrefix(key, "language_model."); ok {
		return "language_model.model." + rest
	}
	return key
}

// relaid copies a golden checkpoint with other names, in shards if there is more than one, every tensor changed by
// change, which may be nil.
func relaid(t *testing.T, name string, layout byte, shards int, change func(*safetensors.Tensor)) string {
	t.Helper()
	dir := golden.Copy(t, name)
	sources, _ := filepath.Glob(filepath.Join(dir, "model*"))
	parts := make([][]safetensors.Tensor, shards)
	next := 0
	for _, path := range sources {
		if strings.HasSuffix(path, ".safetensors") {
			f, err := safetensors.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for _, key := range f.Names() {
				x, _ := f.Tensor(key)
				x.Name = keyOf(paligemma.Canonical(key), layout)
				if change != nil {
					change(&x)
				}
				parts[next%shards] = append(parts[next%shards], x)
				next++
			}
		}
		os.Remove(path)
	}
	total, places := 0, map[string]string{}
	for i, part := range parts {
		file := "model.safetensors"
		if shards > 1 {
			file = fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, shards)
		}
		var specs []safetensors.Spec
		for _, x := range part {
			specs = append(specs, safetensors.Spec{Name: x.Name, DType: x.DType, Shape: x.Shape})
			places[x.Name] = file
			total += len(x.Data)
		}
		w, err := safetensors.Create(filepath.Join(dir, file), nil, specs)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range part {
			w.Write(x.Data)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if shards > 1 {
		index, _ := json.Marshal(map[string]any{"metadata": map[string]int{"total_size": total}, "weight_map": places})
		if err := os.WriteFile(filepath.Join(dir, "model.safetensors.index.json"), index, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestLayouts: the same checkpoint in every layout, in one file and in shards, gives the same executable bit for bit.
func TestLayouts(t *testing.T) {
	var first []byte
	for i, layout := range []byte("ABCD") {
		exe := filepath.Join(t.TempDir(), "exe")
		dir := relaid(t, "pg1-bf16", layout, 1+i%3, nil)
		if _, err := build.Compile(t.Context(), dir, exe, []byte("\x7fELF"), build.Options{CPU: "x86-64-v3", MaxTokens: 311}); err != nil {
			t.Fatalf("layout %c: %v", layout, err)
		}
		data, _ := os.ReadFile(exe)
		if first == nil {
			first = data
		} else if !bytes.Equal(data, first) {
			t.Errorf("layout %c gives another executable than layout A", layout)
		}
	}
}

// widen stores tensors in types chosen by their names, where that loses nothing.
func widen(x *safetensors.Tensor) {
	if x.DType != safetensors.BF16 {
		return
	}
	v, _ := x.Float32s()
	var half, full []byte
	exact := true
	for _, f := range v {
		h := float16.Fromfloat32(f)
		exact = exact && h.Float32() == f
		half = binary.LittleEndian.AppendUint16(half, h.Bits())
		full = binary.LittleEndian.AppendUint32(full, math.Float32bits(f))
	}
	switch n := len(x.Name) + len(v); {
	case n%3 == 0 && exact:
		x.DType, x.Data = safetensors.F16, half
	case n%3 == 1:
		x.DType, x.Data = safetensors.F32, full
	}
}

// TestMixedTypes stores a checkpoint's tensors in three types side by side; the reference stays what it was.
func TestMixedTypes(t *testing.T) {
	types := map[safetensors.DType]int{}
	dir := relaid(t, "pg2-odd", 'A', 2, func(x *safetensors.Tensor) {
		widen(x)
		types[x.DType]++
	})
	if len(types) < 3 {
		t.Errorf("only %v", types)
	}
	exe := filepath.Join(t.TempDir(), "exe")
	e2e.CompileTo(t, exe, dir)
	t.Log(types)
	e2e.CompareCase(t, exe, filepath.Join(golden.Dir(), "pg2-odd", "reference-suffix.safetensors"))
}
