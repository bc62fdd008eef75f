package emu

import "math/bits"

// copyQueue is a thread's asynchronous copies: groups that were committed, the oldest first, and the open one.
type copyQueue struct {
	groups [][]asyncCopy
	open   []asyncCopy
}

// asyncCopy is a copy of 16 bytes to shared memory: n bytes from an address, and zeros.
type asyncCopy struct {
	to, from uint64
	n        int
}

// copyAsync queues a copy. Until it is waited for, its target holds nothing.
func copyAsync(w *warp, in *instr, mask uint32) {
	if in.args[2].imm != 16 {
		trapf("a copy of %d bytes, expected 16", in.args[2].imm)
	}
	w.conflicts(&in.args[0], mask, 16, warpSize/4)
	w.each(&in.args[0], mask, func(lane int, to uint64) {
		from := w.regs[in.args[1].reg][lane] + in.args[1].imm
		n := w.value(&in.args[3], lane)
		if n > 16 {
			trapf("thread %d copies %d of 16 bytes", w.thread(lane), n)
		}
		if from%16 != 0 {
			trapf("thread %d copies from address %#x, which is not a multiple of 16", w.thread(lane), from)
		}
		w.sharedWrite(lane, to, 16)
		w.expect(lane, to, onTheWay)
		q := &w.copies[lane]
		q.open = append(q.open, asyncCopy{to, from, int(n)})
	})
}

func commitGroup(w *warp, _ *instr, mask uint32) {
	for m := mask; m != 0; m &= m - 1 {
		q := &w.copies[bits.TrailingZeros32(m)]
		q.groups, q.open = append(q.groups, q.open), nil
	}
}

// waitGroup makes all but the last groups of copies happen.
func waitGroup(w *warp, in *instr, mask uint32) {
	for m := mask; m != 0; m &= m - 1 {
		lane := bits.TrailingZeros32(m)
		q := &w.copies[lane]
		for len(q.groups) > int(in.args[0].imm) {
			for _, c := range q.groups[0] {
				w.expect(lane, c.to, nobody)
				to := w.sharedWrite(lane, c.to, 16)
				clear(to)
				if c.n > 0 {
					copy(to, w.global(lane, c.from, c.n, 1, false))
				}
			}
			q.groups = q.groups[1:]
		}
	}
}

// loadMatrix reads four 8×8 matrices of 16 bits: thread i gives the address of row i%8 of matrix i/8, and gets of each
// the elements of row i/4 at columns 2·(i%4) and the next (PTX ISA, figure "ldmatrix fragment layout").
func loadMatrix(w *warp, in *instr, mask uint32) {
	w.together(in, mask)
	w.conflicts(&in.args[1], mask, 16, 8)
	var rows [warpSize][]byte
	w.each(&in.args[1], mask, func(lane int, at uint64) { rows[lane] = w.sharedRead(lane, at, 16) })
	for lane := range warpSize {
		for i, o := range in.args[0].list {
			at := lane % 4 * 4
			w.set(o.reg, lane, read(rows[i*8+lane/4][at:at+4]))
		}
	}
}

// multiply is D = A·B + C with A 16×16 and B 16×8 of bfloat16, C and D 16×8 of float32 (PTX ISA, figures of the
// fragments of mma.m16n8k16). With g = lane/4 and t = lane%4: register i of A holds row g + 8·(i%2), columns 2t +
// 8·(i/2) and the next; register i of B rows 2t + 8i and the next of column g; register i of C row g + 8·(i/2), column
// 2t + i%2.
func multiply(w *warp, in *instr, mask uint32) {
	w.together(in, mask)
	var a [16][16]bfloat
	var b [8][16]bfloat
	for lane := range warpSize {
		g, t := lane/4, lane%4*2
		for i := range in.args[1].list {
			v := w.value(&in.args[1].list[i], lane)
			row, k := g+i%2*8, t+i/2*8
			a[row][k], a[row][k+1] = newBfloat(v), newBfloat(v>>16)
		}
		for i := range in.args[2].list {
			v := w.value(&in.args[2].list[i], lane)
			b[g][t+8*i], b[g][t+8*i+1] = newBfloat(v), newBfloat(v>>16)
		}
	}
	for lane := range warpSize {
		for i := range in.args[3].list {
			c := f32(w.value(&in.args[3].list[i], lane))
			w.set(in.args[0].list[i].reg, lane, number(fusedSum(&a[lane/4+i/2*8], &b[lane%4*2+i%2], c)))
		}
	}
}
