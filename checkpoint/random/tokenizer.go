package random

import (
	"encoding/json"
	"fmt"

	"pgc/models"
)

// gemmaTokenizer makes a Gemma-shaped tokenizer.json for a configuration: characters and bytes as pieces, filler for
// the rest, <loc>, <seg> and <image> where PaliGemma has them (at the real ids for the real vocabulary).
func gemmaTokenizer(c models.Facts) ([]byte, error) {
	image := c.ImageTokenIndex
	real := image == 257152
	first := image - 1024 - 128
	vocab := map[string]int{"<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3}
	taken := map[int]bool{0: true, 1: true, 2: true, 3: true}
	bytesAt, newline := 4, 260
	if real {
		bytesAt, newline = 217, 108
	}
	chars := 0
	put := func(text string, id int) {
		if _, ok := vocab[text]; !ok {
			vocab[text], taken[id] = id, true
		}
	}
	if c.VocabSize <= image || first < newline+2+96 && !real {
		return nil, fmt.Errorf("config.json: vocab_size %d and image_token_index %d leave no room for bytes, <loc> and <seg>: expected at least 1,514 ids before <image>",
			c.VocabSize, image)
	}
	for b := range 256 {
		put(fmt.Sprintf("<0x%02X>", b), bytesAt+b)
	}
	put("\n", newline)
	put("\n\n", newline+1)
	next := newline + 2
	if real {
		next = bytesAt + 256
	}
	for _, r := range "▁abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,;:!?'\"()-_/<>" {
		put(string(r), next+chars)
		chars++
	}
	for id := 0; id < first; id++ {
		if !taken[id] {
			vocab[fmt.Sprintf("<filler%d>", id)] = id
		}
	}
	type added struct {
		ID         int    `json:"id"`
		Content    string `json:"content"`
		SingleWord bool   `json:"single_word"`
		Lstrip     bool   `json:"lstrip"`
		Rstrip     bool   `json:"rstrip"`
		Normalized bool   `json:"normalized"`
		Special    bool   `json:"special"`
	}
	var extra []added
	for id, name := range []string{"<pad>", "<eos>", "<bos>", "<unk>"} {
		extra = append(extra, added{ID: id, Content: name, Special: true})
	}
	for i := range 1024 {
		extra = append(extra, added{ID: first + i, Content: fmt.Sprintf("<loc%04d>", i)})
	}
	for i := range 128 {
		extra = append(extra, added{ID: first + 1024 + i, Content: fmt.Sprintf("<seg%03d>", i)})
	}
	extra = append(extra, added{ID: image, Content: "<image>", Special: true})
	return json.Marshal(map[string]any{
		"version": "1.0", "truncation": nil, "padding": nil, "added_tokens": extra,
		"normalizer":    map[string]any{"type": "Replace", "pattern": map[string]string{"String": " "}, "content": "▁"},
		"pre_tokenizer": nil, "post_processor": nil,
		"decoder": map[string]any{"type": "Sequence", "decoders": []any{
			map[string]any{"type": "Replace", "pattern": map[string]string{"String": "▁"}, "content": " "},
			map[string]string{"type": "ByteFallback"}, map[string]string{"type": "Fuse"}}},
		"model": map[string]any{"type": "BPE", "dropout": nil, "unk_token": "<unk>", "continuing_subword_prefix": nil,
			"end_of_word_suffix": nil, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false, "vocab": vocab,
			"merges": [][2]string{{"\n", "\n"}}},
	})
}
