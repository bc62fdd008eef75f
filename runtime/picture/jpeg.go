package picture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
)

// A JPEG is decoded by image/jpeg as far as its component planes; upsampling and
// colour conversion are done here as libjpeg does them, because image/jpeg
// repeats chroma samples where libjpeg interpolates.

// jpegHeader is what stands before the first scan.
type jpegHeader struct {
	width, height int
	ids, factors  []byte // of each component: its identifier, and its sampling factors, horizontal in the high nibble
	jfif, adobe   bool   // which application markers are present
	transform     byte   // Adobe's colour transform
	exif, xmp     []byte // the first such segments, without their signatures
	scan          int    // offset of the first SOS marker
}

const (
	markerSOS   = 0xda
	markerEOI   = 0xd9
	markerAPP0  = 0xe0
	markerAPP1  = 0xe1
	markerAPP14 = 0xee
)

// parseJPEG walks the segments up to the first scan.
func parseJPEG(data []byte) (*jpegHeader, error) {
	h := &jpegHeader{}
	for i := 2; ; {
		for i < len(data) && data[i] != 0xff { // garbage between segments is skipped, as libjpeg does
			i++
		}
		for i < len(data) && data[i] == 0xff {
			i++
		}
		if i+3 > len(data) {
			return nil, io.ErrUnexpectedEOF
		}
		marker := data[i]
		if marker == 0 || marker == 1 || 0xd0 <= marker && marker <= 0xd7 { // no segment follows
			i++
			continue
		}
		if marker == markerEOI {
			return nil, errors.New("it ends before its picture begins")
		}
		if marker == markerSOS {
			h.scan = i - 1
			if h.ids == nil {
				return nil, errors.New("its frame header is missing")
			}
			return h, nil
		}
		n := int(binary.BigEndian.Uint16(data[i+1:]))
		if n < 2 || i+1+n > len(data) {
			return nil, io.ErrUnexpectedEOF
		}
		if err := h.segment(marker, data[i+3:i+1+n]); err != nil {
			return nil, err
		}
		i += 1 + n
	}
}

// segment notes what matters of one segment.
func (h *jpegHeader) segment(marker byte, body []byte) error {
	switch {
	case 0xc0 <= marker && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc: // SOF
		if h.ids != nil {
			return errors.New("it has two frame headers")
		}
		if len(body) < 6 || len(body) != 6+3*int(body[5]) {
			return errors.New("its frame header has a wrong length")
		}
		switch {
		case marker > 0xc2:
			return fmt.Errorf("unsupported coding process SOF%d, only baseline, extended and progressive Huffman coding are", marker-0xc0)
		case body[0] != 8:
			return fmt.Errorf("unsupported precision of %d bits, only 8 are", body[0])
		}
		h.height, h.width = int(binary.BigEndian.Uint16(body[1:])), int(binary.BigEndian.Uint16(body[3:]))
		h.ids = []byte{}
		for c := 6; c < len(body); c += 3 {
			h.ids = append(h.ids, body[c])
			h.factors = append(h.factors, body[c+1])
		}
	case marker == markerAPP0 && bytes.HasPrefix(body, []byte("JFIF\x00")):
		h.jfif = true
	case marker == markerAPP14 && len(body) >= 12 && bytes.HasPrefix(body, []byte("Adobe")):
		h.adobe, h.transform = true, body[11]
	case marker == markerAPP1 && h.exif == nil && bytes.HasPrefix(body, []byte(exifSignature)):
		h.exif = body[len(exifSignature):]
	case marker == markerAPP1 && h.xmp == nil && bytes.HasPrefix(body, []byte(xmpSignature)):
		h.xmp = body[len(xmpSignature):]
	}
	return nil
}

// ycc reports whether the first three components are YCbCr, by libjpeg's rules
// (jdapimin.c, default_decompress_parms).
func (h *jpegHeader) ycc() bool {
	switch len(h.ids) {
	case 3:
		switch {
		case h.jfif:
			return true
		case h.adobe:
			return h.transform != 0
		}
		return string(h.ids) != "RGB"
	case 4:
		return h.adobe && h.transform != 0
	}
	return false
}

func decodeJPEG(data []byte, lim Limits) (*Picture, error) {
	h, err := parseJPEG(data)
	if err != nil {
		return nil, err
	}
	if err := lim.check(h.width, h.height); err != nil {
		return nil, err
	}
	planes, err := jpegPlanes(h, data)
	if err != nil {
		return nil, err
	}
	p := New(h.width, h.height)
	convert := rowConverter(len(planes), h.ycc())
	parallel(p.Height, func(lo, hi int) {
		rows := make([][]byte, len(planes))
		up := make([]upsampler, len(planes))
		for i := range planes {
			up[i] = newUpsampler(&planes[i], p.Width)
		}
		for y := lo; y < hi; y++ {
			for i := range up {
				rows[i] = up[i].row(y)
			}
			convert(p.RGB[3*y*p.Width:3*(y+1)*p.Width], rows)
		}
	})
	return p, nil
}

