package build

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgc/checkpoint/hf"
	"pgc/golden"
)

// TestPromptTokens checks that prompts are laid out with the tokenizer's tokens, whatever ends generation.
func TestPromptTokens(t *testing.T) {
	for _, c := range []struct {
		config, want string
		eos          int
	}{
		{`{}`, "", 1},
		{`{"eos_token": {"content": "<pad>"}}`, "", 0},
		{`{"bos_token": "<start>"}`, `tokenizer.json has no token "<start>" or "<eos>"`, 0},
	} {
		dir := golden.Copy(t, "pg1-odd")
		for name, text := range map[string]string{"tokenizer_config.json": c.config, "generation_config.json": `{"eos_token_id": [107, 1]}`} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		ck, err := hf.Load(dir, hf.Options{})
		if err != nil {
			t.Fatal(err)
		}
		tok, err := packTokenizer(ck)
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: error %v, expected one with %q", c.config, err, c.want)
			}
		} else if err != nil {
			t.Error(err)
		} else if m := describe(ck, tok, Options{}); m.BOS != 2 || m.SuffixEnd != c.eos || !slices.Equal(m.EOS, []int{107, 1}) {
			t.Errorf("%s: <bos> %d, the suffix ends with %d, generation with %v; expected 2, %d and [107 1]", c.config, m.BOS, m.SuffixEnd, m.EOS, c.eos)
		}
		ck.Close()
	}
}
