package grammar

import (
	"iter"
	"slices"
	"strings"
)

// part is a part of an answer.
type part int

const (
	atBox   part = iota // locations
	atMask              // codes, of which the first is a choice
	atLabel             // label and separator of a task with classes
	atFree              // a free label, and the separator behind it
	atEnd
)

// Matcher follows one answer.
type Matcher struct {
	g       *Grammar
	part    part
	objects []Object
	now     Object // the one under way
	corner  int    // locations that it has
	taken   int    // tokens of the answer
	left    int    // tokens that may still come
	used    used
	node    *node   // of atLabel
	free    []int32 // of atFree
	sep     int     // tokens of a separator that the last ones are, of atFree
	more    bool    // the answer goes on behind this separator
	cut     bool

	scores     bool
	tallies    []tally // of the objects
	here, next tally   // of the one under way, and of the one behind the separator
}

// Object is an object of an answer.
type Object struct {
	First, End int // its tokens are those from First to End-1, without a separator
	Loc        [corners]int
	Seg        []int // the codes of its mask; nil without one
	Label      string
	Score      *Score // nil without scores
}

// Matcher returns a matcher at the beginning of an answer of so many tokens at most, whose objects get scores or none.
func (g *Grammar) Matcher(tokens int, scores bool) *Matcher {
	return &Matcher{g: g, left: tokens, used: newUsed(), scores: scores}
}

// Objects are the complete objects. Their scores are right once all questions are answered.
func (m *Matcher) Objects() []Object {
	for i := range m.tallies {
		m.objects[i].Score = m.tallies[i].score()
	}
	return m.objects
}

// Done reports whether the answer has ended.
func (m *Matcher) Done() bool { return m.part == atEnd }

// Cut reports whether the answer ended where the task, or the number of tokens, let no object follow.
func (m *Matcher) Cut() bool { return m.cut }

// follows reports whether another object may follow the one under way, whose label ends here.
func (m *Matcher) follows() bool {
	return m.more || len(m.objects)+1 < m.g.MaxBoxes && m.left >= m.g.separates+m.g.objectTokens()+1
}

// Next yields the tokens that may come next. There is one at least unless the answer has ended.
func (m *Matcher) Next() iter.Seq[int32] {
	return func(yield func(int32) bool) {
		switch m.part {
		case atBox:
			if m.taken == 0 && !each(m.g.eos, yield) || !m.begins() {
				return
			}
			loc := m.now.Loc
			s := bounds(loc, m.corner)
			for loc[m.corner] = s.first; loc[m.corner] <= s.last; loc[m.corner]++ {
				if !m.used.isFull(loc, m.corner+1) && !yield(m.g.loc[loc[m.corner]]) {
					return
				}
			}
		case atMask:
			if each(m.g.seg, yield) && len(m.now.Seg) == 0 {
				m.label(yield)
			}
		case atLabel, atFree:
			m.label(yield)
		}
	}
}

func each(ids []int32, yield func(int32) bool) bool {
	for _, id := range ids {
		if !yield(id) {
			return false
		}
	}
	return true
}

// begins reports whether there is room for an object here, as separators make sure of.
func (m *Matcher) begins() bool { return m.taken > 0 || m.left > m.g.objectTokens() }

// label yields the tokens of a label, of a separator, and of the end behind it.
func (m *Matcher) label(yield func(int32) bool) bool {
	if m.g.FreeLabels {
		return m.freeLabel(yield)
	}
	at := m.node
	if at.ends >= 0 && m.unused(at.ends) && !each(m.g.eos, yield) {
		return false
	}
	for _, e := range at.next {
		if m.leads(e.to) && !yield(e.id) {
			return false
		}
	}
	return true
}

// leads reports whether an object may be completed from a place on.
func (m *Matcher) leads(at *node) bool {
	return slices.ContainsFunc(at.below, m.unused) || m.follows() && slices.ContainsFunc(at.beyond, m.unused)
}

// unused reports whether the object under way may have a label.
func (m *Matcher) unused(label int) bool { return !m.used.has(m.now.Loc, m.g.labels[label]) }

// freeLabel is label where labels are free. The blanks of a separator may be the label's; from its semicolon on it is one.
func (m *Matcher) freeLabel(yield func(int32) bool) bool {
	g := m.g
	if m.more {
		return yield(g.sep[m.sep])
	}
	whole := m.named(m.free)
	if whole && !each(g.eos, yield) {
		return false
	}
	if whole && m.follows() && (m.sep == g.head-1 || len(m.free) >= FreeLabelTokens) && !yield(g.sep[m.sep]) {
		return false
	}
	if len(m.free) >= FreeLabelTokens {
		return true
	}
	last := len(m.free) == FreeLabelTokens-1
	for _, id := range g.text() {
		if (!last || m.named(append(m.free, id))) && !yield(id) {
			return false
		}
	}
	return true
}

