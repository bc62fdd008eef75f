package llvm

import (
	"github.com/llir/llvm/ir"
	"github.com/llir/llvm/ir/constant"
	"github.com/llir/llvm/ir/enum"
	"github.com/llir/llvm/ir/types"
	"github.com/llir/llvm/ir/value"

	"pgc/ir/tile"
)

// loop is a loop of constant step. Its head gets phis for what the body would compute from the index in every
// iteration. llc's own search for these takes a third of its time and is left out (see flags).
type loop struct {
	outer        *loop
	index        *tile.Value
	first        value.Value
	step, unit   int64 // the head counts units
	before, head *ir.Block
	walks        map[walk]*ir.InstPhi
	next         []func(last *ir.Block) // make the values of the phis for the next iteration
}

// walk is a pointer p[multiple + plus] that moves with the index; plus may be nil.
type walk struct {
	p, multiple, plus *tile.Value
}

// counted emits a counted loop: the index and the carried values are phis of its head.
func (e *emitter) counted(in *tile.Inst) {
	a, block := e.args(in), in.Blocks[0]
	before := e.cur
	head := e.newBlock()
	before.NewBr(head)
	l := &loop{outer: e.loop, index: block.Args[0], first: a[0], unit: 1, before: before, head: head, walks: map[walk]*ir.InstPhi{}}
	if step, ok := tile.ConstInt(in.Args[2]); ok {
		l.step, e.loop = step, l
	}
	phis := make([]*ir.InstPhi, len(in.Out))
	for i := range phis {
		phis[i] = head.NewPhi(ir.NewIncoming(a[3+i], before))
		e.vals[in.Out[i].ID] = phis[i]
		e.vals[block.Args[1+i].ID] = phis[i]
	}
	body := e.newBlock()
	count, end := e.count(in, l, a)
	e.block(block)
	last := e.cur
	for _, f := range l.next {
		f(last)
	}
	e.loop = l.outer
	last.NewBr(head)
	for i, y := range block.Yield {
		phis[i].Incs = append(phis[i].Incs, ir.NewIncoming(e.vals[y.ID], last))
	}
	after := e.newBlock()
	head.NewCondBr(head.NewICmp(enum.IPredSLT, count, end), body, after)
}

// phi adds a phi to the head that begins with start; next makes the value of the next iteration.
func (l *loop) phi(start value.Value, next func(last *ir.Block, phi value.Value) value.Value) *ir.InstPhi {
	phi := l.head.NewPhi(ir.NewIncoming(start, l.before))
	l.next = append(l.next, func(last *ir.Block) { phi.Incs = append(phi.Incs, ir.NewIncoming(next(last, phi), last)) })
	return phi
}

// count makes what a loop counts and the end of that: the index, or, where the body divides it by constants and nothing
// remains, the index by the largest of them. What else needs the index multiplies.
func (e *emitter) count(in *tile.Inst, l *loop, a []value.Value) (count, end value.Value) {
	type quotient struct {
		of *tile.Value
		by int64
	}
	var quotients []quotient
	first, fixed := tile.ConstInt(in.Args[0])
	for _, div := range in.Blocks[0].Insts {
		if div.Op != tile.Div || div.Args[0] != l.index || !fixed || first < 0 || l.step == 0 {
			continue
		}
		if c, ok := tile.ConstInt(div.Args[1]); ok && c > 0 && first%c == 0 && l.step%c == 0 {
			l.unit = max(l.unit, c)
			quotients = append(quotients, quotient{div.Out[0], c})
		}
	}
	start, end := a[0], a[1]
	if l.unit > 1 {
		start = i64(first / l.unit)
		if n, ok := tile.ConstInt(in.Args[1]); ok {
			end = i64((n + l.unit - 1) / l.unit)
		} else {
			end = l.before.NewSDiv(l.before.NewAdd(end, i64(l.unit-1)), i64(l.unit))
		}
	}
	q := l.phi(start, func(last *ir.Block, q value.Value) value.Value {
		if l.step == 0 {
			return last.NewAdd(q, a[2])
		}
		return last.NewAdd(q, i64(l.step/l.unit))
	})
	e.vals[l.index.ID] = q
	if l.unit > 1 {
		e.vals[l.index.ID] = e.cur.NewMul(q, i64(l.unit))
	}
	for _, d := range quotients {
		if d.by == l.unit {
			e.vals[d.of.ID] = q
		} else if l.unit%d.by == 0 {
			e.vals[d.of.ID] = e.cur.NewMul(q, i64(l.unit/d.by))
		}
	}
	return q, end
}

// walked returns a pointer and an offset that together are p[off]. Where off is a multiple of the index, the pointer
// walks and the offset is constant.
func (e *emitter) walked(p, off *tile.Value, at, elements value.Value) (value.Value, value.Value) {
	l := e.loop
	if l == nil || !p.Before(l.index) {
		return at, elements
	}
	base, rest := tile.Displaced(off)
	if base == l.index && rest != 0 { // an element of an unrolled body
		return e.begin(p, base, at), i64(rest)
	}
	w := walk{p: p, multiple: base}
	if base.Def != nil && base.Def.Op == tile.Add {
		w.multiple, w.plus = base.Def.Args[0], base.Def.Args[1]
		if w.multiple.Before(l.index) {
			w.multiple, w.plus = w.plus, w.multiple
		}
		if !w.plus.Before(l.index) {
			return at, elements
		}
	}
	if w.multiple.Def == nil || w.multiple.Def.Op != tile.Mul || w.multiple.Def.Args[0] != l.index {
		return at, elements
	}
	factor, ok := tile.ConstInt(w.multiple.Def.Args[1])
	if !ok || w.plus == nil && e.target.Scales(l.unit*factor*int64(p.Type.Elem.Bytes())) {
		return at, elements
	}
	if l.walks[w] == nil {
		start := value.Value(l.before.NewMul(l.first, i64(factor)))
		if w.plus != nil {
			start = l.before.NewAdd(start, e.vals[w.plus.ID])
		}
		elem := elemType(p.Type.Elem)
		l.walks[w] = l.phi(l.before.NewGetElementPtr(elem, at, start), func(last *ir.Block, phi value.Value) value.Value {
			return last.NewGetElementPtr(elem, phi, i64(l.step*factor))
		})
	}
	return l.walks[w], i64(rest)
}

func i64(n int64) value.Value { return constant.NewInt(types.I64, n) }
