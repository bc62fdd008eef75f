package kernels

import "pgc/ir/tile"

// bfloats is how a target multiplies bfloat16 by bfloat16. Two neighbours in k are one step: a panel holds words of two, so that
// word (n, k/2) of an N×K matrix lies at (n/16)·⌈K/2⌉·16 + (k/2)·16 + n%16, an odd K padded with a zero. That one copy serves
// every instruction set, in one of two ways:
//
//	dot    tile.DotBF16, words as they are; rows of x too, unless K is odd: then they are copied, with a zero behind
//	others words are split into two vectors of f32, and x is made f32; fused multiply-adds in the order of tile.DotBF16
//
// Products of bfloat16 are exact in f32, so both round the same sums: they give the same bits where nothing is subnormal.
type bfloats struct {
	g   *gen
	k   int64
	dot bool
}

func (g *gen) bfloats(k int64) bfloats { return bfloats{g, k, g.target.BF16} }

func (p bfloats) steps() int64 { return (p.k + 1) / 2 }

// way is what a step of the inner loop is.
type way uint8

const (
	single  way = iota // one value of k
	swapped            // one value of k, the odd ones before the even ones
	dotted             // two, by tile.DotBF16: A is i16, B words
	split              // two, one after the other: A is f32, B words
)

// stream is the way of a single row.
func (p bfloats) stream() way {
	if p.dot {
		return dotted
	}
	return split
}

// schedule adapts the blocking of a part: kc counts pairs.
func (p bfloats) schedule(s mmSchedule) mmSchedule {
	if !p.dot {
		s.kc /= 2
	}
	return s
}

// copied reports whether rows of x are copied before they are multiplied.
func (p bfloats) copied() bool { return !p.dot || p.k%2 == 1 }

// scratch is how many floats of scratch the widened weights of kc steps of nr columns take, and the copied x of a task.
func (p bfloats) scratch(s mmSchedule, nr int64) (weights, x int64) {
	switch {
	case !p.dot:
		return 2 * s.kc * nr, 2 * s.kc * s.mb
	case p.copied():
		return 0, s.kc * s.mb
	}
	return 0, 0
}

// block returns x from step k0 on as the inner loop wants it, and how far apart its rows are; copies of them are made in scratch,
// stride elements apart.
func (p bfloats) block(m *mmBuild, scratch, k0, steps, rows *tile.Value, stride int64) (x *tile.Value, apart int64) {
	b, lanes := p.g.b, p.g.lanes
	first := b.Mul(k0, b.Int(2))
	if !p.copied() {
		return b.PtrCast(b.PtrAdd(m.x, first), tile.I16), m.xStride
	}
	to := scratch
	if p.dot {
		to = b.PtrCast(scratch, tile.BF16)
	}
	both := b.Mul(steps, b.Int(2))
	n := b.Min(both, b.Sub(b.Int(p.k), first))
	b.Range(b.Int(0), rows, b.Int(1), func(r *tile.Value) {
		from, row := b.PtrAdd(m.x, b.Add(b.Mul(r, b.Int(m.xStride)), first)), b.PtrAdd(to, b.Mul(r, b.Int(stride)))
		p.g.vectors(n, lanes, func(i, count *tile.Value) { p.g.store(row, i, p.g.load(from, i, lanes, count), count) })
		if p.k%2 == 1 {
			b.When(b.Compare(tile.LT, n, both), func() { b.Store(row, n, b.Float(0, 1)) })
		}
	})
	if p.dot {
		to = b.PtrCast(to, tile.I16)
	}
	return to, stride
}

// widen writes steps words of every source as two rows of floats, nr apart.
func (p bfloats) widen(from []source, to, steps *tile.Value, nr int64) {
	b, lanes := p.g.b, p.g.lanes
	b.Range(b.Int(0), steps, b.Int(1), func(k *tile.Value) {
		for v, src := range from {
			odd, even := halves(b, b.Load(src.p, b.Add(b.Mul(k, b.Int(PanelWidth)), b.Int(src.off)), lanes))
			at := b.Add(b.Mul(k, b.Int(2*nr)), b.Int(int64(v*lanes)))
			b.Store(to, at, even)
			b.Store(to, b.Add(at, b.Int(nr)), odd)
		}
	})
}

// halves are the two bfloat16 of every word as f32.
func halves(b *tile.Builder, words *tile.Value) (odd, even *tile.Value) {
	lanes := words.Type.Lanes
	odd = b.Cast(tile.BitF, b.Logic(tile.And, words, b.Int32(-1<<16, lanes)))
	return odd, b.Cast(tile.BitF, b.Logic(tile.Shl, words, b.Int32(16, lanes)))
}

// pair is the step of the ways dotted and split.
func (m micro) pair(b *tile.Builder, a *tile.Value) func(at *tile.Value, acc []*tile.Value) []*tile.Value {
	n := len(m.b)
	return func(at *tile.Value, acc []*tile.Value) []*tile.Value {
		words := make([]*tile.Value, n)
		for v, src := range m.b {
			words[v] = b.Load(src.p, b.Add(b.Mul(at, b.Int(m.bK)), b.Int(src.off)), m.lanes)
		}
		out := append([]*tile.Value{}, acc...)
		place := func(r int) *tile.Value { return b.Add(b.Mul(at, b.Int(2)), b.Int(int64(r)*m.aRow)) }
		if m.way == dotted {
			for v := range words {
				words[v] = b.Bits(words[v], tile.I16)
			}
			for r := range m.rows {
				x := b.Splat(b.Bits(b.Load(a, place(r), 2), tile.I32), m.lanes)
				for v, w := range words {
					out[r*n+v] = b.DotBF16(out[r*n+v], w, b.Bits(x, tile.I16))
				}
			}
			return out
		}
		odd, even := make([]*tile.Value, n), make([]*tile.Value, n)
		for v, w := range words {
			odd[v], even[v] = halves(b, w)
		}
		for r := range m.rows {
			for _, h := range []struct {
				w  []*tile.Value
				at int64
			}{{odd, 1}, {even, 0}} {
				x := b.Splat(b.Load(a, b.Add(place(r), b.Int(h.at)), 1), m.lanes)
				for v, w := range h.w {
					out[r*n+v] = b.FMA(x, w, out[r*n+v])
				}
			}
		}
		return out
	}
}

// backwards takes k steps, an even number, two by two and of each two the second one first.
func (m micro) backwards(b *tile.Builder, k *tile.Value, init []*tile.Value, step func(at *tile.Value, acc []*tile.Value) []*tile.Value) []*tile.Value {
	two := func(at *tile.Value, acc []*tile.Value) []*tile.Value {
		at = b.Mul(at, b.Int(2))
		return step(at, step(b.Add(at, b.Int(1)), acc))
	}
	return m.loop(b, b.Div(k, b.Int(2)), init, two)
}
