package ptx

import (
	"fmt"
	"slices"

	"pgc/codegen/backend"
	"pgc/codegen/kernels"
	"pgc/codegen/packing"
	"pgc/ir/tile"
	"pgc/runtime/program"
)

// product is a kernel of a matmul being emitted: some of its parts, whose weights are alike.
//
// The weights are operand A of the tensor cores, the rows of x are columns of operand B: so weights go from memory into
// the registers that multiply them, whatever their format, and any number of rows up to eight costs the same.
type product struct {
	*emitter
	*kernels.Matmul
	form
	packing.Fragments
	parts []int // their numbers
	// accs is how many accumulators a task has, the most of a part. A part of one accumulator gives the others of a task
	// the strips behind the first.
	accs int
	// planes is how many bfloat16 numbers an element of x is multiplied as: one, or of float32 its upper 16 bits and the
	// rest (kernels.Rows).
	planes int64
	ends   []*kernels.Kernel
	list   []tile.KernelParam // of the entry, and what they are
	args   []kernels.Arg
	bound  map[string]binding // parameters of tile kernels that are not what the entry's are

	base           string // of shared memory
	thread, warpID string
	zero           string // 0 as a float
	pairs
}

// alike are the numbers of parts whose weights are of one form.
func alike(s *kernels.Matmul) (all [][]int) {
	for i := range s.Parts {
		at := slices.IndexFunc(all, func(g []int) bool {
			p, q := &s.Parts[g[0]], &s.Parts[i]
			return p.Elem == q.Elem && p.Group == q.Group
		})
		if at < 0 {
			all = append(all, []int{i})
		} else {
			all[at] = append(all[at], i)
		}
	}
	return all
}

// newProduct begins a kernel of parts that are alike.
func newProduct(s *kernels.Matmul, parts []int) *product {
	p := &product{emitter: newEmitter(&asm{}), Matmul: s, form: formOf(&s.Parts[parts[0]]), parts: parts, bound: map[string]binding{},
		Fragments: packing.Fragments{K: s.K, Group: s.Parts[parts[0]].Group}}
	for _, i := range parts {
		checkPart(&s.Parts[i])
		p.accs = max(p.accs, s.Parts[i].Accs)
	}
	p.planes = planesOf(s)
	return p
}

// planesOf counts the bfloat16 numbers of an element of x.
func planesOf(s *kernels.Matmul) int64 {
	if s.BF16 {
		return 1
	}
	return 2
}

// checkPart refuses what the kernels are not made for. How far apart columns are does not matter where a block has one.
func checkPart(p *kernels.Part) {
	if p.Accs != 1 && p.Accs != 2 {
		fail("%d accumulators, expected 1 or 2", p.Accs)
	}
	for _, o := range p.Extra {
		if o.Kind == kernels.Tensor && o.Strides[2] > 1 && p.N > 1 {
			fail("an operand's columns are %d elements apart, expected 0 or 1", o.Strides[2])
		}
	}
	for _, o := range p.Outs {
		if p.Argmax == 0 && o.Strides[2] != 1 && p.N > 1 {
			fail("the result's columns are %d elements apart, expected 1", o.Strides[2])
		}
	}
}

// strips counts the strips of a part that it computes: columns with the padding of blocks to strips.
func strips(p *kernels.Part) int64 { return p.Blocks * stripsOfBlock(p) }

func stripsOfBlock(p *kernels.Part) int64 { return (p.N + packing.PanelWidth - 1) / packing.PanelWidth }

// shares says that the accumulators of a task are strips of one weight.
func (p *product) shares(q *kernels.Part) bool { return q.Accs < p.accs }

// tasksOf counts the tasks of a part that computes `most` strips of each accumulator in a task.
func (p *product) tasksOf(q *kernels.Part, most int64) int64 {
	if p.shares(q) {
		most *= int64(p.accs)
	}
	return (strips(q) + most - 1) / most
}

