package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"pgc/runtime/boxes"
	"pgc/runtime/jsonerr"
)

// AddedToken is a token that is found before the byte-pair encoder sees a text, with the properties of added_tokens in
// a tokenizer.json.
type AddedToken struct {
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"` // only where no word character stands beside it
	Lstrip     bool   `json:"lstrip"`      // with the white space before it
	Rstrip     bool   `json:"rstrip"`      // with the white space behind it
	Normalized bool   `json:"normalized"`  // in normalized text
	Special    bool   `json:"special"`
}

// file is the part of a tokenizer.json that ids depend on. Padding, truncation and the post-processor (which adds
// <bos>) are transformers' to apply; PaliGemma's processor switches them off.
type file struct {
	Version     *string `json:"version"`
	AddedTokens []struct {
		ID *uint32 `json:"id"`
		AddedToken
	} `json:"added_tokens"`
	Normalizer   *component `json:"normalizer"`
	PreTokenizer *component `json:"pre_tokenizer"`
	Decoder      *component `json:"decoder"`
	Model        *model     `json:"model"`
}

type model struct {
	Type         *string           `json:"type"`
	UnkToken     *string           `json:"unk_token"`
	FuseUnk      bool              `json:"fuse_unk"`
	ByteFallback bool              `json:"byte_fallback"`
	IgnoreMerges bool              `json:"ignore_merges"`
	Dropout      float64           `json:"dropout"`
	Prefix       string            `json:"continuing_subword_prefix"`
	Suffix       string            `json:"end_of_word_suffix"`
	Vocab        map[string]uint32 `json:"vocab"`
	Merges       json.RawMessage   `json:"merges"`
}

// component is a normalizer, pre-tokenizer or decoder, or a sequence of them.
type component struct {
	Type    string `json:"type"`
	Pattern struct {
		String *string
		Regex  *string
	} `json:"pattern"`
	Content       *string      `json:"content"`
	Behavior      string       `json:"behavior"`
	Invert        bool         `json:"invert"`
	Normalizers   []*component `json:"normalizers"`
	PreTokenizers []*component `json:"pretokenizers"`
	Decoders      []*component `json:"decoders"`
}

// ParsePaliGemma reads a tokenizer.json of Gemma's or Gemma 2's shape and returns its compact form, ready for Load;
// equal files give equal bytes. Tokens are added as PaliGemmaProcessor does it (transformers, processing_paligemma.py
// and tokenization_gemma.py): <mask> and <image> are special, and <loc0000>…<loc1023>, <seg000>…<seg127> are added
// tokens, whether the file says so or not. A file without them gets them behind its last id, <image> first. What the
// encoder does not know is an error that names the field; every error wraps one without the file's name.
func ParsePaliGemma(text []byte) ([]byte, error) {
	return parse(text, func(f *file) []AddedToken {
		var extra []AddedToken
		if _, ok := f.Model.Vocab["<mask>"]; ok {
			extra = append(extra, AddedToken{Content: "<mask>", Special: true})
		}
		extra = append(extra, AddedToken{Content: "<image>", Special: true})
		for i := range boxes.Locations {
			extra = append(extra, AddedToken{Content: boxes.Location(i), Normalized: true})
		}
		for i := range boxes.Codes {
			extra = append(extra, AddedToken{Content: boxes.Code(i), Normalized: true})
		}
		return extra
	})
}

func parse(text []byte, extra func(*file) []AddedToken) ([]byte, error) {
	out, err := func() ([]byte, error) {
		var f file
		if err := unmarshal(text, &f); err != nil {
			return nil, err
		}
		var b builder
		if err := b.read(&f); err != nil {
			return nil, err
		}
		if err := b.add(extra(&f)); err != nil {
			return nil, err
		}
		return b.compact()
	}()
	if err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	return out, nil
}

