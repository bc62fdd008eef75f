package ptx

import (
	"slices"

	"pgc/codegen/backend"
	"pgc/codegen/kernels"
	"pgc/codegen/packing"
	"pgc/ir/tile"
)

// fewRows is the most rows that stream weights: the columns of operand B.
const fewRows = 8

// few is a product of up to eight rows. A block computes strips of 16 columns, one after the other; its warps share K,
// unit by unit, and their sums are added in the order of the warps. Weights go from memory to registers: those of the
// next strip set out before the epilogue of the last one, and those of the first before the rows of x are computed,
// which stay in shared memory. Which warp adds what does not depend on the number of rows, and so neither do the bits.
type few struct {
	*product
	warps      int64
	units      int64 // of K
	chunkUnits int64 // units of x that are in shared memory at a time
	argmax     int64 // strips of a task of which it keeps the greatest value; 0 keeps all
	argmaxOf
	rows      *kernels.Rows
	rowsTile  *kernels.Kernel
	rowsLanes int // of its fragments

	task, last, more string
	weights, scales  []string       // by accumulator, of the thread
	ring             [][][][]string // words by step, accumulator and tile
	now, next        [][][]string   // words of scales by accumulator and pair, of this unit and, where it has one pair, the next
	left, pairsLeft  string         // tiles and pairs from the warp's unit on
	unit, x          string         // number of the unit, and where ldmatrix reads x
	sums             [][][]string   // by operand B and accumulator
	slab             string         // distance of the slab in use
}

// fewWarps is how many warps share K at most. Two such blocks of a multiprocessor have some 48 KiB of weights on their way.
const fewWarps = 8

// tileUnit counts the tiles and the values of k of a unit.
func (f form) unitTiles() int64 { return f.tiles * f.steps }
func (f form) unitK() int64     { return f.unitTiles() * packing.TileBytes / 2 / f.bits }

func (f *few) chunks() int64 { return (f.units + f.chunkUnits - 1) / f.chunkUnits }
func (f *few) chunkK() int64 { return f.chunkUnits * f.unitK() }

// xStride is the distance of rows of x in shared memory: eight of them meet in no bank.
func (f *few) xStride() int64 { return 2*f.chunkK() + 16 }

// mostX is the most shared memory that rows of x take; more of them come in chunks.
const mostX = 72 << 10

const slabRow = 20 // floats between rows of a warp's sums: its threads meet in no bank

// operands counts the operands B of a product: the columns of one have room for both numbers of an element in up to
// four rows.
func (f *few) operands() int64 {
	if f.M.N*f.planes > fewRows {
		return f.planes
	}
	return 1
}

// xRows counts the rows of x in shared memory: of two planes, those of the second lie behind those of the first.
func (f *few) xRows() int64 { return f.planes * f.M.N }

// xBytes is the size of the rows of x in shared memory.
func (f *few) xBytes() int64 { return f.xRows() * f.xStride() }

// slabBytes is the size of a strip's sums, of all warps.
func (f *few) slabBytes() int64 { return f.warps * int64(f.accs) * f.M.N * slabRow * 4 }

// newFew begins a kernel.
func newFew(s *kernels.Matmul, parts []int) *few {
	f := &few{product: newProduct(s, parts)}
	if f.accs > 1 { // as many bytes are on their way
		f.steps = max(2, f.steps/2)
	}
	f.units = (f.Tiles() + f.unitTiles() - 1) / f.unitTiles()
	f.warps = min(fewWarps, f.units)
	f.argmax = s.Parts[parts[0]].Argmax / packing.PanelWidth
	f.chunkUnits = f.units
	for f.xBytes() > mostX && f.chunkUnits > f.warps {
		f.chunkUnits = (f.chunkUnits/2 + f.warps - 1) / f.warps * f.warps
	}
	return f
}

// slabs is two, of which one is written while the other is read, or one where two would leave no room for a second block
// in 164 KiB.
func (f *few) slabs() int64 {
	if f.xBytes()+2*f.slabBytes() > 80<<10 {
		return 1
	}
	return 2
}

