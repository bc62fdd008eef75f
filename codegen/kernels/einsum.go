package kernels

import (
	"slices"

	"pgc/ir/tile"
)

// Einsum is any contraction of two float32 tensors: out[o] = Σ_r x[o,r]·y[o,r], with strides over the output dimensions
// and then the summed ones (0 where a tensor has no such dimension). It takes contractions that no faster template does.
type Einsum struct {
	Dims, Sum []Size
	X, Y      []int64
	Out       []int64
}

func (s *Einsum) build(g *gen) {
	b := g.b
	x, y, out := g.in(0, tile.F32), g.in(1, tile.F32), g.result(0, tile.F32)
	sums := collect(len(s.Sum), func(i int) *tile.Value { return g.size(s.Sum[i]) })
	last := len(s.Dims) - 1
	lanes := g.lanes
	if s.X[last] > 1 || s.Y[last] > 1 || s.Out[last] != 1 {
		lanes = 1
	}
	g.domain(s.Dims, lanes, func(outer []*tile.Value, lo, n *tile.Value) {
		g.vectors(n, lanes, func(i, count *tile.Value) {
			at := append(slices.Clone(outer), b.Add(lo, i))
			read := func(p *tile.Value, strides []int64, index []*tile.Value) *tile.Value {
				off := g.at(index, strides)
				if strides[last] == 0 || lanes == 1 {
					return b.Splat(b.Load(p, off, 1), lanes)
				}
				return g.load(p, off, lanes, count)
			}
			var nest func(index []*tile.Value, acc *tile.Value) *tile.Value
			nest = func(index []*tile.Value, acc *tile.Value) *tile.Value {
				d := len(index) - len(s.Dims)
				if d == len(s.Sum) {
					return b.FMA(read(x, s.X, index), read(y, s.Y, index), acc)
				}
				return b.For(b.Int(0), sums[d], b.Int(1), []*tile.Value{acc}, func(k *tile.Value, c []*tile.Value) []*tile.Value {
					return []*tile.Value{nest(append(slices.Clone(index), k), c[0])}
				})[0]
			}
			g.store(out, g.at(at, s.Out), nest(at, b.Float(0, lanes)), count)
		})
	})
}
