package ptx

import (
	"pgc/codegen/kernels"
)

// copies is how many chunks of a stage a thread copies: one of each 32 rows, first of A and then of B.
const copies = (blockM + blockN) / warp

// startCopies points the thread's copies at the beginnings of their rows; rows outside the operands have no bytes.
func (g *gemm) startCopies(operands []binding, m0, n0 string) {
	thread := g.to(word, "mov.u32", "%tid.x")
	row := g.to(long, "cvt.u64.u32", g.to(word, "shr.u32", thread, "2"))
	at := g.to(word, "shl.b32", g.to(word, "and.b32", thread, "3"), "4")
	at64 := g.to(long, "cvt.u64.u32", at)
	full := g.to(word, "sub.s32", num(2*g.K), at)
	g.note("Where the rows that this thread copies begin, and how many bytes they have.")
	g.source, g.left = nil, nil
	start := func(operand binding, row, stride, inside string) {
		p := g.to(long, "mad.lo.s64", row, stride, operand.reg)
		g.source = append(g.source, g.to(long, "add.s64", p, at64))
		g.left = append(g.left, g.to(word, "selp.b32", full, "0", inside))
	}
	rows := g.rows()
	for i := int64(0); i < blockM; i += warp {
		r := g.to(long, "add.s64", g.to(long, "add.s64", m0, row), num(i))
		start(operands[0], r, num(2*g.xStride), g.to(pred, "setp.lt.s64", r, rows))
	}
	for i := int64(0); i < blockN; i += warp {
		block, c := g.column(g.to(long, "add.s64", n0, num(i%g.cols())))
		c = g.to(long, "add.s64", c, row)
		inside := g.to(pred, "setp.lt.s64", c, num(g.part.N))
		if g.part.Blocks > 1 {
			inside = g.to(pred, "and.pred", inside, g.to(pred, "setp.lt.s64", block, num(g.part.Blocks)))
		}
		r := g.to(long, "mad.lo.s64", block, num(g.part.N), c)
		start(operands[1+i/g.cols()], r, num(2*g.wStride()), inside)
	}
}

// rows is the number of rows of x.
func (g *gemm) rows() string {
	if g.M.Sym == "" {
		return num(g.M.N)
	}
	return g.byName[g.M.Sym]
}

// column splits a column, counted with the padding of the blocks, a multiple of 32, into its block and place in it.
func (g *gemm) column(n string) (block, c string) {
	if g.part.Blocks == 1 {
		return "0", n
	}
	return g.to(long, "div.s64", n, num(g.block())), g.to(long, "rem.s64", n, num(g.block()))
}

// zero makes registers for the sums, by accumulator and tile of 16 rows by 8 columns, four in each thread.
func (g *gemm) zero() {
	tiles := int(g.warpM()/16) * warp / 8
	g.sums = make([][][]string, g.part.Accs)
	for a := range g.sums {
		for range tiles {
			sums := g.regs(float, 4)
			for _, r := range sums {
				g.do("mov.f32", r, floatNum(0))
			}
			g.sums[a] = append(g.sums[a], sums)
		}
	}
}

// pipeline runs over K. While a stage is multiplied, the next ones are on their way.
func (g *gemm) pipeline() {
	g.note("The first stages set out.")
	for s := range int64(stages - 1) {
		g.copyStage(num(s * stageBytes))
	}
	fill, read, step := g.reg(word), g.reg(word), g.reg(word)
	g.do("mov.b32", fill, num((stages-1)*stageBytes))
	g.do("mov.b32", read, "0")
	g.do("mov.b32", step, "0")
	g.note("While a stage is multiplied, the next ones are on their way.")
	loop := g.label("k")
	g.place(loop)
	g.do("cp.async.wait_group", num(stages-2))
	g.do("bar.sync", "0") // the stage has arrived for all, and all have read the one that is filled next
	g.copyStage(fill)
	for half := range g.readA {
		g.multiply(half, read)
	}
	for _, slot := range []string{fill, read} {
		g.do("add.s32", slot, slot, num(stageBytes))
		g.do("selp.b32", slot, "0", slot, g.to(pred, "setp.eq.s32", slot, num(stages*stageBytes)))
	}
	g.do("add.s32", step, step, "1")
	g.onlyIf(g.to(pred, "setp.lt.s32", step, num((g.K+blockK-1)/blockK)), "bra", loop)
	g.do("cp.async.wait_group", "0")
	g.do("bar.sync", "0")
}

