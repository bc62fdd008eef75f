package passes

import (
	"math"
	"slices"
	"strings"

	"pgc/ir"
)

// fuseAttention replaces softmax(mask(softcap(scale·q·kᵀ)))·v, written with einsums, by one attention, so that the
// scores never exist as a tensor. It covers multi-head, grouped-query and multi-query attention with the heads on any
// axis, and causal, sliding-window and prefix masks. In a batch every sequence may have its own position; that form is
// fused only if a select sets the result of queries before position 0, which see no key, to 0.
func fuseAttention(f *ir.Func, budget *Budget) int {
	with := map[*ir.Value]*ir.Value{}
	for _, op := range append([]*ir.Op(nil), f.Ops...) {
		m, ok := matchAttention(op)
		if !ok {
			m, ok = matchSelected(op)
		}
		if !ok || !budget.Take(op) {
			continue
		}
		with[op.Result()] = m.build(ir.Before(f, op))
	}
	f.Replace(with)
	f.RemoveDead()
	return len(with)
}

// attention holds the operands of a match with their einsum labels.
type attention struct {
	q, k, v        *ir.Value
	ql, kl, vl     string
	out            string // labels of the result
	row, key       string // labels
	batch          string // label of the batch dimension, or empty
	positions      place  // of the first queries; a tensor along the batch or none
	shared, heads  string // labels of q's heads: those that k and v have as well, and the others
	inner, element string // labels: the dimension that the scores sum over, and the elements of v
	attrs          ir.AttentionAttrs
}

// matchAttention matches attention whose last operation is op, a product.
func matchAttention(op *ir.Op) (m attention, ok bool) {
	m, ok = matchProduct(op)
	return m, ok && m.positions.tensor == nil
}

// matchSelected matches attention over sequences with their own positions whose last operation is op, a select of the
// rows at position 0 or later.
func matchSelected(op *ir.Op) (m attention, ok bool) {
	if op.Def != ir.OpSelect {
		return m, false
	}
	condition, y, other := op.In[0], op.In[1], op.In[2]
	n, isNumber := number(other)
	negated := !isNumber
	if negated {
		y, other = other, y
		n, isNumber = number(other)
	}
	if !isNumber || n != 0 || y.Def == nil || !op.Result().Type.Equal(y.Type) {
		return m, false
	}
	m, ok = matchProduct(y.Def)
	if !ok || m.positions.tensor == nil {
		return m, false
	}
	rank, axis := len(m.out), strings.Index(m.out, m.row)
	at := m.positions // along the batch here
	at.axis = strings.Index(m.out, m.batch) - rank
	rows := mask{rows: y.Type.Shape[axis], rowAxis: axis - rank}
	return m, rows.from(condition, negated, at)
}

// matchProduct matches attention up to its last product, op.
func matchProduct(op *ir.Op) (m attention, ok bool) {
	e, ok := einsumOf(op)
	if !ok {
		return m, false
	}
	// The weights of the sum are one operand, the values the other.
	soft, values := op.In[0], op.In[1]
	scores, ok := matchSoftmax(soft)
	if !ok {
		soft, values, e = op.In[1], op.In[0], ir.Einsum{X: e.Y, Y: e.X, Out: e.Out}
		if scores, ok = matchSoftmax(soft); !ok {
			return m, false
		}
	}
	n := len(e.X)
	if n < 2 {
		return m, false
	}
	m.attrs.Scale = 1
	product, seen, ok := matchScores(scores, &m.attrs)
	if !ok {
		return m, false
	}
	m.attrs.Window, m.attrs.Prefix, m.attrs.Offset = seen.window, seen.prefix, seen.offset.dim
	m.positions = seen.offset
	inner, ok := einsumOf(product.Def)
	if !ok || len(inner.Out) != n {
		return m, false
	}
	// Both products get one set of labels: those of the weighted sum, and one more for the dimension that the scores
	// sum over.
	names := map[rune]rune{}
	for i, l := range inner.Out {
		names[l] = rune(e.X[i])
	}
	rename := func(labels string) string {
		return strings.Map(func(l rune) rune {
			if to, ok := names[l]; ok {
				return to
			}
			return l - 'a' + 'A' // no label of the sum
		}, labels)
	}
	m.row, m.key = e.X[n-2:n-1], e.X[n-1:]
	m.q, m.k, m.ql, m.kl = product.Def.In[0], product.Def.In[1], rename(inner.X), rename(inner.Y)
	if strings.Contains(m.ql, m.key) {
		m.q, m.k, m.ql, m.kl = m.k, m.q, m.kl, m.ql
	}
	m.k, m.v, m.vl, m.out = stored(m.k), stored(values), e.Y, e.Out
	for _, l := range strings.Split(e.X[:n-2], "") {
		if l != "" && strings.Contains(m.kl, l) {
			m.shared += l
		} else {
			m.heads += l
		}
	}
	if !m.findBatch(e.X) {
		return m, false
	}
	m.inner = less(m.ql, m.batch+m.row+m.shared+m.heads)
	m.element = less(m.vl, m.batch+m.key+m.shared)
	return m, m.fits()
}

