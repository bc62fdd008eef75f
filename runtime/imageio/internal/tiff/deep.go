package tiff

import (
	"fmt"
	"math"

	"pgc/runtime/rgb"
)

// Sample formats.
const (
	unsigned = 1
	signed   = 2
	float    = 3
	anything = 4 // undefined, read as unsigned
)

// checkFormat refuses samples that are not read: longer ones and signed ones are gray, floats have 32 bits.
func (f *file) checkFormat() error {
	gray := f.photometric == whiteIsZero || f.photometric == blackIsZero
	ok := false
	switch f.format {
	case unsigned, anything:
		ok = f.bits != 12 && f.bits != 32 || gray
	case signed:
		ok = gray && (f.bits == 8 || f.bits == 16 || f.bits == 32)
	case float:
		ok = gray && f.bits == 32
	}
	if !ok {
		name := map[int]string{unsigned: "unsigned integers", signed: "signed integers", float: "floats", anything: "unsigned integers"}[f.format]
		if name == "" {
			name = fmt.Sprintf("sample format %d", f.format)
		}
		return fmt.Errorf("unsupported samples of %d bits, %s; in gray 12, 16 and 32 bits and floats of 32 are read, in color up to 16 bits", f.bits, name)
	}
	return nil
}

// deep reports whether samples are gray and of more than 8 bits, without an alpha.
func (f *file) deep() bool {
	return f.alpha == noAlpha && (f.photometric == whiteIsZero || f.photometric == blackIsZero) && f.bits > 8
}

// deepRow makes pixels of a row of such samples, step of them a pixel.
func (f *file) deepRow(dst, line []byte, step int) {
	for x := range len(dst) / 3 {
		d, i := dst[3*x:3*x+3], x*step
		if f.bits == 16 && f.format != signed {
			rgb.PutDeep(d, f.order.Uint16(line[2*i:]))
			continue
		}
		v := f.deepSample(line, i)
		d[0], d[1], d[2] = v, v, v
	}
}

// deepSample makes 8 bits of sample i: of 12 the high ones, of others the whole part within 0…255, as Pillow does.
func (f *file) deepSample(line []byte, i int) byte {
	if f.bits == 12 { // most significant bits first, whatever the byte order
		at := 12 * i / 8
		v := line[at]
		if i%2 == 1 {
			v = line[at]<<4 | line[at+1]>>4
		}
		if f.photometric == whiteIsZero {
			v = 255 - v
		}
		return v
	}
	var v float64
	switch {
	case f.bits == 16:
		v = float64(int16(f.order.Uint16(line[2*i:])))
	case f.format == float:
		v = float64(math.Float32frombits(f.order.Uint32(line[4*i:])))
	default:
		v = float64(int32(f.order.Uint32(line[4*i:])))
	}
	f.span.Add(v)
	return rgb.Whole(v)
}

// settle ends deep samples.
func (f *file) settle(p *rgb.Image) {
	if !f.deep() {
		p.Doubt = f.depth.Doubt()
		return
	}
	if f.bits == 16 && f.format != signed {
		p.SettleDeep(f.photometric == whiteIsZero)
		return
	}
	p.Doubt = f.span.Doubt()
}

// undo32 adds to each sample of 32 bits the one before it.
func (f *file) undo32(row []byte, step int) {
	for i := 4 * step; i+3 < len(row); i += 4 {
		f.order.PutUint32(row[i:], f.order.Uint32(row[i:])+f.order.Uint32(row[i-4*step:]))
	}
}

// undoFloats undoes the predictor of floats (Adobe Photoshop TIFF Technical Note 3): each byte is the difference to the
// one step before, and the most significant bytes of all samples stand first, then the next ones.
func (f *file) undoFloats(row []byte, step int) {
	for i := step; i < len(row); i++ {
		row[i] += row[i-step]
	}
	n := len(row) / 4
	f.planes = append(f.planes[:0], row...)
	planes := f.planes
	for i := range n {
		bits := uint32(planes[i])<<24 | uint32(planes[n+i])<<16 | uint32(planes[2*n+i])<<8 | uint32(planes[3*n+i])
		f.order.PutUint32(row[4*i:], bits)
	}
}
