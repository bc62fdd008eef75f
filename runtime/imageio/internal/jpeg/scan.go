package jpeg

import (
	"errors"
	"fmt"
)

// scan is one pass over some of the components.
type scan struct {
	*bitReader
	comps   []scanComponent
	ss, se  int  // first and last coefficient, in zigzag order
	al      uint // successive approximation: the bit coded
	refine  bool // codes one more bit of coefficients coded before
	eobRun  int  // blocks without further coefficients in this band
	work    [64]int16
	decoder func(c *scanComponent, b *[64]int16) // of a progressive file
}

// scanComponent is a component with its entropy-coding state.
type scanComponent struct {
	*component
	dc, ac *huffmanTable
	pred   int32 // the last DC coefficient
}

// scan decodes one scan, given its header.
func (f *file) scan(header []byte) error {
	if f.scans++; f.scans > maxScans {
		return fmt.Errorf("it has more than %d scans", maxScans)
	}
	s, err := f.newScan(header)
	if err != nil {
		return err
	}
	for _, c := range s.comps {
		f.blocks += int64(c.across) * int64(c.down)
	}
	if f.blocks > maxBlocks {
		return fmt.Errorf("its scans code over %d blocks of coefficients, expected at most that", int64(maxBlocks))
	}
	if err := f.decode(s); err != nil {
		return err
	}
	f.pos = s.pos
	return nil
}

// newScan checks the scan header against the frame and the tables.
func (f *file) newScan(b []byte) (*scan, error) {
	if len(b) < 1 || b[0] < 1 || b[0] > 4 || len(b) != 4+2*int(b[0]) {
		return nil, errors.New("its scan header has a wrong length")
	}
	n := int(b[0])
	s := &scan{bitReader: &bitReader{data: f.data, pos: f.pos}}
	s.ss, s.se, s.al, s.refine = int(b[1+2*n]), int(b[2+2*n]), uint(b[3+2*n]&15), b[3+2*n]>>4 != 0
	if !f.progressive {
		s.ss, s.se, s.al, s.refine = 0, 63, 0, false
	}
	if s.ss > s.se || s.se > 63 || s.al > 13 || f.progressive && (s.ss == 0) != (s.se == 0) || s.ss > 0 && n > 1 {
		return nil, errors.New("its scan header has a bad band of coefficients")
	}
	for i := range n {
		id, tables := int(b[1+2*i]), b[2+2*i]
		at := f.component(id)
		if at == nil || tables>>4 > 3 || tables&15 > 3 {
			return nil, fmt.Errorf("its scan header has a bad component %d", id)
		}
		for _, other := range s.comps {
			if other.component == at {
				return nil, fmt.Errorf("its scan header has component %d twice", id)
			}
		}
		c := scanComponent{component: at, dc: f.huffman[0][tables>>4], ac: f.huffman[1][tables&15]}
		if s.ss == 0 && !s.refine && c.dc == nil || s.se > 0 && c.ac == nil {
			return nil, errors.New("a Huffman table is missing")
		}
		switch {
		case at.quant != nil && !f.progressive:
			return nil, fmt.Errorf("it codes component %d twice", id)
		case at.quant == nil && (s.ss > 0 || s.refine):
			return nil, fmt.Errorf("it refines component %d before its first scan", id)
		case at.quant == nil:
			if at.quant = f.quant[at.table]; at.quant == nil {
				return nil, errors.New("a quantization table is missing")
			}
		}
		for k := s.ss; k <= min(s.se, known-1); k++ {
			at.bits[k] = int(s.al)
		}
		s.comps = append(s.comps, c)
	}
	switch {
	case s.ss == 0 && s.refine:
		s.decoder = s.refineDC
	case s.ss == 0:
		s.decoder = s.firstDC
	case s.refine:
		s.decoder = s.refineAC
	default:
		s.decoder = s.firstAC
	}
	return s, nil
}

func (f *file) component(id int) *component {
	for i := range f.comps {
		if f.comps[i].id == id {
			return &f.comps[i]
		}
	}
	return nil
}