// findBatch moves the label of the batch out of the shared ones: the axis of the positions, or without positions the
// first of two. labels are those of the scores.
func (m *attention) findBatch(labels string) bool {
	switch {
	case m.positions.tensor != nil:
		at := len(labels) + m.positions.axis
		if at < 0 || at >= len(labels) {
			return false
		}
		m.batch = labels[at : at+1]
	case len(m.shared) == 2:
		m.batch = m.shared[:1]
	}
	rest := less(m.shared, m.batch)
	ok := len(rest)+len(m.batch) == len(m.shared)
	m.shared = rest
	return ok
}

// fits reports whether every tensor has the labels that an attention needs, and at most two axes of heads.
func (m *attention) fits() bool {
	if len(m.shared) > 1 || len(m.heads) > 1 || len(m.inner) != 1 || len(m.element) != 1 {
		return false
	}
	same := func(labels, want string) bool { return len(labels) == len(want) && less(labels, want) == "" }
	if !same(m.ql, m.batch+m.row+m.shared+m.heads+m.inner) || !same(m.kl, m.batch+m.key+m.shared+m.inner) ||
		!same(m.vl, m.batch+m.key+m.shared+m.element) || !same(m.out, m.batch+m.row+m.shared+m.heads+m.element) {
		return false
	}
	size := func(v *ir.Value, labels string) ir.Dim {
		if m.batch == "" {
			return ir.D(1)
		}
		return v.Type.Shape[strings.Index(labels, m.batch)]
	}
	if n := size(m.k, m.kl); size(m.q, m.ql) != n || size(m.v, m.vl) != n {
		return false
	}
	return m.k.Type.DType == m.v.Type.DType && m.k.Type.Shape[strings.Index(m.kl, m.inner)] == m.v.Type.Shape[strings.Index(m.vl, m.element)]
}

// less returns the labels that are not among others.
func less(labels, others string) string {
	return strings.Map(func(l rune) rune {
		if strings.ContainsRune(others, l) {
			return -1
		}
		return l
	}, labels)
}

// build adds the attention of [S,G,R,H], [T,G,H] and [T,G,H]; G or R is 1 where there are no such heads. In a batch all
// have one more leading dimension.
func (m *attention) build(b *ir.Builder) *ir.Value {
	var batch []string
	if m.batch != "" {
		batch = []string{m.batch}
	}
	view := func(v *ir.Value, labels string, axes ...string) *ir.Value {
		axes = append(batch, axes...)
		var perm []int
		var shape []ir.Dim
		for _, l := range axes {
			if l == "" {
				shape = append(shape, ir.D(1))
				continue
			}
			i := strings.Index(labels, l)
			perm, shape = append(perm, i), append(shape, v.Type.Shape[i])
		}
		return b.Reshape(transposed(b, v, perm), shape)
	}
	q := view(m.q, m.ql, m.row, m.shared, m.heads, m.inner)
	k := view(m.k, m.kl, m.key, m.shared, m.inner)
	v := view(m.v, m.vl, m.key, m.shared, m.element)
	in := []*ir.Value{q, k, v}
	if m.positions.tensor != nil {
		in = append(in, m.positions.tensor)
	}
	y := b.Op(ir.OpAttention, m.attrs, in...)
	labels := m.batch + m.row + m.shared + m.heads + m.element
	var shape []ir.Dim
	for i, l := range append(batch, m.row, m.shared, m.heads, m.element) {
		if l != "" {
			shape = append(shape, y.Type.Shape[i])
		}
	}
	y = b.Reshape(y, shape)
	perm := make([]int, len(m.out))
	for i, l := range m.out {
		perm[i] = strings.IndexRune(labels, l)
	}
	return transposed(b, y, perm)
}

