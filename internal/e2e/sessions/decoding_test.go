package sessions

import (
	"encoding/binary"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
	"pgc/runtime/entry"
	"pgc/runtime/generate"
	"pgc/runtime/program"
)

// TestRoundedCache: steps of decoding lose less than 2 % of the largest logit on a GPU by a cache of bfloat16, against the
// same with one of float32, and the token behind the prompt loses nothing. docs/NUMERICS.md has the numbers of more prompts.
func TestRoundedCache(t *testing.T) {
	const n, limit = 7, 0.02
	for _, checkpoint := range []string{"pg1-bf16", "pg2-mha"} { // in which it loses most
		t.Run(checkpoint, func(t *testing.T) {
			rows := map[string][][]float32{}
			tokens := map[string][]int32{}
			for _, kv := range []string{"", "f32"} {
				exe := filepath.Join(t.TempDir(), "exe")
				e2e.Build(t, exe, filepath.Join(golden.Dir(), checkpoint), e2e.Runtime(t), build.Options{Target: "cuda", KV: kv, MaxTokens: 311})
				s, x := watched(t, exe)
				x.read = func(space program.Space, name string, data []byte) {
					if space == program.SpaceOutput && name == entry.OutLogits {
						row := make([]float32, len(data)/4)
						for i := range row {
							row[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
						}
						rows[kv] = append(rows[kv], row)
					}
				}
				for _, prompt := range []string{"caption en", "detect cat"} {
					a, err := s.Generate(t.Context(), generate.Request{Images: noise(t), Prompt: prompt, MaxNewTokens: n, IgnoreEOS: true, Logprobs: true})
					if err != nil {
						t.Fatal(err)
					}
					tokens[kv] = append(tokens[kv], a.Tokens...)
				}
			}
			worst, compared := 0.0, 0
			for i, got := range rows[""] {
				first := i / n * n // of the prompt
				if !slices.Equal(tokens[""][first:i], tokens["f32"][first:i]) {
					continue // another token came before
				}
				e, _ := golden.Error(got, rows["f32"][i])
				if i == first && e > 1e-3 {
					t.Errorf("the logits behind a prompt are off by %g of the largest", e)
				}
				worst, compared = max(worst, e), compared+1
			}
			t.Logf("%d rows, error %.4f of the largest logit", compared, worst)
			if !(worst <= limit) || worst == 0 || compared < n {
				t.Errorf("%d rows, error %g of the largest logit, limit %g", compared, worst, limit)
			}
		})
	}
}
