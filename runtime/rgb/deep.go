package rgb

import "fmt"

// A gray image of 16 bits is made in two steps, because its range is known only at its end: PutDeep keeps its samples
// in the bytes for R and G, SettleDeep makes 8 bits of them.

// PutDeep puts a gray sample of 16 bits at dst, a pixel.
func PutDeep(dst []byte, v uint16) { dst[0], dst[1] = byte(v>>8), byte(v) }

// wide is the least maximum of samples that are surely of 16 bits.
const wide = 1 << 14

// SettleDeep makes 8 bits of the samples that PutDeep kept, the high ones of those that are used: samples of 8, 10 or 12
// bits are often stored in 16. inverted says that 0 is white. What is not sure becomes the image's Doubt.
func (m *Image) SettleDeep(inverted bool) {
	least, most := uint16(0xffff), uint16(0)
	for i := 0; i < len(m.Pix); i += 3 {
		v := uint16(m.Pix[i])<<8 | uint16(m.Pix[i+1])
		least, most = min(least, v), max(most, v)
	}
	bits := 16
	for _, b := range []int{12, 10, 8} {
		if most < 1<<b {
			bits = b
		}
	}
	switch {
	case most == 0:
		bits = 16
	case bits < 16:
		m.Doubt = fmt.Sprintf("its samples of 16 bits reach only %d, so they are taken for samples of %d bits", most, bits)
	case most < wide:
		m.Doubt = fmt.Sprintf("its samples of 16 bits reach only %d of 65535, so it is dark: scale them if it should not be", most)
	case most-least < 1<<12 && most > least:
		m.Doubt = fmt.Sprintf("its samples of 16 bits lie between %d and %d, a sliver of the range: scale them if it should have contrast", least, most)
	}
	flip := byte(0)
	if inverted {
		flip = 255
	}
	Parallel(m.Height, func(lo, hi int) {
		for y := lo; y < hi; y++ {
			row := m.Row(y)
			for i := 0; i < len(row); i += 3 {
				v := byte((uint16(row[i])<<8|uint16(row[i+1]))>>(bits-8)) ^ flip
				row[i], row[i+1], row[i+2] = v, v, v
			}
		}
	})
}

// Whole turns a float or a long integer into a sample of 8 bits as Pillow does: its whole part, within 0…255.
func Whole(v float64) byte {
	switch {
	case v >= 255:
		return 255
	case v > 0:
		return byte(v)
	}
	return 0 // NaN, too
}

// Range is that of samples which are floats or long integers.
type Range struct {
	most float64
	any  bool // a sample above 0 was added
}

// Add notes a sample.
func (r *Range) Add(v float64) {
	if v > 0 {
		r.any, r.most = true, max(r.most, v)
	}
}

// Doubt says what is doubtful about samples of which 255 is white, or is empty.
func (r *Range) Doubt() string {
	switch {
	case r.any && r.most <= 1:
		return fmt.Sprintf("its samples reach only %g, where 255 is white, so it is black: multiply them by 255", r.most)
	case r.most > 2*255:
		return fmt.Sprintf("its samples reach %g, where 255 is white: scale them to 0…255", r.most)
	}
	return ""
}

// Depth is how far samples of 16 bits reach whose high byte is kept, those of color. The zero Depth has seen none.
type Depth struct{ high, low byte }

// Add notes a row of samples, the high byte of each at the given place of its two bytes.
func (d *Depth) Add(row []byte, high int) {
	for i := 0; i+1 < len(row); i += 2 {
		d.high, d.low = max(d.high, row[i+high]), d.low|row[i+1-high]
	}
}

// Doubt says that the samples use a quarter of the range at most, or is empty.
func (d *Depth) Doubt() string {
	if d.high >= wide>>8 || d.high|d.low == 0 {
		return ""
	}
	return fmt.Sprintf("its samples of 16 bits stay below %d of 65536, so it is dark: scale them if it should not be", (int(d.high)+1)<<8)
}
