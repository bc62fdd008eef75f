package ptx

import (
	"fmt"

	"pgc/codegen/kernels"
	"pgc/codegen/packing"
	"pgc/ir/scalar"
	"pgc/ir/tile"
)

// finish puts the sums into shared memory, where the stages were, some tokens of each warp at a time, and runs the
// epilogue on them, a token in a warp.
func (g *many) finish() {
	wa := g.to(word, "and.b32", g.warpID, num(g.across-1))
	wt := g.to(word, "shr.u32", g.warpID, num(log2(g.across)))
	round, row := g.round(), 4*g.slabRow()
	tokens := g.down * round * 8
	accBytes := tokens * row
	// Sums 0 and 1 of a thread are row lane/4 of the strip for tokens 2·(lane%4) and the next, 2 and 3 eight below.
	mine := g.to(word, "mad.lo.s32", g.to(word, "shr.u32", g.lane, "2"), "4", g.base)
	mine = g.to(word, "mad.lo.s32", g.to(word, "and.b32", g.lane, "3"), num(2*row), mine)
	mine = g.to(word, "mad.lo.s32", wt, num(round*8*row), mine)
	mine = g.to(word, "mad.lo.s32", wa, num(g.each()*packing.PanelWidth*4), mine)
	for first := int64(0); first < g.eights; first += round {
		g.note("The sums go where the stages were, and from there to the epilogue.")
		for j := range g.sums {
			for s, strip := range g.sums[j] {
				for e, sums := range strip[first : first+round] {
					for i, r := range sums {
						to := int64(j)*accBytes + (int64(e)*8+int64(i)%2)*row + (int64(s)*packing.PanelWidth+int64(i)/2*8)*4
						g.do("st.shared.f32", at(mine, to), r)
					}
				}
			}
		}
		g.do("bar.sync", "0")
		g.repeat(g.warpID, tokens, g.threads()/warp, func(t string) {
			at := g.to(word, "mad.lo.s32", t, num(row), g.base)
			token := g.to(word, "add.s32", g.m0, g.to(word, "rem.s32", t, num(round*8)))
			token = g.to(word, "mad.lo.s32", g.to(word, "div.s32", t, num(round*8)), num(g.eights*8), token)
			token = g.to(word, "add.s32", token, num(first*8))
			g.ofPart(g.outer, g.outputs(g.accs), func(part int, task string) { g.end(part, at, accBytes, token) })
		})
		g.do("bar.sync", "0") // before the next sums or copies
	}
}

// end runs the epilogue of a part on a token's sums, piece by piece.
func (g *many) end(part int, sums string, accBytes int64, token string) {
	q := &g.Parts[g.parts[part]]
	piece := pieceOf(q)
	out := fmt.Sprintf("out%d", g.parts[part])
	if g.split > 1 {
		g.bound[out] = binding{reg: g.offset(g.byName[out], g.part, partialBytes(g.Matmul, g.parts[part]))}
	}
	row64 := binding{reg: g.to(long, "cvt.u64.u32", token)}
	run := func(accs []int, strip string) {
		g.repeat("0", g.outputs(g.accs)*packing.PanelWidth/piece, 1, func(i string) {
			at := g.to(word, "mad.lo.s32", i, num(4*piece), sums)
			var locals []binding
			for _, j := range accs {
				locals = append(locals, binding{reg: g.to(long, "cvt.u64.u32", g.to(word, "add.s32", at, num(int64(j)*accBytes))), shared: true})
			}
			block, c := g.column(part, g.to(word, "mad.lo.s32", i, num(piece/packing.PanelWidth), strip))
			g.inline(g.ends[part], append(locals, row64, binding{reg: block}, binding{reg: c})...)
		})
	}
	if !g.shares(q) {
		run([]int{0, 1}[:g.accs], g.strip[0])
		return
	}
	for j := range g.accs {
		run([]int{j}, g.strip[j])
	}
}

// partial is a matmul whose results are float32, one behind the other: values of expressions, or where there are none
// its sums, accumulator by accumulator.
func partial(s *kernels.Matmul, exprs []*scalar.Expr) *kernels.Matmul {
	m := *s
	m.Parts = nil
	for _, q := range s.Parts {
		n := q.Blocks * q.N
		q.Scatter = kernels.Scatter{}
		if q.Exprs, q.Outs = exprs, nil; exprs == nil {
			q.Extra = nil
			for j := range q.Accs {
				q.Exprs = append(q.Exprs, scalar.X(j, scalar.F32))
			}
		}
		for j := range q.Exprs {
			q.Outs = append(q.Outs, kernels.Out{Elem: tile.F32, Strides: []int64{n, q.N, 1}, Offset: int64(j) * s.M.N * n})
		}
		m.Parts = append(m.Parts, q)
	}
	return &m
}

// partialBytes is the size of the sums of a part of a matmul.
func partialBytes(s *kernels.Matmul, part int) int64 {
	q := &s.Parts[part]
	return int64(q.Accs) * s.M.N * q.Blocks * q.N * 4
}
