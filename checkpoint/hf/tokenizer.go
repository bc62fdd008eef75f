package hf

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"pgc/models/config"
)

// readTokenizer reads tokenizer.json, and from tokenizer_config.json which tokens begin and end a text: by default
// <bos> and <eos>, as in transformers' tokenization_gemma.py. They are in the folder that is given, if one is. An
// adapter's folder that has a tokenizer has the one that the adapter was trained with.
func (c *Checkpoint) readTokenizer(given string) error {
	dir := c.Dir
	if given != "" {
		var err error
		if dir, err = snapshot(given); err != nil {
			return fmt.Errorf("--tokenizer: %w", err)
		}
	} else if isBigVision(dir) {
		return needsTokenizer(dir)
	} else if c.adapterDir != "" {
		if _, err := os.Stat(filepath.Join(c.adapterDir, "tokenizer.json")); err == nil {
			dir = c.adapterDir
		}
	}
	var err error
	if c.Tokenizer, err = readFile(dir, "tokenizer.json", maxTokenizer); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(find(dir, "tokenizer.model")); err == nil {
			return fmt.Errorf("%s holds tokenizer.model but no tokenizer.json: expected tokenizer.json, as save_pretrained of transformers' tokenizers writes it", dir)
		}
		return fmt.Errorf("%s holds no tokenizer.json: expected --tokenizer DIR with the folder of the model that was trained on", dir)
	}
	if err != nil {
		return err
	}
	c.TokenizerFile = find(dir, "tokenizer.json")
	s, err := optional(dir, "tokenizer_config.json")
	if err != nil {
		return err
	}
	c.BOSToken, c.EOSToken = token(s, "bos_token", "<bos>"), token(s, "eos_token", "<eos>")
	return s.Err()
}

// token reads a token: its text, or an object that holds it.
func token(s *config.Section, key, missing string) string {
	if !s.Has(key) {
		return missing
	}
	var v struct{ Content string }
	if json.Unmarshal(s.Raw(key), &v.Content) != nil && json.Unmarshal(s.Raw(key), &v) != nil || v.Content == "" {
		s.Fail(key, "is %.100s, expected the text of a token", s.Raw(key))
	}
	return v.Content
}
