package kernels

import (
	"math"

	"pgc/ir/scalar"
	"pgc/ir/tile"
)

// argmaxTasks is about the number of tasks where columns are many: enough for threads to share, and so few pairs that
// joining them takes no time.
const argmaxTasks = 256

// ArgmaxColumns returns how many columns a task reduces to one pair where a part has n: whole streams of every target,
// so that the memory for the pairs is the same for all.
func ArgmaxColumns(n int64) int64 {
	const most = 4 * PanelWidth // panels side by side
	return roundUp(max(1, (n+argmaxTasks-1)/argmaxTasks), most)
}

// Partials counts the pairs of a value and its index that the columns of an argmax are reduced to.
func (p *Part) Partials() int64 { return (p.N + p.Argmax - 1) / p.Argmax }

// argmax accumulates the greatest value in every lane, and its index. NaN counts as +Inf at index -1, so that the least
// index of the greatest value is -1 where any is NaN.
type argmax struct{ value, index *tile.Value }

// noIndex is the index of the identity, behind all others.
const noIndex = math.MaxInt32

// argmaxIdentity returns the accumulator that every other one wins against.
func argmaxIdentity(b *tile.Builder, lanes int) argmax {
	return argmax{b.Float(math.Inf(-1), lanes), b.Int32(noIndex, lanes)}
}

func (x argmax) carried() []*tile.Value { return []*tile.Value{x.value, x.index} }

// join takes y where it is greater, or as great and earlier: the result is the same in whichever order accumulators are
// joined.
func (x argmax) join(b *tile.Builder, y argmax) argmax {
	earlier := b.Logic(tile.And, b.Compare(tile.EQ, x.value, y.value), b.Compare(tile.LT, y.index, x.index))
	take := b.Logic(tile.Or, b.Compare(tile.LT, x.value, y.value), earlier)
	return argmax{b.Select(take, y.value, x.value), b.Select(take, y.index, x.index)}
}

// lanes joins the accumulators of all lanes.
func (x argmax) lanes(b *tile.Builder) argmax {
	n := x.value.Type.Lanes
	top := b.Reduce(tile.Max, x.value)
	index := b.Select(b.Compare(tile.EQ, x.value, b.Splat(top, n)), x.index, b.Int32(noIndex, n))
	// Float32 holds every column's index exactly; a minimum is the negative of a maximum.
	negative := b.Reduce(tile.Max, b.Unary(tile.Neg, b.Cast(tile.IToF, index)))
	return argmax{top, b.Cast(tile.FToI, b.Unary(tile.Neg, negative))}
}

// accumulateArgmax joins one fragment of each accumulator, columns col … col+lanes-1, to what the task has.
func (m *mmBuild) accumulateArgmax(part int, accs []*tile.Value, col *tile.Value) {
	p, b, lanes := &m.Parts[part], m.g.b, m.g.lanes
	whole := p.N%PanelWidth == 0
	var count *tile.Value // of the columns that exist
	if !whole {
		count = b.Max(b.Int(0), b.Min(b.Int(int64(lanes)), b.Sub(b.Int(p.N), col)))
	}
	v := b.Expr(scalar.Lower(p.Exprs[0]), m.args(part, accs, []*tile.Value{b.Int(0), b.Int(0), col}, count), lanes)
	index := b.Add(b.Splat(b.Cast(tile.Narrow, col), lanes), b.Iota(lanes))
	number := b.Compare(tile.EQ, v, v)
	y := argmax{b.Select(number, v, b.Float(math.Inf(1), lanes)), b.Select(number, index, b.Int32(-1, lanes))}
	if !whole {
		none, inside := argmaxIdentity(b, lanes), b.Compare(tile.LT, index, b.Int32(p.N, lanes))
		y = argmax{b.Select(inside, y.value, none.value), b.Select(inside, y.index, none.index)}
	}
	m.best = argmax{m.best[0], m.best[1]}.join(b, y).carried()
}

// overPanels runs body for panels first, first+step … below end, and carries the accumulator of an argmax.
func (m *mmBuild) overPanels(first, end, step *tile.Value, body func(at *tile.Value)) {
	m.best = m.g.b.For(first, end, step, m.best, func(at *tile.Value, best []*tile.Value) []*tile.Value {
		m.best = best
		body(at)
		return m.best
	})
}

// storePartial stores the pair of a task.
func (m *mmBuild) storePartial(part int, task *tile.Value) {
	p, b, out := &m.Parts[part], m.g.b, m.outs[part]
	pair := argmax{m.best[0], m.best[1]}.lanes(b)
	b.Store(out, task, pair.value)
	b.Store(b.PtrCast(out, tile.I32), b.Add(task, b.Int(p.Partials())), pair.index)
}
