package tile

import (
	"encoding/binary"
	"math"

	"github.com/x448/float16"
)

// at returns the memory of element i behind pointer p.
func (m *machine) at(p *Value, i int64) []byte {
	s := m.vals[p.ID]
	size := int64(p.Type.Elem.Bytes())
	at := s.off + i*size
	if at < 0 || at+size > int64(len(s.mem)) {
		trapf("access to bytes %d…%d of %s, which has %d", at, at+size, s.what, len(s.mem))
	}
	return s.mem[at : at+size]
}

// lanes counts the lanes of an access that touch memory.
func (m *machine) lanes(all int, count []*Value) int64 {
	if len(count) == 0 {
		return int64(all)
	}
	return min(int64(all), m.int(count[0]))
}

func (m *machine) load(in *Inst) state {
	t, p := in.Out[0].Type, in.Args[0]
	r := make([]word, t.Lanes)
	for i := range m.lanes(t.Lanes, in.Args[2:]) {
		r[i] = read(p.Type.Elem, m.at(p, m.int(in.Args[1])+i))
	}
	return state{lanes: r}
}

func (m *machine) store(in *Inst) {
	p, v := in.Args[0], in.Args[2]
	for i := range m.lanes(v.Type.Lanes, in.Args[3:]) {
		write(p.Type.Elem, m.at(p, m.int(in.Args[1])+i), m.vals[v.ID].lanes[i])
	}
}

// read returns the element e at b, converted to its register type.
func read(e Elem, b []byte) word {
	switch e {
	case I8:
		return word(int8(b[0]))
	case I16:
		return word(int16(binary.LittleEndian.Uint16(b)))
	case I32:
		return word(int32(binary.LittleEndian.Uint32(b)))
	case I64:
		return word(binary.LittleEndian.Uint64(b))
	case BF16:
		return word(uint32(binary.LittleEndian.Uint16(b)) << 16)
	case F16:
		return floatWord(float16.Frombits(binary.LittleEndian.Uint16(b)).Float32())
	}
	return word(binary.LittleEndian.Uint32(b)) // F32
}

// write stores w as an element e at b.
func write(e Elem, b []byte, w word) {
	switch e {
	case I8:
		b[0] = byte(w)
	case I16:
		binary.LittleEndian.PutUint16(b, uint16(w))
	case I32, F32:
		binary.LittleEndian.PutUint32(b, uint32(w))
	case I64:
		binary.LittleEndian.PutUint64(b, uint64(w))
	case BF16:
		binary.LittleEndian.PutUint16(b, bfloat16(w.float()))
	case F16:
		binary.LittleEndian.PutUint16(b, float16.Fromfloat32(w.float()).Bits())
	}
}

// bfloat16 rounds to nearest, ties to even; NaN stays one.
func bfloat16(f float32) uint16 {
	u := math.Float32bits(f)
	if f != f {
		return uint16(u>>16) | 0x40
	}
	return uint16((u + 0x7fff + u>>16&1) >> 16)
}
