package build

import (
	"errors"
	"fmt"
	"path/filepath"

	"pgc/frontend/hf"
	"pgc/runtime/tokenizer"
)

// packed is a checkpoint's tokenizer as it travels in the executable, and the ids of the tokens that no text makes.
type packed struct {
	*tokenizer.Tokenizer
	compact  []byte
	bos, eos int
}

// packTokenizer compacts tokenizer.json and finds in it the tokens that lay out a prompt. Like transformers' processor
// it takes <bos> and <eos> from the tokenizer: generation_config.json may name other tokens that end generation.
func packTokenizer(c *hf.Checkpoint) (*packed, error) {
	file := filepath.Join(c.Dir, "tokenizer.json")
	compact, err := tokenizer.ParsePaliGemma(c.Tokenizer)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, errors.Unwrap(err))
	}
	tok, err := tokenizer.Load(compact)
	if err != nil {
		return nil, err
	}
	if id, ok := tok.ID("<image>"); !ok || int(id) != c.Config.ImageTokenIndex {
		return nil, fmt.Errorf("%s: <image> has the id %d, but image_token_index in config.json is %d", file, id, c.Config.ImageTokenIndex)
	}
	p := &packed{Tokenizer: tok, compact: compact}
	bos, begins := tok.ID(c.BOSToken)
	eos, ends := tok.ID(c.EOSToken)
	if !begins || !ends {
		return nil, fmt.Errorf("%s has no token %q or %q, expected the bos_token and eos_token of tokenizer_config.json", file, c.BOSToken, c.EOSToken)
	}
	p.bos, p.eos = int(bos), int(eos)
	return p, nil
}