// copyStage starts the copies of the next stage to a place in shared memory. What lies behind the end of a row becomes
// zero, and so do stages behind the last one.
func (g *gemm) copyStage(slot string) {
	d := g.to(word, "add.s32", g.target, slot)
	for i := range copies {
		n := g.to(word, "min.s32", g.to(word, "max.s32", g.left[i], "0"), num(chunk))
		g.do("cp.async.cg.shared.global", at(d, int64(i)*warp*rowBytes), at(g.source[i], 0), num(chunk), n)
		g.do("add.s64", g.source[i], g.source[i], num(rowBytes))
		g.do("sub.s32", g.left[i], g.left[i], num(rowBytes))
	}
	g.do("cp.async.commit_group")
}

const (
	ldmatrix = "ldmatrix.sync.aligned.m8n8.x4.shared.b16"
	mma      = "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"
)

// multiply adds the products of 16 of a stage's k.
func (g *gemm) multiply(half int, slot string) {
	fragment := func(address string, offset int64) []string {
		d := g.regs(word, 4)
		g.do(ldmatrix, vector(d...), at(address, offset))
		return d
	}
	fromA := g.to(word, "add.s32", g.readA[half], slot)
	fromB := g.to(word, "add.s32", g.readB[half], slot)
	var a, b [][]string
	for m := int64(0); m < g.warpM(); m += 16 {
		a = append(a, fragment(fromA, m*rowBytes))
	}
	for acc := range g.sums {
		b = b[:0]
		for n := int64(0); n < warp; n += 16 { // two tiles of 8 columns
			f := fragment(fromB, (int64(acc)*g.cols()+n)*rowBytes)
			b = append(b, f[:2], f[2:])
		}
		for m := range a {
			for n := range b {
				c := vector(g.sums[acc][m*len(b)+n]...)
				g.do(mma, c, vector(a[m]...), vector(b[n]...), c)
			}
		}
	}
}

// finish puts a warp's sums into shared memory, where the stages were, and runs the epilogue on them, a row at a time.
func (g *gemm) finish(end *kernels.Kernel, pointers, locals int, m0, n0 string) {
	g.note("The sums go where the stages were, each warp's to a place of its own.")
	accBytes := g.warpM() * slabStride * 4
	slab := g.to(word, "mad.lo.s32", g.warp, num(int64(g.part.Accs)*accBytes), g.base)
	// Sums 0 and 1 of a tile are row lane/4, columns 2·(lane%4) and the next; 2 and 3 are eight rows below.
	row, col := g.to(word, "shr.u32", g.lane, "2"), g.to(word, "and.b32", g.lane, "3")
	mine := g.to(word, "mad.lo.s32", col, "8", slab)
	mine = g.to(word, "mad.lo.s32", row, num(slabStride*4), mine)
	for acc, tiles := range g.sums {
		for i, c := range tiles {
			m, n := int64(i)/(warp/8)*16, int64(i)%(warp/8)*8
			for half := range int64(2) {
				offset := int64(acc)*accBytes + ((m+8*half)*slabStride+n)*4
				g.do("st.shared.v2.f32", at(mine, offset), vector(c[2*half], c[2*half+1]))
			}
		}
	}
	g.do("bar.warp.sync", everyone)
	g.note("The epilogue, a row of 32 columns at a time.")
	e := newEmitter(g.asm)
	e.lane, e.lane64, e.first = g.lane, g.lane64, g.first
	slab64 := g.to(long, "cvt.u64.u32", slab)
	for acc := range g.part.Accs {
		e.params = append(e.params, binding{g.to(long, "add.s64", slab64, num(int64(acc)*accBytes)), true})
	}
	m, n := g.warpAt()
	first := g.to(long, "mad.wide.u32", m, num(g.warpM()), m0)
	block, c := g.column(g.to(long, "mad.wide.u32", n, num(warp), n0))
	e.params = append(e.params, binding{first, false}, binding{block, false}, binding{c, false})
	e.params = append(e.params, g.params[pointers:len(g.params)-1]...)
	if len(e.params) != len(end.Tile.Params) {
		fail("%d arguments for the %d parameters of the epilogue", len(e.params), len(end.Tile.Params))
	}
	e.block(end.Tile.Body)
	g.do("bar.sync", "0") // before the next task's copies
}
