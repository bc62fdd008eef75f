package passes

import (
	"maps"

	"pgc/ir"
)

// linear is a sum of terms over the elements of a mask: the number of the key, that of the query's row, symbols, and a
// constant.
type linear struct {
	key, row, constant int
	symbols            map[string]int
}

// mask is what conditions are over: [.., rows, keys].
type mask struct{ rows, keys ir.Dim }

// linear reads integers: keys count along the last axis, rows along the one before.
func (m mask) linear(v *ir.Value) (l linear, ok bool) {
	switch {
	case is(v, ir.OpIota):
		axis := v.Def.Attrs.(ir.IotaAttrs).Axis
		return m.count(axis-v.Type.Rank(), v.Type.Shape[axis])
	case is(v, ir.OpReshape): // of a count, to another place
		if x := v.Def.In[0]; is(x, ir.OpIota) && x.Type.Rank() == 1 {
			for i, d := range v.Type.Shape {
				if d == x.Type.Shape[0] {
					return m.count(i-v.Type.Rank(), d)
				}
			}
		}
	case is(v, ir.OpBroadcast):
		return m.linear(v.Def.In[0])
	case is(v, ir.OpSymbol):
		return linear{symbols: map[string]int{string(v.Def.Attrs.(ir.SymbolAttrs).Name): 1}}, true
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
	n, ok := number(v)
	return linear{constant: int(n)}, ok && v.Type.DType == ir.I32
}

// count is the index along an axis, numbered from behind, of a size.
func (m mask) count(axis int, size ir.Dim) (linear, bool) {
	switch {
	case axis == -1 && size == m.keys:
		return linear{key: 1}, true
	case axis == -2 && size == m.rows:
		return linear{row: 1}, true
	}
	return linear{}, false
}

func (l linear) plus(m linear, sign int) linear {
	sum := linear{l.key + sign*m.key, l.row + sign*m.row, l.constant + sign*m.constant, maps.Clone(l.symbols)}
	for s, n := range m.symbols {
		if sum.symbols == nil {
			sum.symbols = map[string]int{}
		}
		if sum.symbols[s] += sign * n; sum.symbols[s] == 0 {
			delete(sum.symbols, s)
		}
	}
	return sum
}

// dim returns what is left when key, row and the given constant are taken away, if that is one positive symbol or a constant that
// is not negative.
func (l linear) dim() (ir.Dim, bool) {
	if len(l.symbols) == 0 {
		return ir.D(l.constant), l.constant >= 0
	}
	for s, n := range l.symbols {
		if len(l.symbols) == 1 && n == 1 && l.constant == 0 {
			return ir.Sym(s), true
		}
	}
	return ir.Dim{}, false
}

// condition is a mask as a tree: comparisons, each "linear ≤ 0", joined by and or by or.
type condition struct {
	or     bool
	parts  []condition
	atMost linear // of a comparison
}

// condition reads a mask, negated if so wanted; nested operations of one kind become one.
func (m mask) condition(v *ir.Value, negated bool) (c condition, ok bool) {
	switch {
	case is(v, ir.OpNot):
		return m.condition(v.Def.In[0], !negated)
	case is(v, ir.OpBroadcast):
		return m.condition(v.Def.In[0], negated)
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

// match reads a mask of positions: causal, perhaps within a window, perhaps lifted within the prefix, however it is written.
func (m mask) match(v *ir.Value, negated bool, a *ir.AttentionAttrs) bool {
	c, ok := m.condition(v, negated)
	if !ok {
		return false
	}
	if !c.or {
		return causal(c, a)
	}
	if len(c.parts) != 2 {
		return false
	}
	for i, part := range c.parts {
		b := *a
		if causal(part, &b) && prefix(c.parts[1-i], &b) {
			*a = b
			return true
		}
	}
	return false
}

// causal reads key ≤ row + offset, perhaps with row + offset - key < window.
func causal(c condition, a *ir.AttentionAttrs) bool {
	parts := c.parts
	if len(parts) == 0 {
		parts = []condition{c}
	}
	if c.or || len(parts) > 2 {
		return false
	}
	found := false
	for _, p := range parts {
		if l := p.atMost; len(p.parts) == 0 && l.key == 1 && l.row == -1 {
			if a.Offset, found = (linear{}).plus(linear{symbols: l.symbols, constant: l.constant}, -1).dim(); !found {
				return false
			}
		}
	}
	for _, p := range parts {
		l := p.atMost
		switch {
		case len(p.parts) > 0:
			return false
		case l.key == 1 && l.row == -1:
		case l.key == -1 && l.row == 1:
			// row + offset - key - window + 1 ≤ 0
			window, ok := offsetOf(a.Offset).plus(linear{symbols: l.symbols, constant: l.constant - 1}, -1).dim()
			if !ok || !window.IsConst() || window.N < 1 {
				return false
			}
			a.Window = window.N
		default:
			return false
		}
	}
	a.Causal = found
	return found
}

func offsetOf(d ir.Dim) linear {
	if d.IsConst() {
		return linear{constant: d.N}
	}
	return linear{symbols: map[string]int{d.Sym: 1}}
}

// prefix reads key < prefix and row + offset < prefix, once the offset is known.
func prefix(c condition, a *ir.AttentionAttrs) bool {
	if c.or || len(c.parts) != 2 {
		return false
	}
	var limits [2]ir.Dim
	var seen [2]bool
	for _, p := range c.parts {
		l := p.atMost
		if len(p.parts) > 0 {
			return false
		}
		which := 0
		rest := linear{symbols: l.symbols, constant: l.constant - 1}
		switch {
		case l.key == 1 && l.row == 0:
		case l.key == 0 && l.row == 1:
			which, rest = 1, rest.plus(offsetOf(a.Offset), -1)
		default:
			return false
		}
		limits[which], seen[which] = (linear{}).plus(rest, -1).dim()
	}
	a.Prefix = limits[0]
	return seen[0] && seen[1] && limits[0] == limits[1]
}
