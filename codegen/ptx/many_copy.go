package ptx

import (
	"pgc/codegen/packing"
)

// group is how many blocks of tokens are taken before the next outputs, so that blocks that run at the same time find
// each other's operands in the cache.
const group = 16

// locate finds the task's tokens, outputs and part of K, and points the thread's copies at them.
func (g *many) locate(task string) {
	outputs, most := g.outputs(g.accs), g.tasksOfAll(g.outputs(g.accs))
	blocks := g.to(word, "div.s32", g.to(word, "add.s32", g.inRegister(g.rows), num(g.tokens()-1)), num(g.tokens()))
	first := g.to(word, "mul.lo.s32", g.to(word, "div.s32", task, num(group*most*g.split)), num(group))
	in := g.to(word, "rem.s32", task, num(group*most*g.split))
	size := g.to(word, "min.s32", g.to(word, "sub.s32", blocks, first), num(group))
	g.m0 = g.to(word, "mul.lo.s32", g.to(word, "add.s32", first, g.to(word, "rem.s32", in, size)), num(g.tokens()))
	outer := g.to(word, "div.s32", in, size)
	k0 := "0" // first unit
	g.todo = g.to(word, "mov.b32", num(g.units))
	if g.split > 1 {
		g.part = g.to(word, "div.s32", outer, num(most))
		outer = g.to(word, "rem.s32", outer, num(most))
		k0 = g.to(word, "mul.lo.s32", g.part, num(g.units))
		left := g.to(word, "sub.s32", num(g.unitsOfStages(g.tiling)), k0)
		g.todo = g.to(word, "min.s32", left, num(g.units))
	}
	g.outer = outer
	g.stagesLeft = g.to(word, "mul.lo.s32", g.todo, num(g.stagesOfUnit()))

	g.note("Where this thread's copies begin, and how much there is.")
	perStrip := g.tiles() * packing.TileBytes / chunk
	mine, within := g.to(word, "shr.u32", g.thread, num(log2(perStrip))), g.to(word, "and.b32", g.thread, num(perStrip-1))
	tile0 := g.to(word, "mul.lo.s32", g.inRegister(k0), num(g.stagesOfUnit()*g.tiles()))
	base, strip := g.sources(outer, outputs)
	g.strip, g.weights, g.stripsLeft, g.scales = strip, nil, nil, nil
	limit := g.limits(outer, outputs)
	for j := range base {
		s := g.to(word, "add.s32", strip[j], mine)
		p := g.offset(g.offset(base[j], s, g.StripBytes()), tile0, packing.TileBytes)
		g.weights = append(g.weights, g.offset(p, within, chunk))
		if limit != "" {
			g.stripsLeft = append(g.stripsLeft, g.to(word, "sub.s32", limit, s))
		}
	}
	g.tilesLeft = g.to(word, "sub.s32", num(g.Tiles()), g.to(word, "add.s32", tile0, g.to(word, "shr.u32", within, "5")))
	row, c := g.to(word, "shr.u32", g.thread, num(log2(g.rowBytes()/chunk))), g.to(word, "and.b32", g.thread, num(g.rowBytes()/chunk-1))
	at := g.to(word, "mad.lo.s32", c, num(chunk), g.to(word, "mul.lo.s32", tile0, num(2*g.TileK())))
	g.from = g.offset(g.offset(g.byName["x"], g.to(word, "add.s32", g.m0, row), 2*g.stride), at, 1)
	g.bytesLeft = g.to(word, "sub.s32", num(2*g.Matmul.K), at)
	g.rowsLeft = g.to(word, "sub.s32", g.to(word, "sub.s32", g.inRegister(g.rows), g.m0), row)
	g.locateGroups(base, strip, limit, k0)
}

// inRegister is a word that may be an immediate.
func (g *many) inRegister(v string) string {
	if v[0] == '%' {
		return v
	}
	return g.to(word, "mov.b32", v)
}

// limits is the number of strips of the task's part, "" where all blocks are whole.
func (g *many) limits(outer string, outputs int64) string {
	whole, before, limit := true, int64(0), ""
	for n, i := range g.parts {
		q := &g.Parts[i]
		each := outputs
		if g.shares(q) {
			each *= int64(g.accs)
		}
		whole = whole && strips(q)%each == 0
		if n == 0 {
			limit = g.to(word, "mov.b32", num(strips(q)))
		} else {
			limit = g.to(word, "selp.b32", num(strips(q)), limit, g.to(pred, "setp.ge.s32", outer, num(before)))
		}
		before += g.tasksOf(q, outputs)
	}
	if whole {
		return ""
	}
	return limit
}

