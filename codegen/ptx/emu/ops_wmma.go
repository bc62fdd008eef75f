package emu

// wmmaOps is the older interface of tensor cores, whose fragments have no documented layout: here slot s of a fragment,
// counted by thread, register and part of the register, holds element s of the matrix in row-major order, or s less their
// number where a fragment holds every element twice.
var wmmaOps = map[string]func(l *lowering, m *mods){"wmma": wmmaOp}

// wmmaShapes is the sizes of products.
var wmmaShapes = map[string]mmaShape{"m16n16k16": {16, 16, 16}, "m32n8k16": {32, 8, 16}, "m8n32k16": {8, 32, 16}, "m16n16k8": {16, 16, 8}, "m8n8k4": {8, 8, 4}}

// fragment is a matrix in registers: its size, and how its elements lie in them.
type fragment struct {
	rows, columns int
	typ           typ // of elements
	register      typ
	per           int // elements a register
	registers     int
}

// fragmentOf is the fragment of a matrix.
func fragmentOf(name string, s mmaShape, t typ) fragment {
	f := fragment{rows: s.m, columns: s.n, typ: t, register: b32}
	switch name {
	case "a":
		f.columns = s.k
	case "b":
		f.rows = s.k
	}
	if t == f64 {
		f.register = b64
	}
	f.per = f.register.bits() / t.bits()
	f.registers = f.rows * f.columns / f.per / warpSize
	if t == f16 && name != "c" && name != "d" {
		f.registers *= 2
	}
	return f
}

// element is the index of the element in a slot.
func (f fragment) element(lane, register, part int) int {
	return ((lane*f.registers+register)*f.per + part) % (f.rows * f.columns)
}

// wmmaOp builds wmma.load, wmma.store and wmma.mma.
func wmmaOp(l *lowering, m *mods) {
	op := m.need("load", "store", "mma")
	matrix := ""
	if op != "mma" {
		matrix = m.need("a", "b", "c", "d")
	}
	m.need("sync")
	m.drop("aligned")
	l.out.member = l.value(everyone)
	first := m.need("row", "col")
	second := first
	if op == "mma" {
		second = m.need("row", "col")
	}
	var s mmaShape
	for name, shape := range wmmaShapes {
		if m.flag(name) {
			s = shape
		}
	}
	if s.m == 0 {
		l.unknown("%s", l.now.in.name)
	}
	if op == "mma" {
		l.wmmaProduct(m, s)
		return
	}
	l.wmmaAccess(m, s, matrix, second == "row", op == "store")
}

// wmmaAccess is wmma.load and wmma.store.
func (l *lowering) wmmaAccess(m *mods, s mmaShape, matrix string, rowMajor, store bool) {
	sp := m.space()
	f := fragmentOf(matrix, s, m.among(f16, bf16, tf32, f32, f64, s8, u8, s32))
	if f.registers == 0 {
		l.unknown("%s", l.now.in.name)
	}
	n := l.count(2, 3)
	list, at := &l.now.args[0], &l.now.args[1]
	if store {
		list, at = at, list
	}
	base, offset, sp := l.place(at, sp)
	stride := l.value(uint64(f.columns))
	if !rowMajor {
		stride = l.value(uint64(f.rows))
	}
	if n == 3 {
		stride = l.src(&l.now.args[2], b32)
	}
	size := f.typ.bytes()
	l.narrowest(sp, size)
	var regs []reg
	if store {
		regs = l.sources(list, f.registers, f.register, false)
	} else {
		regs = l.results(list, f.registers, f.register, false)
	}
	l.out.run = func(w *warp, m uint32) {
		w.addresses(base, offset, m)
		if store {
			w.events++
		}
		for lane := range warpSize {
			for i, r := range regs {
				v := w.r[r][lane]
				if !store {
					v = 0
				}
				for j := range f.per {
					e := f.element(lane, i, j)
					row, column := e/f.columns, e%f.columns
					if !rowMajor {
						row, column = column, row
					}
					address := w.addr[lane] + uint64(size)*(uint64(row)*w.r[stride][lane]+uint64(column))
					if store {
						var b [8]byte
						write(b[:size], v>>(j*f.typ.bits()))
						w.put(sp, lane, address, b[:size], false)
						continue
					}
					b, known := w.fetch(sp, lane, address, size, false)
					if !known {
						w.fail(Uninitialized, lane, "%s reads %s, which nobody has written", w.name(), w.describe(sp, address, size))
					}
					v |= read(b) << (j * f.typ.bits())
				}
				if !store {
					w.r[r][lane] = v
				}
			}
		}
	}
}

