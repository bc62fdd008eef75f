package ptx

import (
	"fmt"
	"math/bits"

	"pgc/codegen/backend"
	"pgc/codegen/kernels"
	"pgc/codegen/packing"
	"pgc/ir/quant"
	"pgc/ir/tile"
	"pgc/runtime/program"
)

// onDevice says how a packed weight lies on the device, in fragments, and with which kernels it is written there from the
// bytes that the file has of it. Float32, which no tensor core reads, lies in panels. What is not packed stays as it is.
func onDevice(name string, w program.Weight) (*backend.Device, error) {
	inRows := w.Layout.Kind == program.LayoutRows
	switch {
	case w.Layout.Kind == program.LayoutPlain, w.DType == "f32" && !inRows:
		return nil, nil
	case w.DType == "f32":
		return rowsToPanels(name, w), nil
	}
	q := groupOf(w.DType)
	f := packing.Fragments{K: w.Layout.Cols, Group: q}
	if q.Len == 0 && w.DType != "bf16" || !f.Exact() {
		return nil, fmt.Errorf("weight %s: a GPU multiplies no matrices stored as %s: expected --weights bf16, int8 or int4, or --keep '%s=bf16'", w.Name, w.DType, w.Name)
	}
	r := &repack{Fragments: f, pairs: w.Layout.KPack == 2, size: 2, strip: f.StripBytes()}
	panels := w.Bytes / r.panelBytes()
	if inRows {
		r.rows = w.Layout.Run
		panels = packing.Len(1, r.rows, 1) / packing.PanelWidth
	}
	d := &backend.Device{Bytes: panels * f.StripBytes(), Kernels: []*backend.Kernel{r.emit(name+"_codes", panels*f.Tiles(), (*repack).codes)}}
	if n := f.ScalePairs(); n > 0 {
		d.Kernels = append(d.Kernels, r.emit(name+"_scales", panels*r.scaleTasks(), (*repack).scales))
	}
	return d, nil
}

// rowsToPanels packs a float32 matrix of few rows, which lie row by row in the file.
func rowsToPanels(name string, w program.Weight) *backend.Device {
	r := &repack{Fragments: packing.Fragments{K: w.Layout.Cols}, rows: w.Layout.Run, size: 4}
	r.strip = r.K * packing.PanelWidth * 4
	panels := packing.Len(1, r.rows, 1) / packing.PanelWidth
	return &backend.Device{Bytes: panels * r.strip, Kernels: []*backend.Kernel{r.emit(name+"_rows", panels*r.panelTasks(), (*repack).panel)}}
}

// repack writes a matrix that lies in panels, or row by row, as fragments, or as panels. A warp writes a tile, two values of k of a
// panel, or the scales of some pairs of groups.
type repack struct {
	packing.Fragments
	pairs bool  // panels hold pairs of k
	rows  int64 // of a matrix that lies row by row; 0 of one in panels
	size  int64 // bytes of a float
	strip int64 // bytes of sixteen rows on the device

	*emitter
	from, to64 string // the panel and the strip of the task
	first      string // its first row
}

// panelBytes is the size of a panel in the file, or of as many rows.
func (r *repack) panelBytes() int64 {
	if q := r.Group; q.Len > 0 {
		return q.Blocks(r.K) * q.BlockBytes()
	}
	return packing.PaddedK(r.K, r.pairs) * packing.PanelWidth * r.size
}

// pairsOfTask is how many pairs of groups a warp writes the scales of.
const pairsOfTask = warp / 8

func (r *repack) scaleTasks() int64 { return (r.ScalePairs() + pairsOfTask - 1) / pairsOfTask }

// groupOf is the group of a storage format, the zero Group of floats.
func groupOf(d program.DType) packing.Group {
	for _, f := range quant.Formats() {
		for _, n := range f.Traits().Lengths {
			if string(d) == fmt.Sprintf("%sg%d", f.Traits().Stem, n) {
				return packing.Group{Format: f, Len: int64(n)}
			}
		}
	}
	return packing.Group{}
}

// emit makes a kernel of so many tasks.
func (r *repack) emit(name string, tasks int64, body func(r *repack, task string)) *backend.Kernel {
	one := *r
	one.emitter = newEmitter(&asm{})
	out := &backend.Kernel{Kernel: program.Kernel{Name: name, Threads: threads, TaskThreads: warp},
		Args: []kernels.Arg{{Kind: kernels.ArgIn}, {Kind: kernels.ArgOut}}, Tasks: []kernels.Factor{{Size: kernels.Const(tasks), Div: 1}}}
	bytes := tile.Type{Elem: tile.I8, Lanes: 1, Ptr: true}
	params := one.declare([]tile.KernelParam{{Name: "file", Type: bytes}, {Name: "device", Type: bytes}})
	thread := one.to(word, "mov.u32", "%tid.x")
	one.lanes(one.to(word, "and.b32", thread, num(warp-1)))
	one.tasks(one.to(word, "shr.u32", thread, "5"), threads/warp, one.params[2], func(task string) { body(&one, task) })
	out.Text = one.entry(out.Name, params)
	return out
}

