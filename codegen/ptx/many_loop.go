package ptx

import (
	"pgc/codegen/packing"
)

// pipeline runs over the task's part of K. While a stage is multiplied, the next ones are on their way.
func (g *many) pipeline() {
	for j := range g.sums {
		for _, strip := range g.sums[j] {
			for _, sums := range strip {
				for _, r := range sums {
					g.do("mov.f32", r, floatNum(0))
				}
			}
		}
	}
	g.note("The first stages set out.")
	for s := range g.stages - 1 {
		g.copyStage(num(s * g.stageBytes()))
	}
	g.do("mov.b32", g.fill, num((g.stages-1)*g.stageBytes()))
	g.do("mov.b32", g.read, "0")
	g.note("While a stage is multiplied, the next ones are on their way.")
	loop := g.label("k")
	g.place(loop)
	for i := range g.stagesOfUnit() {
		if i == 0 {
			g.loadScales()
		}
		g.do("cp.async.wait_group", num(g.stages-2))
		g.do("bar.sync", "0") // the stage has arrived for all, and all have read the one that is filled next
		g.copyStage(g.fill)
		g.multiplyStage(i)
		for _, slot := range []string{g.fill, g.read} {
			g.do("add.s32", slot, slot, num(g.stageBytes()))
			g.do("selp.b32", slot, "0", slot, g.to(pred, "setp.eq.s32", slot, num(g.stages*g.stageBytes())))
		}
	}
	if g.Affine() {
		g.do("add.s64", g.sumsX, g.sumsX, num(2*g.pairsOfUnit()*4*sumsRow(g.M)))
	}
	g.do("sub.s32", g.todo, g.todo, "1")
	g.onlyIf(g.to(pred, "setp.gt.s32", g.todo, "0"), "bra", loop)
	g.do("bar.sync", "0") // all have read the last stage
}

// loadScales loads the scales of the next unit's groups, which are one pair.
func (g *many) loadScales() {
	for j := range g.scales {
		for s, words := range g.words[j] {
			guard := ""
			if g.ragged() {
				guard = g.to(pred, "setp.gt.s32", g.pairsLeft, "0")
			}
			if g.stripsLeft != nil {
				inside := g.to(pred, "setp.gt.s32", g.warpStrips[j], num(int64(s)))
				if guard == "" {
					guard = inside
				} else {
					guard = g.to(pred, "and.pred", guard, inside)
				}
			}
			if guard != "" {
				for _, w := range words {
					g.do("mov.b32", w, "0")
				}
			}
			g.guarded(guard, "ld.global.nc.v4.b32", vector(words...), at(g.scales[j], int64(s)*g.StripBytes()))
		}
		g.do("add.s64", g.scales[j], g.scales[j], num(packing.ScalePairBytes))
	}
	if g.group > 0 {
		g.do("sub.s32", g.pairsLeft, g.pairsLeft, "1")
	}
}

// multiplyStage multiplies a stage that has arrived, number i of its unit. Integers have sums of a group, which are
// scaled at its end.
func (g *many) multiplyStage(i int64) {
	w := g.to(word, "add.s32", g.atW, g.read)
	for c := range g.k / g.spanX() {
		a := make([][][][]string, g.accs)
		for j := range a {
			for s := range g.each() {
				a[j] = append(a[j], g.fragments(w, int64(j), s, g.spanX()*c))
			}
		}
		x := g.to(word, "add.s32", g.atX[c], g.read)
		k := i*g.k + g.spanX()*c // of the unit
		multiply := func(e int64, half int64, b []string, begins bool) {
			for j := range a {
				for s := range a[j] {
					to := g.sums[j][s][e]
					from := to
					if g.group > 0 {
						if to, from = g.groups[j][s][e], g.groups[j][s][e]; begins {
							from = nil
						}
					}
					g.multiply(to, a[j][s][half], b, from)
				}
			}
		}
		for e := range g.eights {
			if g.bothPlanes() {
				b := g.rows8(x, e, 0)
				multiply(e, 0, b[:2], false)
				multiply(e, 0, b[2:], false)
				continue
			}
			for p := range g.planes {
				b := g.rows8(x, e, p)
				multiply(e, 0, b[:2], k%max(1, g.group) == 0 && p == 0)
				multiply(e, 1, b[2:], false)
			}
			if g.group > 0 && (k+32)%g.group == 0 {
				g.fold(e, k/g.group)
			}
		}
	}
}

// rows8 reads an eight of rows of x, by ldmatrix: of a plane, or of both.
func (g *many) rows8(x string, e, plane int64) []string {
	b := g.regs(word, 4)
	g.do(ldmatrix, vector(b...), at(x, plane*g.planeBytes()+e*8*g.rowBytes()))
	return b
}

// fragments reads the weights of a strip for spanX values of k, from k of the stage on.
func (g *many) fragments(w string, j, s, k int64) (all [][]string) {
	for tile := k / g.TileK(); tile*g.TileK() < k+g.spanX(); tile++ {
		words := g.regs(word, 4)
		g.do("ld.shared.v4.b32", vector(words...), at(w, ((j*g.outputs(g.accs)+s)*g.tiles()+tile)*packing.TileBytes))
		all = append(all, g.unpack(g.product, words)...)
	}
	return all[k%g.TileK()/16:][:g.spanX()/16]
}

// fold adds the sums of a group, number `in` of the unit, for an eight of tokens, to those of all.
func (g *many) fold(e, in int64) {
	var sumX []string
	if g.Affine() {
		sumX = g.regs(float, 2)
		from := at(g.sumsX, (in*sumsRow(g.M)+8*e)*4)
		if in == 1 && g.Group.Blocks(g.Matmul.K)%2 != 0 { // the last pair has one group
			for _, x := range sumX {
				g.do("mov.f32", x, floatNum(0))
			}
			g.onlyIf(g.to(pred, "setp.gt.s32", g.pairsLeft, "0"), "ld.global.v2.f32", vector(sumX...), from)
		} else {
			g.do("ld.global.v2.f32", vector(sumX...), from)
		}
	}
	for j := range g.sums {
		for s, sums := range g.sums[j] {
			words := g.words[j][s][in*2:]
			g.addScaled(sums[e], g.groups[j][s][e], sumX, [2]string{words[0], words[1]})
		}
	}
}