// wmmaProduct is wmma.mma.
func (l *lowering) wmmaProduct(m *mods, s mmaShape) {
	limited := m.flag("satfinite")
	m.drop("rn", "rz", "rm", "rp")
	td, ta := m.typ(), f16
	tc := m.typ()
	if second := m.optional(); second != noType { // d, a, b, c; without a and b they are float16
		ta = tc
		if tc = m.typ(); second != ta {
			l.unknown("%s", l.now.in.name)
		}
	}
	l.count(4, 4)
	args := l.now.args
	fa, fb, fc, fd := fragmentOf("a", s, ta), fragmentOf("b", s, ta), fragmentOf("c", s, tc), fragmentOf("d", s, td)
	d, a := l.results(&args[0], fd.registers, fd.register, false), l.sources(&args[1], fa.registers, fa.register, false)
	b, c := l.sources(&args[2], fb.registers, fb.register, false), l.sources(&args[3], fc.registers, fc.register, false)
	if integers := ta == s8 || ta == u8; (td == s32) != integers || (td == f64) != (ta == f64) || wmmaReaders[ta] == nil && !integers && ta != f64 {
		l.unknown("%s", l.now.in.name)
	}
	l.out.run = func(w *warp, _ uint32) {
		var A, B [1024]uint64
		fa.gather(w, a, &A)
		fb.gather(w, b, &B)
		var C, D [1024]uint64
		fc.gather(w, c, &C)
		for i := range s.m {
			for j := range s.n {
				D[i*s.n+j] = wmmaSum(s.k, td, tc, ta, C[i*s.n+j], limited, func(k int) (uint64, uint64) { return A[i*s.k+k], B[k*s.n+j] })
			}
		}
		for lane := range warpSize {
			for i, r := range d {
				v := uint64(0)
				for j := range fd.per {
					v |= D[fd.element(lane, i, j)] << (j * td.bits())
				}
				w.r[r][lane] = v
			}
		}
	}
}

// gather takes a matrix out of registers.
func (f fragment) gather(w *warp, regs []reg, out *[1024]uint64) {
	for lane := range warpSize {
		for i, r := range regs {
			for j := range f.per {
				out[f.element(lane, i, j)] = w.r[r][lane] >> (j * f.typ.bits()) & f.typ.mask()
			}
		}
	}
}

// wmmaReaders takes elements of floats apart.
var wmmaReaders = map[typ]func(v uint64) factor{
	f16:  func(v uint64) factor { return pairForms[f16].factors()[v&0xffff] },
	bf16: func(v uint64) factor { return pairForms[bf16].factors()[v&0xffff] },
	tf32: func(v uint64) factor { return factorOf(uint32(v) &^ (1<<13 - 1)) },
}

// wmmaSum is one element of the result.
func wmmaSum(n int, td, tc, ta typ, c uint64, limited bool, at func(k int) (uint64, uint64)) uint64 {
	switch td {
	case f64:
		sum := f64of(c)
		for k := range n {
			x, y := at(k)
			sum = fma64(f64of(x), f64of(y), sum)
		}
		return bits64(sum)
	case s32:
		sum, value := int64(int32(c)), extend(ta)
		for k := range n {
			x, y := at(k)
			sum += value(x) * value(y)
		}
		if limited {
			sum = min(max(sum, -1<<31), 1<<31-1)
		}
		return uint64(uint32(sum))
	}
	var x, y vector
	for k := range x.exponent {
		x.exponent[k] = noExponent
	}
	for k := range n {
		p, q := at(k)
		x.set(k, wmmaReaders[ta](p))
		y.set(k, wmmaReaders[ta](q))
	}
	start := f32of(c)
	if tc == f16 {
		start = float32(halfOf(c))
	}
	sum := fusedSum(&x, &y, start)
	if td == f16 {
		return half(float64(sum), nearest)
	}
	return bits32(sum)
}
