// Package grammar says which tokens may come next in an answer to "detect" or "segment", and how sure the model was of
// what it located. An answer is
//
//	answer := ε | object (" ; " object)*
//	object := <loc y0> <loc x0> <loc y1> <loc x1> [<seg> × 16] [" " label]
//
// with y1 > y0 and x1 > x0, in the tokens that the tokenizer makes of its text. No object comes twice.
package grammar

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"unicode"

	"pgc/runtime/boxes"
	"pgc/runtime/tokenizer"
)

// Task is what answers may hold.
type Task struct {
	Segment    bool     // masks behind the boxes
	Classes    []string // the labels; not needed where labels are free
	FreeLabels bool     // any text without < > ; as a label, FreeLabelTokens long at most
	EmptyLabel bool     // a label may be missing, as from checkpoints of referring expressions
	MaxBoxes   int      // most objects, 1 or more
}

const (
	corners = boxes.Corners
	maskLen = boxes.MaskLen
	bins    = boxes.Locations

	// FreeLabelTokens is the longest free label, in tokens.
	FreeLabelTokens = 16
)

// Vocabulary is what the tokens of a model mean in answers. It may be used from several goroutines.
type Vocabulary struct {
	t     *tokenizer.Tokenizer
	size  int
	loc   [bins]int32
	seg   []int32
	value map[int32]int // of the tokens of loc and seg
	eos   []int32
	text  func() []int32 // tokens of free labels, in order
	sep   []int32
	head  int // tokens of sep up to the one with the semicolon
}

// separator stands between objects.
const separator = " ; "

// AllCodes lets masks have all codes that there are tokens of.
const AllCodes = math.MaxInt

// NewVocabulary finds the tokens of a model with a vocabulary of so many rows, in whose answers any token of eos is the
// end and those of suppressed never come, nor codes of masks beyond the first so many. A model without tokens of locations
// gives an error.
func NewVocabulary(t *tokenizer.Tokenizer, size int, eos []int, suppressed []int32, codes int) (*Vocabulary, error) {
	v := &Vocabulary{t: t, size: size, value: map[int32]int{}}
	find := func(text string) (int32, bool) {
		id, ok := t.ID(text)
		return id, ok && int(id) < size
	}
	for i := range v.loc {
		name := boxes.Location(i)
		id, ok := find(name)
		if !ok {
			return nil, fmt.Errorf("the model has no token %s: it cannot locate objects", name)
		}
		v.loc[i], v.value[id] = id, i
	}
	for i := range codes {
		id, ok := find(boxes.Code(i))
		if !ok {
			break
		}
		v.seg, v.value[id] = append(v.seg, id), i
	}
	special := map[int32]bool{}
	for _, id := range suppressed {
		special[id] = true
	}
	for _, id := range eos {
		if 0 <= id && id < size && !special[int32(id)] {
			v.eos = append(v.eos, int32(id))
		}
		special[int32(id)] = true
	}
	if len(v.eos) == 0 {
		return nil, fmt.Errorf("no token of the model ends an answer: generation_config.json names %v as eos_token_id", eos)
	}
	v.sep = t.Encode(separator, false)
	for v.head < len(v.sep) && !strings.Contains(v.written(v.sep[v.head:v.head+1]), ";") {
		v.head++
	}
	if v.head++; v.head > len(v.sep) {
		return nil, fmt.Errorf("the tokenizer has no token for a semicolon, which separates objects")
	}
	v.text = sync.OnceValue(func() (ids []int32) {
		for id := range int32(size) {
			if !special[id] && v.writable(id) {
				ids = append(ids, id)
			}
		}
		return ids
	})
	return v, nil
}

// writable reports whether a token may be part of a free label: its text has no control characters and none of < > ;.
// Bytes of characters beyond ASCII are.
func (v *Vocabulary) writable(id int32) bool {
	d := v.t.NewDecoder(true)
	text := d.Next(id)
	if text == "" {
		if text = d.Flush(); text == "" {
			return false
		}
	}
	return !strings.ContainsFunc(text, notInLabels)
}

func notInLabels(r rune) bool { return r == '<' || r == '>' || r == ';' || unicode.IsControl(r) }

// written is the text of tokens.
func (v *Vocabulary) written(ids []int32) string {
	d := v.t.NewDecoder(true)
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(d.Next(id))
	}
	b.WriteString(d.Flush())
	return b.String()
}

