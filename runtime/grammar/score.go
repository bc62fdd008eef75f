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

// Question is what a score asks about the logits that a token was chosen by.
type Question struct{ shares []*share }

// Answer answers it with the logits [vocabulary].
func (q *Question) Answer(logits []float32) {
	p := softmax(logits)
	for _, s := range q.shares {
		s.p = p.sum(s.ids)
	}
}

// share is the probability of some tokens together, once it is known.
type share struct {
	ids []int32
	p   float64
}

// about adds a share to the question.
func (q *Question) about(ids ...int32) *share {
	s := &share{ids: ids}
	q.shares = append(q.shares, s)
	return s
}

// tally is what the score of an object is made of.
type tally struct {
	begin, end *share // of an object, where it is the first, and of the end, where it is a later one
	loc, label []*share
}

// ask notes what the score of an object needs to know of a token that is about to be taken.
func (m *Matcher) ask(id int32) *Question {
	q := &Question{}
	switch {
	case !m.scores, m.part == atMask, m.more:
	case m.part == atBox:
		v, ok := m.g.value[id]
		if !ok { // no object
			break
		}
		if m.taken == 0 {
			m.here.begin = q.about(m.g.loc[:]...)
		}
		m.here.loc = append(m.here.loc, q.about(m.g.loc[max(0, v-Window):min(bins, v+Window+1)]...))
	case m.separated(id):
		if m.sep == 0 {
			m.next.end = q.about(m.g.eos...)
		}
	case !slices.Contains(m.g.eos, id):
		m.here.label = append(m.here.label, q.about(id))
	}
	if q.shares == nil {
		return nil
	}
	return q
}

// score is the score of an object whose questions are answered.
func (t *tally) score() *Score {
	mean := func(list []*share) float64 {
		sum := 0.0
		for _, s := range list {
			sum += math.Log(s.p)
		}
		return math.Exp(sum / float64(max(1, len(list))))
	}
	begin := 0.0
	switch {
	case t.begin != nil:
		begin = t.begin.p
	case t.end != nil:
		begin = 1 - t.end.p
	}
	label, loc := mean(t.label), mean(t.loc)
	return &Score{Value: label * begin * loc, Label: label, Begin: begin, Loc: loc}
}

// separated reports whether a token behind a label is of a separator. A blank that is part of a free label counts, too.
func (m *Matcher) separated(id int32) bool {
	if m.part == atFree {
		return m.sep < m.g.head && id == m.g.sep[m.sep]
	}
	to := m.node.to(id)
	return to != nil && len(to.below) == 0
}

// distribution are probabilities of tokens: exp(logits - top) / total.
type distribution struct {
	logits     []float32
	top, total float64
}

// softmax is the distribution of logits over all tokens.
func softmax(logits []float32) distribution {
	top := float32(math.Inf(-1))
	for _, v := range logits {
		if v > top {
			top = v
		}
	}
	d := distribution{logits: logits, top: float64(top)}
	if math.IsInf(d.top, 0) {
		for _, v := range logits {
			d.total += d.weight(v)
		}
		return d
	}
	d.total = sumExp(logits, d.top)
	return d
}

// negligible is the logarithm of a weight of which even 2^20 change nothing.
const negligible = -45

// weight is a logit's share of the total. Infinite logits share all of it.
func (d distribution) weight(v float32) float64 {
	switch x := float64(v) - d.top; {
	case float64(v) == d.top:
		return 1
	case x > negligible:
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
