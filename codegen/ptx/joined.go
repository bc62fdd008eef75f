package ptx

import (
	"fmt"

	"pgc/codegen/backend"
	"pgc/codegen/kernels"
	"pgc/ir/tile"
	"pgc/runtime/program"
)

// finishAll emits the ends of a product's parts: one kernel, whose warps take a row of the result and a share of a part,
// where there are several that warps share.
func (m *matmul) finishAll(ends []finish) {
	var built []*kernels.Kernel
	perRow, joined := int64(0), len(ends) > 1
	for _, e := range ends {
		k, _, err := widest(fmt.Sprintf("%s_finish%d", m.name, e.part), e.spec)
		if err != nil {
			panic(failure(err.Error()))
		}
		built = append(built, k)
		perRow += tasksOfRow(k)
		joined = joined && k.Tile.ScratchBytes == 0 && elements(k.Tile.Body) > 0
	}
	if !joined {
		for _, e := range ends {
			m.add(fmt.Sprintf("finish%d", e.part), e.spec, e.with)
		}
		return
	}
	name := m.name + "_finish"
	p := newEmitter(&asm{directives: ".minnctapersm 4\n"})
	var list []tile.KernelParam
	var args []kernels.Arg
	for i, k := range built {
		for j, a := range k.Args {
			list, args = append(list, tile.KernelParam{Name: paramOf(i, k.Tile.Params[j].Name), Type: k.Tile.Params[j].Type}), append(args, ends[i].with(a))
		}
	}
	params := entryParams(withTasks(list))
	p.lanes(p.to(word, "and.b32", p.to(word, "mov.u32", "%tid.x"), num(warp-1)))
	tasks := binding{reg: p.parameter("tasks")}
	p.tasks(p.to(word, "shr.u32", p.to(word, "mov.u32", "%tid.x"), "5"), threads/warp, tasks, func(task string) {
		row, share := p.to(long, "div.u64", task, num(perRow)), p.to(long, "rem.u64", task, num(perRow))
		done, before := p.label("finished"), int64(0)
		for i, k := range built {
			n, next := tasksOfRow(k), p.label("part")
			if i < len(built)-1 {
				p.onlyIf(p.to(pred, "setp.ge.s64", share, num(before+n)), "bra", next)
			}
			e := newEmitter(p.asm)
			e.lane, e.lane64, e.first, e.each = p.lane, p.lane64, p.first, elements(k.Tile.Body)
			e.task = p.to(long, "mad.lo.s64", row, num(n), p.to(long, "sub.s64", share, num(before)))
			for j, a := range k.Args {
				param := k.Tile.Params[j]
				param.Name = paramOf(i, param.Name)
				e.params = append(e.params, binding{reg: e.resolve(param), aligned: a.Aligned})
			}
			e.block(k.Tile.Body)
			if i < len(built)-1 {
				p.do("bra", done)
				p.place(next)
			}
			before += n
		}
		p.place(done)
	})
	out := &backend.Kernel{Kernel: program.Kernel{Name: name, Threads: threads, TaskThreads: warp}, Args: args,
		Tasks: []kernels.Factor{{Size: m.M, Div: 1}, {Size: kernels.Const(perRow), Div: 1}}}
	out.Text = p.entry(name, params)
	m.out.Kernels = append(m.out.Kernels, out)
}

// paramOf names a parameter of a joined kernel.
func paramOf(part int, name string) string { return fmt.Sprintf("%s_%d", name, part) }

// tasksOfRow counts the tasks of a row of a map, whose rows are the first of its dimensions and the last of its factors.
func tasksOfRow(k *kernels.Kernel) int64 {
	n := int64(1)
	for _, f := range k.Tasks[:len(k.Tasks)-1] {
		n *= (f.Size.N + f.Div - 1) / f.Div
	}
	return n
}
