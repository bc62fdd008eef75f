package passes

import (
	"maps"

	"pgc/ir"
)

// term is a number that a mask may depend on besides the indices of its elements: a symbol, or the elements of a
// one-dimensional tensor, such as the positions of the sequences of a batch, along an axis counted from the last.
type term struct {
	sym    string
	tensor *ir.Value
	axis   int
}

// linear is a sum over the elements of a mask: multiples of the key index, of the query index, of symbols and of
// tensors, and a constant.
type linear struct {
	key, row, constant int
	terms              map[term]int
}

// mask describes the domain of a condition: the numbers of rows and keys and their axes, counted from the last.
type mask struct {
	rows, keys       ir.Dim
	rowAxis, keyAxis int
	along            int // the axis of one-dimensional tensors, once a reshape has told it; else 0
}

// ofScores returns the mask of scores [.., rows, keys].
func ofScores(shape []ir.Dim) mask {
	n := len(shape)
	return mask{rows: shape[n-2], keys: shape[n-1], rowAxis: -2, keyAxis: -1}
}

// linear parses an integer expression.
func (m mask) linear(v *ir.Value) (l linear, ok bool) {
	switch {
	case is(v, ir.OpIota):
		axis := v.Def.Attrs.(ir.IotaAttrs).Axis
		if m.along != 0 {
			return m.count(m.along, v.Type.Shape[axis])
		}
		return m.count(axis-v.Type.Rank(), v.Type.Shape[axis])
	case is(v, ir.OpReshape):
		inner, ok := m.placed(v)
		if !ok {
			return l, false
		}
		return inner.linear(v.Def.In[0])
	case is(v, ir.OpBroadcast):
		return m.linear(v.Def.In[0])
	case is(v, ir.OpSymbol):
		return linear{terms: map[term]int{{sym: string(v.Def.Attrs.(ir.SymbolAttrs).Name)}: 1}}, true
	case is(v, ir.OpAdd), is(v, ir.OpSub):
		sign := 1
		if is(v, ir.OpSub) {
			sign = -1
		}
		x, ok1 := m.linear(v.Def.In[0])
		y, ok2 := m.linear(v.Def.In[1])
		return x.plus(y, sign), ok1 && ok2
	case is(v, ir.OpNeg):
		x, ok := m.linear(v.Def.In[0])
		return linear{}.plus(x, -1), ok
	}
	if v.Type.DType != ir.I32 {
		return l, false
	}
	if n, ok := number(v); ok {
		return linear{constant: int(n)}, true
	}
	return linear{terms: map[term]int{{tensor: v, axis: m.along}: 1}}, m.along != 0
}

// placed returns m with the axis along which v, a reshape of a one-dimensional tensor, lies.
func (m mask) placed(v *ir.Value) (mask, bool) {
	x := v.Def.In[0].Type
	if x.Rank() != 1 || m.along != 0 {
		return m, false
	}
	for i, d := range v.Type.Shape {
		if d == x.Shape[0] && d != ir.D(1) {
			m.along = i - v.Type.Rank()
			return m, true
		}
	}
	return m, false
}

// count returns the index along an axis of some size. The index of a single row is 0.
func (m mask) count(axis int, size ir.Dim) (linear, bool) {
	switch {
	case axis == m.rowAxis && size == ir.D(1):
		return linear{}, true
	case axis == m.keyAxis && size == m.keys:
		return linear{key: 1}, true
	case axis == m.rowAxis && size == m.rows:
		return linear{row: 1}, true
	}
	return linear{}, false
}

// row returns the factor of the row index.
func (m mask) row() int {
	if m.rows == ir.D(1) {
		return 0
	}
	return 1
}

func (l linear) plus(m linear, sign int) linear {
	sum := linear{l.key + sign*m.key, l.row + sign*m.row, l.constant + sign*m.constant, maps.Clone(l.terms)}
	for t, n := range m.terms {
		if sum.terms == nil {
			sum.terms = map[term]int{}
		}
		if sum.terms[t] += sign * n; sum.terms[t] == 0 {
			delete(sum.terms, t)
		}
	}
	return sum
}

// rest returns l without key and row.
func (l linear) rest() linear { return linear{constant: l.constant, terms: l.terms} }

// place is the position of the first query among the keys: a symbol, a constant that is not negative, or a tensor.
type place struct {
	dim    ir.Dim
	tensor *ir.Value // or nil
	axis   int
}

// place returns the sum without key and row, if that is a place.
func (l linear) place() (place, bool) {
	if len(l.terms) == 0 {
		return place{dim: ir.D(l.constant)}, l.constant >= 0
	}
	for t, n := range l.terms {
		if len(l.terms) == 1 && n == 1 && l.constant == 0 {
			if t.tensor != nil {
				return place{tensor: t.tensor, axis: t.axis}, true
			}
			return place{dim: ir.Sym(t.sym)}, true
		}
	}
	return place{}, false
}

func (p place) linear() linear {
	switch {
	case p.tensor != nil:
		return linear{terms: map[term]int{{tensor: p.tensor, axis: p.axis}: 1}}
	case p.dim.IsConst():
		return linear{constant: p.dim.N}
	}
	return linear{terms: map[term]int{{sym: p.dim.Sym}: 1}}
}

