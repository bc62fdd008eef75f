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
// which stay in shared memory. Which warp and block adds what does not depend on the number of rows, and so neither do
// the bits.
type few struct {
	*product
	warps      int64
	units      int64 // of K
	chunkUnits int64 // units of x that are in shared memory at a time
	split      int64 // blocks that share K, a chunk for each (few_split.go)
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

// unitTiles and unitK count the tiles and the values of k of a unit.
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
	f.chunkUnits, f.split = f.units, 1
	if f.divides() {
		f.chunkUnits = splitK / f.unitK()
		f.split = f.chunks()
	}
	for f.xBytes() > mostX && f.chunkUnits > f.warps {
		f.chunkUnits = (f.chunkUnits/2 + f.warps - 1) / f.warps * f.warps
	}
	return f
}

// slabs is two, of which one is written while the other is read, or one where two would leave no room for a second block
// in 164 KiB, or blocks wait for each other anyway.
func (f *few) slabs() int64 {
	if f.split > 1 || f.xBytes()+2*f.slabBytes() > 80<<10 {
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
	if f.split > 1 {
		n += flagBytes
	}
	return n
}

// build emits the kernel, which computes rows of x, or with chunks reads them; from is where they are read from. The
// further results of the prologue are stored by the first of a matmul's kernels. Blocks that share K have the workspace
// from byte `work` on.
func (f *few) build(name string, rows *kernels.Rows, from *kernels.Arg, further bool, work int64) *backend.Kernel {
	f.rows = rows
	f.rowsTile, f.rowsLanes = tileKernel(name, rows)
	if from != nil {
		f.rowsTile.Args[slices.IndexFunc(f.rowsTile.Args, func(a kernels.Arg) bool { return a.Kind == kernels.ArgIn })] = *from
	}
	f.addTile(f.rowsTile)
	f.addWeights()
	if f.split > 1 {
		f.addSums(work)
	}
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
	if f.bits == 8 && f.group == 128 && f.accs > 1 || f.group > 0 && f.accs*int(f.operands()) > 2 || f.chunks() > f.split {
		f.directives = ".minnctapersm 1\n"
	}
	f.setup()
	f.registers()
	done, loop := f.label("done"), f.label("strip")
	f.task = f.to(word, "mov.u32", "%ctaid.x")
	tasks := f.to(word, "cvt.u32.u64", f.parameter("tasks"))
	f.onlyIf(f.to(pred, "setp.ge.s32", f.task, tasks), "bra", done)
	if f.split > 1 {
		f.onlyIf(f.to(pred, "setp.ge.s32", f.task, f.stride()), "bra", done)
		f.do("add.s32", f.last, f.task, "1") // of another part
	}
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
		f.do("add.s32", f.task, f.task, f.stride())
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
	n := f.tasksOfAll(1) * f.split
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

// locate points at the weights of the task's strip, the warp's first unit of the task's part of K.
func (f *few) locate() {
	for _, i := range f.parts {
		for j := range f.Parts[i].Accs {
			f.resolve(tile.KernelParam{Name: f.weightName(i, j), Type: tile.Type{Ptr: true}})
		}
	}
	base, strip := f.sources(f.stripOf(f.task), 1)
	part, first := f.partOf(f.task), f.warpID
	if f.split > 1 {
		first = f.to(word, "mad.lo.s32", part, num(f.chunkUnits), first)
	}
	mine := f.to(word, "mad.lo.s32", first, num(f.unitTiles()*packing.TileBytes), f.to(word, "shl.b32", f.lane, "4"))
	mine64 := f.to(long, "cvt.u64.u32", mine)
	scale := f.to(word, "shl.b32", f.to(word, "shr.u32", f.lane, "2"), "4")
	scale = f.to(word, "mad.lo.s32", first, num(f.unitPairs()*packing.ScalePairBytes), scale)
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
		f.do("sub.s32", f.left, f.ofPartOfK(part, f.unitTiles(), f.Tiles()), f.to(word, "mul.lo.s32", f.warpID, num(f.unitTiles())))
		f.do("sub.s32", f.pairsLeft, f.ofPartOfK(part, f.unitPairs(), f.ScalePairs()), f.to(word, "mul.lo.s32", f.warpID, num(f.unitPairs())))
	}
}

// fill loads the warp's first unit.
func (f *few) fill() {
	there := ""
	if f.idles() {
		there = f.to(pred, "setp.lt.s32", f.unit, f.ofPartOfK(f.partOf(f.task), 1, f.units))
	}
	for i := range f.steps {
		f.load(i, 0, there)
	}
	for i := range f.unitPairs() {
		f.loadScales(f.now, i, i, there)
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

// multiplyUnits multiplies the warp's units of a task, chunk of x after chunk.
func (f *few) multiplyUnits() {
	for _, sums := range slices.Concat(f.sums...) {
		for _, r := range sums {
			f.do("mov.f32", r, floatNum(0))
		}
	}
	switch {
	case f.chunks() == 1:
		f.units1(num(f.units), num(f.units))
		return
	case f.split > 1:
		f.multiplyPart()
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
	f.units1(end, num(f.units))
	f.place(skip)
	f.do("add.s32", chunk, chunk, "1")
	f.onlyIf(f.to(pred, "setp.lt.s32", chunk, num(f.chunks())), "bra", next)
	f.place(done)
}

// units1 multiplies the warp's units below end, whose x is in shared memory. The task has units below last.
func (f *few) units1(end, last string) {
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
	f.do("setp.lt.s32", there, next, last)
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
