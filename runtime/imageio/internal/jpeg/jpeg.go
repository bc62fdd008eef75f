// Package jpeg decodes JPEG (ITU-T T.81: baseline, extended and progressive Huffman coding of 8-bit samples) to exactly
// the pixels of libjpeg-turbo. image/jpeg transforms with other roundings, repeats chroma samples where libjpeg
// interpolates, and fails on restart intervals in progressive files and on uncommon sampling factors.
package jpeg

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"

	"pgc/runtime/imageio/internal/exif"
	"pgc/runtime/rgb"
)

// file is a file that is read segment by segment.
type file struct {
	data []byte
	pos  int
	ctx  context.Context // ends the decoding of scans

	width, height int
	progressive   bool
	comps         []component
	hmax, vmax    int    // largest sampling factors
	jfif, adobe   bool   // which application markers are present
	transform     byte   // Adobe's color transform
	exif, xmp     []byte // the first such segments, without their signatures

	quant   [4]*quantTable
	huffman [2][4]*huffmanTable // DC, AC
	restart int                 // restart interval in MCUs, 0 for none
	scans   int
	blocks  int64 // coded in the scans so far, and in the strips before
}

// component is one color component. It has the blocks of whole MCUs, of which the first across x down hold pixels of
// the image.
type component struct {
	id, h, v, table int // identifier, sampling factors, quantization table
	plane           plane
	across, down    int         // blocks with pixels of the image
	stride          int         // blocks in a row of whole MCUs
	quant           *quantTable // at the component's first scan; nil before
	coefs           []int16     // of a progressive file: 64 a block, natural order
	bits            [known]int  // of a progressive file: the lowest bit known of a coefficient; -1 for none
}

// quantTable holds the 64 quantizers of a block in natural order.
type quantTable [64]int32

// xmpSignature precedes XMP.
const xmpSignature = "http://ns.adobe.com/xap/1.0/\x00"

const (
	markerDHT   = 0xc4
	markerEOI   = 0xd9
	markerSOS   = 0xda
	markerDQT   = 0xdb
	markerDRI   = 0xdd
	markerAPP0  = 0xe0
	markerAPP1  = 0xe1
	markerAPP14 = 0xee
)

// Bounds of the time that a small file can ask for. Encoders write about ten scans, which go over the image about six
// times. maxBlocks is twelve times an image of 120 megapixels in three components of full size.
const (
	maxScans  = 100
	maxBlocks = 12 * 3 * 120_000_000 / 64
)

// parse walks the segments up to the first scan and returns its header too.
func parse(data []byte) (*file, []byte, error) {
	f := &file{data: data, pos: 2}
	marker, scan, err := f.toScan()
	switch {
	case err != nil:
		return nil, nil, err
	case marker == markerEOI:
		return nil, nil, errors.New("it ends before the image begins")
	case f.comps == nil:
		return nil, nil, errors.New("its frame header is missing")
	}
	return f, scan, nil
}

// toScan reads segments up to a scan, whose header it returns, or up to the end.
func (f *file) toScan() (marker byte, body []byte, err error) {
	for {
		marker, body, err = f.next()
		if err != nil || marker == markerSOS || marker == markerEOI {
			return marker, body, err
		}
		if err := f.segment(marker, body); err != nil {
			return 0, nil, err
		}
	}
}

// next reads one segment. It skips garbage before it, as libjpeg does.
func (f *file) next() (marker byte, body []byte, err error) {
	data, i := f.data, f.pos
	for {
		for i < len(data) && data[i] != 0xff {
			i++
		}
		for i < len(data) && data[i] == 0xff {
			i++
		}
		if i >= len(data) {
			return 0, nil, io.ErrUnexpectedEOF
		}
		marker = data[i]
		i++
		if marker > 1 && (marker < 0xd0 || 0xd8 < marker) { // the others have no body
			break
		}
	}
	if marker == markerEOI {
		return marker, nil, nil
	}
	if i+2 > len(data) {
		return 0, nil, io.ErrUnexpectedEOF
	}
	n := int(binary.BigEndian.Uint16(data[i:]))
	if n < 2 || i+n > len(data) {
		return 0, nil, io.ErrUnexpectedEOF
	}
	f.pos = i + n
	return marker, data[i+2 : i+n], nil
}

