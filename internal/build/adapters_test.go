package build

import (
	"path/filepath"
	"strconv"
	"testing"

	"pgc/golden"
	"pgc/runtime/safetensors"
)

// TestAdapters compiles every adapter of golden with its base, and compares the logits with those of transformers: of
// the merged model, and with float32 weights of the model with the adapter beside it.
func TestAdapters(t *testing.T) {
	elf := runtimeELF(t)
	for _, dir := range golden.Adapters() {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			ref, err := safetensors.Open(filepath.Join(dir, golden.AdapterReference))
			if err != nil {
				t.Fatal(err)
			}
			defer ref.Close()
			own, err := strconv.ParseFloat(ref.Metadata["logits_error"], 64) // of transformers' float32
			if err != nil {
				t.Fatal(err)
			}
			base := filepath.Join(golden.Dir(), ref.Metadata["base"])
			for _, c := range []struct {
				want       string
				checkpoint string
				options    Options
			}{
				{"logits", base, Options{Adapter: dir}},
				{"logits", dir, Options{}}, // which names its base
				{"apart", base, Options{Adapter: dir, Storage: Storage{Weights: "f32"}}},
			} {
				want := golden.Floats(ref, c.want)
				if want == nil {
					continue
				}
				exe, out := filepath.Join(t.TempDir(), "exe"), filepath.Join(t.TempDir(), "out.safetensors")
				c.options.CPU, c.options.MaxTokens = "x86-64-v3", 311
				if _, err := Compile(t.Context(), c.checkpoint, exe, elf, c.options); err != nil {
					t.Fatal(err)
				}
				mustRun(t, exe, "forward", "--image", picturePath(ref.Metadata["image"]), "--prompt", ref.Metadata["prompt"], "-o", out)
				got, err := safetensors.Open(out)
				if err != nil {
					t.Fatal(err)
				}
				logits := golden.Floats(got, "logits")
				got.Close()
				e, at := golden.Error(logits[len(logits)-len(want):], want)
				if limit := max(1e-5, 10*own); !(e <= limit) {
					t.Errorf("%s of %s: element %d is off by %g of the largest, limit %g", c.want, c.checkpoint, at, e, limit)
				}
				t.Logf("%s: %.2g of the largest; transformers' own error is %.2g", c.want, e, own)
			}
		})
	}
}
