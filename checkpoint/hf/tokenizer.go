package hf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"pgc/checkpoint/download"
	"pgc/checkpoint/sentencepiece"
	"pgc/models/config"
)

// readTokenizer reads tokenizer.json, or tokenizer.model where there is none, and from tokenizer_config.json which tokens
// begin and end a text: by default <bos> and <eos>, as in transformers' tokenization_gemma.py. special_tokens_map.json goes
// before it where it does not list its added tokens, as in tokenization_utils_base.py. The files are in the folder that is
// given, if one is. An adapter's folder that has a tokenizer has the one that the adapter was trained with.
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
		for _, name := range []string{"tokenizer.json", "tokenizer.model"} {
			if _, err := os.Stat(filepath.Join(c.adapterDir, name)); err == nil {
				dir = c.adapterDir
			}
		}
	}
	s, err := optional(dir, "tokenizer_config.json")
	if err != nil {
		return err
	}
	c.TokenizerFile = find(dir, "tokenizer.json")
	c.Tokenizer, err = readFile(dir, "tokenizer.json", maxTokenizer)
	c.Tokenizer = bytes.TrimPrefix(c.Tokenizer, []byte("\ufeff"))
	if errors.Is(err, fs.ErrNotExist) {
		err = c.readSentencePiece(dir, s)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return download.Lacks(dir, dir+" holds neither tokenizer.json nor tokenizer.model", "expected --tokenizer DIR with the folder of the model that was trained on")
	}
	if err != nil {
		return err
	}
	c.BOSToken, c.EOSToken = token(s, "bos_token", "<bos>"), token(s, "eos_token", "<eos>")
	if s.Has("added_tokens_decoder") {
		return s.Err()
	}
	older, err := optional(dir, "special_tokens_map.json")
	if err != nil {
		return err
	}
	c.BOSToken, c.EOSToken = token(older, "bos_token", c.BOSToken), token(older, "eos_token", c.EOSToken)
	return errors.Join(s.Err(), older.Err())
}

// readSentencePiece makes the tokenizer.json of a folder that has only tokenizer.model, with the tokens that tokenizer_config.json
// adds.
func (c *Checkpoint) readSentencePiece(dir string, s *config.Section) error {
	const name = "tokenizer.model"
	model, err := readFile(dir, name, maxTokenizer)
	if err != nil {
		return err
	}
	var byID map[string]sentencepiece.Added
	if s.Has("added_tokens_decoder") && !s.Get("added_tokens_decoder", &byID, "an object of tokens by id") {
		return s.Err()
	}
	var added []sentencepiece.Added
	for id, t := range byID {
		if t.ID, err = strconv.Atoi(id); err != nil || t.Content == "" {
			return fmt.Errorf("%s: added_tokens_decoder has the entry %.40q, expected tokens by id", s.File(), id)
		}
		added = append(added, t)
	}
	slices.SortFunc(added, func(a, b sentencepiece.Added) int { return a.ID - b.ID })
	c.TokenizerFile = find(dir, name)
	if c.Tokenizer, err = sentencepiece.TokenizerJSON(model, added); err != nil {
		return fmt.Errorf("%s %w", c.TokenizerFile, err)
	}
	return nil
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
