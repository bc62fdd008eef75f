package tiff

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"

	"golang.org/x/image/ccitt"
	"golang.org/x/image/tiff/lzw"

	"pgc/runtime/imageio/internal/exif"
	"pgc/runtime/rgb"
)

// JPEG decodes a JPEG whose colors are YCbCr where ycc is set, and gray or RGB otherwise, once fits has accepted its
// size and its number of components.
type JPEG func(data []byte, ycc bool, fits func(width, height, components int) error) (*rgb.Image, error)

// Decode decodes the first page, composited over white. A strip or tile may have a little more than maxPixels; those of
// compression 7 are decoded by jpeg.
func Decode(ctx context.Context, data []byte, maxPixels int64, jpeg JPEG) (*rgb.Image, error) {
	f, err := parse(data)
	if err != nil {
		return nil, err
	}
	if err := f.layout(); err != nil {
		return nil, err
	}
	if err := f.blocks(maxPixels); err != nil {
		return nil, err
	}
	p := rgb.New(f.width, f.height)
	for i := range f.across * f.down {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		x, y := i%f.across*f.blockWidth, i/f.across*f.blockHeight
		rows := f.blockHeight
		if !f.tiles {
			rows = min(rows, f.height-y)
		}
		if f.compression == 7 {
			err = f.jpegBlock(p, i, x, y, jpeg)
		} else {
			err = f.sampleBlock(p, i, x, y, rows)
		}
		if err != nil {
			return nil, err
		}
	}
	if f.compression != 7 {
		f.settle(p)
	}
	return p, nil
}

// sampleBlock decodes block i, of the given rows, to (x, y).
func (f *file) sampleBlock(p *rgb.Image, i, x, y, rows int) error {
	width, height := min(f.blockWidth, f.width-x), min(rows, f.height-y)
	if f.ycc != nil && f.ycc.across*f.ycc.down > 1 {
		coded, err := f.block(i)
		if err != nil {
			return err
		}
		return f.sharedBlock(func(r int) []byte { return p.Pix[3*((y+r)*p.Width+x):][:3*width] }, coded, width, rows, height)
	}
	used, step := f.colors, f.samples // samples that count, samples of a pixel
	if f.alpha != noAlpha {
		used++
	}
	if f.planar {
		step = 1
	}
	var planes []io.Reader
	for k := range used {
		if k > 0 && !f.planar {
			break
		}
		coded, err := f.block(k*f.across*f.down + i)
		if err != nil {
			return err
		}
		plane, err := f.reader(coded, f.stride(step)*rows, rows)
		if err != nil {
			return err
		}
		planes = append(planes, plane)
	}
	line := make([]byte, f.stride(step))
	row, one := make([]byte, width*max(used, step)), make([]byte, width)
	for r := range height {
		dst := p.Pix[3*((y+r)*p.Width+x):][:3*width]
		for k, plane := range planes {
			if _, err := io.ReadFull(plane, line); err != nil {
				return err
			}
			f.predict(line, step)
			if f.deep() {
				f.deepRow(dst, line, step)
				continue
			}
			if !f.planar {
				f.samples8(row[:width*step], line)
				f.color(dst, row, step)
				continue
			}
			f.samples8(one, line)
			for c, v := range one {
				row[c*used+k] = v
			}
		}
		if f.planar && !f.deep() {
			f.color(dst, row, used)
		}
	}
	return nil
}

// stride is the bytes in a row of a block of step samples a pixel.
func (f *file) stride(step int) int { return ceilDiv(f.blockWidth*step*f.bits, 8) }

// reader undoes the compression of a block of so many bytes and rows.
func (f *file) reader(coded []byte, size, rows int) (io.Reader, error) {
	if f.reversed {
		coded = slices.Clone(coded)
		for i, v := range coded {
			coded[i] = bits.Reverse8(v)
		}
	}
	r := bytes.NewReader(coded)
	switch f.compression {
	case 1:
		return r, nil
	case 3, 4: // fax, groups 3 and 4: white is 0
		if f.bits != 1 || f.samples != 1 || f.compression == 3 && exif.Value(f.data, tagT4Options, 0)&1 != 0 {
			return nil, errors.New("unsupported two-dimensional fax code of group 3: tiffcp -c g4 IN OUT converts it")
		}
		return ccitt.NewReader(r, ccitt.MSB, ccitt.SubFormat(f.compression-3), f.blockWidth, rows, &ccitt.Options{Invert: true}), nil
	case 5:
		return lzw.NewReader(r, lzw.MSB, 8), nil
	case 8, 32946:
		return zlib.NewReader(r)
	case 32773:
		out, err := unpackBits(coded, size)
		return bytes.NewReader(out), err
	}
	name := map[int]string{2: "by runs of group 3", 6: "old JPEG", 34676: "SGI LogLuv", 34677: "SGI LogLuv", 34712: "JPEG 2000", 34887: "LERC", 34925: "LZMA",
		50000: "Zstandard", 50001: "WebP", 50002: "JPEG XL"}[f.compression]
	if name == "" {
		name = "of no known kind"
	}
	return nil, fmt.Errorf("unsupported compression %d, %s; only none, fax, LZW, JPEG, deflate and PackBits are: tiffcp -c zip IN OUT converts it", f.compression, name)
}