// seen says which keys a query attends to: position p = row+offset sees key j iff j ≤ p, and j > p-window if there is a
// window, or both are within the prefix.
type seen struct {
	offset place
	window int    // 0 is none
	prefix ir.Dim // 0 is none
}

// condition is a mask as a tree of comparisons, each "linear ≤ 0", combined by and or or.
type condition struct {
	or     bool
	parts  []condition
	atMost linear // of a comparison
}

// condition parses a mask, or its negation, and flattens nested operations of one kind.
func (m mask) condition(v *ir.Value, negated bool) (c condition, ok bool) {
	switch {
	case is(v, ir.OpNot):
		return m.condition(v.Def.In[0], !negated)
	case is(v, ir.OpBroadcast):
		return m.condition(v.Def.In[0], negated)
	case is(v, ir.OpReshape):
		inner, ok := m.placed(v)
		if !ok {
			return c, false
		}
		return inner.condition(v.Def.In[0], negated)
	case is(v, ir.OpAnd), is(v, ir.OpOr):
		c.or = is(v, ir.OpOr) != negated
		for _, side := range v.Def.In {
			part, ok := m.condition(side, negated)
			if !ok {
				return c, false
			}
			if len(part.parts) > 0 && part.or == c.or {
				c.parts = append(c.parts, part.parts...)
			} else {
				c.parts = append(c.parts, part)
			}
		}
		return c, true
	}
	compare := map[*ir.OpDef]struct{ swapped, strict bool }{
		ir.OpLe: {false, false}, ir.OpLt: {false, true}, ir.OpGe: {true, false}, ir.OpGt: {true, true}}
	if v.Def == nil {
		return c, false
	}
	how, ok := compare[v.Def.Def]
	if !ok || v.Def.In[0].Type.DType != ir.I32 {
		return c, false
	}
	x, ok1 := m.linear(v.Def.In[0])
	y, ok2 := m.linear(v.Def.In[1])
	if how.swapped != negated { // not (x ≤ y) is y < x
		x, y = y, x
	}
	c.atMost = x.plus(y, -1)
	if how.strict != negated {
		c.atMost.constant++
	}
	return c, ok1 && ok2
}

// match recognizes a mask of positions in any spelling: causal, with an optional window and an optional prefix.
func (m mask) match(v *ir.Value, negated bool) (s seen, ok bool) {
	c, ok := m.condition(v, negated)
	if !ok {
		return s, false
	}
	if !c.or {
		return m.causal(c)
	}
	if len(c.parts) != 2 {
		return s, false
	}
	for i, part := range c.parts {
		if s, ok := m.causal(part); ok && m.prefix(c.parts[1-i], &s) {
			return s, true
		}
	}
	return s, false
}

// causal recognizes key ≤ row + offset, with or without row + offset - key < window.
func (m mask) causal(c condition) (s seen, ok bool) {
	parts := c.parts
	if len(parts) == 0 {
		parts = []condition{c}
	}
	if c.or || len(parts) > 2 {
		return s, false
	}
	found := false
	for _, p := range parts {
		if l := p.atMost; len(p.parts) == 0 && l.key == 1 && l.row == -m.row() {
			if s.offset, found = (linear{}).plus(l.rest(), -1).place(); !found {
				return s, false
			}
		}
	}
	for _, p := range parts {
		l := p.atMost
		switch {
		case len(p.parts) > 0:
			return s, false
		case l.key == 1 && l.row == -m.row():
		case l.key == -1 && l.row == m.row():
			// row + offset - key - window + 1 ≤ 0
			window := s.offset.linear().plus(l.rest(), -1)
			if window.constant++; len(window.terms) > 0 || window.constant < 1 {
				return s, false
			}
			s.window = window.constant
		default:
			return s, false
		}
	}
	return s, found
}

// prefix recognizes key < prefix and row + offset < prefix for a known offset.
func (m mask) prefix(c condition, s *seen) bool {
	if c.or || len(c.parts) != 2 {
		return false
	}
	var limits [2]place
	var found [2]bool
	for _, p := range c.parts {
		l := p.atMost
		if len(p.parts) > 0 {
			return false
		}
		which, rest := 0, l.rest()
		rest.constant--
		switch {
		case l.key == 1 && l.row == 0:
		case l.key == 0 && l.row == m.row():
			which, rest = 1, rest.plus(s.offset.linear(), -1)
		default:
			return false
		}
		limits[which], found[which] = (linear{}).plus(rest, -1).place()
	}
	s.prefix = limits[0].dim
	return found[0] && found[1] && limits[0] == limits[1] && limits[0].tensor == nil && s.offset.tensor == nil
}

// from recognizes row + offset ≥ 0, the queries that have a position.
func (m mask) from(v *ir.Value, negated bool, offset place) bool {
	c, ok := m.condition(v, negated)
	l := c.atMost.plus(offset.linear(), 1)
	return ok && len(c.parts) == 0 && l.key == 0 && l.row == -m.row() && l.constant == 0 && len(l.terms) == 0
}