// segment processes one segment.
func (f *file) segment(marker byte, body []byte) error {
	switch {
	case marker == markerDHT:
		return f.huffmanTables(body)
	case marker == markerDQT:
		return f.quantTables(body)
	case marker == markerDRI:
		if len(body) != 2 {
			return errors.New("its restart interval has a wrong length")
		}
		f.restart = int(binary.BigEndian.Uint16(body))
	case 0xc0 <= marker && marker <= 0xcf && marker != 0xc8 && marker != 0xcc: // SOF
		return f.frame(marker, body)
	case marker == markerAPP0 && bytes.HasPrefix(body, []byte("JFIF\x00")):
		f.jfif = true
	case marker == markerAPP14 && len(body) >= 12 && bytes.HasPrefix(body, []byte("Adobe")):
		f.adobe, f.transform = true, body[11]
	case marker == markerAPP1 && f.exif == nil && bytes.HasPrefix(body, []byte(exif.Signature)):
		f.exif = body[len(exif.Signature):]
	case marker == markerAPP1 && f.xmp == nil && bytes.HasPrefix(body, []byte(xmpSignature)):
		f.xmp = body[len(xmpSignature):]
	}
	return nil
}

// frame reads the frame header.
func (f *file) frame(marker byte, body []byte) error {
	switch {
	case f.comps != nil:
		return errors.New("it has two frame headers")
	case len(body) < 6 || len(body) != 6+3*int(body[5]):
		return errors.New("its frame header has a wrong length")
	case marker > 0xc8:
		return errors.New("unsupported arithmetic coding, only Huffman coding is")
	case marker > 0xc2:
		return fmt.Errorf("unsupported coding process SOF%d, only baseline, extended and progressive are", marker-0xc0)
	case body[0] != 8:
		return fmt.Errorf("unsupported precision of %d bits, only 8 are", body[0])
	case body[5] != 1 && body[5] != 3 && body[5] != 4:
		return fmt.Errorf("unsupported number of components %d, only 1, 3 and 4 are", body[5])
	}
	f.height, f.width = int(binary.BigEndian.Uint16(body[1:])), int(binary.BigEndian.Uint16(body[3:]))
	f.progressive = marker == 0xc2
	for b := body[6:]; len(b) > 0; b = b[3:] {
		c := component{id: int(b[0]), h: int(b[1] >> 4), v: int(b[1] & 15), table: int(b[2])}
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.table > 3 {
			return errors.New("its frame header has a sampling factor or table out of range")
		}
		f.hmax, f.vmax = max(f.hmax, c.h), max(f.vmax, c.v)
		f.comps = append(f.comps, c)
	}
	for _, c := range f.comps {
		if f.hmax%c.h != 0 || f.vmax%c.v != 0 {
			return fmt.Errorf("unsupported sampling factors %dx%d beside %dx%d, only whole ratios are", c.h, c.v, f.hmax, f.vmax)
		}
	}
	return nil
}

// quantTables reads a DQT segment.
func (f *file) quantTables(b []byte) error {
	for len(b) > 0 {
		size, id := int(b[0]>>4)+1, b[0]&15
		if size > 2 || id > 3 || len(b) < 1+64*size {
			return errors.New("it has a bad quantization table")
		}
		t := &quantTable{}
		for k, at := range zigzag {
			if size == 1 {
				t[at] = int32(b[1+k])
			} else {
				t[at] = int32(binary.BigEndian.Uint16(b[1+2*k:]))
			}
		}
		f.quant[id], b = t, b[1+64*size:]
	}
	return nil
}

// Size reads width and height from the frame header.
func Size(data []byte) (image.Point, error) {
	f, _, err := parse(data)
	if err != nil {
		return image.Point{}, err
	}
	return image.Pt(f.width, f.height), nil
}