// jpegPlanes decodes the component planes as they are stored. image/jpeg gives
// planes only for what it takes for YCbCr, and mixes four components, so the
// decoder reads one more segment just before the first scan, where the last word
// counts: JFIF for three components (then it leaves them alone), Adobe "unknown"
// for four (then it only interleaves and complements them).
func jpegPlanes(h *jpegHeader, data []byte) ([]plane, error) {
	var extra string
	switch len(h.ids) {
	case 3:
		extra = "\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
	case 4:
		extra = "\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
	}
	m, err := jpeg.Decode(io.MultiReader(bytes.NewReader(data[:h.scan]), bytes.NewReader([]byte(extra)), bytes.NewReader(data[h.scan:])))
	if err != nil {
		return nil, err
	}
	if b := m.Bounds(); b.Dx() != h.width || b.Dy() != h.height {
		return nil, errors.New("its size changes between scans")
	}
	full := func(pix []byte, stride int) plane { return plane{pix, stride, h.width, h.height, 1, 1} }
	switch m := m.(type) {
	case *image.Gray:
		return []plane{full(m.Pix, m.Stride)}, nil
	case *image.YCbCr:
		hx, vx := chromaRatio(m.SubsampleRatio)
		chroma := func(pix []byte) plane {
			return plane{pix, m.CStride, (h.width + hx - 1) / hx, (h.height + vx - 1) / vx, hx, vx}
		}
		return []plane{full(m.Y, m.YStride), chroma(m.Cb), chroma(m.Cr)}, nil
	case *image.CMYK:
		return inkPlanes(m, h.factors[0] == 0x22), nil
	}
	return nil, fmt.Errorf("unsupported component layout %T", m)
}

func chromaRatio(r image.YCbCrSubsampleRatio) (hx, vx int) {
	switch r {
	case image.YCbCrSubsampleRatio422:
		return 2, 1
	case image.YCbCrSubsampleRatio420:
		return 2, 2
	case image.YCbCrSubsampleRatio440:
		return 1, 2
	case image.YCbCrSubsampleRatio411:
		return 4, 1
	case image.YCbCrSubsampleRatio410:
		return 4, 2
	}
	return 1, 1
}

// inkPlanes takes the four planes apart again. The only subsampling image/jpeg
// accepts here halves the second and third; as it repeats their samples, every
// second value of every second row is an original.
func inkPlanes(m *image.CMYK, subsampled bool) []plane {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	planes := make([]plane, 4)
	for c := range planes {
		step := 1
		if subsampled && (c == 1 || c == 2) {
			step = 2
		}
		p := plane{nil, (w + step - 1) / step, (w + step - 1) / step, (h + step - 1) / step, step, step}
		p.pix = make([]byte, p.width*p.height)
		for y := range p.height {
			src, dst := m.Pix[y*step*m.Stride:], p.pix[y*p.width:(y+1)*p.width]
			for x := range dst {
				dst[x] = 255 - src[4*x*step+c]
			}
		}
		planes[c] = p
	}
	return planes
}

// rowConverter gives the function that turns a row of every component into RGB.
func rowConverter(components int, ycc bool) func(dst []byte, c [][]byte) {
	switch {
	case components == 1:
		return func(dst []byte, c [][]byte) { grey(dst, c[0], 1) }
	case components == 3 && ycc:
		return yccRow
	case components == 3:
		return rgbRow
	case ycc: // YCCK: as RGB its first three components are the amounts of ink
		return func(dst []byte, c [][]byte) { yccRow(dst, c); inkRow(dst, c[3]) }
	}
	return func(dst []byte, c [][]byte) { // CMYK, stored complemented as Adobe does
		rgbRow(dst, c)
		for i, v := range dst {
			dst[i] = 255 - v
		}
		inkRow(dst, c[3])
	}
}

func rgbRow(dst []byte, c [][]byte) {
	r, g, b := c[0], c[1], c[2]
	for x := range len(dst) / 3 {
		dst[3*x], dst[3*x+1], dst[3*x+2] = r[x], g[x], b[x]
	}
}

// yccRow is libjpeg's conversion (jdcolor.c): ITU-R BT.601 over the full range,
// constants of 16 fractional bits, each product rounded but the two of green
// rounded together.
func yccRow(dst []byte, c [][]byte) {
	n := len(dst) / 3
	ys, cbs, crs := c[0][:n], c[1][:n], c[2][:n]
	for x, y := range ys {
		y, cb, cr := int32(y), int32(cbs[x])-128, int32(crs[x])-128
		d := dst[3*x : 3*x+3 : 3*x+3]
		d[0] = clip(y + (91881*cr+32768)>>16)
		d[1] = clip(y + (-22554*cb-46802*cr+32768)>>16)
		d[2] = clip(y + (116130*cb+32768)>>16)
	}
}

// inkRow turns amounts of cyan, magenta and yellow, in place, and the stored black
// (255 for none) into RGB as Pillow does (cmyk2rgb in Convert.c): k - ink*k/255.
func inkRow(dst, black []byte) {
	for x := range len(dst) / 3 {
		k, d := uint32(black[x]), dst[3*x:3*x+3]
		for c, ink := range d {
			t := uint32(ink)*k + 128
			d[c] = byte(k - (t>>8+t)>>8)
		}
	}
}

func clip(v int32) byte {
	if uint32(v) <= 255 {
		return byte(v)
	}
	if v < 0 {
		return 0
	}
	return 255
}
