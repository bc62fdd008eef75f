package emu

import (
	"encoding/binary"
	"math/bits"
)

// matrixOps moves matrices between shared memory and registers, and multiplies them.
var matrixOps = map[string]func(l *lowering, m *mods){
	"ldmatrix":  func(l *lowering, m *mods) { l.matrixAccess(m, false) },
	"stmatrix":  func(l *lowering, m *mods) { l.matrixAccess(m, true) },
	"movmatrix": moveMatrix,
	"mma":       multiplyMatrices,
}

// matrixAccess is ldmatrix and stmatrix: thread i gives the address of row i%8 of matrix i/8, and holds of each matrix
// the elements of row i/4 at columns 2·(i%4) and the next, or, with .trans, of column i/4 at these rows.
func (l *lowering) matrixAccess(m *mods, store bool) {
	m.need("sync")
	m.drop("aligned")
	m.need("m8n8")
	n := map[string]int{"x1": 1, "x2": 2, "x4": 4}[m.need("x1", "x2", "x4")]
	trans := m.flag("trans")
	sp := m.space()
	m.among(b16)
	l.count(2, 2)
	list, at := &l.now.args[0], &l.now.args[1]
	if store {
		list, at = at, list
	}
	base, offset, sp := l.place(at, sp)
	l.narrowest(sp, 16)
	l.out.member = l.value(everyone)
	if store {
		src := l.sources(list, n, b32, false)
		l.out.run = func(w *warp, m uint32) {
			w.addresses(base, offset, m)
			w.rowChecks(m, n)
			w.storeMatrices(sp, src, trans)
		}
		return
	}
	dst := l.results(list, n, b32, false)
	l.out.manages = true
	l.out.run = func(w *warp, m uint32) {
		w.addresses(base, offset, m)
		w.rowChecks(m, n)
		given := uint32(1)<<(n*8) - 1
		if sp != shared || !w.sharedPlaces(given, rowBytes) {
			w.loadMatrixRows(sp, dst, trans)
			return
		}
		var missing *Finding
		if bad := w.readRows(given); bad != 0 {
			missing = w.unwrittenRow(sp, bits.TrailingZeros32(bad))
		}
		if missing != nil || w.poisoned {
			w.matricesLoaded(dst, missing)
		}
		w.loadMatrices(dst, trans)
	}
}

// storeMatrices writes the matrices of registers to rows at the addresses of the threads.
func (w *warp) storeMatrices(sp space, src []reg, trans bool) {
	var rows [32][rowBytes]byte
	for k, r := range src {
		R := w.r[r]
		for lane := range R {
			place := func(row, col int, v uint64) { write(rows[k*8+row][2*col:2*col+2], v) }
			row, col := lane/4, lane%4*2
			if trans {
				place(col, row, R[lane])
				place(col+1, row, R[lane]>>16)
			} else {
				place(row, col, R[lane])
				place(row, col+1, R[lane]>>16)
			}
		}
	}
	for i := range len(src) * 8 {
		w.put(sp, i, w.addr[i], rows[i][:], false)
	}
	w.events++
}

// loadMatrixRows loads matrices from anywhere, a row after the other; what is wrong with an address stops it.
func (w *warp) loadMatrixRows(sp space, dst []reg, trans bool) {
	var missing *Finding
	var rows [32][]byte
	for i := range len(dst) * 8 {
		b, known := w.fetch(sp, i, w.addr[i], rowBytes, false)
		if !known && missing == nil {
			missing = w.unwrittenRow(sp, i)
		}
		rows[i] = b
	}
	w.matricesLoaded(dst, missing)
	for k, r := range dst {
		fillMatrix(w.r[r], (*[8][]byte)(rows[k*8:]), trans)
	}
}

// loadMatrices fills registers with the matrices whose rows lie in shared memory at the addresses of the threads.
func (w *warp) loadMatrices(dst []reg, trans bool) {
	for k, r := range dst {
		var rows [8][]byte
		for i := range rows {
			rows[i] = w.shared.data[w.addr[(k*8+i)&31]-sharedBase:][:rowBytes]
		}
		fillMatrix(w.r[r], &rows, trans)
	}
}

// fillMatrix fills a register with a matrix.
func fillMatrix(R *lanes, rows *[8][]byte, trans bool) {
	if !trans {
		for i, row := range rows {
			to := R[i*4:][:4]
			low, high := binary.LittleEndian.Uint64(row), binary.LittleEndian.Uint64(row[8:])
			to[0], to[1], to[2], to[3] = low&0xffffffff, low>>32, high&0xffffffff, high>>32
		}
		return
	}
	for lane := range R {
		row, col := lane%4*2, lane/4*2
		R[lane] = uint64(binary.LittleEndian.Uint16(rows[row][col:])) | uint64(binary.LittleEndian.Uint16(rows[row+1][col:]))<<16
	}
}