// BytesPerPixel returns the most memory that Decode takes for a pixel of the file: a byte in the planes, in a progressive
// file also the coefficients of two bytes, and the result.
func BytesPerPixel(data []byte) int {
	f, _, err := parse(data)
	if err != nil {
		return 0
	}
	each, samples := 1, 0
	if f.progressive {
		each = 3
	}
	for _, c := range f.comps {
		samples += c.h * c.v
	}
	return ceilDiv(each*samples, f.hmax*f.vmax) + 3
}

// Metadata returns EXIF and XMP, nil where the file has none before its first scan.
func Metadata(data []byte) (exif, xmp []byte) {
	f, _, err := parse(data)
	if err != nil {
		return nil, nil
	}
	return f.exif, f.xmp
}

// Decode decodes a file; its markers say which color space it has.
func Decode(ctx context.Context, data []byte) (*rgb.Image, error) {
	f, scan, err := parse(data)
	if err != nil {
		return nil, err
	}
	if err := f.decodeComponents(ctx, scan); err != nil {
		return nil, err
	}
	return f.render(rowConverter(len(f.comps), f.ycc())), nil
}

// Strips decodes the JPEGs of the strips or tiles of one TIFF, which share the bound of blocks.
type Strips struct{ blocks int64 }

// Decode decodes the JPEG of one, whose colors are YCbCr where ycc is set and otherwise gray, RGB or CMYK as TIFF has it,
// not complemented. fits accepts its size and number of components before memory is taken.
func (s *Strips) Decode(ctx context.Context, data []byte, ycc bool, fits func(width, height, components int) error) (*rgb.Image, error) {
	f, scan, err := parse(data)
	if err != nil {
		return nil, err
	}
	if err := fits(f.width, f.height, len(f.comps)); err != nil {
		return nil, err
	}
	f.blocks = s.blocks
	if err := f.decodeComponents(ctx, scan); err != nil {
		return nil, err
	}
	s.blocks = f.blocks
	convert := rowConverter(len(f.comps), ycc)
	if len(f.comps) == 4 {
		convert = inkRow
	}
	return f.render(convert), nil
}

// decodeComponents decodes all scans to the planes of the components, given the header of the first.
func (f *file) decodeComponents(ctx context.Context, scan []byte) (err error) {
	f.ctx = ctx
	if err := f.standardTables(); err != nil {
		return err
	}
	f.allocate()
	for marker := byte(markerSOS); marker == markerSOS; {
		if err := f.scan(scan); err != nil {
			return err
		}
		if marker, scan, err = f.toScan(); err != nil {
			return err
		}
	}
	for _, c := range f.comps {
		if c.quant == nil {
			return errors.New("it ends before all its color components have come")
		}
	}
	if f.progressive {
		smooth := f.unfinished()
		for i := range f.comps {
			f.comps[i].transform(smooth)
		}
	}
	return nil
}

// render upsamples the planes and converts their rows to RGB.
func (f *file) render(convert func(dst []byte, c [][]byte)) *rgb.Image {
	p := rgb.New(f.width, f.height)
	rgb.Parallel(p.Height, func(lo, hi int) {
		rows := make([][]byte, len(f.comps))
		up := make([]upsampler, len(f.comps))
		for i := range f.comps {
			up[i] = newUpsampler(&f.comps[i].plane, p.Width)
		}
		for y := lo; y < hi; y++ {
			for i := range up {
				rows[i] = up[i].row(y)
			}
			convert(p.Row(y), rows)
		}
	})
	return p
}

// allocate allocates the planes, and the coefficients of a progressive file.
func (f *file) allocate() {
	mcux, mcuy := ceilDiv(f.width, 8*f.hmax), ceilDiv(f.height, 8*f.vmax)
	for i := range f.comps {
		c := &f.comps[i]
		w, h := ceilDiv(f.width*c.h, f.hmax), ceilDiv(f.height*c.v, f.vmax)
		c.across, c.down, c.stride = ceilDiv(w, 8), ceilDiv(h, 8), mcux*c.h
		blocks := c.stride * mcuy * c.v
		c.plane = plane{make([]byte, 64*blocks), 8 * c.stride, w, h, f.hmax / c.h, f.vmax / c.v}
		for k := range c.bits {
			c.bits[k] = -1
		}
		if f.progressive {
			c.coefs = make([]int16, 64*blocks)
		}
	}
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
