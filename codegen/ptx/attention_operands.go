package ptx

import (
	"pgc/codegen/backend"
	"pgc/codegen/kernels"
	"pgc/ir/tile"
	"pgc/runtime/program"
)

// operands is how keys and values are that a block of attention copies: bfloat16 in rows that begin at multiples of 16
// bytes, and those of further planes a distance apart.
type operands struct {
	planes  int64
	apart   int64 // bytes from a plane to the next
	padding bool  // there are zeros behind the elements of a row, up to padded()
}

// copied emits what copies keys and values into the workspace, all keys before the values, in rows of padded() elements,
// planes of a head and heads behind each other, and makes them the operands. A thread copies eight elements.
func (a *attendMany) copied(name string, out *backend.Launches) {
	o := operands{planes: a.numbers(), apart: 2 * a.T.N * a.padded(), padding: true}
	head, sequences := o.planes*o.apart, max(1, a.Batch.N.N)
	all := sequences * a.G * head // bytes of the keys, or of the values
	work := kernels.Arg{Kind: kernels.ArgWork, Index: int(out.WorkBytes)}
	out.WorkBytes += 2 * all

	c := &attention{emitter: newEmitter(&asm{}), Attention: a.Attention}
	c.pointer("k", a.KV, a.argK)
	c.pointer("v", a.KV, a.argV)
	c.pointer("work", tile.BF16, work)
	c.symbols(a.T)
	params := c.declare(c.list)
	total := c.size(a.T)
	c.tasks(c.to(word, "mov.u32", "%tid.x"), threads, c.params[len(c.list)], func(task string) {
		task = c.to(word, "cvt.u32.u64", task)
		row, piece := c.to(word, "div.u32", task, num(a.pieces())), c.to(word, "rem.u32", task, num(a.pieces()))
		number, key := c.to(word, "div.u32", row, total), c.to(word, "rem.u32", row, total)
		to := c.offset64(c.offset64(c.offset64(c.byName["work"], number, head), key, 2*a.padded()), piece, chunk)
		left := ""
		if a.H < a.padded() {
			left = c.to(word, "sub.s32", num(a.H), c.to(word, "shl.b32", piece, "3"))
		}
		sequence, in := c.sequence(number)
		copyOf := func(from string, s [3]int64, ofSequence int64, aligned bool, behind int64) {
			size := int64(a.KV.Bytes())
			from = c.offset64(c.offset64(c.offset64(from, in, s[1]*size), key, s[0]*size), piece, 8*s[2]*size)
			if sequence != "" {
				from = c.offset64(from, sequence, ofSequence*size)
			}
			for p, w := range c.load(eight{a.KV, s[2], aligned, "", left}, from, 0) {
				c.do("st.global.v4.b32", at(to, behind+int64(p)*o.apart), vector(w...))
			}
		}
		copyOf(c.byName["k"], a.K, a.Batch.K, a.alignedK(), 0)
		copyOf(c.byName["v"], a.V, a.Batch.V, a.alignedV(), all)
	})
	k := &backend.Kernel{Spec: a.Attention, Args: c.args, Kernel: program.Kernel{Name: name + "_operands", Threads: threads, TaskThreads: 1},
		Tasks: append(a.heads(), kernels.Factor{Size: a.T, Div: 1}, kernels.Factor{Size: kernels.Const(a.pieces()), Div: 1})}
	k.Text = c.entry(k.Name, params)
	out.Kernels = append(out.Kernels, k)

	s := *a.Attention
	s.KV, s.K = tile.BF16, [3]int64{a.padded(), head / 2, 1}
	if s.V = s.K; s.Batch.N.N > 0 {
		s.Batch.K, s.Batch.V = a.G*head/2, a.G*head/2
	}
	a.Attention, a.operands, a.argK = &s, o, work
	a.argV = kernels.Arg{Kind: kernels.ArgWork, Index: work.Index + int(all)}
}