// decode runs over the MCUs. If the scan has one component, an MCU is a block in the component's own grid, else h x v
// blocks of each component.
func (f *file) decode(s *scan) error {
	across, down := ceilDiv(f.width, 8*f.hmax), ceilDiv(f.height, 8*f.vmax)
	single := len(s.comps) == 1
	if single {
		across, down = s.comps[0].across, s.comps[0].down
	}
	for mcu := range across * down {
		if f.restart > 0 && mcu > 0 && mcu%f.restart == 0 {
			if err := s.restart(byte(mcu/f.restart-1) & 7); err != nil {
				return err
			}
		}
		mx, my := mcu%across, mcu/across
		if mx == 0 {
			if err := f.ctx.Err(); err != nil {
				return err
			}
		}
		for i := range s.comps {
			c := &s.comps[i]
			if single {
				s.block(c, mx, my)
				continue
			}
			for by := my * c.v; by < (my+1)*c.v; by++ {
				for bx := mx * c.h; bx < (mx+1)*c.h; bx++ {
					s.block(c, bx, by)
				}
			}
		}
		if s.err != nil {
			return s.err
		}
	}
	return nil
}

// block decodes one block, to the coefficients of a progressive file or to the samples of any other.
func (s *scan) block(c *scanComponent, bx, by int) {
	if at := 64 * (by*c.stride + bx); c.coefs != nil {
		s.decoder(c, (*[64]int16)(c.coefs[at:]))
		return
	}
	s.work = [64]int16{}
	s.sequential(c, &s.work)
	inverseDCT(c.plane.pix[8*by*c.plane.stride+8*bx:], c.plane.stride, &s.work, c.quant)
}

// restart expects restart marker number n and resets the state.
func (s *scan) restart(n byte) error {
	if err := s.marker(0xd0 + n); err != nil {
		return err
	}
	s.eobRun = 0
	for i := range s.comps {
		s.comps[i].pred = 0
	}
	return nil
}

// sequential decodes a whole block of a sequential file.
func (s *scan) sequential(c *scanComponent, b *[64]int16) {
	s.firstDC(c, b)
	for k := 1; k < 64; k++ {
		rs := s.symbol(c.ac)
		n := uint(rs & 15)
		if n == 0 {
			if rs != 0xf0 {
				return
			}
			k += 15
			continue
		}
		k += int(rs >> 4)
		s.put(b, k, s.signed(n))
	}
}

// put stores coefficient k of the zigzag order.
func (s *scan) put(b *[64]int16, k int, v int32) {
	if k > s.se {
		s.fail(errors.New("a run of its code leaves its block"))
		return
	}
	b[zigzag[k]] = int16(v)
}

func (s *scan) firstDC(c *scanComponent, b *[64]int16) {
	n := uint(s.symbol(c.dc))
	if n > 15 {
		s.fail(errors.New("a code stands for no DC coefficient"))
		return
	}
	c.pred += s.signed(n)
	b[0] = int16(c.pred << s.al)
}

func (s *scan) refineDC(_ *scanComponent, b *[64]int16) {
	b[0] |= int16(s.bits(1) << s.al)
}

func (s *scan) firstAC(c *scanComponent, b *[64]int16) {
	if s.eobRun > 0 {
		s.eobRun--
		return
	}
	for k := s.ss; k <= s.se; k++ {
		rs := s.symbol(c.ac)
		r, n := int(rs>>4), uint(rs&15)
		switch {
		case n > 0:
			k += r
			s.put(b, k, s.signed(n)<<s.al)
		case r == 15:
			k += 15
		default:
			s.eobRun = 1<<r + int(s.bits(uint(r))) - 1
			return
		}
	}
}

// refineAC decodes one more bit of nonzero coefficients, and new coefficients of one bit between them (T.81 G.1.2.3).
func (s *scan) refineAC(c *scanComponent, b *[64]int16) {
	k := s.ss
	for ; s.eobRun == 0 && k <= s.se; k++ {
		rs := s.symbol(c.ac)
		r, v := int(rs>>4), int32(0)
		switch {
		case rs&15 != 0:
			v = 2*int32(s.bits(1)) - 1
		case r < 15:
			s.eobRun = 1<<r + int(s.bits(uint(r)))
		}
		if s.eobRun > 0 {
			break
		}
		if k = s.refineOver(b, k, r); v != 0 {
			s.put(b, k, v<<s.al)
		}
	}
	if s.eobRun > 0 {
		s.refineOver(b, k, 64)
		s.eobRun--
	}
}

// refineOver refines coefficients from k on, up to but without the one after `zeros` zeros, and returns its index.
func (s *scan) refineOver(b *[64]int16, k, zeros int) int {
	for ; k <= s.se; k++ {
		at := zigzag[k]
		v := b[at]
		switch {
		case v == 0 && zeros == 0:
			return k
		case v == 0:
			zeros--
		case s.bits(1) == 1 && v&(1<<s.al) == 0:
			if v > 0 {
				b[at] = v + 1<<s.al
			} else {
				b[at] = v - 1<<s.al
			}
		}
	}
	return k
}
