package ptx

import (
	"pgc/codegen/backend"
	"pgc/codegen/kernels"
	"pgc/codegen/packing"
	"pgc/ir/tile"
)

// many is a product of many rows. Asynchronous copies bring tiles of weights, as they lie, and rows of x into shared
// memory, some stages ahead; there a warp reads each operand as the tensor cores take it. The sums go through shared
// memory to the epilogue, which has the columns of a row in neighboring threads. Where blocks would be few, K is split
// among them: then the epilogue stores sums, which a map adds.
type many struct {
	*product
	tiling
	split, units int64 // parts of K, and its units in each; the last may have less
	stride       int64 // elements between rows of x

	rows, m0, part string         // rows of x, first of the task, and its part of K
	strip          []string       // first of the block by accumulator
	weights        []string       // by accumulator, where this thread copies from
	stripsLeft     []string       // likewise, how many strips there are from its own on
	from           string         // where it copies x from
	rowsLeft       string         // how many rows there are from its own on
	tilesLeft      string         // how many tiles of its strip
	bytesLeft      string         // how many bytes of its row
	stagesLeft     string         // to copy
	todo           string         // units to multiply
	outer          string         // the task's place among those of all outputs
	warpStrips     []string       // by accumulator, how many strips there are from the warp's own on
	pairsLeft      string         // how many pairs of groups
	target         [2]string      // where it copies weights and x to, in a stage
	fill, read     string         // stages that are filled and read next
	atW            string         // where the warp reads weights in a stage
	atX            []string       // likewise x, by spanX values of k
	scales         []string       // where the thread reads scales, by accumulator
	words          [][][]string   // of a pair of groups, by accumulator and strip
	sums, groups   [][][][]string // by accumulator, strip and eight of tokens: of all and of a group
	sumsX          string         // where the thread's sums of x begin
}

const (
	copyAsync = "cp.async.cg.shared.global"
	chunk     = 16 // bytes that it copies
)

// each counts the strips of a warp for each accumulator, and tiles the tiles of a strip in a stage.
func (g *many) each() int64  { return g.strips / int64(g.accs) }
func (g *many) tiles() int64 { return g.k / g.TileK() }

func (g *many) weightBytes() int64 {
	return g.outputs(g.accs) * int64(g.accs) * g.tiles() * packing.TileBytes
}
func (g *many) rowBytes() int64   { return 2 * g.k }
func (g *many) stageBytes() int64 { return g.weightBytes() + g.planes*g.planeBytes() }

// planeBytes is the size of the rows of x of a stage; of two planes, the second lies behind the first.
func (g *many) planeBytes() int64 { return g.tokens() * g.rowBytes() }

// bothPlanes says that ldmatrix reads 16 values of k of both planes, not 32 of one: with weights in tiles of 16 that takes
// fewer registers.
func (g *many) bothPlanes() bool { return g.planes > 1 && g.TileK() == 16 }

// spanX counts the values of k that ldmatrix reads.
func (g *many) spanX() int64 {
	if g.bothPlanes() {
		return 16
	}
	return 32
}

// apart is the bytes from a row of x to its second plane in memory.
func (g *many) apart() int64 { return 2 * padded(g.Matmul.K) }

// stagesOfUnit counts the stages of a unit of K.
func (g *many) stagesOfUnit() int64 { return g.unitOfStages(g.tiling) / g.k }

// newMany begins a kernel whose rows of x are stride elements apart; where there are two planes, as kernel planes has them.
func newMany(s *kernels.Matmul, parts []int, stride int64) *many {
	g := &many{product: newProduct(s, parts), stride: stride}
	g.tiling, g.split = g.choose()
	all := g.unitsOfStages(g.tiling)
	g.units = (all + g.split - 1) / g.split
	g.split = (all + g.units - 1) / g.units
	return g
}

// slabRow is the floats between tokens of an accumulator's sums in shared memory: its writers meet in no bank.
func (g *many) slabRow() int64 { return g.outputs(g.accs)*packing.PanelWidth + 4 }

// round counts the eights of tokens of a warp whose sums are in shared memory at a time.
func (g *many) round() int64 {
	for n := g.eights; ; n-- {
		if g.eights%n == 0 && g.slabBytes(n) <= max(mostSlab, g.stages*g.stageBytes()) {
			return n
		}
	}
}

// mostSlab is what sums may take of shared memory where stages take less: two blocks have room on a multiprocessor.
const mostSlab = 77 << 10

func (g *many) slabBytes(eights int64) int64 {
	return g.down * eights * 8 * int64(g.accs) * g.slabRow() * 4
}

// shared is the size of the stages, or of the sums that take their place.
func (g *many) shared() int64 { return max(g.stages*g.stageBytes(), g.slabBytes(g.round())) }

// pieceOf is how many columns the epilogue of a part takes at a time, so that none reach into another block.
func pieceOf(q *kernels.Part) int64 {
	if q.Blocks > 1 && stripsOfBlock(q)%2 != 0 {
		return packing.PanelWidth
	}
	return warp
}

