package tokenizer

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
)

const (
	magic       = "pgctok01"
	headerBytes = 8 + 7*4
)

// file is the part of a tokenizer.json that matters; the rest must be what Gemma's is.
type file struct {
	AddedTokens []struct {
		ID                         int
		Content                    string
		Lstrip, Rstrip, Normalized bool
		SingleWord                 bool `json:"single_word"`
		Special                    bool
	} `json:"added_tokens"`
	Normalizer   *component `json:"normalizer"`
	PreTokenizer *component `json:"pre_tokenizer"`
	Model        struct {
		Type         string
		UnkToken     *string         `json:"unk_token"`
		FuseUnk      bool            `json:"fuse_unk"`
		ByteFallback bool            `json:"byte_fallback"`
		IgnoreMerges bool            `json:"ignore_merges"`
		Dropout      *float64        `json:"dropout"`
		Prefix       *string         `json:"continuing_subword_prefix"`
		Vocab        map[string]int  `json:"vocab"`
		Merges       json.RawMessage `json:"merges"`
	} `json:"model"`
}

// component is a normalizer or pre-tokenizer.
type component struct {
	Type        string
	Pattern     struct{ String string }
	Content     string
	Normalizers []component `json:"normalizers"`
}

// Parse reads a tokenizer.json of Gemma's shape and returns its compact form, ready for Load. What the encoder does not
// know is an error naming the field.
func Parse(text []byte) ([]byte, error) {
	var f file
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	if err := f.check(); err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	merges, err := f.merges()
	if err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	return f.compact(merges)
}

func (f *file) check() error {
	if f.Model.Type != "" && f.Model.Type != "BPE" {
		return fmt.Errorf("model.type is %q, expected \"BPE\"", f.Model.Type)
	}
	if len(f.Model.Vocab) == 0 {
		return fmt.Errorf("model.vocab is empty")
	}
	if f.Model.IgnoreMerges || f.Model.Dropout != nil || f.Model.Prefix != nil && *f.Model.Prefix != "" {
		return fmt.Errorf("model has ignore_merges, dropout or a continuing_subword_prefix, which Gemma's has not")
	}
	n := f.Normalizer
	if n != nil && n.Type == "Sequence" && len(n.Normalizers) == 1 {
		n = &n.Normalizers[0]
	}
	if n == nil || n.Type != "Replace" || n.Pattern.String != " " || n.Content != space {
		return fmt.Errorf("normalizer is not the replacement of \" \" by %q", space)
	}
	// Splitting at blanks does nothing: there are none after normalizing.
	if p := f.PreTokenizer; p != nil && !(p.Type == "Split" && p.Pattern.String == " ") {
		return fmt.Errorf("pre_tokenizer is %q, expected null or a split at \" \"", p.Type)
	}
	for _, a := range f.AddedTokens {
		if a.Lstrip || a.Rstrip || a.SingleWord {
			return fmt.Errorf("added token %q has lstrip, rstrip or single_word, expected none", a.Content)
		}
	}
	return nil
}

// merges reads both forms: "a b" and ["a", "b"].
func (f *file) merges() ([][2]string, error) {
	var pairs [][2]string
	if json.Unmarshal(f.Model.Merges, &pairs) == nil {
		return pairs, nil
	}
	var lines []string
	if err := json.Unmarshal(f.Model.Merges, &lines); err != nil {
		return nil, fmt.Errorf("model.merges is neither a list of pairs nor of strings")
	}
	for i, l := range lines {
		a, b, ok := strings.Cut(l, " ")
		if !ok {
			return nil, fmt.Errorf("model.merges[%d] is %q, expected two pieces", i, l)
		}
		pairs = append(pairs, [2]string{a, b})
	}
	return pairs, nil
}

