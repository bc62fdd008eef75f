// Package tokenizer encodes text as Hugging Face's tokenizers library does for Gemma's byte-pair encoders, and decodes.
//
// A tokenizer.json is parsed once, at compile time, into a compact form of flat tables (Marshal); the executable uses
// those in place (Load), so start-up parses nothing. The package imports nothing of the project.
package tokenizer

import (
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Tokenizer is a byte-pair encoder over flat tables: the bytes it was loaded from stay referenced.
type Tokenizer struct {
	vocab   int
	offsets []byte // u32 per token + 1: where its text begins in text
	text    []byte
	flags   []byte // per token: isAdded, isSpecial
	pieces  []byte // hash table of u32: id + 1 by text, 0 is free
	merges  []byte // hash table of 4×u32: left + 1, right, rank, merged id
	lengths []int  // of added tokens, falling
	unk     int32
	fuseUnk bool
	byteIDs [256]int32 // of <0x00>…<0xFF>, or -1
}

const (
	isAdded   = 1
	isSpecial = 2
)

// space is what stands for a blank in pieces.
const space = "▁"

var le = binary.LittleEndian

func u32(b []byte, i int) uint32 { return le.Uint32(b[4*i:]) }

// VocabSize is the number of tokens.
func (t *Tokenizer) VocabSize() int { return t.vocab }

// Token returns the text of a token as the vocabulary has it, or "" for an id beyond it.
func (t *Tokenizer) Token(id int32) string {
	if id < 0 || int(id) >= t.vocab {
		return ""
	}
	return string(t.bytes(id))
}

func (t *Tokenizer) bytes(id int32) []byte {
	return t.text[u32(t.offsets, int(id)):u32(t.offsets, int(id)+1)]
}

// IsSpecial reports whether a token is a control token such as <eos>.
func (t *Tokenizer) IsSpecial(id int32) bool {
	return id >= 0 && int(id) < t.vocab && t.flags[id]&isSpecial != 0
}

// ID returns the id of a token's text.
func (t *Tokenizer) ID(text string) (int32, bool) {
	mask := uint32(len(t.pieces)/4 - 1)
	for at := hash(text) & mask; ; at = (at + 1) & mask {
		id := u32(t.pieces, int(at))
		if id == 0 {
			return 0, false
		}
		if string(t.bytes(int32(id-1))) == text {
			return int32(id - 1), true
		}
	}
}

func hash(s string) uint32 {
	h := uint32(2166136261) // FNV-1a
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h
}

// pair returns the rank and the id of the merge of two tokens.
func (t *Tokenizer) pair(left, right int32) (rank uint32, id int32, ok bool) {
	mask := uint32(len(t.merges)/16 - 1)
	for at := pairHash(left, right) & mask; ; at = (at + 1) & mask {
		i := int(at) * 4
		switch l := u32(t.merges, i); {
		case l == 0:
			return 0, 0, false
		case l == uint32(left)+1 && u32(t.merges, i+1) == uint32(right):
			return u32(t.merges, i+2), int32(u32(t.merges, i+3)), true
		}
	}
}

func pairHash(left, right int32) uint32 {
	h := uint64(uint32(left))<<32 | uint64(uint32(right))
	h *= 0x9e3779b97f4a7c15
	return uint32(h >> 32)
}

// Encode returns the ids of a text, without <bos>. Added tokens such as <loc0001> are recognised in it; special ones
// (<eos>, <image>) only if parseSpecials is set, so that what a user types cannot forge them.
func (t *Tokenizer) Encode(text string, parseSpecials bool) []int32 {
	var ids []int32
	start := 0
	for at := 0; at < len(text); {
		id, n := t.added(text[at:], parseSpecials)
		if n == 0 {
			at++
			continue
		}
		ids = t.encode(ids, text[start:at])
		ids = append(ids, id)
		at += n
		start = at
	}
	return t.encode(ids, text[start:])
}

// added returns the longest added token that text begins with.
func (t *Tokenizer) added(text string, parseSpecials bool) (int32, int) {
	for _, n := range t.lengths {
		if n > len(text) {
			continue
		}
		if id, ok := t.ID(text[:n]); ok && t.flags[id]&isAdded != 0 && (parseSpecials || t.flags[id]&isSpecial == 0) {
			return id, n
		}
	}
	return 0, 0
}

// symbol is a token of the text being merged, in a linked list.
type symbol struct {
	id         int32
	prev, next int32
	dead       bool
}

// candidate is a possible merge of symbol at with the one after it.
type candidate struct {
	rank        uint32
	at          int32
	id          int32
	left, right int32
}

type queue []candidate

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].rank < q[j].rank || q[i].rank == q[j].rank && q[i].at < q[j].at
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push adds a candidate, for container/heap.
func (q *queue) Push(x any) { *q = append(*q, x.(candidate)) }

// Pop removes the last candidate, for container/heap.
func (q *queue) Pop() any {
	old := *q
	c := old[len(old)-1]
	*q = old[:len(old)-1]
	return c
}

