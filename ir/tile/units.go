package tile

import "encoding/binary"

// A processor with AMX has eight tile registers of up to 16 rows of 64 bytes, and units that multiply them. TileConfig
// reads their shapes from 64 bytes, as LDTILECFG does (Intel SDM, volume 2): byte 0 is 1, the palette; 16 bits from byte
// 16 on are the bytes of a row, a byte from byte 48 on the rows of each tile; all else is 0.
//
// TileDotSS and TileDotSU add to row m and column n of C, in 32 bits that wrap, A[m][4k+j]·B[k][4n+j] over all k and j < 4.
//
// TileDotBF16 adds products of two bfloat16 (Intel SDM, TDPBF16PS): for every row m and column n, even = Σ A[m][2k]·B[k][2n]
// and odd = Σ A[m][2k+1]·B[k][2n+1], each from 0 on, k ascending, one fused multiply-add a product; then
// C[m][n] = C[m][n] + (even + odd). All round to nearest even, and what is subnormal, operands and results, is 0.
const (
	TileRegs        = 8
	TileRows        = 16
	TileRowBytes    = 64
	TileConfigBytes = 64

	tileColsAt = 16 // of TileConfig's bytes
	tileRowsAt = 48
)

// units is the state of a thread that operations on lanes do not have: tile registers, and whether subnormal floats are
// zero.
type units struct {
	configured bool
	tiles      [TileRegs]tileReg
	flush      bool
}

type tileReg struct {
	rows, rowBytes int
	data           [TileRows][TileRowBytes]byte
}

// left traps where a task leaves the state other than it found it.
func (u *units) left() {
	switch {
	case u.configured:
		trapf("a task ends with tiles configured")
	case u.flush:
		trapf("a task ends with subnormal floats flushed")
	}
}

// eval computes one lane.
func (u *units) eval(in *Inst, a []word) word {
	if !u.flush || !in.Out[0].Type.IsFloat() {
		return ops[in.Op].eval(in, a)
	}
	switch in.Op {
	case Add, Sub, Mul, FMA:
		for i := range a {
			a[i] = flushed(a[i])
		}
		return flushed(ops[in.Op].eval(in, a))
	}
	return ops[in.Op].eval(in, a)
}

// unit executes an operation on the state of a thread.
func (m *machine) unit(in *Inst) {
	u := &m.units
	switch in.Op {
	case Flush:
		u.flush = in.Imm != 0
		return
	case TileConfig:
		u.configure(m.bytes(in.Args[0], m.int(in.Args[1])*int64(in.Args[0].Type.Elem.Bytes()), TileConfigBytes))
		return
	case TileRelease:
		u.configured = false
		return
	}
	t := make([]*tileReg, len(in.Tiles))
	for i, n := range in.Tiles {
		if t[i] = &u.tiles[n]; !u.configured || t[i].rows == 0 {
			trapf("%s of tile %d, which has no shape", in.Op, n)
		}
	}
	switch in.Op {
	case TileZero:
		t[0].data = [TileRows][TileRowBytes]byte{}
	case TileLoad, TileStore:
		for r := range t[0].rows {
			at := m.int(in.Args[1])*int64(in.Args[0].Type.Elem.Bytes()) + int64(r)*m.int(in.Args[2])
			row, memory := t[0].data[r][:t[0].rowBytes], m.bytes(in.Args[0], at, int64(t[0].rowBytes))
			if in.Op == TileStore {
				copy(memory, row)
			} else {
				t[0].data[r] = [TileRowBytes]byte{}
				copy(t[0].data[r][:], memory)
			}
		}
	default:
		multiply(in.Op, t[0], t[1], t[2])
	}
}

// bytes returns n bytes of the memory behind a pointer, from byte `at` on.
func (m *machine) bytes(p *Value, at, n int64) []byte {
	s := m.vals[p.ID]
	at += s.off
	if at < 0 || at+n > int64(len(s.mem)) {
		trapf("access to bytes %d…%d of %s, which has %d", at, at+n, s.what, len(s.mem))
	}
	return s.mem[at : at+n]
}

func (u *units) configure(c []byte) {
	if c[0] != 1 {
		trapf("tiles are configured by palette %d, expected 1", c[0])
	}
	*u = units{configured: true, flush: u.flush}
	for i := range c {
		known := i == 0 || i >= tileColsAt && i < tileColsAt+2*TileRegs || i >= tileRowsAt && i < tileRowsAt+TileRegs
		if c[i] != 0 && !known {
			trapf("byte %d of the tiles' configuration is %d, expected 0", i, c[i])
		}
	}
	for i := range u.tiles {
		t := &u.tiles[i]
		t.rows, t.rowBytes = int(c[tileRowsAt+i]), int(binary.LittleEndian.Uint16(c[tileColsAt+2*i:]))
		if t.rows > TileRows || t.rowBytes > TileRowBytes || (t.rows == 0) != (t.rowBytes == 0) {
			trapf("tile %d is configured as %d rows of %d bytes, expected up to %d of %d", i, t.rows, t.rowBytes, TileRows, TileRowBytes)
		}
	}
}

// multiply adds the product of tiles a and b to c.
func multiply(op Op, c, a, b *tileReg) {
	if c.rows != a.rows || c.rowBytes != b.rowBytes || a.rowBytes%4 != 0 || a.rowBytes/4 != b.rows || c.rowBytes%4 != 0 || c == a || c == b || a == b {
		trapf("%s of %d×%d bytes by %d×%d, giving %d×%d", op, a.rows, a.rowBytes, b.rows, b.rowBytes, c.rows, c.rowBytes)
	}
	for m := range c.rows {
		for n := range c.rowBytes / 4 {
			sum := c.data[m][4*n:][:4]
			if op == TileDotBF16 {
				binary.LittleEndian.PutUint32(sum, uint32(dotPairs(word(binary.LittleEndian.Uint32(sum)), a, b, m, n)))
			} else {
				binary.LittleEndian.PutUint32(sum, dotFours(op, binary.LittleEndian.Uint32(sum), a, b, m, n))
			}
		}
	}
}

func dotFours(op Op, sum uint32, a, b *tileReg, m, n int) uint32 {
	for k := range b.rows {
		for j := range 4 {
			x, y := int32(int8(a.data[m][4*k+j])), int32(int8(b.data[k][4*n+j]))
			if op == TileDotSU {
				y &= 0xff
			}
			sum += uint32(x * y)
		}
	}
	return sum
}

func dotPairs(sum word, a, b *tileReg, m, n int) word {
	var halves [2]word
	for k := range b.rows {
		for j := range halves {
			x, y := binary.LittleEndian.Uint16(a.data[m][4*k+2*j:]), binary.LittleEndian.Uint16(b.data[k][4*n+2*j:])
			halves[j] = flushed(fma(nil, []word{flushed(word(x) << 16), flushed(word(y) << 16), halves[j]}))
		}
	}
	add := func(x, y word) word { return flushed(floatWord(x.float() + y.float())) }
	return add(flushed(sum), add(halves[0], halves[1]))
}
