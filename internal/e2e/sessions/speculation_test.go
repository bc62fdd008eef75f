package sessions

import (
	"fmt"
	"slices"
	"testing"

	"pgc/internal/build"
	"pgc/internal/e2e"
	"pgc/runtime/entry"
	"pgc/runtime/generate"
)

// TestSpeculation compares answers whose tokens are guessed with those whose are not: they are the same, up to the end
// of the KV cache, on the processor and on a GPU, and where logits decide.
func TestSpeculation(t *testing.T) {
	accepted := 0
	for _, c := range []struct {
		checkpoint string
		options    build.Options
		most       []int
	}{
		{"pg2-odd", build.Options{Storage: build.Storage{Weights: "int4", Group: 32}}, []int{1, 2, 5, 300}},
		{"pg1-bf16", build.Options{Storage: build.Storage{Compute: "bf16"}, KV: "bf16"}, []int{300}},
		{"pg1-odd", build.Options{Target: "cuda"}, []int{12}},
	} {
		t.Run(fmt.Sprint(c.checkpoint, c.options.Target, c.options.Weights, c.options.Compute), func(t *testing.T) {
			open := func(draft string) (*generate.Session, *spy) {
				o := c.options
				o.Draft = draft
				return watched(t, e2e.CompiledWith(t, c.checkpoint, o))
			}
			plain, _ := open("")
			guessing, x := open("ngram")
			x.p.MinBatch = 1 // verifying costs nothing until it is measured: guesses are tried whatever the machine does beside
			for _, prompt := range []string{"detect cat ; cat ; cat ; cat", ""} {
				for _, most := range c.most {
					r := generate.Request{Images: noise(t), Prompt: prompt, MaxNewTokens: most, IgnoreEOS: true}
					want, err := plain.Generate(t.Context(), r)
					if err != nil {
						t.Fatal(err)
					}
					if want.Speculation != nil {
						t.Errorf("without drafts there are %+v", *want.Speculation)
					}
					for _, read := range []bool{false, true} {
						x.reset()
						if read {
							x.read = undecided
						}
						got, err := guessing.Generate(t.Context(), r)
						if err != nil {
							t.Fatal(err)
						}
						if !slices.Equal(got.Tokens, want.Tokens) || got.Text != want.Text || got.FinishReason != want.FinishReason {
							t.Errorf("%q, %d tokens, logits read: %v\n%v %s, expected\n%v %s", prompt, most, read, got.Tokens, got.FinishReason, want.Tokens, want.FinishReason)
						}
						if n := got.Speculation; x.runs[entry.Verify] != n.Drafts || n.AcceptedTokens > n.DraftTokens {
							t.Errorf("%+v, but verify ran %d times", *n, x.runs[entry.Verify])
						} else {
							accepted += n.AcceptedTokens
						}
					}
				}
			}
		})
	}
	if accepted == 0 {
		t.Error("no guess was ever right")
	}
}