// build emits the kernel. x is where its rows are, sumsX where the sums of their groups are if weights have minima.
// Where K is split, the sums of the parts go into the workspace from byte `work` on.
func (g *many) build(name string, x, sumsX kernels.Arg, work int64) *backend.Kernel {
	pointer := func(e tile.Elem) tile.Type { return tile.Type{Elem: e, Lanes: 1, Ptr: true} }
	g.add(tile.KernelParam{Name: "x", Type: pointer(tile.BF16)}, x)
	if g.Affine() {
		g.add(tile.KernelParam{Name: "sums", Type: pointer(tile.F32)}, sumsX)
	}
	if g.M.Sym != "" {
		g.add(tile.KernelParam{Name: g.M.Sym, Type: tile.Scalar(tile.I64)}, kernels.Arg{Kind: kernels.ArgSym, Sym: g.M.Sym})
	}
	g.addWeights()
	for _, i := range g.parts {
		m := g.Matmul
		if g.split > 1 {
			m = partial(m, nil)
		}
		end, _ := tileKernel(name, &kernels.Epilogue{Matmul: m, Part: i, Rows: 1, Width: pieceOf(&g.Parts[i])})
		if g.split > 1 {
			for n, a := range end.Args {
				if a.Kind == kernels.ArgOut {
					end.Args[n] = kernels.Arg{Kind: kernels.ArgWork, Index: int(work)}
				}
			}
			work += g.split * partialBytes(g.Matmul, i)
		}
		g.ends = append(g.ends, end)
		g.addTile(end)
	}
	g.strides()
	factors := []kernels.Factor{{Size: g.M, Div: g.tokens()}, {Size: kernels.Const(g.tasksOfAll(g.outputs(g.accs)) * g.split), Div: 1}}
	return g.kernel(name, entryParams(withTasks(g.list)), g.threads(), g.shared(), factors)
}

// strides emits the loop over tasks. Parameters, and what follows from the thread, are read where they are used, before
// and behind the loop over K, so that it has the registers.
func (g *many) strides() {
	task := g.to(word, "mov.u32", "%ctaid.x")
	loop, done := g.label("task"), g.label("done")
	g.place(loop)
	tasks := g.to(word, "cvt.u32.u64", g.parameter("tasks"))
	g.onlyIf(g.to(pred, "setp.ge.s32", task, tasks), "bra", done)
	g.readParams()
	g.prepare()
	g.locate(task)
	g.pipeline()
	g.note("The task's end.")
	g.readParams()
	g.finish()
	g.do("add.s32", task, task, g.to(word, "mov.u32", "%nctaid.x"))
	g.do("bra", loop)
	g.place(done)
}

// readParams reads the parameters and finds the thread's place.
func (g *many) readParams() {
	for _, p := range g.list {
		g.resolve(p)
	}
	g.setup()
}

// prepare finds the thread's places in shared memory.
func (g *many) prepare() {
	g.rows = num(g.M.N)
	if g.M.Sym != "" {
		g.rows = g.to(word, "cvt.u32.u64", g.byName[g.M.Sym])
	}
	row, c := g.to(word, "shr.u32", g.thread, num(log2(g.rowBytes()/chunk))), g.to(word, "and.b32", g.thread, num(g.rowBytes()/chunk-1))
	g.target[0] = g.to(word, "mad.lo.s32", g.thread, num(chunk), g.base)
	g.target[1] = g.to(word, "add.s32", g.swizzled(row, c), g.to(word, "add.s32", g.base, num(g.weightBytes())))
	wa := g.to(word, "and.b32", g.warpID, num(g.across-1))
	wt := g.to(word, "shr.u32", g.warpID, num(log2(g.across)))
	at := g.to(word, "mad.lo.s32", g.lane, num(chunk), g.base)
	g.atW = g.to(word, "mad.lo.s32", wa, num(g.each()*g.tiles()*packing.TileBytes), at)
	// ldmatrix: lane i gives the address of row i%8 of the eight values of k number i/8.
	in := g.to(word, "and.b32", g.lane, "7")
	first := g.to(word, "mad.lo.s32", wt, num(g.eights*8*g.rowBytes()), g.to(word, "add.s32", g.base, num(g.weightBytes())))
	matrix := g.to(word, "shr.u32", g.lane, "3")
	if g.bothPlanes() { // two eights of k, then those of the second plane
		first = g.to(word, "mad.lo.s32", g.to(word, "shr.u32", g.lane, "4"), num(g.planeBytes()), first)
		matrix = g.to(word, "and.b32", matrix, "1")
	}
	for c := range g.k / g.spanX() {
		eight := g.to(word, "add.s32", matrix, num(g.spanX()/8*c))
		g.atX = append(g.atX, g.to(word, "add.s32", g.swizzled(in, eight), first))
	}
	g.fill, g.read = g.reg(word), g.reg(word)
	for range g.accs {
		var words [][]string
		var sums, groups [][][]string
		for range g.each() {
			words = append(words, g.regs(word, 4))
			var s, gr [][]string
			for range g.eights {
				s, gr = append(s, g.regs(float, 4)), append(gr, g.regs(float, 4))
			}
			sums, groups = append(sums, s), append(groups, gr)
		}
		g.words, g.sums, g.groups = append(g.words, words), append(g.sums, sums), append(g.groups, groups)
	}
}

// swizzled is where chunk c of row r of x lies in a stage: the eight rows that ldmatrix reads together, and those that
// neighbors copy, lie in different banks.
func (g *many) swizzled(r, c string) string {
	by := g.to(word, "and.b32", r, "7")
	if g.rowBytes() == 64 {
		by = g.to(word, "and.b32", g.to(word, "shr.u32", r, "1"), "3")
	}
	return g.to(word, "mad.lo.s32", r, num(g.rowBytes()), g.to(word, "shl.b32", g.to(word, "xor.b32", c, by), "4"))
}