func (f *file) compact(merges [][2]string) ([]byte, error) {
	size := 0
	for _, id := range f.Model.Vocab {
		size = max(size, id+1)
	}
	for _, a := range f.AddedTokens {
		size = max(size, a.ID+1)
	}
	if size > 1<<24 || size > 4*(len(f.Model.Vocab)+len(f.AddedTokens)) {
		return nil, fmt.Errorf("tokenizer.json: ids reach %d with %d tokens", size, len(f.Model.Vocab)+len(f.AddedTokens))
	}
	tokens, flags := make([]string, size), make([]byte, size)
	ids := map[string]int{}
	for piece, id := range f.Model.Vocab {
		if id < 0 || tokens[id] != "" {
			return nil, fmt.Errorf("tokenizer.json: model.vocab gives id %d twice or a negative id", id)
		}
		tokens[id], ids[piece] = piece, id
	}
	var lengths []int
	for _, a := range f.AddedTokens {
		if a.ID < 0 || tokens[a.ID] != "" && tokens[a.ID] != a.Content || a.Content == "" {
			return nil, fmt.Errorf("tokenizer.json: added token %q has the id %d of %q", a.Content, a.ID, tokens[a.ID])
		}
		tokens[a.ID], ids[a.Content] = a.Content, a.ID
		flags[a.ID] = isAdded
		if a.Special {
			flags[a.ID] |= isSpecial
		}
		if !slices.Contains(lengths, len(a.Content)) {
			lengths = append(lengths, len(a.Content))
		}
	}
	sort.Sort(sort.Reverse(sort.IntSlice(lengths)))

	var offsets, text []byte
	for _, s := range tokens {
		offsets = le.AppendUint32(offsets, uint32(len(text)))
		text = append(text, s...)
	}
	offsets = le.AppendUint32(offsets, uint32(len(text)))
	pieces := make([]byte, 4*tableSize(len(ids)))
	for id, s := range tokens { // in order of id, so that the bytes are the same every time
		if ids[s] != id || s == "" {
			continue
		}
		mask := uint32(len(pieces)/4 - 1)
		at := hash(s) & mask
		for u32(pieces, int(at)) != 0 {
			at = (at + 1) & mask
		}
		le.PutUint32(pieces[4*at:], uint32(id)+1)
	}
	table := make([]byte, 16*tableSize(len(merges)))
	for rank, m := range merges {
		left, ok1 := ids[m[0]]
		right, ok2 := ids[m[1]]
		merged, ok3 := ids[m[0]+m[1]]
		if !ok1 || !ok2 || !ok3 {
			return nil, fmt.Errorf("tokenizer.json: model.merges[%d] joins %q and %q, of which one or the result is not in the vocabulary", rank, m[0], m[1])
		}
		mask := uint32(len(table)/16 - 1)
		at := pairHash(int32(left), int32(right)) & mask
		for l := u32(table, int(at)*4); l != 0 && !(l == uint32(left)+1 && u32(table, int(at)*4+1) == uint32(right)); l = u32(table, int(at)*4) {
			at = (at + 1) & mask
		}
		e := table[16*at:]
		le.PutUint32(e, uint32(left)+1)
		le.PutUint32(e[4:], uint32(right))
		le.PutUint32(e[8:], uint32(rank))
		le.PutUint32(e[12:], uint32(merged))
	}
	unk := -1
	if f.Model.UnkToken != nil {
		if id, ok := ids[*f.Model.UnkToken]; ok {
			unk = id
		}
	}
	fuse := 0
	if f.Model.FuseUnk {
		fuse = 1
	}
	out := []byte(magic)
	for _, v := range []int{size, len(text), len(pieces) / 4, len(table) / 16, len(lengths), unk, fuse} {
		out = le.AppendUint32(out, uint32(int32(v)))
	}
	section := func(b []byte) {
		out = append(out, b...)
		for len(out)%4 != 0 {
			out = append(out, 0)
		}
	}
	for _, b := range [][]byte{offsets, text, flags, pieces, table} {
		section(b)
	}
	for _, n := range lengths {
		out = le.AppendUint32(out, uint32(n))
	}
	return out, nil
}

// tableSize is a power of two that leaves a hash table at most half full.
func tableSize(n int) int {
	size := 2
	for size < 2*n+2 {
		size *= 2
	}
	return size
}
