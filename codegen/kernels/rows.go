package kernels

import (
	"pgc/ir/scalar"
	"pgc/ir/tile"
)

// Rows is the beginning of a matmul whose loop is another backend's: it computes a row of x, or reads it where the
// matmul has no prologue, and stores it as bfloat16. What is float32 becomes two numbers, the upper 16 bits and the rest
// rounded, which together are x within 2⁻¹⁶. Several tasks of equal results may share a row.
//
// Its parameters are, as ArgLocal 0, 1, …: where the row is stored, its number, the first fragment of columns to store,
// the one behind the last, how far they are apart, whether (not 0) the further results of the prologue are stored
// as well, and where the rests are stored if x is float32; then, numbered as in the matmul, the operands, the results and
// the symbols.
type Rows struct{ Matmul *Matmul }

func (s *Rows) build(g *gen) {
	b, m := g.b, s.Matmul
	to := g.localPtr("x", tile.BF16)
	local := g.locals("number", "first", "end", "step", "further")
	row, first, end, step, further := local[0], local[1], local[2], local[3], local[4]
	var rests *tile.Value
	if !m.BF16 {
		rests = g.localPtr("rests", tile.BF16)
	}
	p := m.prologue()
	r := g.rowBody(p.In, p.Reduce, 1)
	var outs []*tile.Value
	for i, o := range p.Outs {
		outs = append(outs, g.resultOf(len(m.Parts)+i, o))
	}
	exprs := lowered(p.Exprs)
	outer, lanes := []*tile.Value{row}, int64(r.lanes)
	reduced := r.reductions(outer, b.Int(m.K))
	b.Range(first, end, step, func(piece *tile.Value) {
		i := b.Mul(piece, b.Int(lanes))
		var count *tile.Value
		if m.K%lanes != 0 {
			count = b.Sub(b.Int(m.K), i)
		}
		args := r.args(outer, i, count, reduced, r.lanes)
		x := b.Expr(exprs[0], args, r.lanes)
		if rests != nil {
			upper := b.Cast(tile.BitF, b.Logic(tile.And, b.Cast(tile.BitI, x), b.Int32(-1<<16, r.lanes)))
			g.store(rests, i, b.Sub(x, upper), count)
			x = upper
		}
		g.store(to, i, x, count)
		if len(outs) == 0 {
			return
		}
		b.When(b.Compare(tile.LT, b.Int(0), further), func() {
			for j, o := range p.Outs {
				g.write(outs[j], o, []*tile.Value{row, i}, b.Expr(exprs[1+j], args, r.lanes), count)
			}
		})
	})
}

// Lanes returns how many columns a fragment of the rows has for a target.
func (s *Rows) Lanes(lanes int) int {
	for _, o := range s.Matmul.prologue().In {
		if o.Kind == Tensor && o.Strides[1] > 1 {
			return 1
		}
	}
	return lanes
}

// prologue returns the prologue, or one that reads x.
func (s *Matmul) prologue() *Prologue {
	if s.Prologue != nil {
		return s.Prologue
	}
	x := Operand{Elem: tile.F32, Strides: []int64{s.XStride, 1}, Aligned: s.Aligned}
	if s.BF16 {
		x.Elem = tile.BF16
	}
	return &Prologue{In: []Operand{x}, Exprs: []*scalar.Expr{scalar.X(0, scalar.F32)}}
}
