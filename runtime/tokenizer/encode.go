package tokenizer

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Encode returns the ids of a text, without <bos>. Added tokens such as <loc0001> are recognized in it; special ones
// (<eos>, <image>) only if parseSpecials is set, so that users cannot forge them. Each maximal part that is not UTF-8
// becomes U+FFFD, as with Python's errors="replace".
func (t *Tokenizer) Encode(text string, parseSpecials bool) []int32 {
	return t.append(nil, text, parseSpecials)
}

func (t *Tokenizer) append(ids []int32, text string, parseSpecials bool) []int32 {
	var m merger
	before := len(ids)
	t.raw.split(wellFormed(text), parseSpecials, func(id int32, part string) {
		if id >= 0 {
			ids = append(ids, id)
			return
		}
		t.normalized.split(replace(part, t.normalizer), parseSpecials, func(id int32, part string) {
			if id >= 0 {
				ids = append(ids, id)
				return
			}
			ids = m.encode(t, ids, part)
		})
	})
	for i, id := range ids[before:] {
		ids[before+i] = t.Number(id)
	}
	return ids
}

func replace(s string, rules []replacement) string {
	for _, r := range rules {
		s = strings.ReplaceAll(s, r.old, r.new)
	}
	return s
}

// merger holds the symbols of a text while it merges their pairs, and the queue of possible merges.
type merger struct {
	symbols []symbol
	queue   []candidate
}

// symbol is a token in a linked list of tokens; next and prev are -1 at the ends.
type symbol struct {
	id, prev, next int32 // id is -1 once the symbol is part of the one before it
	merged         int32 // the id that it and the next one merge to, or -1
}

// candidate is a possible merge of the symbol at the low half of order; the high half is its rank, so the smallest
// order is the next merge.
type candidate struct {
	order  uint64
	merged int32
}

// encode appends the ids of normalized text without added tokens: its characters, merged pair by pair, lowest rank
// first and leftmost first, in O(n log n).
func (m *merger) encode(t *Tokenizer, ids []int32, text string) []int32 {
	n := utf8.RuneCountInString(text)
	m.symbols, m.queue = slices.Grow(m.symbols[:0], n), slices.Grow(m.queue[:0], n)
	m.characters(t, text)
	if len(m.symbols) == 0 {
		return ids
	}
	m.symbols[len(m.symbols)-1].next = -1
	for i := range len(m.symbols) - 1 {
		if c, ok := m.candidate(t, int32(i)); ok {
			m.queue = append(m.queue, c)
		}
	}
	for i := (len(m.queue) - 2) / arity; i >= 0; i-- {
		m.down(i)
	}
	for len(m.queue) > 0 {
		c := m.pop()
		at := int32(uint32(c.order))
		s := &m.symbols[at]
		// A pair that has changed since was queued again under its new rank, or is gone.
		if s.id < 0 || s.next < 0 || s.merged != c.merged {
			continue
		}
		right := &m.symbols[s.next]
		s.id, s.next = c.merged, right.next
		right.id = -1
		if s.next >= 0 {
			m.symbols[s.next].prev = at
		}
		if s.prev >= 0 {
			m.push(t, s.prev)
		}
		m.push(t, at)
	}
	for i := int32(0); i >= 0; i = m.symbols[i].next {
		ids = append(ids, m.symbols[i].id)
	}
	return ids
}

// characters fills symbols with the characters of the text. A character that the vocabulary lacks becomes its bytes,
// and <unk> where a byte has no token either. As in the library, an <unk> appears only with the next known character,
// so bytes come before it; a run of them is one if fuse_unk is set.
func (m *merger) characters(t *Tokenizer, text string) {
	add := func(id int32) {
		n := int32(len(m.symbols))
		m.symbols = append(m.symbols, symbol{id: id, prev: n - 1, next: n + 1, merged: -1})
	}
	pending := false
	for i := 0; i < len(text); {
		size, id := 1, int32(-1)
		if c := text[i]; c < utf8.RuneSelf {
			id = t.ascii[c]
		} else {
			_, size = utf8.DecodeRuneInString(text[i:])
			if found, ok := t.lookup(text[i:i+size], flagModel); ok {
				id = found
			}
		}
		char := text[i : i+size]
		i += size
		switch {
		case id >= 0:
			if pending {
				add(t.unk)
				pending = false
			}
			add(id)
		case t.byteFallback && t.hasBytes(char):
			for j := range size {
				add(t.bytes[char[j]])
			}
		case t.unk >= 0:
			if pending && !t.fuseUnk {
				add(t.unk)
			}
			pending = true
		}
	}
	if pending {
		add(t.unk)
	}
}

func (t *Tokenizer) hasBytes(char string) bool {
	for i := range len(char) {
		if t.bytes[char[i]] < 0 {
			return false
		}
	}
	return true
}

// candidate looks up the merge of a symbol with the next one, which must exist.
func (m *merger) candidate(t *Tokenizer, at int32) (candidate, bool) {
	s := &m.symbols[at]
	rank, id, ok := t.merge(s.id, m.symbols[s.next].id)
	if !ok {
		s.merged = -1
		return candidate{}, false
	}
	s.merged = id
	return candidate{uint64(rank)<<32 | uint64(uint32(at)), id}, true
}

// arity is the number of children of a node of the queue, a heap with the smallest order at 0.
const arity = 4

func (m *merger) push(t *Tokenizer, at int32) {
	if m.symbols[at].next < 0 {
		return
	}
	c, ok := m.candidate(t, at)
	if !ok {
		return
	}
	q := append(m.queue, c)
	i := len(q) - 1
	for i > 0 {
		parent := (i - 1) / arity
		if q[parent].order <= c.order {
			break
		}
		q[i] = q[parent]
		i = parent
	}
	q[i] = c
	m.queue = q
}

func (m *merger) pop() candidate {
	top, last := m.queue[0], len(m.queue)-1
	m.queue[0] = m.queue[last]
	m.queue = m.queue[:last]
	m.down(0)
	return top
}

// down moves a candidate below those that come before it.
func (m *merger) down(i int) {
	q := m.queue
	if i >= len(q) {
		return
	}
	c := q[i]
	for {
		first := arity*i + 1
		if first >= len(q) {
			break
		}
		least := first
		for j := first + 1; j < min(first+arity, len(q)); j++ {
			if q[j].order < q[least].order {
				least = j
			}
		}
		if c.order <= q[least].order {
			break
		}
		q[i] = q[least]
		i = least
	}
	q[i] = c
}

// wellFormed replaces every maximal ill-formed part of a text with U+FFFD (Unicode 15, section 3.9, best practice).
func wellFormed(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			n = illFormed(s[i:])
		}
		b.WriteRune(r)
		i += n
	}
	return b.String()
}

// illFormed returns the length of the longest prefix of s that begins a character but does not complete it.
func illFormed(s string) int {
	low, high, most := byte(0x80), byte(0xBF), 1
	switch c := s[0]; {
	case c >= 0xE0 && c <= 0xEF:
		most = 2
		if c == 0xE0 {
			low = 0xA0
		} else if c == 0xED {
			high = 0x9F
		}
	case c >= 0xF0 && c <= 0xF4:
		most = 3
		if c == 0xF0 {
			low = 0x90
		} else if c == 0xF4 {
			high = 0x8F
		}
	}
	n := 1
	for n < most && n < len(s) && s[n] >= low && s[n] <= high {
		low, high = 0x80, 0xBF
		n++
	}
	return n
}
