package gpu

import (
	"bytes"
	"encoding/json"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"pgc"
	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
	"pgc/runtime/safetensors"
)

// attentionCase is a file of golden/gen/attention.py.
type attentionCase struct {
	*safetensors.File
	request pgc.ForwardRequest
}

func openAttention(t *testing.T, checkpoint string) attentionCase {
	t.Helper()
	f, err := safetensors.Open(filepath.Join(golden.Dir(), checkpoint, "attention.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	c := attentionCase{f, pgc.ForwardRequest{Prompt: f.Metadata["prompt"]}}
	if suffix, ok := f.Metadata["suffix"]; ok {
		c.request.Suffix = &suffix
	}
	var images []string
	if err := json.Unmarshal([]byte(f.Metadata["images"]), &images); err != nil {
		t.Fatal(err)
	}
	for _, name := range images {
		c.request.Images = append(c.request.Images, pgc.File(filepath.Join(golden.Dir(), "pictures", name)))
	}
	return c
}

// TestAttention compares masks, cell by cell, and the attention of steps of an answer with transformers.
func TestAttention(t *testing.T) {
	for _, checkpoint := range []string{"pg1-odd", "pg2-odd", "pg2-mha"} {
		t.Run(checkpoint, func(t *testing.T) {
			m, err := pgc.Open(e2e.Compiled(t, checkpoint), pgc.WithoutVerification())
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			c := openAttention(t, checkpoint)
			compareSeen(t, m, c)
			compareAttention(t, m, c, 1e-5)
		})
	}
}

// TestAttentionOnGPU compares masks with transformers on an emulated GPU, and attention within what bfloat16 changes.
func TestAttentionOnGPU(t *testing.T) {
	exe := filepath.Join(t.TempDir(), "exe")
	e2e.Build(t, exe, filepath.Join(golden.Dir(), "pg2-odd"), e2e.Runtime(t), build.Options{Target: "cuda", MaxTokens: 200, KV: "f32"})
	m, c := e2e.OnGPU(t, exe), openAttention(t, "pg2-odd")
	compareSeen(t, m, c)
	one := 1
	a, err := m.Attention(t.Context(), pgc.Request{Images: c.request.Images, Prompt: c.request.Prompt, Settings: pgc.Settings{MaxNewTokens: &one}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if worst := attentionError(t, c, a); !(worst <= 0.02) {
		t.Errorf("attention is off by %g, expected 0.02 at most", worst)
	}
}

func compareSeen(t *testing.T, m *pgc.Model, c attentionCase) {
	t.Helper()
	got, err := m.AttentionMask(t.Context(), c.request)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, k := range got.Kinds {
		names = append(names, k.Name)
		want, ok := c.Tensor(k.Name)
		if n := len(got.IDs); !ok || !slices.Equal(want.Shape, []int{n, n}) {
			t.Errorf("%s of %d tokens, expected %v", k.Name, n, want.Shape)
			continue
		}
		if !bytes.Equal(k.Seen, want.Data) {
			t.Errorf("%s differs from transformers'", k.Name)
		}
		if !slices.Contains(k.Seen, 0) != (c.request.Suffix == nil && k.Name == "full_attention") && k.Window == 0 {
			t.Errorf("%s has no cell that is 0, or all", k.Name)
		}
	}
	for _, name := range []string{"full_attention", "sliding_attention"} {
		if _, ok := c.Tensor(name); ok != slices.Contains(names, name) {
			t.Errorf("masks of %v, transformers has %s: %v", names, name, ok)
		}
	}
}

func compareAttention(t *testing.T, m *pgc.Model, c attentionCase, most float64) {
	t.Helper()
	for _, token := range []int{0, 1, 5} {
		a, err := m.Attention(t.Context(), pgc.Request{Images: c.request.Images, Prompt: c.request.Prompt}, token)
		if err != nil {
			t.Fatal(err)
		}
		if worst := attentionError(t, c, a); !(worst <= most) {
			t.Errorf("attention of token %d is off by %g, expected %g at most", token, worst, most)
		}
	}
	if _, err := m.Attention(t.Context(), pgc.Request{Images: c.request.Images, Prompt: c.request.Prompt}, 5000); err == nil {
		t.Error("token 5000 has attention")
	}
}

// attentionError is how far the weights of the patches are off.
func attentionError(t *testing.T, c attentionCase, a *pgc.Attention) float64 {
	t.Helper()
	tensor, ok := c.Tensor("attentions." + string(rune('0'+a.Token)))
	if want := []int{a.Layers, a.Heads, a.Patches}; !ok || !slices.Equal(tensor.Shape, want) {
		t.Fatalf("attention %v, expected %v", want, tensor.Shape)
	}
	want, err := tensor.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	worst := 0.0
	for i := range a.Layers * a.Heads {
		for j := range a.Patches {
			worst = max(worst, math.Abs(float64(a.Weights[i*a.Keys+j]-want[i*a.Patches+j])))
		}
	}
	return worst
}
