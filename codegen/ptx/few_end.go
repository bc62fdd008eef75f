package ptx

import "slices"

// total adds the sums of both numbers of the elements of x.
func (f *few) total(acc int) []string {
	sums := slices.Clone(f.sums[0][acc])
	if f.planes == 1 {
		return sums
	}
	for i, s := range sums {
		rest := ""
		if f.operands() > 1 {
			rest = f.sums[1][acc][i]
		} else { // four columns on, in the second next thread
			rest = f.to(float, "shfl.sync.down.b32", s, "2", "31", everyone)
		}
		sums[i] = f.to(float, "add.rn.f32", s, rest)
	}
	return sums
}

// meet adds the sums of the warps, in their order, and runs the epilogue, a row in a warp.
func (f *few) meet() {
	f.setup() // rather than keep it through the loop
	accBytes := f.M.N * slabRow * 4
	slab := f.to(word, "add.s32", f.to(word, "add.s32", f.base, num(f.xBytes())), f.slab)
	// Sums 0 and 1 of a thread are row lane/4 of the strip for rows 2·(lane%4) and the next of x, 2 and 3 eight below.
	t := f.to(word, "and.b32", f.lane, "3")
	mine := f.to(word, "mad.lo.s32", f.to(word, "shr.u32", f.lane, "2"), "4", slab)
	mine = f.to(word, "mad.lo.s32", t, num(2*slabRow*4), mine)
	mine = f.to(word, "mad.lo.s32", f.warpID, num(int64(f.accs)*accBytes), mine)
	var sums [][]string
	for j := range f.accs {
		sums = append(sums, f.total(j))
	}
	for i := range int64(2) {
		guard := ""
		if f.M.N < fewRows {
			guard = f.to(pred, "setp.lt.s32", f.to(word, "mad.lo.s32", t, "2", num(i)), num(f.M.N))
		}
		for j, sum := range sums {
			for half := range int64(2) {
				f.guarded(guard, "st.shared.f32", at(mine, int64(j)*accBytes+i*slabRow*4+half*32), sum[2*half+i])
			}
		}
	}
	f.do("bar.sync", "0")
	if f.split > 1 {
		f.meetBlocks(slab)
		return
	}
	f.eachRow(slab, func(row string, totals []string) { f.finish(f.last, row, totals) })
	if f.slabs() == 1 {
		f.do("bar.sync", "0") // all have read the slab
		return
	}
	f.do("sub.s32", f.slab, num(f.slabBytes()), f.slab)
}

// eachRow adds the sums of the warps and gives them to body, a row in a warp: by accumulator that of column lane%16.
func (f *few) eachRow(slab string, body func(row string, totals []string)) {
	accBytes := f.M.N * slabRow * 4
	f.repeat(f.warpID, f.M.N, f.warps, func(row string) {
		from := f.to(word, "mad.lo.s32", row, num(slabRow*4), slab)
		from = f.to(word, "mad.lo.s32", f.to(word, "and.b32", f.lane, "15"), "4", from)
		var totals []string
		for j := range int64(f.accs) {
			total := f.to(float, "ld.shared.f32", at(from, j*accBytes))
			for w := int64(1); w < f.warps; w++ {
				one := f.to(float, "ld.shared.f32", at(from, (w*int64(f.accs)+j)*accBytes))
				total = f.to(float, "add.rn.f32", total, one)
			}
			totals = append(totals, total)
		}
		body(row, totals)
	})
}

// finish runs the epilogue on the sums of a row of a strip.
func (f *few) finish(strip, row string, sums []string) {
	var totals []binding
	for _, s := range sums {
		totals = append(totals, binding{held: []string{s}})
	}
	row64 := binding{reg: f.to(long, "cvt.u64.u32", row)}
	f.ofPart(strip, 1, func(part int, task string) {
		f.resolveOf(f.ends[part])
		end := func(strip string, totals []binding) {
			block, c := f.column(part, strip)
			if f.argmax > 0 {
				f.keep(f.ends[part], append(slices.Clone(totals), row64, binding{reg: block}, binding{reg: c}), c)
				return
			}
			f.inline(f.ends[part], append(slices.Clone(totals), row64, binding{reg: block}, binding{reg: c})...)
		}
		if !f.shares(&f.Parts[f.parts[part]]) {
			end(task, totals)
			return
		}
		for j, total := range totals {
			end(f.to(word, "mad.lo.s32", task, num(int64(f.accs)), num(int64(j))), []binding{total})
		}
	})
}
