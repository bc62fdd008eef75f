package grammar

import (
	"math"
	"slices"
)

// Score says how sure the model was of an object, by the probabilities that it gave to all tokens, whatever the grammar
// allows. Each part is in 0…1.
type Score struct {
	Value float64 // the product of the parts
	Label float64 // geometric mean of the probabilities of the label's tokens; 1 without a label
	Begin float64 // that there is an object: any location for the first, anything but the end for a later one
	Loc   float64 // geometric mean over the four locations of the probability of those within Window of the chosen one
}

// Window is how far a location may be from the chosen one to count for it, of 1024 a side.
const Window = 24

// scorer collects what the score of the object under way is made of.
type scorer struct {
	on          bool
	begin, next float64 // of the object under way, and of the one behind the separator
	loc, label  float64 // sums of logarithms
	labels      int     // tokens in label
}

// score notes the probability of a token that is about to be taken.
func (m *Matcher) score(id int32, logits []float32) {
	s := &m.scorer
	s.on = true
	switch {
	case m.part == atMask, m.more:
	case m.part == atBox:
		v, ok := m.g.value[id]
		if !ok { // no object
			return
		}
		p := softmax(logits)
		if m.taken == 0 {
			s.begin = p.sum(m.g.loc[:])
		}
		s.loc += math.Log(p.sum(m.g.loc[max(0, v-Window):min(bins, v+Window+1)]))
	case m.separated(id):
		if m.sep == 0 {
			s.next = 1 - softmax(logits).sum(m.g.eos)
		}
	case !slices.Contains(m.g.eos, id):
		s.label += math.Log(softmax(logits).sum([]int32{id}))
		s.labels++
	}
}

// Scored reports whether the probability of the next token is part of a score.
func (m *Matcher) Scored() bool {
	return !m.more && !(m.part == atMask && len(m.now.Seg) > 0) && m.part != atEnd
}

// separated reports whether a token behind a label is of a separator. A blank that is part of a free label counts, too.
func (m *Matcher) separated(id int32) bool {
	if m.part == atFree {
		return m.sep < m.g.head && id == m.g.sep[m.sep]
	}
	to := m.node.to(id)
	return to != nil && len(to.below) == 0
}

// scored gives the object under way its score, and begins that of the next one.
func (m *Matcher) scored() {
	s := &m.scorer
	if s.on {
		label, loc := math.Exp(s.label/float64(max(1, s.labels))), math.Exp(s.loc/corners)
		m.now.Score = &Score{Value: label * s.begin * loc, Label: label, Begin: s.begin, Loc: loc}
	}
	*s = scorer{on: s.on, begin: s.next}
}

// distribution are probabilities of tokens: exp(logits - top) / total.
type distribution struct {
	logits     []float32
	top, total float64
}

// softmax is the distribution of logits over all tokens.
func softmax(logits []float32) distribution {
	d := distribution{logits: logits, top: math.Inf(-1)}
	for _, v := range logits {
		d.top = max(d.top, float64(v))
	}
	for _, v := range logits {
		d.total += d.weight(v)
	}
	return d
}

// weight is a logit's share of the total. Infinite logits share all of it.
func (d distribution) weight(v float32) float64 {
	switch x := float64(v) - d.top; {
	case float64(v) == d.top:
		return 1
	case x > -45: // below, even 2^20 of them change nothing
		return math.Exp(x)
	}
	return 0
}

// sum is the probability of tokens together.
func (d distribution) sum(ids []int32) (p float64) {
	for _, id := range ids {
		p += d.weight(d.logits[id])
	}
	return min(1, p/d.total)
}