// read checks every component and fills the builder.
func (b *builder) read(f *file) error {
	if f.Version != nil && *f.Version != "1.0" {
		return fmt.Errorf("version is %q, expected \"1.0\"", *f.Version)
	}
	m := f.Model
	if m == nil {
		return errors.New("model is missing")
	}
	if m.Type != nil && *m.Type != "BPE" {
		return fmt.Errorf("model.type is %q, expected \"BPE\"", *m.Type)
	}
	switch {
	case m.Dropout != 0:
		return fmt.Errorf("model.dropout is %g, expected none", m.Dropout)
	case m.Prefix != "":
		return fmt.Errorf("model.continuing_subword_prefix is %q, expected none", m.Prefix)
	case m.Suffix != "":
		return fmt.Errorf("model.end_of_word_suffix is %q, expected none", m.Suffix)
	case m.IgnoreMerges:
		return errors.New("model.ignore_merges is true, expected false")
	}
	var err error
	if b.normalizer, err = f.Normalizer.replacements("normalizer"); err != nil {
		return err
	}
	if err := f.PreTokenizer.splitsNothing("pre_tokenizer", b.normalizer); err != nil {
		return err
	}
	if err := b.readDecoder(f.Decoder); err != nil {
		return err
	}
	if err := b.readVocab(m); err != nil {
		return err
	}
	if err := b.readMerges(m.Merges); err != nil {
		return err
	}
	var tokens []AddedToken
	for i, a := range f.AddedTokens {
		if a.ID == nil {
			return fmt.Errorf("added_tokens[%d] (%q) has no id", i, a.Content)
		}
		tokens = append(tokens, a.AddedToken)
	}
	if err := b.add(tokens); err != nil {
		return err
	}
	for i, a := range f.AddedTokens {
		if id, ok := b.ids[a.Content]; ok && id != *a.ID {
			return fmt.Errorf("added_tokens[%d] (%q) has id %d, but the vocabulary makes it %d", i, a.Content, *a.ID, id)
		}
	}
	return nil
}

// replacements reads a normalizer: Replace, or a sequence of them.
func (c *component) replacements(name string) ([]replacement, error) {
	if c == nil {
		return nil, nil
	}
	switch c.Type {
	case "Replace":
		r, err := c.replacement(name)
		return []replacement{r}, err
	case "Sequence":
		var all []replacement
		for i, part := range c.Normalizers {
			rules, err := part.replacements(fmt.Sprintf("%s.normalizers[%d]", name, i))
			if err != nil {
				return nil, err
			}
			all = append(all, rules...)
		}
		return all, nil
	}
	return nil, fmt.Errorf("%s.type is %q, expected \"Replace\" or \"Sequence\"", name, c.Type)
}

func (c *component) replacement(name string) (replacement, error) {
	if c.Pattern.String == nil || *c.Pattern.String == "" {
		return replacement{}, fmt.Errorf("%s.pattern is not a String, expected one as Gemma has", name)
	}
	if c.Content == nil {
		return replacement{}, fmt.Errorf("%s.content is missing", name)
	}
	return replacement{*c.Pattern.String, *c.Content}, nil
}

// splitsNothing accepts a pre-tokenizer that does nothing after the normalizer: Gemma 2's splits at spaces, which the
// normalizer replaces.
func (c *component) splitsNothing(name string, normalizer []replacement) error {
	if c == nil {
		return nil
	}
	switch c.Type {
	case "Sequence":
		for i, part := range c.PreTokenizers {
			if err := part.splitsNothing(fmt.Sprintf("%s.pretokenizers[%d]", name, i), normalizer); err != nil {
				return err
			}
		}
		return nil
	case "Split":
		if p := c.Pattern.String; p == nil || c.Invert || utf8.RuneCountInString(*p) != 1 || !removes(normalizer, *p) {
			return fmt.Errorf("%s splits at what the normalizer leaves, expected a split at \" \" that the normalizer replaces", name)
		}
		return nil
	}
	return fmt.Errorf("%s.type is %q, expected null or \"Split\"", name, c.Type)
}

// removes reports whether the rules leave no character p.
func removes(rules []replacement, p string) bool {
	gone := false
	for _, r := range rules {
		gone = (gone || r.old == p) && !strings.Contains(r.new, p)
	}
	return gone
}