// unpackBits undoes Macintosh run-length coding. Its output is at most 64 times as long as src.
func unpackBits(src []byte, size int) ([]byte, error) {
	out := make([]byte, 0, min(size, 64*len(src)))
	for len(out) < size {
		if len(src) < 2 {
			return nil, io.ErrUnexpectedEOF
		}
		n := int(int8(src[0]))
		switch {
		case n == -128:
			src = src[1:]
		case n < 0:
			n = min(1-n, size-len(out))
			for range n {
				out = append(out, src[1])
			}
			src = src[2:]
		default:
			n = min(n+1, size-len(out))
			if len(src) < 1+n {
				return nil, io.ErrUnexpectedEOF
			}
			out = append(out, src[1:1+n]...)
			src = src[1+n:]
		}
	}
	return out, nil
}

// predict adds to each sample of a row the one before it.
func (f *file) predict(row []byte, step int) {
	switch {
	case f.predictor == 3:
		f.undoFloats(row, step)
	case f.predictor != 2:
	case f.bits == 8:
		for i := step; i < len(row); i++ {
			row[i] += row[i-step]
		}
	case f.bits == 32 && f.predictor == 2:
		f.undo32(row, step)
	default:
		for i := 2 * step; i+1 < len(row); i += 2 {
			f.order.PutUint16(row[i:], f.order.Uint16(row[i:])+f.order.Uint16(row[i-2*step:]))
		}
	}
}

// samples8 converts a row of samples to 8 bits each: 16 bits keep the high byte, fewer bits are scaled to the whole
// range, and indices of a palette stay as they are.
func (f *file) samples8(dst, src []byte) {
	switch f.bits {
	case 8:
		copy(dst, src)
	case 16:
		high := 0
		if f.order == binary.ByteOrder(binary.LittleEndian) {
			high = 1
		}
		f.depth.Add(src, high)
		for i := range dst {
			dst[i] = src[2*i+high]
		}
	default:
		mask, scale := 1<<f.bits-1, 1
		if f.photometric != paletteColor {
			scale = 255 / mask
		}
		for i := range dst {
			at := i * f.bits
			dst[i] = byte(int(src[at/8]) >> (8 - f.bits - at%8) & mask * scale)
		}
	}
}

// color converts a row of 8-bit samples, step of them a pixel, to RGB.
func (f *file) color(dst, row []byte, step int) {
	for x := range len(dst) / 3 {
		s, d := row[x*step:(x+1)*step], dst[3*x:3*x+3]
		switch f.photometric {
		case whiteIsZero:
			d[0], d[1], d[2] = 255-s[0], 255-s[0], 255-s[0]
		case blackIsZero:
			d[0], d[1], d[2] = s[0], s[0], s[0]
		case paletteColor:
			copy(d, f.palette[s[0]][:])
		case cmyk:
			copy(d, s)
			rgb.FromInk(d, []byte{255 - s[3]})
		case cieLab:
			copy(d, s)
			fromLab(d)
		case yCbCr:
			f.ycc.convert(d, s[0], s[1], s[2])
		default:
			copy(d, s)
		}
		if f.alpha == noAlpha || s[f.colors] == 255 {
			continue
		}
		a := uint32(s[f.colors])
		for c, v := range d {
			v := uint32(v)
			if f.alpha == premultiplied {
				v = rgb.Unmultiply(v, a)
			}
			d[c] = rgb.OverWhite(v, a)
		}
	}
}

// maxTables bounds the bytes of tables of a JPEG, all of which need less.
const maxTables = 4096

// jpegBlock decodes block i, a JPEG whose tables may stand in the directory, to (x, y).
func (f *file) jpegBlock(p *rgb.Image, i, x, y int, decode JPEG) error {
	coded, err := f.block(i)
	if err != nil {
		return err
	}
	if f.planar || f.alpha != noAlpha || f.photometric == paletteColor || f.photometric == cieLab {
		return errors.New("unsupported kind of JPEG, only gray, RGB, CMYK and YCbCr are")
	}
	if _, tables := exif.Entry(f.data, tagJPEGTables); len(tables) > maxTables {
		return fmt.Errorf("its JPEG tables have %d bytes, expected %d at most", len(tables), maxTables)
	} else if len(tables) > 4 && len(coded) > 2 {
		coded = slices.Concat(tables[:len(tables)-2], coded[2:])
	}
	width, height := min(f.blockWidth, f.width-x), min(f.blockHeight, f.height-y)
	q, err := decode(coded, f.photometric == yCbCr, func(w, h, components int) error {
		if w < width || h < height || w*h > f.blockWidth*f.blockHeight || components != f.colors {
			return fmt.Errorf("a JPEG of %dx%d with %d components stands for a strip or tile of %dx%d with %d", w, h, components, width, height, f.colors)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for r := range height {
		row := p.Pix[3*((y+r)*p.Width+x):][:3*width]
		copy(row, q.Pix[3*r*q.Width:])
		if f.photometric == whiteIsZero {
			for i, v := range row {
				row[i] = 255 - v
			}
		}
	}
	return nil
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
