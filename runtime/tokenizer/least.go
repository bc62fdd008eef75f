package tokenizer

// AtLeast returns a number of tokens that Encode gives for a text, or more, without encoding it: no token stands for
// more bytes than the longest. It is 0 where the tokenizer may leave text out.
func (t *Tokenizer) AtLeast(text string) int {
	if !t.keepsAll() {
		return 0
	}
	longest := 4 // an unknown character
	for id := range t.vocab {
		longest = max(longest, len(t.content(int32(id))))
	}
	for _, p := range []*patterns{&t.raw, &t.normalized} {
		for i := range len(p.records) / 16 {
			longest = max(longest, p.size(i))
		}
	}
	return len(text) / longest
}

// keepsAll reports whether every byte of a text lies in the text of some token, and every unknown character has one.
func (t *Tokenizer) keepsAll() bool {
	bytes := t.byteFallback
	for _, id := range t.bytes {
		bytes = bytes && id >= 0
	}
	if !bytes && (t.unk < 0 || t.fuseUnk) {
		return false
	}
	for _, r := range t.normalizer {
		if len(r.new) < len(r.old) {
			return false
		}
	}
	for _, p := range []*patterns{&t.raw, &t.normalized} {
		for i := range len(p.records) / 16 {
			if u32(p.records, 4*i+1)&(patternLstrip|patternRstrip) != 0 {
				return false
			}
		}
	}
	return true
}