// readDecoder accepts the components of Gemma's decoder in their order: Replace, ByteFallback, Fuse.
func (b *builder) readDecoder(c *component) error {
	if c == nil {
		return errors.New("decoder is null, expected a sequence of Replace, ByteFallback and Fuse")
	}
	parts, name := []*component{c}, "decoder"
	if c.Type == "Sequence" {
		parts, name = c.Decoders, "decoder.decoders"
	}
	fused := false
	for i, part := range parts {
		where := fmt.Sprintf("%s[%d]", name, i)
		switch {
		case part == nil:
			return fmt.Errorf("%s is null", where)
		case part.Type == "Fuse":
			fused = true
		case part.Type == "Replace" && !b.decodeBytes && !fused:
			r, err := part.replacement(where)
			if err != nil {
				return err
			}
			b.decoder = append(b.decoder, r)
		case part.Type == "ByteFallback" && !fused:
			b.decodeBytes = true
		default:
			return fmt.Errorf("%s.type is %q, expected Replace, ByteFallback and Fuse in this order", where, part.Type)
		}
	}
	return nil
}

func (b *builder) readVocab(m *model) error {
	if len(m.Vocab) == 0 {
		return errors.New("model.vocab is empty")
	}
	b.ids = make(map[string]uint32, len(m.Vocab))
	b.modelSize = len(m.Vocab)
	for token, id := range m.Vocab {
		if id >= maxVocab || int(id) > 4*len(m.Vocab)+1024 {
			return fmt.Errorf("model.vocab gives %q the id %d, too large for %d tokens", token, id, len(m.Vocab))
		}
		if err := b.set(token, id, flagModel); err != nil {
			return err
		}
	}
	b.unk = -1
	if m.UnkToken != nil {
		id, ok := b.ids[*m.UnkToken]
		if !ok {
			return fmt.Errorf("model.unk_token %q is not in model.vocab", *m.UnkToken)
		}
		b.unk = int32(id)
	}
	b.fuseUnk, b.byteFallback = m.FuseUnk, m.ByteFallback
	return nil
}

// readMerges reads both forms, ["a", "b"] and "a b". A pair given twice has the later rank, as in the library.
func (b *builder) readMerges(raw json.RawMessage) error {
	if len(raw) == 0 {
		return errors.New("model.merges is missing")
	}
	var pairs [][]string
	if json.Unmarshal(raw, &pairs) != nil {
		var lines []string
		if err := json.Unmarshal(raw, &lines); err != nil {
			return errors.New("model.merges is neither a list of pairs nor of strings")
		}
		pairs = make([][]string, 0, len(lines)) // the attempt above may have left some
		for _, l := range lines {
			if !strings.HasPrefix(l, "#version") {
				pairs = append(pairs, strings.Split(l, " "))
			}
		}
	}
	if len(pairs) >= maxMerges {
		return fmt.Errorf("model.merges has %d merges, expected under %d", len(pairs), maxMerges)
	}
	b.merges = make([]merge, 0, len(pairs))
	b.ranks = make(map[[2]int32]uint32, len(pairs))
	for i, p := range pairs {
		if len(p) != 2 {
			return fmt.Errorf("model.merges[%d] is %q, expected two tokens", i, strings.Join(p, " "))
		}
		var ids [3]uint32
		for j, token := range []string{p[0], p[1], p[0] + p[1]} {
			id, ok := b.ids[token]
			if !ok {
				return fmt.Errorf("model.merges[%d] needs the token %q, which is not in model.vocab", i, token)
			}
			ids[j] = id
		}
		pair := [2]int32{int32(ids[0]), int32(ids[1])}
		b.ranks[pair] = uint32(i)
		b.merges = append(b.merges, merge{pair, ids[2]})
	}
	return nil
}

// unmarshal is json.Unmarshal with errors that name fields of the file, not of Go types.
func unmarshal(text []byte, into any) error {
	if !utf8.Valid(text) {
		return errors.New("is not UTF-8 text")
	}
	err := jsonerr.Explain(json.Unmarshal(text, into), "AddedToken")
	if err != nil && !json.Valid(text) {
		return fmt.Errorf("is not JSON: %w", err)
	}
	return err
}