// shared is the size of what lies in shared memory: x, and the slabs.
func (f *few) shared() int64 {
	n := f.xBytes() + f.slabs()*f.slabBytes()
	if f.argmax > 0 {
		n += keptBytes
	}
	return n
}

// build emits the kernel, which computes rows of x, or with chunks reads them; from is where they are read from. The
// further results of the prologue are stored by the first of a matmul's kernels.
func (f *few) build(name string, rows *kernels.Rows, from *kernels.Arg, further bool) *backend.Kernel {
	f.rows = rows
	f.rowsTile, f.rowsLanes = tileKernel(name, rows)
	if from != nil {
		f.rowsTile.Args[slices.IndexFunc(f.rowsTile.Args, func(a kernels.Arg) bool { return a.Kind == kernels.ArgIn })] = *from
	}
	f.addTile(f.rowsTile)
	f.addWeights()
	for _, i := range f.parts {
		m := f.Matmul
		if f.argmax > 0 {
			m = partial(m, m.Parts[i].Exprs)
		}
		end, _ := tileKernel(name, &kernels.Epilogue{Matmul: m, Part: i, Rows: 1, Width: packing.PanelWidth})
		f.ends = append(f.ends, end)
		f.addTile(end)
	}

	// With large groups of bytes for two accumulators, one block has as much on its way as two of the others; two operands
	// B of each need the registers; with chunks of x there is shared memory for few blocks.
	f.directives = ".minnctapersm 2\n"
	if f.bits == 8 && f.group == 128 && f.accs > 1 || f.group > 0 && f.accs*int(f.operands()) > 2 || f.chunks() > 1 {
		f.directives = ".minnctapersm 1\n"
	}
	f.setup()
	f.registers()
	done, loop := f.label("done"), f.label("strip")
	f.task = f.to(word, "mov.u32", "%ctaid.x")
	tasks := f.to(word, "cvt.u32.u64", f.parameter("tasks"))
	f.onlyIf(f.to(pred, "setp.ge.s32", f.task, tasks), "bra", done)
	if f.argmax > 0 {
		f.beginArgmax()
	}
	f.note("The first weights set out.")
	f.locate()
	f.fill()
	if f.chunks() == 1 {
		f.stage("0", further)
		f.do("bar.sync", "0")
	}
	f.place(loop)
	f.multiplyUnits()
	f.note("The next strip's weights set out; then this one's sums meet.")
	f.do("mov.b32", f.last, f.task)
	if f.argmax > 0 {
		f.nextOfTask(tasks)
	} else {
		f.do("add.s32", f.task, f.task, f.to(word, "mov.u32", "%nctaid.x"))
		f.do("setp.lt.s32", f.more, f.task, tasks)
	}
	none := f.label("none")
	f.onlyIf("!"+f.more, "bra", none)
	f.locate()
	f.fill()
	f.place(none)
	f.meet()
	f.onlyIf(f.more, "bra", loop)
	f.place(done)
	n := f.tasksOfAll(1)
	if f.argmax > 0 {
		n = f.Parts[0].Partials()
	}
	return f.kernel(name, entryParams(withTasks(f.list)), f.warps*warp, f.shared(), []kernels.Factor{{Size: kernels.Const(n), Div: 1}})
}

// registers names what control flow changes.
func (f *few) registers() {
	f.more, f.last, f.unit, f.x = f.reg(pred), f.reg(word), f.reg(word), f.reg(word)
	f.left, f.pairsLeft, f.slab = f.reg(word), f.reg(word), f.to(word, "mov.b32", "0")
	for range f.operands() {
		var sums [][]string
		for range f.accs {
			sums = append(sums, f.regs(float, 4))
		}
		f.sums = append(f.sums, sums)
	}
	for range f.accs {
		f.weights, f.scales = append(f.weights, f.reg(long)), append(f.scales, f.reg(long))
		var now, next [][]string
		for range f.unitPairs() {
			now = append(now, f.regs(word, 4))
		}
		if f.unitPairs() == 1 {
			next = append(next, f.regs(word, 4))
		}
		f.now, f.next = append(f.now, now), append(f.next, next)
	}
	for range f.steps {
		var step [][][]string
		for range f.accs {
			var tiles [][]string
			for range f.tiles {
				tiles = append(tiles, f.regs(word, 4))
			}
			step = append(step, tiles)
		}
		f.ring = append(f.ring, step)
	}
}

