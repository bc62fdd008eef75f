package emu

import (
	"encoding/binary"
	"math/bits"
)

// window is how many address bits lie within a buffer: buffer i begins at address (i+1)<<window.
const window = 40

// address returns where an argument points, giving its buffer a place if it has none.
func (g *grid) address(p Pointer) uint64 {
	for i, m := range g.memory {
		if m == p.Memory {
			return uint64(i+1)<<window + uint64(p.Offset)
		}
	}
	g.memory = append(g.memory, p.Memory)
	return uint64(len(g.memory))<<window + uint64(p.Offset)
}

// global returns the bytes that a thread touches at an address, after checking that it may.
func (w *warp) global(lane int, at uint64, n, align int, write bool) []byte {
	i, off := at>>window, at&(1<<window-1)
	if i == 0 || i > uint64(len(w.memory)) || off+uint64(n) > uint64(len(w.memory[i-1].Data)) {
		what := "no buffer"
		if i > 0 && i <= uint64(len(w.memory)) {
			trapf("thread %d accesses bytes %d to %d of a buffer of %d", w.thread(lane), off, off+uint64(n), len(w.memory[i-1].Data))
		}
		trapf("thread %d accesses address %#x, in %s", w.thread(lane), at, what)
	}
	if off%uint64(align) != 0 {
		trapf("thread %d accesses address %#x, which is not a multiple of %d", w.thread(lane), at, align)
	}
	m := w.memory[i-1]
	me := int32(w.block.index)*int32(w.entry.threads) + int32(w.thread(lane)) + 1
	for j := off; j < off+uint64(n); j++ {
		if other := m.thread[j]; other != 0 && other != me {
			trapf("thread %d touches byte %d of a buffer, which another thread of the grid wrote", w.thread(lane), j)
		}
		if write {
			m.thread[j] = me
		}
	}
	return m.Data[off : off+uint64(n)]
}

// each runs body for the threads of mask, with the address that a memory operand has there.
func (w *warp) each(o *operand, mask uint32, body func(lane int, at uint64)) {
	for m := mask; m != 0; m &= m - 1 {
		lane := bits.TrailingZeros32(m)
		body(lane, w.regs[o.reg][lane]+o.imm)
	}
}

func unsigned(v uint64) uint64 { return v }
func signed8(v uint64) uint64  { return uint64(uint32(int32(int8(v)))) }
func signed16(v uint64) uint64 { return uint64(uint32(int32(int16(v)))) }

// read and write move little-endian values.
func read(b []byte) uint64 {
	var full [8]byte
	copy(full[:], b)
	return binary.LittleEndian.Uint64(full[:])
}

func write(b []byte, v uint64) {
	var full [8]byte
	binary.LittleEndian.PutUint64(full[:], v)
	copy(b, full[:])
}

func loadParam(w *warp, in *instr, mask uint32) {
	v := w.args[w.entry.params[in.args[1].name]]
	for m := mask; m != 0; m &= m - 1 {
		w.set(in.args[0].reg, bits.TrailingZeros32(m), v)
	}
}

func loadGlobal(n int, extend func(uint64) uint64) func(w *warp, in *instr, mask uint32) {
	return func(w *warp, in *instr, mask uint32) {
		w.each(&in.args[1], mask, func(lane int, at uint64) {
			w.set(in.args[0].reg, lane, extend(read(w.global(lane, at, n, n, false))))
		})
	}
}

func storeGlobal(n int) func(w *warp, in *instr, mask uint32) {
	return func(w *warp, in *instr, mask uint32) {
		w.each(&in.args[0], mask, func(lane int, at uint64) {
			write(w.global(lane, at, n, n, true), w.value(&in.args[1], lane))
		})
	}
}

func loadShared(w *warp, in *instr, mask uint32) {
	w.conflicts(&in.args[1], mask, 4, warpSize)
	w.each(&in.args[1], mask, func(lane int, at uint64) {
		w.set(in.args[0].reg, lane, read(w.sharedRead(lane, at, 4)))
	})
}

func storePair(w *warp, in *instr, mask uint32) {
	w.conflicts(&in.args[0], mask, 8, warpSize/2)
	w.each(&in.args[0], mask, func(lane int, at uint64) {
		b := w.sharedWrite(lane, at, 8)
		for i := range 2 {
			write(b[4*i:4*i+4], w.value(&in.args[1].list[i], lane))
		}
	})
}

// shuffle gives every thread a value of another thread, or its own where there is none.
func shuffle(from func(lane, by int) int) func(w *warp, in *instr, mask uint32) {
	return func(w *warp, in *instr, mask uint32) {
		w.together(in, mask)
		if in.args[3].imm != warpSize-1 || in.args[4].imm != everyone {
			trapf("%s of part of a warp", in.op.name)
		}
		var out [warpSize]uint64
		for lane := range out {
			src := from(lane, int(in.args[2].imm))
			if src >= warpSize {
				src = lane
			}
			out[lane] = w.value(&in.args[1], src)
		}
		for lane, v := range out {
			w.set(in.args[0].reg, lane, v)
		}
	}
}

func warpBarrier(w *warp, in *instr, mask uint32) {
	w.together(in, mask)
	if in.args[0].imm != everyone {
		trapf("%s of part of a warp", in.op.name)
	}
	w.epoch++
}
