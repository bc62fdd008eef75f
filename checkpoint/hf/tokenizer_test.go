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
		{"texts", map[string]string{file: "{}", config: `{"bos_token": "<s>", "eos_token": null}`}, "<s>", "<eos>", ""},
		{"objects", map[string]string{file: "{}", config: `{"eos_token": {"content": "</s>", "lstrip": false}}`}, "<bos>", "</s>", ""},
		{"nothing", nil, "", "", "holds no tokenizer.json"},
		{"SentencePiece", map[string]string{"tokenizer.model": "\x0a"}, "", "", "holds tokenizer.model but no tokenizer.json: expected"},
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