// tasksOfAll counts the tasks of all parts.
func (p *product) tasksOfAll(most int64) (n int64) {
	for _, i := range p.parts {
		n += p.tasksOf(&p.Parts[i], most)
	}
	return n
}

// sources returns, for every accumulator of a task that computes `most` strips of each, its weight and its first strip.
func (p *product) sources(task string, most int64) (base, strip []string) {
	base, strip = make([]string, p.accs), make([]string, p.accs)
	before := int64(0)
	for n, i := range p.parts {
		q := &p.Parts[i]
		local := task
		if before > 0 {
			local = p.to(word, "sub.s32", task, num(before))
		}
		here := ""
		if n > 0 {
			here = p.to(pred, "setp.ge.s32", task, num(before))
		}
		for j := range p.accs {
			w, s := p.byName[p.weightName(i, min(j, q.Accs-1))], local
			switch {
			case p.shares(q):
				s = p.to(word, "mad.lo.s32", local, num(most*int64(p.accs)), num(most*int64(j)))
			case most > 1:
				s = p.to(word, "mul.lo.s32", local, num(most))
			}
			if n > 0 {
				w, s = p.to(long, "selp.b64", w, base[j], here), p.to(word, "selp.b32", s, strip[j], here)
			}
			base[j], strip[j] = w, s
		}
		before += p.tasksOf(q, most)
	}
	return base, strip
}

// add adds a parameter to the entry, unless there is one of that name.
func (p *product) add(param tile.KernelParam, arg kernels.Arg) {
	if !slices.ContainsFunc(p.list, func(q tile.KernelParam) bool { return q.Name == param.Name }) {
		p.list, p.args = append(p.list, param), append(p.args, arg)
	}
}

// weightName is the parameter of a weight.
func (p *product) weightName(part, acc int) string {
	return fmt.Sprintf("w%d", p.FirstOperand(part)+acc)
}

// addWeights adds the weights' parameters.
func (p *product) addWeights() {
	for _, i := range p.parts {
		for j := range p.Parts[i].Accs {
			p.add(tile.KernelParam{Name: p.weightName(i, j), Type: tile.Type{Elem: tile.I8, Lanes: 1, Ptr: true}},
				kernels.Arg{Kind: kernels.ArgIn, Index: p.FirstOperand(i) + j})
		}
	}
}

// addTile adds the parameters of a tile kernel that is part of this one.
func (p *product) addTile(k *kernels.Kernel) {
	for i, a := range k.Args {
		if a.Kind != kernels.ArgLocal {
			p.add(k.Tile.Params[i], a)
		}
	}
}

// resolveOf reads the parameters of a tile kernel that are the entry's: where they are used, so that they take no
// registers elsewhere.
func (p *product) resolveOf(k *kernels.Kernel) {
	for i, a := range k.Args {
		if a.Kind != kernels.ArgLocal {
			p.resolve(k.Tile.Params[i])
		}
	}
}

// tileKernel builds a tile kernel for a warp.
func tileKernel(name string, s kernels.Spec) (*kernels.Kernel, int) {
	k, lanes, err := widest(name, s)
	if err != nil {
		fail("%v", err)
	}
	if k.Tile.ScratchBytes > 0 {
		fail("a part of it uses scratch memory, which a warp has not")
	}
	return k, lanes
}

// inline emits a tile kernel as a part of this one; locals stand for what this one supplies.
func (p *product) inline(k *kernels.Kernel, locals ...binding) {
	e := newEmitter(p.asm)
	e.lane, e.lane64, e.first, e.each = p.lane, p.lane64, p.first, max(1, elements(k.Tile.Body))
	for i, a := range k.Args {
		name := k.Tile.Params[i].Name
		b, other := p.bound[name]
		switch {
		case a.Kind == kernels.ArgLocal:
			b = locals[a.Index]
		case !other:
			b = binding{reg: p.byName[name], aligned: a.Aligned || a.Kind == kernels.ArgWork}
		}
		e.params = append(e.params, b)
	}
	e.block(k.Tile.Body)
}

