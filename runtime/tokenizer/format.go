package tokenizer

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The compact form, little-endian: magic, the header's u32 fields, then sections that each begin at a multiple of four:
//
//	offsets     u32 [vocab+1]
//	flags       byte [vocab]
//	text        byte [textBytes]
//	pieces      u32 [pieceSlots]
//	merges      u64 [mergeSlots]
//	merged      u32 [merges]
//	patterns    u32 [rawPatterns + normPatterns, 4]: id, flags, begin and length of its text; both parts sorted by text
//	patternText byte [patternBytes]
//	rules       u32 [normRules + decodeRules, 4]: begin and length of old, of new
//	ruleText    byte [ruleBytes]
const magic = "pgctok03"

// header follows the magic, its fields in this order.
type header struct {
	Vocab, TextBytes, PieceSlots, PieceProbe, MergeSlots, MergeProbe, Merges uint32
	RawPatterns, NormPatterns, PatternBytes                                  uint32
	NormRules, DecodeRules, RuleBytes                                        uint32
	Unk, Options                                                             uint32 // Unk is id+1, 0 for none
}

// Options of the header.
const (
	optionFuseUnk = 1 << iota
	optionByteFallback
	optionDecodeBytes
)

var le = binary.LittleEndian

func u32(b []byte, i int) uint32 { return le.Uint32(b[4*i:]) }

// Load uses the compact form that Parse returns in place: data stays referenced. Data that Parse did not write is an
// error or, where only single entries of the hash tables are damaged, gives a tokenizer of wrong but valid ids.
func Load(data []byte) (*Tokenizer, error) {
	t, err := load(data)
	if err != nil {
		return nil, fmt.Errorf("compact tokenizer: %w", err)
	}
	return t, nil
}

func load(data []byte) (*Tokenizer, error) {
	var h header
	size := binary.Size(h)
	if len(data) < len(magic)+size || string(data[:len(magic)]) != magic {
		return nil, fmt.Errorf("no %s header at the begin of %d bytes", magic, len(data))
	}
	if _, err := binary.Decode(data[len(magic):], le, &h); err != nil {
		return nil, err
	}
	if h.Vocab == 0 || h.Vocab > maxVocab || h.Unk > h.Vocab || h.PieceProbe > h.PieceSlots || h.MergeProbe > h.MergeSlots {
		return nil, fmt.Errorf("inconsistent header %+v", h)
	}
	rest, short := data[len(magic)+size:], false
	take := func(n int64) []byte {
		padded := (n + 3) &^ 3
		if short = short || padded > int64(len(rest)); short {
			return nil
		}
		b := rest[:n:n]
		rest = rest[padded:]
		return b
	}
	t := &Tokenizer{vocab: int(h.Vocab), unk: int32(h.Unk) - 1, pieceProbe: int(h.PieceProbe), mergeProbe: int(h.MergeProbe),
		fuseUnk: h.Options&optionFuseUnk != 0, byteFallback: h.Options&optionByteFallback != 0,
		decodeBytes: h.Options&optionDecodeBytes != 0}
	t.offsets = take(4 * (int64(h.Vocab) + 1))
	t.flags = take(int64(h.Vocab))
	t.text = take(int64(h.TextBytes))
	t.pieces = take(4 * int64(h.PieceSlots))
	t.merges = take(8 * int64(h.MergeSlots))
	t.merged = take(4 * int64(h.Merges))
	records := take(16 * (int64(h.RawPatterns) + int64(h.NormPatterns)))
	patternText := take(int64(h.PatternBytes))
	rules := take(16 * (int64(h.NormRules) + int64(h.DecodeRules)))
	ruleText := take(int64(h.RuleBytes))
	if short || len(rest) != 0 {
		return nil, fmt.Errorf("%d bytes are not what its header promises", len(data))
	}
	last := uint32(0)
	for i := range t.vocab + 1 {
		o := u32(t.offsets, i)
		if o < last || int(o) > len(t.text) {
			return nil, fmt.Errorf("token %d lies outside the text", i)
		}
		last = o
	}
	var err error
	cut := 16 * int(h.RawPatterns)
	if t.raw, err = newPatterns(records[:cut], patternText, t.vocab); err != nil {
		return nil, err
	}
	if t.normalized, err = newPatterns(records[cut:], patternText, t.vocab); err != nil {
		return nil, err
	}
	cut = 16 * int(h.NormRules)
	if t.normalizer, err = newRules(rules[:cut], ruleText); err != nil {
		return nil, err
	}
	if t.decoder, err = newRules(rules[cut:], ruleText); err != nil {
		return nil, err
	}
	t.cacheCharacters()
	return t, nil
}

// cacheCharacters looks up the tokens of all ASCII characters and of all bytes.
func (t *Tokenizer) cacheCharacters() {
	find := func(token string) int32 {
		if id, ok := t.lookup(token, flagModel); ok {
			return id
		}
		return -1
	}
	for i := range t.ascii {
		t.ascii[i] = find(string(rune(i)))
	}
	const hex = "0123456789ABCDEF"
	for i := range t.bytes {
		t.bytes[i] = find("<0x" + hex[i>>4:i>>4+1] + hex[i&15:i&15+1] + ">")
	}
}

// newRules reads replacements; there are one or two of them.
func newRules(records, text []byte) ([]replacement, error) {
	var rules []replacement
	for ; len(records) > 0; records = records[16:] {
		part := func(i int) (string, bool) {
			from, n := int64(u32(records, i)), int64(u32(records, i+1))
			if from+n > int64(len(text)) {
				return "", false
			}
			return string(text[from : from+n]), true
		}
		old, ok1 := part(0)
		new, ok2 := part(2)
		if !ok1 || !ok2 || old == "" {
			return nil, errors.New("a replacement rule lies outside its text")
		}
		rules = append(rules, replacement{old, new})
	}
	return rules, checkRules(rules)
}

// Bounds of a normalizer or decoder: Gemma's have one replacement, which makes three bytes of one. Without a bound a
// few rules could make gigabytes of a word.
const maxRules, maxGrowth = 64, 256

func checkRules(rules []replacement) error {
	if len(rules) > maxRules {
		return fmt.Errorf("%d replacements, expected at most %d", len(rules), maxRules)
	}
	growth := 1.0
	for _, r := range rules {
		if growth *= max(1, float64(len(r.new))/float64(len(r.old))); growth > maxGrowth {
			return fmt.Errorf("replacements that can make a text over %d times longer", maxGrowth)
		}
	}
	return nil
}
