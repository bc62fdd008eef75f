package ptx

import (
	"pgc/codegen/backend"
	"pgc/codegen/kernels"
	"pgc/ir/tile"
	"pgc/runtime/program"
)

// taskFragments is how many fragments of columns a warp makes of a row that needs no reduction.
const taskFragments = 4

// planes emits what makes x rows of bfloat16 in the workspace, and returns where: of float32 the upper halves of a row
// and then the rests, padded(K) elements each. It also stores the further results of the prologue.
func (m *matmul) planes() kernels.Arg {
	n := planesOf(m.Matmul)
	x := m.work(2 * n * m.M.N * padded(m.K))
	spec := &kernels.Rows{Matmul: m.Matmul}
	k, lanes := tileKernel(m.name+"_x", spec)
	p := &product{emitter: newEmitter(&asm{}), Matmul: m.Matmul}
	p.directives = ".minnctapersm 4\n"
	p.add(tile.KernelParam{Name: "x", Type: tile.Type{Elem: tile.BF16, Lanes: 1, Ptr: true}}, x)
	p.addTile(k)
	params := p.declare(p.list)
	p.lanes(p.to(word, "and.b32", p.to(word, "mov.u32", "%tid.x"), num(warp-1)))

	each := int64(spec.Lanes(lanes))
	all := (m.K + each - 1) / each // fragments of a row
	shares := int64(1)             // tasks of a row
	if m.Prologue == nil || len(m.Prologue.Reduce) == 0 {
		shares = (all + taskFragments - 1) / taskFragments
	}
	p.tasks(p.to(word, "shr.u32", p.to(word, "mov.u32", "%tid.x"), "5"), threads/warp, p.params[len(p.list)], func(task string) {
		row, first := task, "0"
		if shares > 1 {
			row, first = p.to(long, "div.u64", task, num(shares)), p.to(long, "rem.u64", task, num(shares))
		}
		to := binding{reg: p.to(long, "mad.lo.s64", row, num(2*n*padded(m.K)), p.byName["x"]), aligned: true}
		locals := []binding{to, {reg: row}, {reg: first}, {reg: num(all)}, {reg: num(shares)}, {reg: "1"}}
		if n > 1 {
			locals = append(locals, binding{reg: p.to(long, "add.s64", to.reg, num(2*padded(m.K))), aligned: true})
		}
		p.inline(k, locals...)
	})
	out := &backend.Kernel{Kernel: program.Kernel{Name: m.name + "_x", Threads: threads, TaskThreads: warp}, Spec: spec, Args: p.args,
		Tasks: []kernels.Factor{{Size: m.M, Div: 1}, {Size: kernels.Const(shares), Div: 1}}}
	out.Text = p.entry(out.Name, params)
	m.out.Kernels = append(m.out.Kernels, out)
	return x
}