// unitPairs counts the pairs of groups of a unit.
func (f *few) unitPairs() int64 {
	if f.group == 0 {
		return 0
	}
	return f.unitK() / f.group / 2
}

// ragged says that the last unit is not whole.
func (f *few) ragged() bool { return f.Tiles()%f.unitTiles() != 0 }

// locate points at the weights of the task's strip, the warp's first unit.
func (f *few) locate() {
	for _, i := range f.parts {
		for j := range f.Parts[i].Accs {
			f.resolve(tile.KernelParam{Name: f.weightName(i, j), Type: tile.Type{Ptr: true}})
		}
	}
	base, strip := f.sources(f.task, 1)
	mine := f.to(word, "mad.lo.s32", f.warpID, num(f.unitTiles()*packing.TileBytes), f.to(word, "shl.b32", f.lane, "4"))
	mine64 := f.to(long, "cvt.u64.u32", mine)
	scale := f.to(word, "shl.b32", f.to(word, "shr.u32", f.lane, "2"), "4")
	scale = f.to(word, "mad.lo.s32", f.warpID, num(f.unitPairs()*packing.ScalePairBytes), scale)
	scale64 := f.to(long, "cvt.u64.u32", f.to(word, "add.s32", scale, num(f.Tiles()*packing.TileBytes)))
	for j := range base {
		at := f.offset(base[j], strip[j], f.StripBytes())
		f.do("add.s64", f.weights[j], at, mine64)
		if f.group > 0 {
			f.do("add.s64", f.scales[j], at, scale64)
		}
	}
	f.do("mov.b32", f.unit, f.warpID)
	if f.ragged() {
		f.do("sub.s32", f.left, num(f.Tiles()), f.to(word, "mul.lo.s32", f.warpID, num(f.unitTiles())))
		f.do("sub.s32", f.pairsLeft, num(f.ScalePairs()), f.to(word, "mul.lo.s32", f.warpID, num(f.unitPairs())))
	}
}

// fill loads the warp's first unit.
func (f *few) fill() {
	for i := range f.steps {
		f.load(i, 0, "")
	}
	for i := range f.unitPairs() {
		f.loadScales(f.now, i, i, "")
	}
}

// load loads a step of the unit that lies so many units of the block ahead, if there is one. What lies behind the last
// tile of a strip is zero.
func (f *few) load(step, ahead int64, there string) {
	for j, tiles := range f.ring[step] {
		for t, words := range tiles {
			tile := ahead*f.warps*f.unitTiles() + step*f.tiles + int64(t)
			guard := there
			if f.ragged() {
				guard = f.to(pred, "setp.gt.s32", f.left, num(tile))
				f.clear(words)
			}
			f.guarded(guard, stream, vector(words...), at(f.weights[j], tile*packing.TileBytes))
		}
	}
}

func (f *few) clear(words []string) {
	for _, w := range words {
		f.do("mov.b32", w, "0")
	}
}

// loadScales loads the scales of a pair of groups, counted from the warp's unit on, to place i of `to`.
func (f *few) loadScales(to [][][]string, i, pair int64, there string) {
	for j := range to {
		words, guard := to[j][i], there
		if f.ragged() {
			guard = f.to(pred, "setp.gt.s32", f.pairsLeft, num(pair))
			f.clear(words)
		}
		f.guarded(guard, stream, vector(words...), at(f.scales[j], pair*packing.ScalePairBytes))
	}
}

