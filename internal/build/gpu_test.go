package build

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"

	"pgc"
	"pgc/codegen/ptx/emulated"
	"pgc/golden"
	"pgc/runtime/gpu"
	"pgc/runtime/safetensors"
)

// onGPU opens an executable on an emulated GPU.
func onGPU(t *testing.T, exe string) *pgc.Model {
	t.Helper()
	device, err := pgc.ParseDevice("cuda")
	if err != nil {
		t.Fatal(err)
	}
	m, err := pgc.Open(exe, pgc.WithDevice(device, gpu.Of(&emulated.Driver{})), pgc.WithoutVerification())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// TestGPU runs checkpoints on an emulated GPU, through the code that drives a real one, and compares them with
// transformers in float32 and with the processor. What products read is bfloat16: on the processor too (--compute bf16),
// so that only the order of sums and the rounding within attention differ, and the tokens are equal.
func TestGPU(t *testing.T) {
	dir, elf := t.TempDir(), runtimeELF(t)
	for _, c := range []struct {
		checkpoint, weights string
		cases               []string
	}{
		{"pg1-bf16", "bf16", []string{"two", "suffix"}},
		{"pg2-odd", "bf16", []string{"suffix"}},
	} {
		path := filepath.Join(golden.Dir(), c.checkpoint)
		exe := filepath.Join(dir, c.checkpoint+c.weights)
		o := Options{Target: "cuda", MaxTokens: 311, Storage: Storage{Weights: c.weights}}
		if _, err := Compile(t.Context(), path, exe, elf, o); err != nil {
			t.Fatal(err)
		}
		o.Target, o.CPU, o.Compute, o.KV = "cpu", "x86-64-v3", "bf16", "bf16"
		if _, err := Compile(t.Context(), path, exe+"-cpu", elf, o); err != nil {
			t.Fatal(err)
		}
		m := onGPU(t, exe)
		for _, name := range c.cases {
			t.Run(c.checkpoint+"/"+c.weights+"/"+name, func(t *testing.T) {
				ref, err := safetensors.Open(filepath.Join(path, "reference-"+name+".safetensors"))
				if err != nil {
					t.Fatal(err)
				}
				defer ref.Close()
				compareGPU(t, m, exe+"-cpu", ref)
			})
		}
	}
}

// bfloatLimit is how far logits may be from those of transformers in float32, as a fraction of the largest: the error of
// bfloat16 for these models of random weights, on any machine.
const bfloatLimit = 0.05

// forwarded runs the forward pass of a reference file and reads what it writes.
func forwarded(t *testing.T, m *pgc.Model, r pgc.ForwardRequest) *safetensors.File {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	if err := m.ForwardFile(t.Context(), r, out); err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// imagesOf returns the pictures of a reference file.
func imagesOf(t *testing.T, ref *safetensors.File) (images []pgc.Image) {
	t.Helper()
	var names []string
	if err := json.Unmarshal([]byte(ref.Metadata["images"]), &names); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		images = append(images, pgc.File(picturePath(name)))
	}
	return images
}

// compareGPU compares a model with a reference of transformers and with an executable for the processor.
func compareGPU(t *testing.T, m *pgc.Model, exe string, ref *safetensors.File) {
	images := imagesOf(t, ref)
	r := pgc.ForwardRequest{Images: images, Prompt: ref.Metadata["prompt"]}
	if suffix, ok := ref.Metadata["suffix"]; ok {
		r.Suffix = &suffix
	}
	cpu, err := pgc.Open(exe, pgc.WithoutVerification())
	if err != nil {
		t.Fatal(err)
	}
	defer cpu.Close()
	got, other := forwarded(t, m, r), forwarded(t, cpu, r)
	for _, name := range []string{"image_hidden_states", "logits"} {
		e, at := golden.Error(golden.Floats(got, name), golden.Floats(ref, name))
		if !(e <= bfloatLimit) {
			t.Errorf("%s: element %d is off by %g of the largest, limit %g", name, at, e, bfloatLimit)
		}
		processor, _ := golden.Error(golden.Floats(other, name), golden.Floats(ref, name))
		t.Logf("%s: error %.2g of the largest, limit %g; the processor's %.2g", name, e, bfloatLimit, processor)
	}
	most := 6
	request := pgc.Request{Images: images, Prompt: ref.Metadata["prompt"], Settings: pgc.Settings{MaxNewTokens: &most}}
	want, err := cpu.Generate(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	a, err := m.Generate(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(a.Tokens, want.Tokens) {
		t.Errorf("tokens %v, expected %v", a.Tokens, want.Tokens)
	}
}
