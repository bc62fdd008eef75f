package hf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadTokenizer(t *testing.T) {
	const file = "tokenizer.json"
	const config = "tokenizer_config.json"
	for _, c := range []struct {
		name           string
		files          map[string]string
		bos, eos, want string
	}{
		{"no configuration", map[string]string{file: "{}"}, "<bos>", "<eos>", ""},
		{"byte order mark", map[string]string{file: "\ufeff{}"}, "<bos>", "<eos>", ""},
		{"texts", map[string]string{file: "{}", config: `{"bos_token": "<s>", "eos_token": null}`}, "<s>", "<eos>", ""},
		{"objects", map[string]string{file: "{}", config: `{"eos_token": {"content": "</s>", "lstrip": false}}`}, "<bos>", "</s>", ""},
		{"nothing", nil, "", "", "holds neither tokenizer.json nor tokenizer.model: expected --tokenizer DIR"},
		{"SentencePiece", map[string]string{"tokenizer.model": "\x0a"}, "", "", "tokenizer.model is no tokenizer.model of SentencePiece: copy or download it again"},
		{"added", map[string]string{"tokenizer.model": "\x0a", config: `{"added_tokens_decoder": {"x": {"content": "y"}}}`}, "", "", "tokenizer_config.json: added_tokens_decoder has the entry \"x\", expected tokens by id"},
		{"number", map[string]string{file: "{}", config: `{"bos_token": 2}`}, "", "", "tokenizer_config.json: bos_token is 2, expected the text of a token"},
		{"empty", map[string]string{file: "{}", config: `{"eos_token": ""}`}, "", "", "eos_token is \"\", expected"},
		{"no object", map[string]string{file: "{}", config: `[]`}, "", "", "tokenizer_config.json is not a JSON object"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range c.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			ck := Checkpoint{Dir: dir}
			err := ck.readTokenizer("")
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
					t.Errorf("error %v, expected one with %q and the folder", err, c.want)
				}
				return
			}
			if err != nil || string(ck.Tokenizer) != "{}" || ck.BOSToken != c.bos || ck.EOSToken != c.eos {
				t.Errorf("%q, %q and %q (error %v), expected %q and %q", ck.Tokenizer, ck.BOSToken, ck.EOSToken, err, c.bos, c.eos)
			}
		})
	}
	dir := t.TempDir()
	model, err := os.ReadFile("../sentencepiece/testdata/002.model")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"tokenizer.model": model, config: []byte(`{"added_tokens_decoder": {"5000": {"content": "<mine>"}}}`)} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ck := Checkpoint{Dir: dir}
	if err := ck.readTokenizer(""); err != nil || !strings.Contains(string(ck.Tokenizer), `"content":"\u003cmine\u003e"`) || ck.TokenizerFile != filepath.Join(dir, "tokenizer.model") {
		t.Errorf("%s gives %.200s, error %v", ck.TokenizerFile, ck.Tokenizer, err)
	}
	if err := os.WriteFile(filepath.Join(dir, file), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, file), maxTokenizer+1); err != nil {
		t.Fatal(err)
	}
	if err := (&Checkpoint{Dir: dir}).readTokenizer(""); err == nil || !strings.Contains(err.Error(), "expected at most 268435456") {
		t.Errorf("a file of %d bytes: error %v", maxTokenizer+1, err)
	}
}