// stage puts the rows of a chunk of x into shared memory. Warps share a row, by fragments of columns.
func (f *few) stage(chunk string, further bool) {
	f.note("The rows of x.")
	lanes := int64(f.rows.Lanes(f.rowsLanes))
	pieces, each := (f.Matmul.K+lanes-1)/lanes, f.chunkK()/lanes
	share := int64(1) // warps of a row
	for share*2*f.M.N <= f.warps {
		share *= 2
	}
	row := f.to(word, "shr.u32", f.warpID, num(log2(share)))
	first := f.to(long, "cvt.u64.u32", f.to(word, "and.b32", f.warpID, num(share-1)))
	end, x := num(pieces), f.base
	if f.chunks() > 1 {
		chunk64 := f.to(long, "cvt.u64.u32", chunk)
		first = f.to(long, "mad.lo.s64", chunk64, num(each), first)
		end = f.to(long, "mad.lo.s64", chunk64, num(each), num(each))
		end = f.to(long, "min.s64", end, num(pieces))
		x = f.to(word, "mad.lo.s32", chunk, num(-2*f.chunkK()), x)
	}
	f.resolveOf(f.rowsTile)
	write := f.to(long, "mov.b64", "0")
	if further {
		block0 := f.to(pred, "setp.eq.s32", f.to(word, "mov.u32", "%ctaid.x"), "0")
		write = f.to(long, "selp.b64", "1", "0", block0)
	}
	f.repeat(row, f.M.N, f.warps/share, func(row string) {
		to := f.to(long, "cvt.s64.s32", f.to(word, "mad.lo.s32", row, num(f.xStride()), x))
		locals := []binding{{reg: to, shared: true}, {reg: f.to(long, "cvt.u64.u32", row)}, {reg: first}, {reg: end}, {reg: num(share)}, {reg: write}}
		if f.planes > 1 {
			locals = append(locals, binding{reg: f.to(long, "add.s64", to, num(f.M.N*f.xStride())), shared: true})
		}
		f.inline(f.rowsTile, locals...)
	})
	f.pad(chunk, x)
}

// pad writes zeros behind the end of the rows of x.
func (f *few) pad(chunk, x string) {
	n := f.units*f.unitK() - f.Matmul.K
	if n == 0 {
		return
	}
	zero := f.to(word, "mov.b32", "0")
	skip := f.label("padded")
	if f.chunks() > 1 {
		f.onlyIf(f.to(pred, "setp.lt.s32", chunk, num(f.chunks()-1)), "bra", skip)
	}
	end := f.to(word, "add.s32", x, num(2*f.Matmul.K))
	f.repeat(f.thread, n, f.warps*warp, func(i string) {
		to := f.to(word, "mad.lo.s32", i, "2", end)
		for r := range f.xRows() {
			f.do("st.shared.u16", at(to, r*f.xStride()), zero)
		}
	})
	f.place(skip)
}

// multiplyUnits multiplies the warp's units of a strip, chunk of x after chunk.
func (f *few) multiplyUnits() {
	for _, sums := range slices.Concat(f.sums...) {
		for _, r := range sums {
			f.do("mov.f32", r, floatNum(0))
		}
	}
	if f.chunks() == 1 {
		f.units1(num(f.units))
		return
	}
	chunk := f.reg(word)
	f.do("mov.b32", chunk, "0")
	next, done := f.label("chunk"), f.label("chunks")
	f.place(next)
	f.do("bar.sync", "0") // all have read the last one
	f.stage(chunk, false)
	f.do("bar.sync", "0")
	end := f.to(word, "mad.lo.s32", chunk, num(f.chunkUnits), num(f.chunkUnits))
	end = f.to(word, "min.s32", end, num(f.units))
	skip := f.label("none")
	f.onlyIf(f.to(pred, "setp.ge.s32", f.unit, end), "bra", skip)
	f.units1(end)
	f.place(skip)
	f.do("add.s32", chunk, chunk, "1")
	f.onlyIf(f.to(pred, "setp.lt.s32", chunk, num(f.chunks())), "bra", next)
	f.place(done)
}