// setup computes what is the same for all tasks.
func (p *product) setup() {
	p.thread = p.to(word, "mov.u32", "%tid.x")
	p.lanes(p.to(word, "and.b32", p.thread, num(warp-1)))
	p.warpID = p.to(word, "shr.u32", p.thread, "5")
	p.base = p.to(word, "mov.u32", sharedName)
	p.zero = p.to(float, "mov.f32", floatNum(0))
	if p.group > 0 {
		p.setPairs()
	}
}

// kernel is the emitted entry.
func (p *product) kernel(name string, params []param, threads, shared int64, tasks []kernels.Factor) *backend.Kernel {
	one := *p.Matmul
	one.Parts = nil
	for _, i := range p.parts {
		one.Parts = append(one.Parts, p.Parts[i])
	}
	out := &backend.Kernel{Kernel: program.Kernel{Name: name, LHS: program.DType(one.LHS().String()), RHS: multiplied(&one.Parts[0]), Threads: int(threads),
		TaskThreads: int(threads), SharedBytes: shared, DynamicShared: shared > mostStatic}, Spec: &one, Args: p.args, Tasks: tasks}
	out.Text = p.entryOf(&out.Kernel, params)
	return out
}

// ofPart runs body for the part that a task belongs to: its place among the kernel's, and the task among its own.
func (p *product) ofPart(task string, most int64, body func(part int, task string)) {
	end, before := p.label("parts"), int64(0)
	for n, i := range p.parts {
		mine := task
		if n > 0 {
			mine = p.to(word, "sub.s32", task, num(before))
		}
		if before += p.tasksOf(&p.Parts[i], most); n == len(p.parts)-1 {
			body(n, mine)
			break
		}
		next := p.label("part")
		p.onlyIf(p.to(pred, "setp.ge.s32", task, num(before)), "bra", next)
		body(n, mine)
		p.do("bra", end)
		p.place(next)
	}
	p.place(end)
}

// column returns the block of a strip of a part and the first of its columns there, as 64 bits.
func (p *product) column(part int, strip string) (block, c string) {
	q := &p.Parts[p.parts[part]]
	in := strip
	block = "0"
	if q.Blocks > 1 {
		block = p.to(long, "cvt.u64.u32", p.to(word, "div.s32", strip, num(stripsOfBlock(q))))
		in = p.to(word, "rem.s32", strip, num(stripsOfBlock(q)))
	}
	return block, p.to(long, "mul.wide.u32", in, num(packing.PanelWidth))
}

const (
	ldmatrix = "ldmatrix.sync.aligned.m8n8.x4.shared.b16"
	mma      = "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"
	stream   = "ld.global.nc.L1::no_allocate.v4.b32" // read once: no room in the first cache
)

// multiply adds to d the product of fragments, or begins with it where c is nil.
func (p *product) multiply(d, a, b, c []string) {
	if c == nil {
		c = slices.Repeat([]string{p.zero}, 4)
	}
	p.do(mma, vector(d...), vector(a...), vector(b...), vector(c...))
}

// scaleOf makes a word of scales floats: the scale, and the minimum of affine codes.
func (p *product) scaleOf(w string) (scale, low string) {
	if !p.Affine() {
		return p.to(float, "mov.b32", w), ""
	}
	scale = p.to(float, "mov.b32", p.to(word, "shl.b32", w, "16"))
	return scale, p.to(float, "mov.b32", p.to(word, "and.b32", w, "0xffff0000"))
}

// addScaled adds a group's sums, by the scales of rows g and g+8, to the sums of all: acc = sum·scale + acc, after the
// sums of x by the minima.
func (p *product) addScaled(acc, sum, sumX []string, words [2]string) {
	for u, w := range words {
		scale, low := p.scaleOf(w)
		for i := 2 * u; i < 2*u+2; i++ {
			if low != "" {
				p.do("fma.rn.f32", acc[i], sumX[i%2], low, acc[i])
			}
			p.do("fma.rn.f32", acc[i], sum[i], scale, acc[i])
		}
	}
}
