package tokenizer

import (
	"errors"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Flags of a pattern, as in added_tokens.
const (
	patternSpecial = 1 << iota
	patternSingleWord
	patternLstrip
	patternRstrip
)

// patterns is a set of added tokens, sorted by text, to be found before the byte-pair encoder sees a text.
type patterns struct {
	records []byte       // 4×u32: id, flags, begin, length
	text    []byte       // of all patterns
	first   *[257]uint32 // the patterns that begin with byte b are first[b]…first[b+1]-1; nil if there are none
}

// newPatterns checks records against the text that they refer to.
func newPatterns(records, text []byte, vocab int) (patterns, error) {
	p := patterns{records: records, text: text}
	n := len(records) / 16
	if n == 0 {
		return p, nil
	}
	p.first = new([257]uint32)
	last := ""
	for i := range n {
		from, size := int64(u32(records, 4*i+2)), int64(u32(records, 4*i+3))
		if from+size > int64(len(text)) || size == 0 || int64(u32(records, 4*i)) >= int64(vocab) {
			return p, errors.New("an added token lies outside its text or the vocabulary")
		}
		s := string(text[from : from+size])
		if s <= last {
			return p, errors.New("the added tokens are not sorted")
		}
		last = s
		p.first[int(s[0])+1] = uint32(i) + 1
	}
	for b := 1; b < len(p.first); b++ {
		p.first[b] = max(p.first[b], p.first[b-1])
	}
	return p, nil
}

func (p *patterns) size(i int) int { return int(u32(p.records, 4*i+3)) }

// byteAt returns byte depth of pattern i, or -1 at its end.
func (p *patterns) byteAt(i, depth int) int {
	if depth >= p.size(i) {
		return -1
	}
	return int(p.text[int(u32(p.records, 4*i+2))+depth])
}

// longest returns the longest pattern that s begins with, or -1.
func (p *patterns) longest(s string) int {
	lo, hi := int(p.first[s[0]]), int(p.first[int(s[0])+1])
	found := -1
	for depth := 1; lo < hi; depth++ {
		if p.size(lo) == depth {
			found = lo
			lo++
		}
		if depth == len(s) {
			break
		}
		c, from := int(s[depth]), lo
		lo += sort.Search(hi-from, func(i int) bool { return p.byteAt(from+i, depth) >= c })
		hi = from + sort.Search(hi-from, func(i int) bool { return p.byteAt(from+i, depth) > c })
	}
	return found
}

// split passes the parts of s to emit in order: stretches of text (id -1) and the added tokens between them. Matching
// is leftmost-longest. A special token is text unless parseSpecials is set; as in the library, the search goes on after
// it.
func (p *patterns) split(s string, parseSpecials bool, emit func(id int32, text string)) {
	start := 0
	for at := 0; p.first != nil && at < len(s); {
		if b := int(s[at]); p.first[b] == p.first[b+1] {
			at++
			continue
		}
		i := p.longest(s[at:])
		if i < 0 {
			at++
			continue
		}
		from, to := at, at+p.size(i)
		at = to
		flags := u32(p.records, 4*i+1)
		if flags&patternSpecial != 0 && !parseSpecials || flags&patternSingleWord != 0 && !isWord(s, from, to) {
			continue
		}
		if flags&patternLstrip != 0 {
			from = start + len(strings.TrimRightFunc(s[start:max(start, from)], unicode.IsSpace))
		}
		if flags&patternRstrip != 0 {
			to = len(s) - len(strings.TrimLeftFunc(s[to:], unicode.IsSpace))
		}
		if from >= to {
			continue // the token before it has taken it as white space
		}
		if start < from {
			emit(-1, s[start:from])
		}
		emit(int32(u32(p.records, 4*i)), "")
		start = to
	}
	if start < len(s) {
		emit(-1, s[start:])
	}
}

// isWord reports whether s[from:to] has no word character beside it.
func isWord(s string, from, to int) bool {
	before, n := utf8.DecodeLastRuneInString(s[:from])
	after, m := utf8.DecodeRuneInString(s[to:])
	return (n == 0 || !wordCharacter(before)) && (m == 0 || !wordCharacter(after))
}

// wordCharacter reports whether r matches \w of Unicode Technical Standard 18, Annex C.
func wordCharacter(r rune) bool {
	return unicode.In(r, unicode.L, unicode.Nl, unicode.Other_Alphabetic, unicode.M, unicode.Nd, unicode.Pc, unicode.Join_Control)
}