// units1 multiplies the warp's units below end, which are in shared memory of x.
func (f *few) units1(end string) {
	// ldmatrix: lane i gives the address of row i%8 of the eight values of k number i/8. Rows that are not there are like
	// the first: nobody looks at their columns. Columns 4 and on are the rests where one operand has both.
	row := f.to(word, "and.b32", f.lane, "7")
	inside := func(row string) string {
		return f.to(word, "selp.b32", row, "0", f.to(pred, "setp.lt.s32", row, num(f.M.N)))
	}
	switch both := f.planes > f.operands(); {
	case both:
		rest := f.to(word, "shr.u32", row, "2")
		row = f.to(word, "mad.lo.s32", rest, num(f.M.N), inside(f.to(word, "and.b32", row, "3")))
	case f.M.N < fewRows:
		row = inside(row)
	}
	at := f.to(word, "mad.lo.s32", f.to(word, "shr.u32", f.lane, "3"), "16", f.base)
	at = f.to(word, "mad.lo.s32", row, num(f.xStride()), at)
	f.do("mad.lo.s32", f.x, f.warpID, num(2*f.unitK()), at)
	next, there := f.reg(word), f.reg(pred)
	loop := f.label("unit")
	f.place(loop)
	f.do("add.s32", next, f.unit, num(f.warps))
	f.do("setp.lt.s32", there, next, num(f.units))
	pairs := f.unitPairs()
	if pairs == 1 {
		f.loadScales(f.next, 0, f.warps, there)
	}
	for i := range f.steps {
		f.step(i)
		f.load(i, 1, there)
		if last := (i + 1) * pairs / f.steps; pairs > 1 && last > i*pairs/f.steps { // the step is the last of its pair
			f.loadScales(f.now, last-1, f.warps*pairs+last-1, there)
		}
	}
	for j := range f.weights {
		f.do("add.s64", f.weights[j], f.weights[j], num(f.warps*f.unitTiles()*packing.TileBytes))
		if f.group > 0 {
			f.do("add.s64", f.scales[j], f.scales[j], num(f.warps*f.unitPairs()*packing.ScalePairBytes))
		}
		for i, words := range f.next[j] {
			for k, w := range words {
				f.guarded(there, "mov.b32", f.now[j][i][k], w)
			}
		}
	}
	if f.ragged() {
		f.do("sub.s32", f.left, f.left, num(f.warps*f.unitTiles()))
		f.do("sub.s32", f.pairsLeft, f.pairsLeft, num(f.warps*f.unitPairs()))
	}
	f.do("add.s32", f.x, f.x, num(f.warps*f.unitK()*2))
	f.do("mov.b32", f.unit, next)
	f.onlyIf(f.to(pred, "setp.lt.s32", f.unit, end), "bra", loop)
}

// step multiplies a step of weights that have arrived.
func (f *few) step(i int64) {
	n := f.tiles * f.TileK() / 16 // times 16 values of k
	b := make([][][]string, f.operands())
	for o := range b {
		for k := range n / 2 {
			r := f.regs(word, 4)
			f.do(ldmatrix, vector(r...), at(f.x, int64(o)*f.M.N*f.xStride()+(i*n+2*k)*32))
			b[o] = append(b[o], r[:2], r[2:])
		}
	}
	if f.group == 0 {
		for j, tiles := range f.ring[i] {
			for k, words := range tiles {
				for o, sums := range f.sums {
					f.multiply(sums[j], words, b[o][k], sums[j])
				}
			}
		}
		return
	}
	each, perTile := f.group/16, f.TileK()/16
	a := make([][][]string, f.accs) // of the tile in work
	for first := int64(0); first < n; first += each {
		group := (i*n + first) / each
		sumX := make([][]string, len(b))
		for o := range b {
			for k := first; k < first+each && f.Affine(); k++ {
				sumX[o] = f.chain(sumX[o], slices.Repeat([]string{f.ones}, 4), b[o][k])
			}
		}
		for j, tiles := range f.ring[i] {
			sum := make([][]string, len(b))
			for k := first; k < first+each; k++ {
				if k%perTile == 0 {
					a[j] = f.unpack(f.product, tiles[k/perTile])
				}
				for o := range b {
					sum[o] = f.chain(sum[o], a[j][k%perTile], b[o][k])
				}
			}
			words := f.now[j][group/2][group%2*2:]
			for o := range b {
				f.addScaled(f.sums[o][j], sum[o], sumX[o], [2]string{words[0], words[1]})
			}
		}
	}
}

// chain adds a product of fragments to a sum, or begins one where there is none.
func (f *few) chain(sum, a, b []string) []string {
	c := sum
	if sum == nil {
		sum = f.regs(float, 4)
	}
	f.multiply(sum, a, b, c)
	return sum
}
