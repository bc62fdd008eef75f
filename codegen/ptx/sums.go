package ptx

import (
	"pgc/codegen/backend"
	"pgc/codegen/kernels"
	"pgc/ir/tile"
	"pgc/runtime/program"
)

// sumsRow is how many rows a group of sums of x has: those of whole tiles.
func sumsRow(m kernels.Size) int64 { return (m.N + mostTokens - 1) / mostTokens * mostTokens }

// groupSums emits what sums each row of x by groups of k, for the minima of weights: sum g of row m is element
// g·sumsRow + m. Rows behind the last one of x, to the end of its tile, get zeros. A warp takes a row.
func (g *many) groupSums(name string, x, sums kernels.Arg) *backend.Kernel {
	e := newEmitter(&asm{})
	list := []tile.KernelParam{{Name: "x", Type: tile.Type{Elem: tile.BF16, Lanes: 1, Ptr: true}}, {Name: "sums", Type: tile.Type{Elem: tile.F32, Lanes: 1, Ptr: true}}}
	out := &backend.Kernel{Kernel: program.Kernel{Name: name, Threads: threads, TaskThreads: warp}, Spec: &kernels.Rows{Matmul: g.Matmul}, Args: []kernels.Arg{x, sums},
		Tasks: []kernels.Factor{{Size: g.M, Div: g.tokens()}, {Size: kernels.Const(g.tokens()), Div: 1}}}
	if g.M.Sym != "" {
		list, out.Args = append(list, tile.KernelParam{Name: g.M.Sym, Type: tile.Scalar(tile.I64)}), append(out.Args, kernels.Arg{Kind: kernels.ArgSym, Sym: g.M.Sym})
	}
	params := e.declare(list)
	rows := num(g.M.N)
	if g.M.Sym != "" {
		rows = e.byName[g.M.Sym]
	}
	thread := e.to(word, "mov.u32", "%tid.x")
	e.lanes(e.to(word, "and.b32", thread, num(warp-1)))
	each := g.Group.Len / warp // values of k of a thread
	k0 := e.to(word, "mul.lo.s32", e.lane, num(each))
	e.tasks(e.to(word, "shr.u32", thread, "5"), threads/warp, e.params[len(list)], func(row string) {
		there := e.to(pred, "setp.lt.s64", row, rows)
		from := e.offset(e.to(long, "mad.lo.s64", row, num(2*g.stride), e.byName["x"]), k0, 2)
		to := e.to(long, "mad.lo.s64", row, "4", e.byName["sums"])
		k := e.to(word, "mov.b32", k0)
		group, loop := e.to(word, "mov.b32", "0"), e.label("group")
		e.place(loop)
		sum := e.to(float, "mov.f32", floatNum(0))
		for i := range each {
			guard := there
			if g.Matmul.K%g.Group.Len != 0 {
				guard = e.to(pred, "and.pred", there, e.to(pred, "setp.lt.s32", k, num(g.Matmul.K-i)))
			}
			for p := range g.planes {
				v := e.within(guard, "ld.global.u16", at(from, p*g.apart()+2*i))
				sum = e.to(float, "add.rn.f32", sum, e.to(float, "mov.b32", e.to(word, "shl.b32", v, "16")))
			}
		}
		for n := warp / 2; n > 0; n /= 2 {
			sum = e.to(float, "add.rn.f32", sum, e.to(float, "shfl.sync.down.b32", sum, num(int64(n)), "31", everyone))
		}
		e.onlyIf(e.first, "st.global.f32", at(to, 0), sum)
		e.do("add.s64", from, from, num(2*g.Group.Len))
		e.do("add.s64", to, to, num(4*sumsRow(g.M)))
		e.do("add.s32", k, k, num(g.Group.Len))
		e.do("add.s32", group, group, "1")
		e.onlyIf(e.to(pred, "setp.lt.s32", group, num(g.Group.Blocks(g.Matmul.K))), "bra", loop)
	})
	out.Text = e.entry(name, params)
	return out
}