// piece splits a task, of n for each strip: the panel is at from, the strip at to, and the number in the strip is
// returned.
func (r *repack) piece(task string, n int64) string {
	strip := r.to(long, "div.s64", task, num(n))
	r.from = r.to(long, "mad.lo.s64", strip, num(r.panelBytes()), r.params[0].reg)
	r.to64 = r.to(long, "mad.lo.s64", strip, num(r.strip), r.params[1].reg)
	if r.rows > 0 {
		r.first = r.to(word, "cvt.u32.u64", r.to(long, "shl.b64", strip, "4"))
	}
	return r.to(word, "cvt.u32.u64", r.to(long, "rem.s64", task, num(n)))
}

// offset is p moved by n·size bytes, n of 32 bits.
func (a *asm) offset(p, n string, size int64) string {
	return a.to(long, "mad.wide.u32", n, num(size), p)
}

// codes writes a tile.
func (r *repack) codes(task string) {
	tile := r.piece(task, r.Tiles())
	g, t := r.to(word, "shr.u32", r.lane, "2"), r.to(word, "and.b32", r.lane, "3")
	var words []string
	switch r.Bits() {
	case 16:
		read := (*repack).floats
		if r.rows > 0 {
			read = (*repack).ofRows
		}
		words = read(r, tile, g, t)
	case 8:
		words = r.bytes(tile, g, t)
	default:
		words = r.nibbles(tile, g, t)
	}
	to := r.offset(r.offset(r.to64, tile, packing.TileBytes), r.lane, 16)
	r.do("st.global.v4.b32", at(to, 0), vector(words...))
}

// floats reads the elements of a tile of bfloat16: the words are rows g and g+8 of the lower k, then of the upper.
func (r *repack) floats(tile, g, t string) []string {
	const row = packing.PanelWidth * 2 // bytes of a value of k
	first := r.to(word, "mad.lo.s32", tile, "16", r.to(word, "shl.b32", t, "1"))
	if r.pairs {
		p := r.offset(r.offset(r.offset(r.from, tile, 16*row), t, 2*row), g, 4)
		return r.each4(func(u, h int64) string {
			return r.within(r.below(first, 8*h, packing.PaddedK(r.K, true)), "ld.global.b32", at(p, 8*h*row+8*u*4))
		})
	}
	p := r.offset(r.offset(r.offset(r.from, tile, 16*row), t, 2*row), g, 2)
	return r.each4(func(u, h int64) string {
		low := r.within(r.below(first, 8*h, r.K), "ld.global.u16", at(p, 8*h*row+8*u*2))
		high := r.within(r.below(first, 8*h+1, r.K), "ld.global.u16", at(p, (8*h+1)*row+8*u*2))
		return r.to(word, "prmt.b32", low, high, "0x5410")
	})
}

// ofRows is floats of a matrix that lies row by row.
func (r *repack) ofRows(tile, g, t string) []string {
	k := r.to(word, "mad.lo.s32", tile, "16", r.to(word, "shl.b32", t, "1"))
	p, row := r.offset(r.offset(r.from, g, 2*r.K), k, 2), r.to(word, "add.s32", r.first, g)
	return r.each4(func(u, h int64) string {
		element := func(by int64) string {
			return r.within(r.inside(row, 8*u, k, by), "ld.global.u16", at(p, (8*u*r.K+by)*2))
		}
		return r.to(word, "prmt.b32", element(8*h), element(8*h+1), "0x5410")
	})
}

// inside is the predicate that a matrix which lies row by row has an element at row+by and k+on.
func (r *repack) inside(row string, by int64, k string, on int64) string {
	return r.to(pred, "and.pred", r.to(pred, "setp.lt.s32", row, num(r.rows-by)), r.to(pred, "setp.lt.s32", k, num(r.K-on)))
}

// panelTasks is how many warps write a panel of float32: each writes two values of k.
func (r *repack) panelTasks() int64 { return (r.K + 1) / 2 }

// panel writes two values of k of a panel of float32.
func (r *repack) panel(task string) {
	k := r.piece(task, r.panelTasks())
	k = r.to(word, "mad.lo.s32", k, "2", r.to(word, "shr.u32", r.lane, "4"))
	n := r.to(word, "and.b32", r.lane, "15")
	v := r.within(r.inside(r.to(word, "add.s32", r.first, n), 0, k, 0), "ld.global.b32", at(r.offset(r.offset(r.from, n, 4*r.K), k, 4), 0))
	r.onlyIf(r.to(pred, "setp.lt.s32", k, num(r.K)), "st.global.b32", at(r.offset(r.offset(r.to64, k, 4*packing.PanelWidth), n, 4), 0), v)
}

// each4 calls f for lower and upper k, and for each for lower and upper rows.
func (r *repack) each4(f func(u, h int64) string) []string {
	return []string{f(0, 0), f(1, 0), f(0, 1), f(1, 1)}
}

