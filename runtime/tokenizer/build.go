package tokenizer

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// builder collects the content of the compact form.
type builder struct {
	tokens    []string // by id; "" where an id has no token
	flags     []byte
	ids       map[string]uint32
	modelSize int // tokens of model.vocab

	merges []merge // by rank
	ranks  map[[2]int32]uint32

	added    map[uint32]AddedToken
	specials map[string]bool // texts ever declared special

	normalizer, decoder                []replacement
	unk                                int32 // or -1
	fuseUnk, byteFallback, decodeBytes bool
}

type merge struct {
	pair [2]int32
	id   uint32
}

// set gives a token an id.
func (b *builder) set(token string, id uint32, flags byte) error {
	if token == "" {
		return errors.New("model.vocab holds an empty token")
	}
	for int(id) >= len(b.tokens) {
		b.tokens, b.flags = append(b.tokens, ""), append(b.flags, 0)
	}
	if old := b.tokens[id]; old != "" && old != token {
		first, second := min(old, token), max(old, token)
		return fmt.Errorf("id %d is given twice, to %q and %q", id, first, second)
	}
	b.tokens[id], b.ids[token] = token, id
	b.flags[id] |= flags
	return nil
}

// add works as the library's add_tokens: a token of the vocabulary keeps its id and takes the new properties, another
// gets the next id after all others.
func (b *builder) add(tokens []AddedToken) error {
	if b.added == nil {
		b.added, b.specials = map[uint32]AddedToken{}, map[string]bool{}
	}
	next := uint32(b.modelSize)
	for id := range maps.Keys(b.added) {
		next = max(next, id+1)
	}
	for _, a := range tokens {
		if a.Content == "" {
			continue
		}
		id, ok := b.ids[a.Content]
		if !ok {
			id = next
			next++
			if err := b.set(a.Content, id, 0); err != nil {
				return err
			}
		}
		if a.Special {
			b.specials[a.Content] = true
		}
		b.added[id] = a
	}
	return nil
}

// pattern is an added token as it appears in text.
type pattern struct {
	text      string
	id, flags uint32
}

