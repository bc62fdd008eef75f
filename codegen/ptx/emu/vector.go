package emu

import (
	"math"
	"math/bits"
)

// vectors adds accesses of several registers and operations on parts of registers.
func vectors(t map[string]*opcode) {
	for name, op := range map[string]opcode{
		"ld.global.nc.L1::no_allocate.v4.b32": {signature: "4wg", run: loadVector(4)},
		"ld.global.v4.b32":                    {signature: "4wg", run: loadVector(4)},
		"ld.global.v4.f32":                    {signature: "4fg", run: loadVector(4)},
		"ld.global.v2.b32":                    {signature: "2wg", run: loadVector(4)},
		"ld.global.v4.u16":                    {signature: "4wg", run: loadVector(2)},
		"ld.global.v2.f32":                    {signature: "2fg", run: loadVector(4)},
		"st.global.v4.b32":                    {signature: "g4w", noResult: true, run: storeVector(4)},
		"st.global.v4.f32":                    {signature: "g4f", noResult: true, run: storeVector(4)},
		"st.global.v2.b32":                    {signature: "g2w", noResult: true, run: storeVector(4)},
		"st.global.v4.u16":                    {signature: "g4w", noResult: true, run: storeVector(2)},
		"ld.shared.v4.b32":                    {signature: "4wm", run: loadSharedVector},
		"ld.shared.v4.f32":                    {signature: "4fm", run: loadSharedVector},
		"st.shared.v4.b32":                    {signature: "m4w", noResult: true, run: storeSharedVector(4)},
		"st.shared.v4.f32":                    {signature: "m4f", noResult: true, run: storeSharedVector(4)},
		"st.shared.v2.b32":                    {signature: "m2w", noResult: true, run: storeSharedVector(4)},
		"st.shared.v4.u16":                    {signature: "m4w", noResult: true, run: storeSharedVector(2)},
		"st.shared.f32":                       {signature: "mf", noResult: true, run: storeShared(4)},
		"st.shared.u16":                       {signature: "mw", noResult: true, run: storeShared(2)},
		"lop3.b32":                            {signature: "wwwwi", run: lop3},
		"prmt.b32":                            {signature: "wwwi", lane: permute},
		"fma.rn.bf16x2":                       {signature: "wwww", lane: fusedPair},
	} {
		op.name = name
		t[name] = &op
	}
}

func loadVector(n int) func(w *warp, in *instr, mask uint32) {
	return func(w *warp, in *instr, mask uint32) {
		list := in.args[0].list
		w.each(&in.args[1], mask, func(lane int, at uint64) {
			b := w.global(lane, at, n*len(list), n*len(list), false)
			for i, o := range list {
				w.set(o.reg, lane, read(b[n*i:n*i+n]))
			}
		})
	}
}

func storeVector(n int) func(w *warp, in *instr, mask uint32) {
	return func(w *warp, in *instr, mask uint32) {
		list := in.args[1].list
		w.each(&in.args[0], mask, func(lane int, at uint64) {
			b := w.global(lane, at, n*len(list), n*len(list), true)
			for i := range list {
				write(b[n*i:n*i+n], w.value(&list[i], lane))
			}
		})
	}
}

func loadSharedVector(w *warp, in *instr, mask uint32) {
	list := in.args[0].list
	n := 4 * len(list)
	w.conflicts(&in.args[1], mask, n, warpSize*4/n)
	w.each(&in.args[1], mask, func(lane int, at uint64) {
		b := w.sharedRead(lane, at, n)
		for i, o := range list {
			w.set(o.reg, lane, read(b[4*i:4*i+4]))
		}
	})
}

func storeSharedVector(each int) func(w *warp, in *instr, mask uint32) {
	return func(w *warp, in *instr, mask uint32) {
		list := in.args[1].list
		n := each * len(list)
		w.conflicts(&in.args[0], mask, n, min(warpSize, warpSize*4/n))
		w.each(&in.args[0], mask, func(lane int, at uint64) {
			b := w.sharedWrite(lane, at, n)
			for i := range list {
				write(b[each*i:each*i+each], w.value(&list[i], lane))
			}
		})
	}
}

func storeShared(n int) func(w *warp, in *instr, mask uint32) {
	return func(w *warp, in *instr, mask uint32) {
		w.conflicts(&in.args[0], mask, n, warpSize)
		w.each(&in.args[0], mask, func(lane int, at uint64) {
			write(w.sharedWrite(lane, at, n), w.value(&in.args[1], lane))
		})
	}
}

// lop3 is any function of three bits, which the immediate tabulates: bit 4a+2b+c.
func lop3(w *warp, in *instr, mask uint32) {
	for m := mask; m != 0; m &= m - 1 {
		lane := bits.TrailingZeros32(m)
		a, b, c := w.value(&in.args[1], lane), w.value(&in.args[2], lane), w.value(&in.args[3], lane)
		d := uint64(0)
		for i := range uint(8) {
			if in.args[4].imm>>i&1 == 0 {
				continue
			}
			term := uint64(1<<32 - 1)
			for j, v := range []uint64{c, b, a} {
				if i>>j&1 == 0 {
					v = ^v
				}
				term &= v
			}
			d |= term
		}
		w.set(in.args[0].reg, lane, d)
	}
}

// permute picks four of the eight bytes of two words.
func permute(a [3]uint64) uint64 {
	all, d := a[0]&(1<<32-1)|a[1]<<32, uint64(0)
	for i := range 4 {
		sel := a[2] >> (4 * i) & 15
		if sel > 7 {
			trapf("prmt.b32 replicates a sign, which is not emulated")
		}
		d |= all >> (8 * sel) & 255 << (8 * i)
	}
	return d
}

// fusedPair is x·y + z of two bfloat16 numbers side by side, rounded once to nearest even.
func fusedPair(a [3]uint64) uint64 {
	d := uint64(0)
	for i := range 2 {
		var v [3]float64
		for j := range v {
			v[j] = float64(math.Float32frombits(uint32(a[j]>>(16*i)) << 16))
		}
		sum := v[0]*v[1] + v[2] // the product is exact; so is the sum of what kernels have here
		if sum != sum {
			d |= 0x7fff << (16 * i)
			continue
		}
		b := math.Float32bits(float32(sum))
		b = (b + 0x7fff + b>>16&1) >> 16
		d |= uint64(b) << (16 * i)
	}
	return d
}