// matricesLoaded notes that registers hold matrices, or not, where a row was not written.
func (w *warp) matricesLoaded(dst []reg, missing *Finding) {
	w.poisoned = w.poisoned || missing != nil
	for _, r := range dst {
		w.unknown[r] = 0
		if missing != nil {
			delete(w.lost, r)
			w.unknown[r], w.poison[r] = everyone, missing
		}
	}
}

// unwrittenRow is the finding that a row of a matrix was not written.
func (w *warp) unwrittenRow(sp space, lane int) *Finding { return w.missing(sp, lane, rowBytes) }

// rowChecks counts the waits for banks of n matrices' rows, eight at a time.
func (w *warp) rowChecks(m uint32, n int) {
	if n < 4 {
		m &= 1<<(8*n) - 1
	}
	w.bankCheck(m, 16)
	if w.counts != nil {
		w.counts.memory(w, shared, m, 16)
	}
}

// moveMatrix is movmatrix: the transpose of an 8×8 matrix of 16 bits across a warp.
func moveMatrix(l *lowering, m *mods) {
	m.need("sync")
	m.drop("aligned")
	m.need("m8n8")
	m.need("trans")
	m.among(b16)
	l.count(2, 2)
	a := l.now.args
	d, s := l.dst(&a[0], b32), l.src(&a[1], b32)
	l.out.member = l.value(everyone)
	l.out.run = func(w *warp, _ uint32) {
		S := *w.r[s]
		at := func(row, col int) uint64 { return S[row*4+col/2] >> (col % 2 * 16) & 0xffff }
		for i := range S {
			row, col := i/4, i%4*2
			w.r[d][i] = at(col, row) | at(col+1, row)<<16
		}
	}
}

// tile is one operand of mma: rows (of A, or columns of B) of k elements as 8·size bits, and which register holds them.
//
// With g = lane/4 and t = lane%4 (PTX ISA, figures of the fragments): a register of A or B holds consecutive k of one
// row. Register i of A holds row g + 8·(i%2) for M = 16; its k begin at per·t + 4·per·(i/2), where per elements fill 32
// bits. Register i of B holds column g and k from per·t + 4·per·i on. C and D: row g + 8·(i/2), column 2t + i%2.
type mmaShape struct {
	m, n, k int
}

var mmaShapes = map[string]mmaShape{"m16n8k4": {16, 8, 4}, "m16n8k8": {16, 8, 8}, "m16n8k16": {16, 8, 16}, "m16n8k32": {16, 8, 32}, "m16n8k64": {16, 8, 64},
	"m8n8k16": {8, 8, 16}, "m8n8k32": {8, 8, 32}, "m8n8k4": {8, 8, 4}, "m16n8k128": {16, 8, 128}, "m16n8k256": {16, 8, 256}, "m8n8k128": {8, 8, 128}}

// multiplyMatrices is mma.sync: D = A·B + C.
func multiplyMatrices(l *lowering, m *mods) {
	m.need("sync")
	m.drop("aligned")
	name := ""
	for _, p := range m.parts {
		if _, ok := mmaShapes[p]; ok {
			name = p
		}
	}
	if name == "" {
		l.unknown("%s", l.now.in.name)
	}
	m.take(name)
	s := mmaShapes[name]
	if m.need("row", "col") != "row" || m.need("row", "col") != "col" {
		l.unknown("%s", l.now.in.name)
	}
	limited := m.flag("satfinite")
	logicOp := m.take("xor", "and")
	popc := m.flag("popc")
	td, ta, tb, tc := m.typ(), m.typ(), m.typ(), m.typ()
	l.count(4, 4)
	l.out.member = l.value(everyone)
	switch {
	case ta == f64:
		l.doubleProduct(s, td, tb, tc)
	case ta == tf32 || ta == f16 || ta == bf16:
		l.floatMatrix(s, td, ta, tb, tc)
	case ta == b1 && popc:
		l.integerMatrix(s, b1, b1, false, logicOp)
	default:
		if _, ok := map[typ]bool{u8: true, s8: true, u4: true, s4: true}[ta]; !ok || td != s32 || tc != s32 || ta.bits() != tb.bits() {
			l.unknown("%s", l.now.in.name)
		}
		l.integerMatrix(s, ta, tb, limited, "")
	}
	run, loss := l.out.run, l.loss
	l.out.run = func(w *warp, m uint32) {
		if w.poisoned {
			loss(w)
		}
		run(w, m)
	}
}

// fragments is the registers of A, B, C and D, checked against the shape. Elements of D and C fill bits each.
func (l *lowering) fragments(s mmaShape, element, sum, register typ) (d, a, b, c []reg) {
	args := l.now.args
	per := register.bits() / element.bits()
	na, nb := s.m*s.k/per/warpSize, s.n*s.k/per/warpSize
	nc := s.m * s.n / warpSize
	t := sum
	if sum == f16 {
		nc, t = nc/2, b32
	}
	if na < 1 || nb < 1 {
		l.unknown("%s", l.now.in.name)
	}
	d, a = l.results(&args[0], nc, t, false), l.sources(&args[1], na, register, false)
	b, c = l.sources(&args[2], nb, register, false), l.sources(&args[3], nc, t, false)
	l.lossOf(s, per, sum == f16, d, a, b, c)
	return d, a, b, c
}

