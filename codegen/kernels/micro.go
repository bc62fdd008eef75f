package kernels

import (
	"math/bits"
	"slices"

	"pgc/ir/tile"
)

// micro runs the inner loop of matmul and attention: sums of rows × vecs vectors of columns in registers, k ascending.
// Whatever calls it, however many rows lie beside a row, that row sees the same operations in the same order.
type micro struct {
	*mma
	rows, vecs, chains int
	x                  lhs
	w                  vectors
	prefetch           func(k *tile.Value) // asks for what later bodies read; nil for nothing
	whole              bool                // k is a multiple of the form's body
	units              int64               // of a body, fewer than the form's; 0 for those
}

// vectors gives vector i of the weights of vector of columns v at unit k.
type vectors func(k *tile.Value, v int) func(i int) *tile.Value

// lhs locates rows of x, or copies of them, as a form reads them: word i of row r at unit k is `words` elements from
// p[k·mul/div + r·stride + i].
type lhs struct {
	p        *tile.Value
	stride   int64
	mul, div int64
	words    int
	paired   bool // rows lie in pairs, as copyPairs has them: even ones are located, and a load takes both
}

// at returns x from a row and a unit of k on.
func (x lhs) at(b *tile.Builder, row, k *tile.Value) lhs {
	x.p = b.PtrAdd(x.p, b.Add(b.Mul(row, b.Int(x.stride)), x.offset(b, k)))
	return x
}

func (x lhs) offset(b *tile.Builder, k *tile.Value) *tile.Value {
	return b.Div(b.Mul(k, b.Int(x.mul)), b.Int(x.div))
}

// run returns the sums after k units from init.
func (m micro) run(g *gen, k *tile.Value, init []*tile.Value) []*tile.Value {
	b, each := g.b, m.body
	if m.units > 0 {
		each = m.units
	}
	body := b.Int(each)
	step := func(at *tile.Value, sums []*tile.Value) []*tile.Value {
		w := make([]func(i int) *tile.Value, m.vecs)
		for v := range w {
			w[v] = once(m.w(at, v))
		}
		x := func(r, i int) *tile.Value {
			off := b.Add(m.x.offset(b, at), b.Int(int64(r)*m.x.stride+int64(i)))
			return b.Load(m.x.p, off, m.x.words)
		}
		return m.emit(mmaStep{m.mma, g, m.rows, m.vecs, m.chains, m.x.paired, slices.Clone(sums), x, func(v, i int) *tile.Value { return w[v](i) }})
	}
	main := b.Mul(b.Div(k, body), body)
	if m.whole || m.step == each { // rows are padded to it
		main = k
	}
	sums := b.For(b.Int(0), main, body, init, func(i *tile.Value, c []*tile.Value) []*tile.Value {
		if m.prefetch != nil {
			m.prefetch(i)
		}
		for u := int64(0); u < each; u += m.step {
			c = step(b.Add(i, b.Int(u)), c)
		}
		return c
	})
	if main == k {
		return sums
	}
	return b.For(main, k, b.Int(m.step), sums, func(i *tile.Value, c []*tile.Value) []*tile.Value { return step(i, c) })
}

// zeros returns n zero vectors.
func zeros(b *tile.Builder, n, lanes int) []*tile.Value {
	return collect(n, func(int) *tile.Value { return b.Float(0, lanes) })
}

// anyRest is for rowBlocks of rows of which nothing is known.
const anyRest = -1

// rowBlocks covers rows, of which there are never more than bound, with blocks of at most `most` rows: whole blocks
// first, then falling powers of two. There is code for no larger block than the bound asks for, and for no power of two
// that is not in rest, the binary digits that the rows behind whole blocks may have.
func rowBlocks(b *tile.Builder, rows *tile.Value, bound int64, most int, rest int64, body func(first *tile.Value, n int)) {
	at := b.Int(0)
	if bound >= int64(most) {
		m := b.Int(int64(most))
		at = b.Mul(b.Div(rows, m), m)
		b.Range(b.Int(0), at, m, func(i *tile.Value) { body(i, most) })
	}
	left, isConst := tile.ConstInt(rows)
	left %= int64(most)
	for p := 1 << bits.Len64(uint64(min(int64(most)-1, bound))) / 2; p > 0; p /= 2 {
		first := at
		switch {
		case rest&int64(p) == 0:
		case !isConst:
			at = b.If(b.Compare(tile.LE, b.Add(at, b.Int(int64(p))), rows), func() []*tile.Value {
				body(first, p)
				return []*tile.Value{b.Add(first, b.Int(int64(p)))}
			}, func() []*tile.Value { return []*tile.Value{first} })[0]
		case left >= int64(p):
			body(first, p)
			at, left = b.Add(first, b.Int(int64(p))), left-int64(p)
		}
	}
}