// patterns returns the added tokens to find in raw or in normalized text, sorted by text.
func (b *builder) patterns(normalized bool) ([]pattern, error) {
	var all []pattern
	for id, a := range b.added {
		if a.Normalized != normalized {
			continue
		}
		p := pattern{text: a.Content, id: id}
		if normalized {
			p.text = replace(a.Content, b.normalizer)
			if p.text == "" || replace(p.text, b.decoder) != replace(a.Content, b.decoder) {
				return nil, fmt.Errorf("added_tokens: %q is normalized to %q, which decodes to another text", a.Content, p.text)
			}
		}
		for flag, set := range map[uint32]bool{patternSpecial: b.specials[a.Content], patternSingleWord: a.SingleWord,
			patternLstrip: a.Lstrip, patternRstrip: a.Rstrip} {
			if set {
				p.flags |= flag
			}
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(x, y pattern) int { return cmp.Or(cmp.Compare(x.text, y.text), cmp.Compare(x.id, y.id)) })
	for i := 1; i < len(all); i++ {
		if all[i].text == all[i-1].text {
			return nil, fmt.Errorf("added_tokens: ids %d and %d both stand for %q", all[i-1].id, all[i].id, all[i].text)
		}
	}
	return all, nil
}

// compact writes the form that format.go describes.
func (b *builder) compact() ([]byte, error) {
	if len(b.tokens) > maxVocab {
		return nil, fmt.Errorf("the vocabulary has %d ids, expected at most %d", len(b.tokens), maxVocab)
	}
	if err := checkRules(b.normalizer); err != nil {
		return nil, fmt.Errorf("normalizer has %w", err)
	}
	if err := checkRules(b.decoder); err != nil {
		return nil, fmt.Errorf("decoder has %w", err)
	}
	raw, err := b.patterns(false)
	if err != nil {
		return nil, err
	}
	normalized, err := b.patterns(true)
	if err != nil {
		return nil, err
	}
	for id, a := range b.added {
		if b.specials[a.Content] {
			b.flags[id] |= flagSpecial
		}
		// As in the library, decoding looks up by normalized text what to leave out.
		text := a.Content
		if a.Normalized {
			text = replace(text, b.normalizer)
		}
		if b.specials[text] {
			b.flags[id] |= flagSkip
		}
	}
	h := header{Vocab: uint32(len(b.tokens)), RawPatterns: uint32(len(raw)), NormPatterns: uint32(len(normalized)),
		NormRules: uint32(len(b.normalizer)), DecodeRules: uint32(len(b.decoder)), Unk: uint32(b.unk + 1)}
	for option, set := range map[uint32]bool{optionFuseUnk: b.fuseUnk, optionByteFallback: b.byteFallback,
		optionDecodeBytes: b.decodeBytes} {
		if set {
			h.Options |= option
		}
	}
	var text textSection
	var offsets []byte
	for _, s := range b.tokens {
		offsets = le.AppendUint32(offsets, uint32(len(text)))
		text = append(text, s...)
	}
	offsets = le.AppendUint32(offsets, uint32(len(text)))
	h.TextBytes = uint32(len(text))
	var pieces, merges, merged []byte
	pieces, h.PieceProbe = b.pieceTable()
	merges, h.MergeProbe = b.mergeTable()
	for _, m := range b.merges {
		merged = le.AppendUint32(merged, m.id)
	}
	h.PieceSlots, h.MergeSlots, h.Merges = uint32(len(pieces)/4), uint32(len(merges)/8), uint32(len(b.merges))

	var patternText, ruleText textSection
	var patterns, rules []byte
	for _, p := range append(raw, normalized...) {
		patterns = le.AppendUint32(le.AppendUint32(patterns, p.id), p.flags)
		patterns = patternText.refer(patterns, p.text)
	}
	for _, r := range append(slices.Clone(b.normalizer), b.decoder...) {
		rules = ruleText.refer(ruleText.refer(rules, r.old), r.new)
	}
	h.PatternBytes, h.RuleBytes = uint32(len(patternText)), uint32(len(ruleText))

	var out bytes.Buffer
	out.WriteString(magic)
	if err := binary.Write(&out, le, h); err != nil {
		return nil, err
	}
	for _, section := range [][]byte{offsets, b.flags, text, pieces, merges, merged, patterns, patternText, rules, ruleText} {
		out.Write(section)
		out.Write(make([]byte, -len(section)&3))
	}
	return out.Bytes(), nil
}

// pieceTable builds the hash table from texts to ids, in order of ids so that equal files give equal bytes.
func (b *builder) pieceTable() (table []byte, probe uint32) {
	slots := tableSize(len(b.ids))
	table = make([]byte, 4*slots)
	for id, s := range b.tokens {
		if s == "" {
			continue
		}
		at, n := slot(textHash(s), slots), uint32(1)
		for ; u32(table, at) != 0; n++ {
			at = (at + 1) % slots
		}
		le.PutUint32(table[4*at:], uint32(id)+1)
		probe = max(probe, n)
	}
	return table, probe
}

// mergeTable builds the hash table from pairs to ranks, in order of ranks.
func (b *builder) mergeTable() (table []byte, probe uint32) {
	slots := tableSize(len(b.ranks))
	table = make([]byte, 8*slots)
	for rank, m := range b.merges {
		if b.ranks[m.pair] != uint32(rank) {
			continue
		}
		key := pairKey(m.pair[0], m.pair[1])
		at, n := slot(mix(key), slots), uint32(1)
		for ; le.Uint64(table[8*at:]) != 0; n++ {
			at = (at + 1) % slots
		}
		le.PutUint64(table[8*at:], key|uint64(rank+1))
		probe = max(probe, n)
	}
	return table, probe
}

// textSection collects texts that records refer to.
type textSection []byte

// refer appends s to the texts, and its position and length to a record.
func (t *textSection) refer(record []byte, s string) []byte {
	record = le.AppendUint32(le.AppendUint32(record, uint32(len(*t))), uint32(len(s)))
	*t = append(*t, s...)
	return record
}

// tableSize leaves a third of a hash table free.
func tableSize(n int) int { return n + n/2 + 1 }