// transposed permutes the axes of v, or returns v if the permutation is the identity.
func transposed(b *ir.Builder, v *ir.Value, perm []int) *ir.Value {
	if slices.IsSorted(perm) {
		return v
	}
	return b.Op(ir.OpTranspose, ir.TransposeAttrs{Perm: perm}, v)
}

// low is the greatest number that counts as a mask: added to a score, it makes the exponential 0.
const low = -1e9

// matchScores follows the operand of the softmax down to the product of queries and keys and records scale, soft cap
// and mask.
func matchScores(v *ir.Value, a *ir.AttentionAttrs) (product *ir.Value, s seen, ok bool) {
	m := ofScores(v.Type.Shape)
	switch {
	case is(v, ir.OpSelect):
		condition, kept, other := v.Def.In[0], v.Def.In[1], v.Def.In[2]
		n, isLow := number(other)
		negated := !isLow
		if negated {
			kept, other = other, kept
			n, isLow = number(other)
		}
		if !isLow || n > low {
			return nil, s, false
		}
		if s, ok = m.match(condition, negated); !ok {
			return nil, s, false
		}
		a.Causal, v = true, kept
	case is(v, ir.OpAdd): // of a mask of zeros and low numbers
		found := false
		for i, side := range v.Def.In {
			if !is(side, ir.OpSelect) {
				continue
			}
			x, isX := number(side.Def.In[1])
			y, isY := number(side.Def.In[2])
			if !isX || !isY || max(x, y) != 0 || min(x, y) > low {
				return nil, s, false
			}
			if s, ok = m.match(side.Def.In[0], x != 0); !ok {
				return nil, s, false
			}
			a.Causal, v, found = true, v.Def.In[1-i], true
			break
		}
		if !found {
			return nil, s, false
		}
	}
	if x, c, capped := withNumber(v, ir.OpMul); capped && is(x, ir.OpTanh) {
		inner, d, divided := withNumber(x.Def.In[0], ir.OpDiv)
		if !divided {
			if inner, d, divided = withNumber(x.Def.In[0], ir.OpMul); divided {
				d = 1 / d
			}
		}
		if !divided || math.Abs(d-c) > 1e-6*c || c <= 0 {
			return nil, s, false
		}
		a.Softcap, v = c, inner
	}
	if x, s, scaled := withNumber(v, ir.OpMul); scaled {
		a.Scale, v = s, x
	} else if x, s, scaled := withNumber(v, ir.OpDiv); scaled {
		a.Scale, v = 1/s, x
	}
	return v, s, is(v, ir.OpEinsum)
}

// einsumOf returns the labels of an einsum.
func einsumOf(op *ir.Op) (e ir.Einsum, ok bool) {
	spec := einsumSpec(op)
	if spec == "" {
		return e, false
	}
	e, err := ir.ParseEinsum(spec)
	return e, err == nil
}

// stored returns the tensor in storage format, such as a bf16 cache, that keys or values were converted from. The
// kernel reads that.
func stored(v *ir.Value) *ir.Value {
	if is(v, ir.OpConvert) && ir.Plain.Has(v.Def.In[0].Type.DType) {
		return v.Def.In[0]
	}
	return v
}

// matchSoftmax returns x of exp(x - max x) / sum exp(x - max x).
func matchSoftmax(v *ir.Value) (*ir.Value, bool) {
	if !is(v, ir.OpDiv) {
		return nil, false
	}
	e, sum := v.Def.In[0], v.Def.In[1]
	if !is(e, ir.OpExp) || !is(sum, ir.OpReduceSum) || sum.Def.In[0] != e || !is(e.Def.In[0], ir.OpSub) {
		return nil, false
	}
	x, top := e.Def.In[0].Def.In[0], e.Def.In[0].Def.In[1]
	return x, is(top, ir.OpReduceMax) && top.Def.In[0] == x
}

// scalarDim returns a scalar symbol or constant as a dimension.
func scalarDim(v *ir.Value) (ir.Dim, bool) {
	if is(v, ir.OpSymbol) {
		return ir.Sym(string(v.Def.Attrs.(ir.SymbolAttrs).Name)), true
	}
	if n, ok := number(v); ok && v.Type.DType == ir.I32 {
		return ir.D(int(n)), true
	}
	return ir.Dim{}, false
}