// Grammar is a task in the tokens of a vocabulary. It may be used from several goroutines.
type Grammar struct {
	*Vocabulary
	Task
	labels    []string // the classes, and "" where a label may be missing
	root      *node
	longest   int // tokens of a label
	separates int // tokens of a separator, with what it adds to a label
}

// node is a place behind some tokens of a label and the separator behind it.
type node struct {
	next []edge
	ends int // the label that is complete here, so that the answer may end; -1 for none
	more int // the label whose separator is complete here, so that an object follows; -1 for none
	// Labels whose ends, and whose separators, are here or below.
	below, beyond []int
	label         int // tokens of the label before this place: fewer than its depth within a separator
}

type edge struct {
	id int32
	to *node
}

// Compile makes the grammar of a task.
func (v *Vocabulary) Compile(task Task) (*Grammar, error) {
	g := &Grammar{Vocabulary: v, Task: task, longest: FreeLabelTokens, separates: len(v.sep)}
	switch {
	case task.MaxBoxes < 1:
		return nil, fmt.Errorf("%d boxes at most, expected 1 or more", task.MaxBoxes)
	case task.Segment && len(v.seg) == 0:
		return nil, fmt.Errorf("the model has no token <seg000>: it cannot segment, expected detect")
	case task.FreeLabels:
		return g, nil
	case len(task.Classes) == 0 && !task.EmptyLabel:
		return nil, fmt.Errorf("no classes are given, expected names such as \"cat ; dog\"")
	}
	g.longest, g.root = 0, newNode(0)
	for _, c := range task.Classes {
		switch {
		case strings.TrimSpace(c) == "":
			return nil, fmt.Errorf("a class is empty, expected names such as \"cat ; dog\"")
		case strings.ContainsFunc(c, notInLabels):
			return nil, fmt.Errorf("the class %.80q holds a separator, < or >, or a control character, which no label has", c)
		}
		g.add(strings.TrimSpace(c))
	}
	if task.EmptyLabel {
		g.add("")
	}
	return g, nil
}

func newNode(label int) *node { return &node{ends: -1, more: -1, label: label} }

// add adds a label, unless it is there.
func (g *Grammar) add(label string) {
	n := len(g.labels)
	text := ""
	if label != "" {
		text = " " + label
	}
	alone, joined := g.t.Encode(text, false), g.t.Encode(text+separator, false)
	g.labels = append(g.labels, label)
	end := g.root.path(alone, len(alone), n, func(at *node) *[]int { return &at.below })
	if end.ends < 0 {
		end.ends = n
	}
	shared := 0
	for shared < min(len(alone), len(joined)) && alone[shared] == joined[shared] {
		shared++
	}
	if more := g.root.path(joined, shared, n, func(at *node) *[]int { return &at.beyond }); more.more < 0 {
		more.more = n
	}
	g.longest = max(g.longest, len(alone))
	g.separates = max(g.separates, len(joined)-shared)
}

// path adds the places behind tokens, of which the first belong to the label n, which list gets in every place.
func (at *node) path(ids []int32, label, n int, list func(*node) *[]int) *node {
	note := func(at *node) {
		l := list(at)
		*l = append(*l, n)
	}
	note(at)
	for i, id := range ids {
		to := at.to(id)
		if to == nil {
			to = newNode(min(i+1, label))
			at.next = append(at.next, edge{id, to})
		}
		at = to
		note(at)
	}
	return at
}

// to is the place behind a token, or nil.
func (at *node) to(id int32) *node {
	for _, e := range at.next {
		if e.id == id {
			return e.to
		}
	}
	return nil
}

// Tokens lists the tokens that answers may hold, in order; those of free labels are not among them.
func (g *Grammar) Tokens() []int32 {
	ids := slices.Concat(g.loc[:], g.eos, g.sep)
	if g.Segment {
		ids = append(ids, g.seg...)
	}
	var add func(at *node)
	add = func(at *node) {
		for _, e := range at.next {
			ids = append(ids, e.id)
			add(e.to)
		}
	}
	if g.root != nil {
		add(g.root)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// objectTokens is the most tokens of an object.
func (g *Grammar) objectTokens() int {
	n := corners + g.longest
	if g.Segment {
		n += maskLen
	}
	return n
}

// MaxTokens is the most tokens of an answer, with the one that ends it.
func (g *Grammar) MaxTokens() int {
	return g.MaxBoxes*(g.objectTokens()+g.separates) + 1
}
