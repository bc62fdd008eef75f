package kernels

import (
	"math"
	"slices"

	"pgc/ir/tile"
)

// Top finds the K greatest elements of rows, and their indices, in the order of ir.OpTop, and reduces the rows: results
// are the elements (f32), the indices (i32) and the log-sum-exp that Row describes, whose only operand is that of all. It
// is not one kernel: the one that is built for it writes the first two, and backends add the reduction.
type Top struct {
	Row             *Row // over rows of at least K elements
	K               int64
	Values, Indices Out // over the row's outer dimensions and K
}

// An entry is an element as an integer of the same order, its key, and the element's index. The list of entries has one
// in front of it that stays there, and those of no element are behind all others.
const (
	firstKey = math.MaxInt32 // and that of NaN
	noKey    = math.MinInt32
)

// topBuild builds the kernel of a Top: a task keeps the list of a row's greatest elements in scratch memory.
type topBuild struct {
	*Top
	g             *gen
	row           rowBody
	keys, indices *tile.Value // of the list
	length        int64       // of the list, in whole vectors
}

func (s *Top) build(g *gen) {
	b, last := g.b, len(s.Row.Outer)
	t := &topBuild{Top: s, g: g, length: roundUp(s.K, int64(g.lanes)), row: g.rowBody(s.Row.In, nil, last)}
	values, indices := g.resultOf(0, s.Values), g.resultOf(1, s.Indices)
	lanes, pad := g.lanes, int64(g.lanes)
	scratch := b.PtrCast(b.Scratch(int(2*(pad+t.length))), tile.I32)
	t.keys, t.indices = b.PtrAdd(scratch, b.Int(pad)), b.PtrAdd(scratch, b.Int(2*pad+t.length))
	g.domain(s.Row.dims(), 0, func(outer []*tile.Value, _, n *tile.Value) {
		for _, list := range []*tile.Value{t.keys, t.indices} {
			b.Range(b.Int(0), b.Int(t.length), b.Int(pad), func(i *tile.Value) { b.Store(list, i, b.Int32(noKey, lanes)) })
		}
		b.Store(t.keys, b.Int(-1), b.Int32(firstKey, 1))
		b.Store(t.indices, b.Int(-1), b.Int32(-1, 1))
		g.vectors(n, t.row.lanes, func(i, count *tile.Value) { t.consider(outer, i, count) })
		g.vectors(b.Int(s.K), lanes, func(i, count *tile.Value) {
			at := append(slices.Clone(outer), i)
			key := b.Load(t.keys, i, lanes)
			g.write(values, s.Values, at, b.Cast(tile.BitF, t.flipped(key)), count)
			g.write(indices, s.Indices, at, b.Load(t.indices, i, lanes), count)
		})
	})
}

// flipped turns the bits of a float into its key and back: those of a negative number but for the sign.
func (t *topBuild) flipped(x *tile.Value) *tile.Value {
	b, lanes := t.g.b, x.Type.Lanes
	negative := b.Logic(tile.Sar, x, b.Int32(31, lanes))
	return b.Logic(tile.Xor, x, b.Logic(tile.And, negative, b.Int32(math.MaxInt32, lanes)))
}

// key returns the keys of elements; both zeros have that of 0.
func (t *topBuild) key(x *tile.Value) *tile.Value {
	b, lanes := t.g.b, x.Type.Lanes
	zero := b.Float(0, lanes)
	key := t.flipped(b.Cast(tile.BitI, b.Select(b.Compare(tile.EQ, x, zero), zero, x)))
	return b.Select(b.Compare(tile.EQ, x, x), key, b.Int32(firstKey, lanes))
}

// elements loads elements of a row, from i on.
func (t *topBuild) elements(outer []*tile.Value, i, count *tile.Value, lanes int) *tile.Value {
	return t.row.args(outer, i, count, nil, lanes)[0]
}

// last is the key of the list's last entry.
func (t *topBuild) last() *tile.Value { return t.g.b.Load(t.keys, t.g.b.Int(t.K-1), 1) }

// consider puts those of a vector of elements into the list that are greater than the last entry.
func (t *topBuild) consider(outer []*tile.Value, i, count *tile.Value) {
	b, lanes := t.g.b, t.row.lanes
	greater := b.Compare(tile.LT, b.Splat(t.last(), lanes), t.key(t.elements(outer, i, count, lanes)))
	if lanes > 1 {
		any := b.Reduce(tile.Max, b.Select(greater, b.Float(1, lanes), b.Float(0, lanes)))
		greater = b.Compare(tile.LT, b.Float(0, 1), any)
	}
	if count == nil {
		count = b.Int(int64(lanes))
	}
	b.When(greater, func() {
		b.Range(b.Int(0), count, b.Int(1), func(j *tile.Value) {
			at := b.Add(i, j)
			key := t.key(t.elements(outer, at, nil, 1))
			b.When(b.Compare(tile.LT, t.last(), key), func() { t.insert(key, b.Cast(tile.Narrow, at)) })
		})
	})
}

// insert puts an entry behind those that are not less, which came before it, and moves the others on.
func (t *topBuild) insert(key, index *tile.Value) {
	b, lanes := t.g.b, t.g.lanes
	k, n := b.Splat(key, lanes), b.Splat(index, lanes)
	b.Range(b.Int(0), b.Int(t.length), b.Int(int64(lanes)), func(i *tile.Value) {
		at := b.Sub(b.Int(t.length-int64(lanes)), i)
		before := b.Sub(at, b.Int(1))
		own, previous := b.Load(t.keys, at, lanes), b.Load(t.keys, before, lanes)
		ownIndex, previousIndex := b.Load(t.indices, at, lanes), b.Load(t.indices, before, lanes)
		stays, here := b.Compare(tile.LE, k, own), b.Compare(tile.LE, k, previous)
		b.Store(t.keys, at, b.Select(stays, own, b.Select(here, k, previous)))
		b.Store(t.indices, at, b.Select(stays, ownIndex, b.Select(here, n, previousIndex)))
	})
}
