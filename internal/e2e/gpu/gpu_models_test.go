package gpu

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"pgc"
	"pgc/checkpoint/hf"
	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
)

// onGPUAs compiles a checkpoint for GPUs and opens it on an emulated one.
func onGPUAs(t *testing.T, checkpoint string, o build.Options) *pgc.Model {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "model")
	if o.Target = "cuda"; o.MaxTokens == 0 {
		o.MaxTokens = 311
	}
	e2e.Build(t, exe, checkpoint, []byte("\x7fELF"), o)
	return e2e.OnGPU(t, exe)
}

// bfloatLimit is how far results may be, as a fraction of the largest, from those of a checkpoint whose matrices were wider
// than bfloat16.
const bfloatLimit = 0.08

// near says how far numbers are from others, as a fraction of the largest; it fails beyond bfloatLimit.
func near(t *testing.T, what string, got, want []float32) {
	t.Helper()
	e, at := golden.Error(got, want)
	if !(e <= bfloatLimit) {
		t.Errorf("%s: element %d is off by %g of the largest, limit %g", what, at, e, bfloatLimit)
	}
	t.Logf("%s: error %.2g of the largest", what, e)
}

// TestEmbeddingsOnGPU embeds images and queries and scores them, as transformers do.
func TestEmbeddingsOnGPU(t *testing.T) {
	for _, checkpoint := range golden.Embeddings() {
		m := onGPUAs(t, checkpoint, build.Options{})
		ref := e2e.Reference(t, checkpoint, "embeddings-images")
		var r pgc.EmbedRequest
		for _, name := range e2e.Strings(t, ref, "images") {
			r.Images = append(r.Images, pgc.File(golden.Picture(name)))
		}
		images, err := m.Embed(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		for i := range images {
			near(t, "image", images[i].Float32s, golden.Floats(ref, fmt.Sprintf("embeddings.%d", i)))
		}
		ref = e2e.Reference(t, checkpoint, "embeddings-queries")
		queries, err := m.Embed(t.Context(), pgc.EmbedRequest{Queries: e2e.Strings(t, ref, "queries")})
		if err != nil {
			t.Fatal(err)
		}
		for i := range queries {
			near(t, "query", queries[i].Float32s, golden.Floats(ref, fmt.Sprintf("embeddings.%d", i)))
		}
		alone, err := m.Embed(t.Context(), pgc.EmbedRequest{Queries: e2e.Strings(t, ref, "queries")[1:2]})
		if err != nil || !slices.Equal(alone[0].Float32s, queries[1].Float32s) {
			t.Errorf("a query alone has other bits: %v", err)
		}
		scores := golden.Floats(e2e.Reference(t, checkpoint, "scores"), "scores")
		var got []float32
		for _, q := range queries {
			for _, i := range images {
				s, err := pgc.Score(q, i)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, float32(s))
			}
		}
		near(t, "scores", got, scores)
	}
}

// TestAdaptersOnGPU: adapters that are kept, and one that is merged, change what the model computes as they do on the
// processor, and requests with several adapters share batches.
func TestAdaptersOnGPU(t *testing.T) {
	base, kept := filepath.Join(golden.Dir(), "pg2-odd"), e2e.Adapters(t)
	m := onGPUAs(t, base, build.Options{Adapters: kept})
	linear := kept[slices.IndexFunc(kept, func(k hf.Kept) bool { return k.Name == "linear" })]
	merged := onGPUAs(t, base, build.Options{Adapter: linear.Dir})
	cpu, err := pgc.Open(e2e.WithAdapters(t), pgc.WithoutVerification())
	if err != nil {
		t.Fatal(err)
	}
	defer cpu.Close()
	image := []pgc.Image{pgc.File(golden.Picture("noise.png"))}
	logits := func(m *pgc.Model, adapter string) []float32 {
		t.Helper()
		out, err := m.Forward(t.Context(), pgc.ForwardRequest{Images: image, Prompt: "caption en", Adapter: adapter})
		if err != nil {
			t.Fatal(err)
		}
		return out["logits"].Float32s
	}
	plain := logits(m, "")
	near(t, "no adapter", plain, logits(cpu, ""))
	adapted := map[string][]float32{}
	for _, name := range []string{"linear", "beside", "head", "tokens"} {
		got := logits(m, name)
		adapted[name] = got
		near(t, name, got, logits(cpu, name))
		if e, _ := golden.Error(got, plain); e < 2*bfloatLimit {
			t.Errorf("%s changes the logits by %g of the largest, expected it to matter", name, e)
		}
	}
	near(t, "merged", logits(merged, ""), adapted["linear"])
	three := 3
	var requests []pgc.Request
	var alone [][]int32
	for _, adapter := range []string{"linear", "", "head", "tokens"} {
		r := pgc.Request{Images: image, Prompt: "caption en", Settings: pgc.Settings{MaxNewTokens: &three, IgnoreEOS: true, Adapter: adapter}}
		a, err := m.Generate(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		requests, alone = append(requests, r), append(alone, a.Tokens)
	}
	i := 0
	for a, err := range m.Batch(t.Context(), slices.Values(requests)) {
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(a.Tokens, alone[i]) {
			t.Errorf("request %d: tokens %v with others, %v alone", i, a.Tokens, alone[i])
		}
		i++
	}
}
