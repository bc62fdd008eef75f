package jpeg

import (
	"errors"
	"fmt"
	"io"
)

// bitReader reads the entropy-coded bits of a scan. It stops at a marker; the first error stays in err, and zeros are
// read from then on.
type bitReader struct {
	data []byte
	pos  int
	acc  uint64 // the next bits, from the top
	n    uint   // how many of them
	err  error
}

func (r *bitReader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// fill reads bytes while acc has room. 0xff 0x00 is the byte 0xff, however often the 0xff is repeated.
func (r *bitReader) fill() {
	for r.n <= 56 && r.pos < len(r.data) {
		v := r.data[r.pos]
		if v == 0xff {
			if r.pos+1 < len(r.data) && r.data[r.pos+1] == 0xff {
				r.pos++
				continue
			}
			if r.pos+1 >= len(r.data) || r.data[r.pos+1] != 0 {
				return
			}
			r.pos++
		}
		r.pos++
		r.acc |= uint64(v) << (56 - r.n)
		r.n += 8
	}
}

// drop consumes bits.
func (r *bitReader) drop(n uint) {
	if n > r.n {
		if r.pos+1 >= len(r.data) {
			r.fail(io.ErrUnexpectedEOF)
		} else {
			r.fail(errors.New("its coded data ends early"))
		}
		n = r.n
	}
	r.acc <<= n
	r.n -= n
}

// bits reads n bits, at most 16.
func (r *bitReader) bits(n uint) uint32 {
	if r.n < n {
		r.fill()
	}
	v := uint32(r.acc >> (64 - n))
	r.drop(n)
	return v
}

// signed reads a number of n bits, which is positive if its top bit is set (T.81, EXTEND).
func (r *bitReader) signed(n uint) int32 {
	if n == 0 { // most numbers of smooth pictures
		return 0
	}
	v := int32(r.bits(n))
	if v < 1<<(n-1) {
		v -= 1<<n - 1
	}
	return v
}

// marker drops the remaining bits and reads the marker m.
func (r *bitReader) marker(m byte) error {
	r.acc, r.n = 0, 0
	for ; r.pos+1 < len(r.data); r.pos++ {
		if r.data[r.pos] != 0xff || r.data[r.pos+1] == 0 || r.data[r.pos+1] == 0xff {
			continue
		}
		if got := r.data[r.pos+1]; got != m {
			return fmt.Errorf("marker %02x stands where restart marker %02x is expected", got, m)
		}
		r.pos += 2
		return nil
	}
	return io.ErrUnexpectedEOF
}

const fastBits = 9

// huffmanTable decodes one Huffman code.
type huffmanTable struct {
	fast    [1 << fastBits]uint16 // by the next bits: length<<8 | symbol; 0 for longer codes
	limit   [18]uint32            // of length n: the first 16-bit prefix beyond its codes
	offset  [17]int               // of length n: index of its first symbol minus its first code
	symbols []byte
}

// huffmanTables reads a DHT segment.
func (f *file) huffmanTables(b []byte) error {
	for len(b) > 0 {
		if len(b) < 17 || b[0]>>4 > 1 || b[0]&15 > 3 {
			return errors.New("it has a bad Huffman table")
		}
		total := 0
		for _, n := range b[1:17] {
			total += int(n)
		}
		if total > 256 || len(b) < 17+total {
			return errors.New("it has a bad Huffman table")
		}
		t, err := newHuffmanTable(b[1:17], b[17:17+total])
		if err != nil {
			return err
		}
		f.huffman[b[0]>>4][b[0]&15] = t
		b = b[17+total:]
	}
	return nil
}

// newHuffmanTable assigns codes to symbols in order, counts[i] of them i+1 bits long.
func newHuffmanTable(counts, symbols []byte) (*huffmanTable, error) {
	t := &huffmanTable{symbols: symbols}
	code, next := uint32(0), 0
	for n := uint(1); n <= 16; n++ {
		t.offset[n] = next - int(code)
		for range counts[n-1] {
			if n <= fastBits {
				for i := range uint32(1) << (fastBits - n) {
					if at := code<<(fastBits-n) | i; at < 1<<fastBits {
						t.fast[at] = uint16(n)<<8 | uint16(symbols[next])
					}
				}
			}
			code, next = code+1, next+1
		}
		if code > 1<<n {
			return nil, errors.New("it has a Huffman table with too many codes")
		}
		t.limit[n] = code << (16 - n)
		code <<= 1
	}
	t.limit[17] = 1 << 16 // ends the search
	return t, nil
}

// symbol reads one code.
func (r *bitReader) symbol(t *huffmanTable) byte {
	if r.n < 16 {
		r.fill()
	}
	if e := t.fast[r.acc>>(64-fastBits)]; e != 0 {
		r.drop(uint(e >> 8))
		return byte(e)
	}
	prefix, n := uint32(r.acc>>48), uint(fastBits+1)
	for prefix >= t.limit[n] {
		n++
	}
	if n > 16 {
		r.fail(errors.New("its data has a code of no symbol"))
		return 0
	}
	r.drop(n)
	return t.symbols[t.offset[n]+int(prefix>>(16-n))]
}
