package build

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"

	"pgc/checkpoint/hf"
	"pgc/runtime/safetensors"
	"pgc/runtime/tokenizer"
)

// boxes matches the tokens of locations and segmentation codes.
var boxes = regexp.MustCompile(`^<(loc[0-9]{4}|seg[0-9]{3})>$`)

// packed is the tokenizer in the executable's form, with the ids of <bos> and <eos>.
type packed struct {
	*tokenizer.Tokenizer
	compact  []byte
	bos, eos int
}

// packTokenizer compiles tokenizer.json and looks up the special tokens of prompts. As in transformers' processor,
// <bos> and <eos> are the tokenizer's; generation_config.json may name other tokens that end generation.
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
	bos, begins := tok.ID(c.BOSToken)
	eos, ends := tok.ID(c.EOSToken)
	if !begins || !ends {
		return nil, fmt.Errorf("%s has no token %q or %q, expected the bos_token and eos_token of tokenizer_config.json", file, c.BOSToken, c.EOSToken)
	}
	facts := c.Config.Facts()
	for _, special := range []struct {
		token, key string
		want       int
	}{{"<image>", "image_token_index", facts.ImageTokenIndex}, {c.BOSToken, "bos_token_id", facts.BOSTokenID}, {"<pad>", "pad_token_id", facts.PADTokenID}} {
		id, ok := tok.ID(special.token)
		if !ok {
			return nil, fmt.Errorf("%s: %s is missing", file, special.token)
		}
		if int(id) != special.want {
			return nil, fmt.Errorf("%s: %s has the id %d, but %s in config.json is %d", file, special.token, id, special.key, special.want)
		}
	}
	last := tok.VocabSize() - 1
	for boxes.MatchString(tok.Token(int32(last))) { // a file without them gets them added, whether the model has rows for them or not
		last--
	}
	if rows := facts.VocabSize; last >= rows {
		return nil, fmt.Errorf("%s: token %s has the id %d, but the embedding (text_config.vocab_size in config.json) has %d rows",
			file, safetensors.Printable(tok.Token(int32(last))), last, rows)
	}
	return &packed{Tokenizer: tok, compact: compact, bos: int(bos), eos: int(eos)}, nil
}