// named reports whether the object under way may have these tokens as its whole label.
func (m *Matcher) named(ids []int32) bool {
	text := strings.TrimSpace(m.g.written(ids))
	return (text != "" || m.g.EmptyLabel) && !m.used.has(m.now.Loc, text)
}

// Allows reports whether a token may come next.
func (m *Matcher) Allows(id int32) bool {
	if m.part == atFree && !m.more && len(m.free) < FreeLabelTokens-1 {
		if _, ok := slices.BinarySearch(m.g.text(), id); ok {
			return true
		}
	}
	for next := range m.Next() {
		if next == id {
			return true
		}
	}
	return false
}

// Forced returns the token that comes next where only one may.
func (m *Matcher) Forced() (id int32, ok bool) {
	n := 0
	for next := range m.Next() {
		if id = next; n == 1 {
			return 0, false
		}
		n++
	}
	return id, n == 1
}

// Best returns the token of the greatest logit, the first of those, among the tokens that may come next.
func (m *Matcher) Best(logits []float32) int32 {
	best := int32(-1)
	for id := range m.Next() {
		if v := logits[id]; best < 0 || v > logits[best] || v == logits[best] && id < best {
			best = id
		}
	}
	return best
}

// Take adds a token, which may come next, to the answer. It returns what a score asks about the logits that the token was
// chosen by, or nil.
func (m *Matcher) Take(id int32) *Question {
	if _, ok := m.g.value[id]; m.part == atMask && !ok { // no mask
		m.labelled()
	}
	asked := m.ask(id)
	ends := slices.Contains(m.g.eos, id)
	if ends {
		m.end()
	}
	m.taken, m.left = m.taken+1, m.left-1
	switch {
	case ends:
	case m.part == atBox:
		if m.corner == 0 {
			m.now.First = m.taken - 1
		}
		m.now.Loc[m.corner] = m.g.value[id]
		if m.corner++; m.corner == corners {
			m.labelled()
			if m.g.Segment {
				m.part = atMask
			}
		}
	case m.part == atMask:
		if m.now.Seg = append(m.now.Seg, m.g.value[id]); len(m.now.Seg) == maskLen {
			m.labelled()
		}
	default:
		m.takeLabel(id)
	}
	return asked
}

// labelled begins a label.
func (m *Matcher) labelled() {
	m.part, m.node, m.now.End = atLabel, m.g.root, m.taken
	if m.g.FreeLabels {
		m.part, m.free, m.sep = atFree, m.free[:0], 0
	}
}

// takeLabel takes a token of a label or of the separator behind it.
func (m *Matcher) takeLabel(id int32) {
	if m.part == atFree {
		m.takeFree(id)
		return
	}
	before := m.node.label
	m.node = m.node.to(id)
	m.now.End += m.node.label - before
	m.more = len(m.node.below) == 0
	if m.node.more >= 0 {
		m.complete(m.g.labels[m.node.more])
		m.part = atBox
	}
}

func (m *Matcher) takeFree(id int32) {
	switch {
	case m.more:
		m.sep++
	case m.sep < m.g.head-1 && id == m.g.sep[m.sep]:
		m.free = append(m.free, id)
		m.sep++
	case m.sep == m.g.head-1 && id == m.g.sep[m.sep]:
		m.now.End += len(m.free) - m.sep
		m.sep++
		m.more = true
	default:
		m.free = append(m.free, id)
		m.sep = 0
		if m.g.head > 1 && id == m.g.sep[0] {
			m.sep = 1
		}
	}
	if m.sep == len(m.g.sep) {
		m.complete(strings.TrimSpace(m.g.written(m.free)))
		m.part = atBox
	}
}

// end ends the answer.
func (m *Matcher) end() {
	if m.part == atBox {
		m.cut = !m.begins()
	} else {
		m.cut = !m.follows()
		label := ""
		switch {
		case m.part == atFree:
			m.now.End += len(m.free)
			label = strings.TrimSpace(m.g.written(m.free))
		case m.node.ends >= 0:
			label = m.g.labels[m.node.ends]
		}
		m.complete(label)
	}
	m.part = atEnd
}

// complete adds the object under way, and begins another.
func (m *Matcher) complete(label string) {
	m.now.Label = label
	if m.scores {
		m.tallies = append(m.tallies, m.here)
		m.here, m.next = m.next, tally{}
	}
	m.objects = append(m.objects, m.now)
	m.used.add(m.now.Loc, label, len(m.g.labels))
	m.now, m.corner, m.more = Object{}, 0, false
}