// below is the predicate that k+by is below n, "" where every k is.
func (r *repack) below(k string, by, n int64) string {
	if n%r.TileK() == 0 {
		return ""
	}
	return r.to(pred, "setp.lt.s32", k, num(n-by))
}

// within loads where a predicate holds, and is 0 elsewhere.
func (a *asm) within(guard, op string, address string) string {
	d := a.reg(word)
	if guard == "" {
		a.do(op, d, address)
		return d
	}
	a.do("mov.b32", d, "0")
	a.onlyIf(guard, op, d, address)
	return d
}

// sixteen locates the j-th 16 values of k of a tile of groups: the address of its codes, and whether there are such.
func (r *repack) sixteen(tile string, j int64) (address, guard string) {
	q := r.Group
	each, size := q.Len/16, q.BlockBytes()
	n := r.to(word, "mad.lo.s32", tile, num(r.TileK()/16), num(j))
	if all := q.Blocks(r.K) * each; all%(r.TileK()/16) != 0 {
		guard = r.to(pred, "setp.lt.s32", n, num(all))
	}
	group, in := r.to(word, "shr.u32", n, num(log2(each))), r.to(word, "and.b32", n, num(each-1))
	return r.offset(r.offset(r.from, group, size), in, (size-packing.HeaderBytes)/each), guard
}

// bytes reads the codes of a tile of 8 bits: a word has those of row g in its even bytes and of g+8 in the odd ones.
func (r *repack) bytes(tile, g, t string) (words []string) {
	thread := r.inPanel(g, r.to(word, "shr.u32", t, "1"), 64, t)
	for j := range r.TileK() / 16 {
		p, guard := r.sixteen(tile, j)
		p = r.to(long, "add.s64", p, thread)
		for h := range int64(2) {
			at := func(u int64) string { return at(p, packing.HeaderBytes+128*h+32*u) }
			low, high := r.within(guard, "ld.global.u16", at(0)), r.within(guard, "ld.global.u16", at(1))
			words = append(words, r.to(word, "prmt.b32", low, high, "0x5140"))
		}
	}
	return words
}

// nibbles reads the codes of a tile of 4 bits: a word has those of 16 values of k, k even in the lower half.
func (r *repack) nibbles(tile, g, t string) (words []string) {
	thread := r.inPanel(g, "0", 0, t)
	shift := r.to(word, "shl.b32", r.to(word, "shr.u32", t, "1"), "2") // the upper half of bytes has the upper k
	for j := range r.TileK() / 16 {
		p, guard := r.sixteen(tile, j)
		p = r.to(long, "add.s64", p, thread)
		all := "0"
		for i := range int64(4) {
			u, h := i%2, i/2
			v := r.to(word, "shr.u32", r.within(guard, "ld.global.u16", at(p, packing.HeaderBytes+64*h+32*u)), shift)
			v = r.to(word, "and.b32", r.to(word, "prmt.b32", v, "0", "0x4140"), "0x000f000f")
			all = r.to(word, "or.b32", r.to(word, "shl.b32", v, num(4*i)), all)
		}
		words = append(words, all)
	}
	return words
}

// inPanel is where the codes of a thread begin: row g, and 2t of the values of k that lie in fours.
func (r *repack) inPanel(g, block string, size int64, t string) string {
	in := r.to(word, "shl.b32", r.to(word, "and.b32", t, "1"), "1")
	in = r.to(word, "mad.lo.s32", g, "4", in)
	return r.to(long, "cvt.u64.u32", r.to(word, "mad.lo.s32", block, num(size), in))
}

// scales writes the scales of pairs of groups, with their minima.
func (r *repack) scales(task string) {
	q := r.Group
	first := r.piece(task, r.scaleTasks())
	pair := r.to(word, "mad.lo.s32", first, num(pairsOfTask), r.to(word, "shr.u32", r.lane, "3"))
	g := r.to(word, "and.b32", r.lane, "7")
	var words []string
	for i := range int64(2) {
		group := r.to(word, "mad.lo.s32", pair, "2", num(i))
		inside := r.to(pred, "setp.lt.s32", group, num(q.Blocks(r.K)))
		p := r.offset(r.from, group, q.BlockBytes())
		for u := range int64(2) {
			if !r.Affine() {
				words = append(words, r.within(inside, "ld.global.b32", at(r.offset(p, g, 4), 8*u*4)))
				continue
			}
			half := r.offset(p, g, 2)
			scale := r.within(inside, "ld.global.u16", at(half, 8*u*2))
			low := r.within(inside, "ld.global.u16", at(half, (8*u+packing.PanelWidth)*2))
			words = append(words, r.to(word, "prmt.b32", scale, low, "0x5410"))
		}
	}
	to := r.offset(r.offset(r.to64, pair, packing.ScalePairBytes), g, 16)
	inside := r.to(pred, "setp.lt.s32", pair, num(r.ScalePairs()))
	r.onlyIf(inside, "st.global.v4.b32", at(to, r.Tiles()*packing.TileBytes), vector(words...))
}

// log2 is of a power of two.
func log2(n int64) int64 { return int64(bits.TrailingZeros64(uint64(n))) }
