package ptx

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