// locateGroups points at the scales of the warp's strips, and at the sums of x of its tokens.
func (g *many) locateGroups(base, strip []string, limit, k0 string) {
	if g.group == 0 {
		return
	}
	wa := g.to(word, "and.b32", g.warpID, num(g.across-1))
	wt := g.to(word, "shr.u32", g.warpID, num(log2(g.across)))
	at := g.to(word, "mad.lo.s32", g.to(word, "shr.u32", g.lane, "2"), "16", num(g.Tiles()*packing.TileBytes))
	at = g.to(word, "mad.lo.s32", g.inRegister(k0), num(g.pairsOfUnit()*packing.ScalePairBytes), at)
	for j := range base {
		s := g.to(word, "mad.lo.s32", wa, num(g.each()), strip[j])
		g.scales = append(g.scales, g.offset(g.offset(base[j], s, g.StripBytes()), at, 1))
		if limit != "" {
			g.warpStrips = append(g.warpStrips[:j:j], g.to(word, "sub.s32", limit, s))
		}
	}
	g.pairsLeft = g.to(word, "sub.s32", num(g.ScalePairs()), g.to(word, "mul.lo.s32", g.inRegister(k0), num(g.pairsOfUnit())))
	if g.Affine() {
		t := g.to(word, "shl.b32", g.to(word, "and.b32", g.lane, "3"), "1")
		token := g.to(word, "add.s32", g.m0, g.to(word, "mad.lo.s32", wt, num(g.eights*8), t))
		first := g.to(word, "mul.lo.s32", g.inRegister(k0), num(2*g.pairsOfUnit()))
		g.sumsX = g.offset(g.offset(g.byName["sums"], first, 4*sumsRow(g.M)), token, 4)
	}
}

// pairsOfUnit counts the pairs of groups of a unit of K.
func (g *many) pairsOfUnit() int64 { return g.unitOfStages(g.tiling) / g.group / 2 }

// ragged says that the units of K are more than its tiles.
func (g *many) ragged() bool { return g.Tiles()*g.TileK()%g.unitOfStages(g.tiling) != 0 }

// copyStage starts the copies of the next stage to a place in shared memory, if there is one. What lies outside the
// operands becomes zero.
func (g *many) copyStage(slot string) {
	there := g.to(pred, "setp.gt.s32", g.stagesLeft, "0")
	perStrip := g.tiles() * packing.TileBytes / chunk
	to := g.to(word, "add.s32", g.target[0], slot)
	n := g.outputs(g.accs) * perStrip // chunks of an accumulator
	tile := num(chunk)
	if g.ragged() {
		tile = g.to(word, "selp.b32", num(chunk), "0", g.to(pred, "setp.gt.s32", g.tilesLeft, "0"))
	}
	for j := range g.weights {
		for i := int64(0); i*g.threads() < n; i++ {
			pass := i * g.threads() / perStrip
			size := tile
			if g.stripsLeft != nil {
				size = g.to(word, "selp.b32", g.inRegister(tile), "0", g.to(pred, "setp.gt.s32", g.stripsLeft[j], num(pass)))
			}
			guard := g.upTo(there, n-i*g.threads())
			g.onlyIf(guard, copyAsync, at(to, int64(j)*n*chunk+i*g.threads()*chunk), at(g.weights[j], pass*g.StripBytes()), num(chunk), size)
		}
		g.do("add.s64", g.weights[j], g.weights[j], num(g.tiles()*packing.TileBytes))
	}
	to = g.to(word, "add.s32", g.target[1], slot)
	perRow := g.rowBytes() / chunk
	left := num(chunk)
	if g.Matmul.K*2%(g.unitOfStages(g.tiling)*2) != 0 {
		left = g.to(word, "min.s32", g.to(word, "max.s32", g.bytesLeft, "0"), num(chunk))
	}
	for i := int64(0); i*g.threads() < g.tokens()*perRow; i++ {
		pass, size := i*g.threads()/perRow, left
		if g.M.Sym != "" || g.M.N%g.tokens() != 0 {
			size = g.to(word, "selp.b32", g.inRegister(left), "0", g.to(pred, "setp.gt.s32", g.rowsLeft, num(pass)))
		}
		guard := g.upTo(there, g.tokens()*perRow-i*g.threads())
		for p := range g.planes {
			g.onlyIf(guard, copyAsync, at(to, p*g.planeBytes()+pass*g.rowBytes()), at(g.from, p*g.apart()+pass*2*g.stride), num(chunk), size)
		}
	}
	g.do("add.s64", g.from, g.from, num(g.rowBytes()))
	g.do("sub.s32", g.bytesLeft, g.bytesLeft, num(g.rowBytes()))
	g.do("sub.s32", g.tilesLeft, g.tilesLeft, num(g.tiles()))
	g.do("sub.s32", g.stagesLeft, g.stagesLeft, "1")
	g.do("cp.async.commit_group")
}

// upTo narrows a predicate to the first n threads.
func (g *many) upTo(p string, n int64) string {
	if n >= g.threads() {
		return p
	}
	return g.to(pred, "and.pred", p, g.to(pred, "setp.lt.s32", g.thread, num(n)))
}
