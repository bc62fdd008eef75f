package kernels

import (
	"fmt"

	"pgc/ir/tile"
)

// Epilogue is the end of one part of a matmul whose sums another backend's loop has made: it applies the part's
// expressions to a block of rows by one fragment of columns, of which Width count, and stores the results.
//
// Its parameters are, as ArgLocal 0, 1, …: the sums of each accumulator (float32 rows, Stride elements apart), the row,
// the block and the column within the block where they begin; then, numbered as in the matmul, the extra operands, the
// result and the symbols. What lies outside the result is left out.
type Epilogue struct {
	Matmul       *Matmul
	Part         int
	Rows, Stride int64
	Width        int64
}

func (s *Epilogue) build(g *gen) {
	b, m := g.b, &mmBuild{Matmul: s.Matmul, g: g, extra: make([][]*tile.Value, s.Part+1), outs: make([]*tile.Value, s.Part+1)}
	p := &m.Parts[s.Part]
	sums := collect(p.Accs, func(j int) *tile.Value { return g.localPtr(fmt.Sprintf("sum%d", j), tile.F32) })
	at := g.locals("row", "block", "column")
	next := m.FirstOperand(s.Part)
	for i, o := range p.Extra {
		m.extra[s.Part] = append(m.extra[s.Part], g.operandPtr(next+p.Accs+i, o))
	}
	m.outs[s.Part] = g.resultOf(s.Part, p.Outs[0])
	rows := b.Min(b.Int(s.Rows), b.Sub(g.size(m.M), at[0]))
	left := b.Sub(b.Int(p.N), at[2])
	inside := b.Logic(tile.And, b.Compare(tile.LT, b.Int(0), left), b.Compare(tile.LT, at[1], b.Int(p.Blocks)))
	b.When(inside, func() {
		b.Range(b.Int(0), rows, b.Int(1), func(r *tile.Value) {
			var width *tile.Value
			if s.Width < int64(g.lanes) {
				width = b.Int(s.Width)
			}
			accs := collect(p.Accs, func(j int) *tile.Value { return g.load(sums[j], b.Mul(r, b.Int(s.Stride)), g.lanes, width) })
			m.write(s.Part, accs, []*tile.Value{b.Add(at[0], r), at[1], at[2]}, b.Min(left, b.Int(s.Width)))
		})
	})
}

// localPtr is a pointer that the kernel around supplies.
func (g *gen) localPtr(name string, e tile.Elem) *tile.Value {
	g.out.Args = append(g.out.Args, Arg{Kind: ArgLocal, Index: len(g.out.Args)})
	return g.b.Ptr(name, e)
}

// locals are numbers that the kernel around supplies.
func (g *gen) locals(names ...string) []*tile.Value {
	return collect(len(names), func(i int) *tile.Value {
		g.out.Args = append(g.out.Args, Arg{Kind: ArgLocal, Index: len(g.out.Args)})
		return g.b.Scalar(names[i])
	})
}

// FirstOperand returns the number of the first weight of a part among the operands of the matmul.
func (s *Matmul) FirstOperand(part int) int {
	n := 1
	if s.Prologue != nil {
		n = len(s.Prologue.In)
	}
	for _, p := range s.Parts[:part] {
		n += p.Accs + len(p.Extra) + 2*len(p.Second)
	}
	return n
}