// lossOf makes unknown what rows of A, columns of B and elements of C make unknown, and no more: what multiplies unused
// rows or columns may be undefined.
func (l *lowering) lossOf(s mmaShape, per int, pairs bool, d, a, b, c []reg) {
	l.out.must, l.out.manages = nil, true
	l.loss = func(w *warp) {
		rows, columns, from := uint32(0), uint32(0), none
		for i, r := range a {
			eachLane(w.unknown[r], func(lane int) {
				row, _ := fragmentA(s, per, lane, i)
				rows, from = rows|1<<row, r
			})
		}
		for _, r := range b {
			eachLane(w.unknown[r], func(lane int) { columns, from = columns|1<<(lane/4), r })
		}
		for i, r := range d {
			u := w.unknown[c[i]]
			if u != 0 {
				from = c[i]
			}
			for lane := range warpSize {
				row, column, two := lane/4+i/2*8, lane%4*2+i%2, uint32(1)
				if pairs {
					row, column, two = lane/4+i*8, lane%4*2, 3
				}
				if rows>>row&1 != 0 || columns>>column&two != 0 {
					u |= 1 << lane
				}
			}
			w.unknown[r] = u
			if delete(w.lost, r); u != 0 {
				if w.poison[r] = w.poison[from]; w.poison[r] == nil {
					w.poison[r] = w.unwritten(from, w.unknown[from])
				}
			}
		}
	}
}

// doubleProduct multiplies float64: every step is a fused multiply-add, k ascending.
func (l *lowering) doubleProduct(s mmaShape, td, tb, tc typ) {
	if td != f64 || tb != f64 || tc != f64 {
		l.unknown("%s", l.now.in.name)
	}
	d, a, b, c := l.fragments(s, f64, f64, f64)
	l.out.run = func(w *warp, _ uint32) {
		var A [16][16]float64
		var B [8][16]float64
		for lane := range warpSize {
			for i, r := range a {
				row, k := fragmentA(s, 1, lane, i)
				A[row][k] = f64of(w.r[r][lane])
			}
			for i, r := range b {
				B[lane/4][lane%4+4*i] = f64of(w.r[r][lane])
			}
		}
		var out [16][8]float64
		for lane := range warpSize {
			for i, r := range c {
				row, col := lane/4+i/2*8, lane%4*2+i%2
				v := f64of(w.r[r][lane])
				for k := range s.k {
					v = fma64(A[row][k], B[col][k], v)
				}
				out[row][col] = v
			}
		}
		for lane := range warpSize {
			for i, r := range d {
				w.r[r][lane] = bits64(out[lane/4+i/2*8][lane%4*2+i%2])
			}
		}
	}
}

// fragmentA is the row and the first k that register i of A holds, with per elements a register.
func fragmentA(s mmaShape, per, lane, i int) (row, k int) {
	if s.m == 8 {
		return lane / 4, lane%4*per + 4*per*i
	}
	return lane/4 + i%2*8, lane%4*per + 4*per*(i/2)
}

// integerMatrix multiplies integers of 8, 4 or 1 bits.
func (l *lowering) integerMatrix(s mmaShape, ta, tb typ, limited bool, logicOp string) {
	d, a, b, c := l.fragments(s, ta, s32, b32)
	width := ta.bits()
	per := 32 / width
	l.out.run = func(w *warp, _ uint32) {
		var A [16][256]int32
		var B [8][256]int32
		for lane := range warpSize {
			for i, r := range a {
				row, k := fragmentA(s, per, lane, i)
				spread(A[row][k:k+per], uint32(w.r[r][lane]), width, ta.signed())
			}
			for i, r := range b {
				k := lane%4*per + 4*per*i
				spread(B[lane/4][k:k+per], uint32(w.r[r][lane]), width, tb.signed())
			}
		}
		for lane := range warpSize {
			for i, r := range d {
				row, col := lane/4+i/2*8, lane%4*2+i%2
				sum := int64(int32(w.r[c[i]][lane]))
				x, y := A[row][:s.k], B[col][:s.k]
				for k := range x {
					switch logicOp {
					case "":
						sum += int64(x[k] * y[k])
					case "xor":
						sum += int64(x[k] ^ y[k])
					default:
						sum += int64(x[k] & y[k])
					}
				}
				if limited {
					sum = min(max(sum, -1<<31), 1<<31-1)
				}
				w.r[r][lane] = uint64(uint32(sum))
			}
		}
	}
}

// spread takes the elements of a register apart.
func spread(out []int32, v uint32, width int, signed bool) {
	for j := range out {
		e := int32(v >> (j * width) & (1<<width - 1))
		if signed {
			e = e << (32 - width) >> (32 - width)
		}
		out[j] = e
	}
}
