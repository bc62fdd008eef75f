package tiff

import (
	"errors"
	"fmt"
	"io"

	"pgc/runtime/imageio/internal/exif"
)

// YCbCr without JPEG, of 8 bits. Pillow converts uncompressed samples itself, whatever the tags say of them; of all else
// libtiff makes RGB, whose chroma samples may stand for several pixels.

const (
	tagCoefficients = 529
	tagSubsampling  = 530
	tagBlackWhite   = 532
)

// ycc is how YCbCr becomes RGB: what the samples add to each color, those of green before they are divided by 1 << shift.
type ycc struct {
	luma, red, blue, greenRed, greenBlue [256]int32
	shift                                int
	across, down                         int // pixels that share chroma samples
}

// clamp keeps a color within 8 bits.
func clamp(v int32) byte { return byte(min(max(v, 0), 255)) }

// convert makes a pixel of Y, Cb and Cr.
func (t *ycc) convert(d []byte, y, cb, cr byte) {
	luma := t.luma[y]
	d[0], d[1], d[2] = clamp(luma+t.red[cr]), clamp(luma+(t.greenBlue[cb]+t.greenRed[cr])>>t.shift), clamp(luma+t.blue[cb])
}

// layoutYCbCr checks the samples of YCbCr without JPEG, and computes the tables of their conversion.
func (f *file) layoutYCbCr() error {
	if f.bits != 8 || f.samples != 3 || f.format != unsigned {
		return fmt.Errorf("unsupported YCbCr of %d samples of %d bits, only three of 8 are", f.samples, f.bits)
	}
	if err := f.checkPredictor(); err != nil {
		return err
	}
	f.ycc = &ycc{across: 2, down: 2}
	if v := exif.Values(f.data, tagSubsampling); len(v) >= 2 {
		f.ycc.across, f.ycc.down = v[0], v[1]
	}
	if f.compression == 1 && f.whole() { // as Pillow, which looks at no tag
		f.ycc.across, f.ycc.down = 1, 1
		f.ycc.asPillow()
		return nil
	}
	switch [2]int{f.ycc.across, f.ycc.down} {
	case [2]int{1, 1}:
	case [2]int{1, 2}, [2]int{2, 1}, [2]int{2, 2}, [2]int{4, 1}, [2]int{4, 2}, [2]int{4, 4}:
		if f.planar || f.predictor != 1 {
			return errors.New("unsupported YCbCr with fewer chroma samples in planes of their own or with a predictor")
		}
	default:
		return fmt.Errorf("unsupported YCbCr with chroma samples for %dx%d pixels", f.ycc.across, f.ycc.down)
	}
	return f.ycc.asLibtiff(f.data)
}

// whole reports whether an uncompressed file has all samples of every pixel, as far as the length of its first block says.
func (f *file) whole() bool {
	lengths := exif.Values(f.data, tagStripBytes)
	size := f.width * min(exif.Value(f.data, tagRowsPerStrip, f.height), f.height)
	if exif.Value(f.data, tagTileWidth, 0) != 0 {
		lengths = exif.Values(f.data, tagTileBytes)
		size = exif.Value(f.data, tagTileWidth, 0) * exif.Value(f.data, tagTileHeight, 0)
	}
	return f.planar || len(lengths) == 0 || lengths[0] >= 3*size
}

// asPillow has Pillow's tables, of 6 bits of fraction.
func (t *ycc) asPillow() {
	t.shift = 6
	for i := range 256 {
		part := func(by float64) int32 { return int32(float64(float64(i-128)*by*64) + 0.5) }
		t.luma[i], t.red[i], t.blue[i] = int32(i), part(1.402)>>6, part(1.772)>>6
		t.greenRed[i], t.greenBlue[i] = part(-0.71414), part(-0.34414)
	}
}

// asLibtiff has the tables of libtiff (TIFFYCbCrToRGBInit), in its float32 and 16 bits of fraction.
func (t *ycc) asLibtiff(data []byte) error {
	luma, ok := floats(data, tagCoefficients, 0.299, 0.587, 0.114)
	limits, also := floats(data, tagBlackWhite, 0, 255, 128, 255, 128, 255)
	if !ok || !also || luma[1] == 0 {
		return errors.New("its coefficients of YCbCr or its black and white are no numbers")
	}
	t.shift = 16
	fixed := func(x float32) int32 { return int32(float64(min(max(x, 0), 2)*65536) + 0.5) }
	// The value of a code between those that mean 0 and most.
	value := func(code int, black, white, most float32) int32 {
		low, high := int32(min(max(black, -1<<30), 1<<30)), white-black
		if high == 0 {
			high = 1
		}
		v := float32(float32(int32(code)-low)*most) / high
		return int32(min(max(v, -128*32), 128*32))
	}
	red, blue := 2-float32(2*luma[0]), 2-float32(2*luma[2])
	ofRed, ofBlue := fixed(red), fixed(blue)
	greenRed, greenBlue := fixed(float32(luma[0]*red)/luma[1]), fixed(float32(luma[2]*blue)/luma[1])
	for i := range 256 {
		cr, cb := value(i-128, limits[4]-128, limits[5]-128, 127), value(i-128, limits[2]-128, limits[3]-128, 127)
		t.luma[i] = value(i, limits[0], limits[1], 255)
		t.red[i], t.blue[i] = (ofRed*cr+1<<15)>>16, (ofBlue*cb+1<<15)>>16
		t.greenRed[i], t.greenBlue[i] = -greenRed*cr, -greenBlue*cb+1<<15
	}
	return nil
}

// floats returns the fractions of an entry, or the default where there is none. ok is false where there are fewer.
func floats(data []byte, tag uint16, def ...float32) (v []float32, ok bool) {
	const rational = 5
	kind, b := exif.Entry(data, tag)
	if kind == 0 {
		return def, true
	}
	if kind != rational || len(b) < 8*len(def) {
		return nil, false
	}
	order := exif.Order(data)
	for i := range def {
		n, d := order.Uint32(b[8*i:]), order.Uint32(b[8*i+4:])
		if d == 0 {
			return nil, false
		}
		v = append(v, float32(float64(n)/float64(d)))
	}
	return v, true
}

// sharedBlock decodes block i, of the given rows, whose chroma samples stand for several pixels: units of the Y of
// across times down pixels and their Cb and Cr.
func (f *file) sharedBlock(dst func(row int) []byte, coded []byte, width, rows, height int) error {
	t := f.ycc
	each := t.across*t.down + 2
	line := make([]byte, ceilDiv(f.blockWidth, t.across)*each)
	r, err := f.reader(coded, len(line)*ceilDiv(rows, t.down), rows)
	if err != nil {
		return err
	}
	for top := 0; top < height; top += t.down {
		if _, err := io.ReadFull(r, line); err != nil {
			return err
		}
		for y := top; y < min(top+t.down, height); y++ {
			d := dst(y)
			for x := range width {
				unit := line[x/t.across*each:][:each]
				t.convert(d[3*x:3*x+3], unit[(y-top)*t.across+x%t.across], unit[each-2], unit[each-1])
			}
		}
	}
	return nil
}
