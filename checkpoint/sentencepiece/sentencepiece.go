// Package sentencepiece makes a tokenizer.json of a tokenizer.model, the protobuf of SentencePiece, as transformers does for
// Gemma (GemmaTokenizer and SentencePieceExtractor): byte pairs in the order of the pieces they make.
package sentencepiece

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// The types of pieces that are found before the encoder sees a text.
const (
	control     = 3
	userDefined = 4
)

// piece is a token of a model; its id is its place.
type piece struct {
	text string
	kind int
}

// Added is a token that a tokenizer has beside its pieces, as in tokenizer_config.json's added_tokens_decoder and in
// tokenizer.json's added_tokens.
type Added struct {
	ID         int    `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// named are the special tokens of GemmaTokenizer.
var named = []string{"<bos>", "<eos>", "<unk>", "<pad>", "<mask>"}

// TokenizerJSON returns the tokenizer.json of a tokenizer.model with tokens added. Errors continue a sentence that begins
// with the file's name.
func TokenizerJSON(model []byte, added []Added) ([]byte, error) {
	pieces, err := parse(model)
	if err != nil {
		return nil, err
	}
	vocab := make(map[string]int, len(pieces))
	for id, p := range pieces {
		if _, twice := vocab[p.text]; twice {
			return nil, fmt.Errorf("has the piece %.80q twice: expected the file of a Gemma tokenizer", p.text)
		}
		vocab[p.text] = id
	}
	var tokens []Added
	add := func(t Added) {
		if !slices.ContainsFunc(tokens, func(o Added) bool { return o.Content == t.Content }) {
			tokens = append(tokens, t)
		}
	}
	next := len(pieces)
	for _, t := range added {
		if id, ok := vocab[t.Content]; ok {
			t.ID = id
		} else {
			t.ID = next
			next++
		}
		add(t)
	}
	for _, name := range named {
		id, ok := vocab[name]
		if !ok {
			if name != "<mask>" {
				return nil, fmt.Errorf("has no piece %s: expected the file of a Gemma tokenizer", name)
			}
			id = next
			next++
		}
		add(Added{ID: id, Content: name, Special: true})
	}
	for id, p := range pieces {
		if p.kind == control || p.kind == userDefined {
			add(Added{ID: id, Content: p.text, Special: p.kind == control})
		}
	}
	slices.SortStableFunc(tokens, func(a, b Added) int { return a.ID - b.ID })
	space, mark := map[string]string{"String": " "}, map[string]string{"String": "▁"}
	return json.Marshal(map[string]any{
		"version": "1.0", "added_tokens": tokens,
		"normalizer":    map[string]any{"type": "Replace", "pattern": space, "content": "▁"},
		"pre_tokenizer": map[string]any{"type": "Split", "pattern": space, "behavior": "MergedWithPrevious", "invert": false},
		"decoder": map[string]any{"type": "Sequence", "decoders": []any{map[string]any{"type": "Replace", "pattern": mark, "content": " "},
			map[string]any{"type": "ByteFallback"}, map[string]any{"type": "Fuse"}}},
		"model": map[string]any{"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true, "vocab": vocab, "merges": merges(pieces, vocab)},
	})
}

// merges lists the pairs of pieces that make a piece, in the order of what they make, those of one piece with the shortest
// first one first.
func merges(pieces []piece, vocab map[string]int) [][2]string {
	list := [][2]string{}
	for _, p := range pieces {
		for at := range p.text {
			left, right := p.text[:at], p.text[at:]
			if _, ok := vocab[left]; !ok {
				continue
			}
			if _, ok := vocab[right]; ok {
				list = append(list, [2]string{left, right})
			}
		}
	}
	return list
}

var errDamaged = errors.New("is no tokenizer.model of SentencePiece: copy or download it again")

// parse reads the pieces of a ModelProto: its field 1, with the text in field 1 and the type in field 3.
func parse(model []byte) (pieces []piece, err error) {
	err = fields(model, func(number int, value []byte, _ uint64) error {
		if number != 1 {
			return nil
		}
		p := piece{kind: 1}
		err := fields(value, func(number int, value []byte, n uint64) error {
			switch number {
			case 1:
				p.text = string(value)
			case 3:
				p.kind = int(n)
			}
			return nil
		})
		if err == nil && (p.text == "" || !utf8.ValidString(p.text)) {
			err = errDamaged
		}
		pieces = append(pieces, p)
		return err
	})
	if err == nil && len(pieces) == 0 {
		err = errDamaged
	}
	return pieces, err
}

// fields calls do for every field of a protobuf message: with the bytes of one that has a length, or the number of another.
func fields(message []byte, do func(number int, value []byte, n uint64) error) error {
	for len(message) > 0 {
		tag, size := binary.Uvarint(message)
		if size <= 0 {
			return errDamaged
		}
		message = message[size:]
		var value []byte
		var n uint64
		take := 0
		switch tag & 7 {
		case 0: // a number
			if n, take = binary.Uvarint(message); take <= 0 {
				return errDamaged
			}
		case 1:
			take = 8
		case 2: // a length
			length, size := binary.Uvarint(message)
			if size <= 0 || length > uint64(len(message)-size) {
				return errDamaged
			}
			take = size + int(length)
			value = message[size:take]
		case 5:
			take = 4
		default:
			return errDamaged
		}
		if take > len(message) {
			return errDamaged
		}
		if err := do(int(tag>>3), value, n); err != nil {
			return err
		}
		message = message[take:]
	}
	return nil
}