// encode appends the ids of text that holds no added token: characters, then the merges by rank.
func (t *Tokenizer) encode(ids []int32, text string) []int32 {
	if text == "" {
		return ids
	}
	var list []symbol
	add := func(id int32) {
		n := int32(len(list))
		list = append(list, symbol{id: id, prev: n - 1, next: n + 1})
	}
	lastUnk := false
	for _, r := range strings.ReplaceAll(text, " ", space) {
		id, ok := t.ID(string(r))
		if ok {
			add(id)
			lastUnk = false
			continue
		}
		raw := utf8.AppendRune(nil, r)
		if t.byteIDs[raw[0]] >= 0 {
			for _, c := range raw {
				add(t.byteIDs[c])
			}
			lastUnk = false
			continue
		}
		if t.unk >= 0 && !(lastUnk && t.fuseUnk) {
			add(t.unk)
		}
		lastUnk = true
	}
	var q queue
	try := func(at int32) {
		next := list[at].next
		if int(next) >= len(list) {
			return
		}
		if rank, id, ok := t.pair(list[at].id, list[next].id); ok {
			heap.Push(&q, candidate{rank, at, id, list[at].id, list[next].id})
		}
	}
	for i := range list {
		try(int32(i))
	}
	for len(q) > 0 {
		c := heap.Pop(&q).(candidate)
		s := &list[c.at]
		if s.dead || s.id != c.left || int(s.next) >= len(list) || list[s.next].id != c.right {
			continue
		}
		gone := &list[s.next]
		gone.dead = true
		s.id, s.next = c.id, gone.next
		if int(s.next) < len(list) {
			list[s.next].prev = c.at
		}
		if s.prev >= 0 {
			try(s.prev)
		}
		try(c.at)
	}
	for _, s := range list {
		if !s.dead {
			ids = append(ids, s.id)
		}
	}
	return ids
}

// Decode returns the text of ids; special tokens are left out if skipSpecial is set. Bytes that are not UTF-8 become
// one U+FFFD each, as in the library.
func (t *Tokenizer) Decode(ids []int32, skipSpecial bool) string {
	d := t.NewDecoder(skipSpecial)
	var out strings.Builder
	for _, id := range ids {
		out.WriteString(d.Next(id))
	}
	out.WriteString(d.Flush())
	return out.String()
}

// Decoder decodes ids as they come. A run of byte tokens appears when it ends.
type Decoder struct {
	t           *Tokenizer
	skipSpecial bool
	run         []byte
}

// NewDecoder starts decoding.
func (t *Tokenizer) NewDecoder(skipSpecial bool) *Decoder {
	return &Decoder{t: t, skipSpecial: skipSpecial}
}

// Next takes an id and returns the text that is now complete.
func (d *Decoder) Next(id int32) string {
	if id < 0 || int(id) >= d.t.vocab || d.skipSpecial && d.t.IsSpecial(id) {
		return ""
	}
	text := d.t.Token(id)
	if b, ok := byteToken(text); ok {
		d.run = append(d.run, b)
		return ""
	}
	return d.Flush() + strings.ReplaceAll(text, space, " ")
}

// Flush returns what is still held back.
func (d *Decoder) Flush() string {
	run := d.run
	d.run = d.run[:0]
	if utf8.Valid(run) {
		return string(run)
	}
	return strings.Repeat("\uFFFD", len(run))
}

// byteToken reads <0xAB>.
func byteToken(s string) (byte, bool) {
	if len(s) != 6 || s[:3] != "<0x" || s[5] != '>' {
		return 0, false
	}
	v := 0
	for _, c := range s[3:5] {
		switch {
		case c >= '0' && c <= '9':
			v = v<<4 | int(c-'0')
		case c >= 'A' && c <= 'F':
			v = v<<4 | int(c-'A'+10)
		default:
			return 0, false
		}
	}
	return byte(v), true
}

// Load uses the compact form that Marshal made, in place. Damaged data is an error.
func Load(data []byte) (*Tokenizer, error) {
	if len(data) < headerBytes || string(data[:8]) != magic {
		return nil, errors.New("tokenizer: not a compact tokenizer")
	}
	n := func(i int) int { return int(le.Uint32(data[8+4*i:])) }
	t := &Tokenizer{vocab: n(0), unk: int32(n(5)), fuseUnk: n(6) != 0}
	at := headerBytes
	take := func(size int) []byte {
		if size < 0 || at+size > len(data) {
			size = 0
			at = len(data) + 1
			return nil
		}
		b := data[at : at+size]
		at += (size + 3) / 4 * 4
		return b
	}
	t.offsets, t.text, t.flags = take(4*(t.vocab+1)), take(n(1)), take(t.vocab)
	t.pieces, t.merges = take(4*n(2)), take(16*n(3))
	lengths := take(4 * n(4))
	bad := func(v int) bool { return v < 2 || v&(v-1) != 0 }
	if at > len(data)+3 || t.vocab < 1 || bad(n(2)) || bad(n(3)) || lengths == nil && n(4) > 0 || t.flags == nil {
		return nil, errors.New("tokenizer: the compact tokenizer is damaged")
	}
	last := uint32(0)
	for i := range t.vocab + 1 {
		o := u32(t.offsets, i)
		if o < last || int(o) > len(t.text) {
			return nil, fmt.Errorf("tokenizer: token %d lies outside the text", i)
		}
		last = o
	}
	for i := range len(lengths) / 4 {
		t.lengths = append(t.lengths, int(u32(lengths, i)))
	}
	for i := range t.byteIDs {
		t.byteIDs[i] = -1
		if id, ok := t.ID(fmt.Sprintf("<0x%02X>", i)); ok {
			t.byteIDs[i] = id
		}
	}
	return t, nil
}
