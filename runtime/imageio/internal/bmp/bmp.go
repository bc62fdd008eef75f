// Package bmp decodes BMP. golang.org/x/image/bmp lacks run-length coding, 16-bit pixels and the header of OS/2.
package bmp

import (
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"io"
	"math/bits"

	"pgc/runtime/rgb"
)

const (
	fileHeader = 14

	rawPixels      = 0
	rle8           = 1
	rle4           = 2
	bitFields      = 3 // color masks
	alphaBitFields = 6 // color masks and one for alpha
)

// file holds what the headers say.
type file struct {
	width, height int
	topDown       bool
	depth         int // bits of a pixel
	compression   uint32
	masks         [4]uint32 // of red, green, blue and alpha, in pixels of 16 and 32 bits
	palette       [256][3]byte
	pixels        []byte
}

// parse reads the headers: BITMAPCOREHEADER of OS/2 (12 bytes), BITMAPINFOHEADER (40) and the longer ones that begin
// like it.
func parse(data []byte) (*file, error) {
	if len(data) < fileHeader+4 {
		return nil, io.ErrUnexpectedEOF
	}
	le := binary.LittleEndian
	start, n := int64(le.Uint32(data[10:])), int64(le.Uint32(data[14:]))
	if n != 12 && (n < 40 || n > 1<<10) {
		return nil, fmt.Errorf("unsupported header of %d bytes, only those of 12 and of 40 to 1024 are", n)
	}
	end := fileHeader + n
	if int64(len(data)) < end {
		return nil, io.ErrUnexpectedEOF
	}
	h, f := data[fileHeader:end], &file{}
	colors, entry := 0, 4
	if n == 12 {
		f.width, f.height, f.depth = int(le.Uint16(h[4:])), int(le.Uint16(h[6:])), int(le.Uint16(h[10:]))
		entry = 3
	} else {
		f.width, f.height, f.depth = int(int32(le.Uint32(h[4:]))), int(int32(le.Uint32(h[8:]))), int(le.Uint16(h[14:]))
		f.compression, colors = le.Uint32(h[16:]), int(le.Uint32(h[32:]))
	}
	if f.height < 0 {
		f.height, f.topDown = -f.height, true
	}
	if f.compression == bitFields || f.compression == alphaBitFields {
		count := 3
		if n >= 56 || f.compression == alphaBitFields {
			count = 4
		}
		for i := range count { // they stand in the longer headers or right behind the short one
			at := fileHeader + 40 + 4*i
			if at+4 > len(data) {
				return nil, io.ErrUnexpectedEOF
			}
			f.masks[i] = le.Uint32(data[at:])
			end = max(end, int64(at)+4)
		}
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	if f.depth <= 8 {
		if colors <= 0 || colors > 1<<f.depth {
			colors = 1 << f.depth
		}
		table := data[end:]
		for i := range min(colors, len(table)/entry) {
			f.palette[i] = [3]byte{table[entry*i+2], table[entry*i+1], table[entry*i]}
		}
	}
	if start < end || start > int64(len(data)) {
		return nil, io.ErrUnexpectedEOF
	}
	f.pixels = data[start:]
	return f, nil
}

// check refuses kinds of files that do not exist or are not decoded, and sets the masks of those that store none.
func (f *file) check() error {
	switch f.compression {
	case rawPixels:
		switch f.depth {
		case 1, 2, 4, 8, 24:
		case 16:
			f.masks = [4]uint32{0x7c00, 0x3e0, 0x1f, 0}
		case 32:
			f.masks = [4]uint32{0xff0000, 0xff00, 0xff, 0} // the fourth byte is padding
		default:
			return fmt.Errorf("unsupported depth of %d bits, only 1, 2, 4, 8, 16, 24 and 32 are", f.depth)
		}
	case rle8, rle4:
		if bits := map[uint32]int{rle8: 8, rle4: 4}[f.compression]; f.depth != bits {
			return fmt.Errorf("its depth is %d bits, expected %d with its run-length coding", f.depth, bits)
		}
	case bitFields, alphaBitFields:
		if f.depth != 16 && f.depth != 32 {
			return fmt.Errorf("its depth is %d bits, expected 16 or 32 with color masks", f.depth)
		}
		for i, m := range f.masks {
			run := m >> bits.TrailingZeros32(m)
			if m == 0 && i < 3 || run&(run+1) != 0 || f.depth == 16 && m > 0xffff {
				return fmt.Errorf("its color mask %08x is not a run of bits", m)
			}
		}
	default:
		return fmt.Errorf("unsupported compression %d, only none, run-length coding and color masks are", f.compression)
	}
	return nil
}

// Size reads width and height from the header.
func Size(data []byte) (image.Point, error) {
	f, err := parse(data)
	if err != nil {
		return image.Point{}, err
	}
	return image.Pt(f.width, f.height), nil
}

// Decode decodes a file, composited over white.
func Decode(_ context.Context, data []byte) (*rgb.Image, error) {
	f, err := parse(data)
	if err != nil {
		return nil, err
	}
	stride := (f.width*f.depth + 31) / 32 * 4
	rows := f.pixels
	if f.compression == rle8 || f.compression == rle4 {
		f.depth, stride = 8, f.width
		if rows, err = f.unpack(); err != nil {
			return nil, err
		}
	}
	if len(rows) < f.height*stride {
		return nil, io.ErrUnexpectedEOF
	}
	p := rgb.New(f.width, f.height)
	row := f.rowConverter()
	rgb.Parallel(f.height, func(lo, hi int) {
		for y := lo; y < hi; y++ {
			from := f.height - 1 - y
			if f.topDown {
				from = y
			}
			row(p.Row(y), rows[from*stride:(from+1)*stride])
		}
	})
	return p, nil
}

// rowConverter returns the function that converts a row of pixels to RGB.
func (f *file) rowConverter() func(dst, src []byte) {
	switch f.depth {
	case 24:
		return func(dst, src []byte) {
			for x := 0; x < len(dst); x += 3 {
				dst[x], dst[x+1], dst[x+2] = src[x+2], src[x+1], src[x]
			}
		}
	case 16, 32:
		return f.masked
	}
	perByte, mask := 8/f.depth, byte(1<<f.depth-1)
	return func(dst, src []byte) {
		for x := range len(dst) / 3 {
			i := src[x/perByte] >> (8 - f.depth - x%perByte*f.depth) & mask
			copy(dst[3*x:], f.palette[i][:])
		}
	}
}

// masked converts pixels of 16 or 32 bits. It scales a sample of n bits by 255/(2^n-1), rounded down as Pillow does.
func (f *file) masked(dst, src []byte) {
	var shift, maxValue [4]uint32
	for c, m := range f.masks {
		if m != 0 {
			shift[c] = uint32(bits.TrailingZeros32(m))
			maxValue[c] = m >> shift[c]
		}
	}
	for x := range len(dst) / 3 {
		var v uint32
		if f.depth == 16 {
			v = uint32(binary.LittleEndian.Uint16(src[2*x:]))
		} else {
			v = binary.LittleEndian.Uint32(src[4*x:])
		}
		alpha := uint32(255)
		if maxValue[3] != 0 {
			alpha = uint32(uint64(v&f.masks[3]>>shift[3]) * 255 / uint64(maxValue[3]))
		}
		for c := range 3 {
			s := uint32(uint64(v&f.masks[c]>>shift[c]) * 255 / uint64(maxValue[c]))
			if alpha != 255 {
				s = uint32(rgb.OverWhite(s, alpha))
			}
			dst[3*x+c] = byte(s)
		}
	}
}

// unpack undoes run-length coding: a byte a pixel, 0 for pixels that the code skips.
func (f *file) unpack() ([]byte, error) {
	out := make([]byte, f.width*f.height)
	src, x, y := f.pixels, 0, 0
	put := func(v byte) {
		if x < f.width && y < f.height {
			out[y*f.width+x] = v
		}
		x++
	}
	pixel := func(b []byte, i int) byte {
		if f.compression == rle8 {
			return b[i]
		}
		return b[i/2] >> (4 - 4*(i&1)) & 15
	}
	for {
		if len(src) < 2 {
			if y >= f.height || y == f.height-1 && x >= f.width { // only the mark of the end is missing
				return out, nil
			}
			return nil, io.ErrUnexpectedEOF
		}
		count, code := int(src[0]), int(src[1])
		src = src[2:]
		switch {
		case count > 0: // a run
			pair := [2]byte{byte(code), byte(code)}
			for i := range count {
				put(pixel(pair[:], i&1))
			}
		case code == 0: // end of the row
			x, y = 0, y+1
		case code == 1: // end of the image
			return out, nil
		case code == 2: // a move
			if len(src) < 2 {
				return nil, io.ErrUnexpectedEOF
			}
			x, y, src = x+int(src[0]), y+int(src[1]), src[2:]
		default: // pixels as they are, padded to an even number of bytes
			n := code
			if f.compression == rle4 {
				n = (code + 1) / 2
			}
			n += n & 1
			if len(src) < n {
				return nil, io.ErrUnexpectedEOF
			}
			for i := range code {
				put(pixel(src, i))
			}
			src = src[n:]
		}
	}
}
