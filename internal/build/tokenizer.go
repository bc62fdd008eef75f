package build

import (
	"errors"
	"fmt"

	"pgc/checkpoint/hf"
	"pgc/models"
	"pgc/runtime/boxes"
	"pgc/runtime/plural"
	"pgc/runtime/safetensors"
	"pgc/runtime/tokenizer"
)

// packed is the tokenizer in the executable's form, with the ids of <bos> and <eos>.
type packed struct {
	*tokenizer.Tokenizer
	compact  []byte
	bos, eos int
	pad      int // -1 where there is none
	rows     int // of the checkpoint's embedding
}

// packTokenizer compiles tokenizer.json and looks up the special tokens of prompts. As in transformers' processor,
// <bos> and <eos> are the tokenizer's; generation_config.json may name other tokens that end generation.
func packTokenizer(c *hf.Checkpoint) (*packed, error) {
	file := c.TokenizerFile
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
	if rows := facts.VocabSize; int(bos) >= rows {
		return nil, fmt.Errorf("%s: token %s has the id %d, but the embedding (text_config.vocab_size in config.json) has %d rows", file, c.BOSToken, bos, rows)
	}
	p := &packed{Tokenizer: tok, compact: compact, bos: int(bos), eos: int(eos), pad: -1, rows: facts.VocabSize}
	if id, ok := tok.ID("<pad>"); ok {
		p.pad = int(id)
	}
	needed := []special{{"<image>", "image_token_index", facts.ImageTokenIndex}}
	if c.Embedding != nil { // whose prompts are made of the configuration's ids
		needed = append(needed, special{c.BOSToken, "bos_token_id", facts.BOSTokenID}, special{"<pad>", "pad_token_id", facts.PADTokenID})
	}
	for _, s := range needed {
		id, ok := tok.ID(s.token)
		if !ok {
			return nil, fmt.Errorf("%s: %s is missing", file, s.token)
		}
		if int(id) != s.want {
			return nil, fmt.Errorf("%s: %s has the id %d, but %s in config.json is %d", file, s.token, id, s.key, s.want)
		}
	}
	return p, nil
}

// special is a token and the setting of config.json that has its id.
type special struct {
	token, key string
	want       int
}

// note says which of the tokenizer's tokens have no row in the embedding, if there are any. The image token needs none.
// Tokens of locations and segmentation codes are none of the file's: a file without them gets them added.
func (p *packed) note(facts models.Facts) string {
	first, count, rows := 0, 0, facts.VocabSize
	for id := p.VocabSize() - 1; id >= rows; id-- {
		if text := p.Token(int32(id)); text != "" && id != facts.ImageTokenIndex && !boxes.IsToken(text) {
			first = id
			count++
		}
	}
	if count == 0 {
		return ""
	}
	return fmt.Sprintf("the tokenizer has %s (the first is %s, id %d) beyond the %d rows of the embedding: prompts with them are refused",
		plural.Of(count, "token"), safetensors.Printable(p.Token(int32(first))), first, rows)
}
