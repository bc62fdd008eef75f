package generate

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"pgc/runtime/manifest"
	"pgc/runtime/tokenizer"
)

// TestLongPrompt refuses a prompt of 50 MB by its length, without the memory of its tokens.
func TestLongPrompt(t *testing.T) {
	raw, err := os.ReadFile("../tokenizer/testdata/gemma.json")
	if err != nil {
		t.Fatal(err)
	}
	compact, err := tokenizer.ParsePaliGemma(raw)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Load(compact)
	if err != nil {
		t.Fatal(err)
	}
	image, _ := tok.ID("<image>")
	bos, _ := tok.ID("<bos>")
	s := &Session{Model: &manifest.Model{MaxTokens: 1024, ImageTokens: 4, Image: int(image), BOS: int(bos), PromptEnd: "\n", VocabSize: 1 << 20}, Tokenizer: tok}
	prompt := strings.Repeat("the cat sits on the mat. ", 2_000_000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = s.layout(&Request{Prompt: prompt})
	runtime.ReadMemStats(&after)
	if err == nil || !strings.HasPrefix(err.Error(), "the 50000000 bytes of the prompt are at least ") || !strings.Contains(err.Error(), "the KV cache holds 1024: compile with --max-tokens") {
		t.Errorf("the error is %v", err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("refusing a prompt of 50 MB took %d bytes", used)
	}
	if p, err := s.Layout(0, prompt[:1000], nil, false); err != nil || len(p.IDs) < 100 {
		t.Errorf("a prompt of 1,000 bytes gave %d tokens, %v", len(p.IDs), err)
	}
}
