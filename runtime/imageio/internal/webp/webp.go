// Package webp reads the first frame of WebP files: golang.org/x/image/webp decodes its bitstream, this package finds
// it, converts its colors as libwebp does and places it on its canvas.
package webp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"image"
	"io"

	"golang.org/x/image/webp"

	"pgc/runtime/imageio/internal/cancel"
	"pgc/runtime/rgb"
)

// file holds what is needed of a file: the first frame's chunks and where it lies on the canvas.
type file struct {
	canvas        image.Point // zero without an extended header, where the frame is all
	frame         image.Rectangle
	animated      bool
	opaque        bool // alpha, if there is any, is to be ignored
	alpha, pixels []byte
	lossless      bool
	exif, xmp     []byte
}

// riffChunk splits the first chunk off a list of chunks.
func riffChunk(list []byte) (tag string, body, rest []byte, err error) {
	if len(list) < 8 {
		return "", nil, nil, io.ErrUnexpectedEOF
	}
	n := binary.LittleEndian.Uint32(list[4:])
	if uint64(n) > uint64(len(list)-8) {
		return "", nil, nil, io.ErrUnexpectedEOF
	}
	body, rest = list[8:8+n], list[8+n:]
	if n%2 == 1 && len(rest) > 0 {
		rest = rest[1:]
	}
	return string(list[:4]), body, rest, nil
}

func uint24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

// parse finds the first frame and the metadata.
func parse(data []byte) (*file, error) {
	f := &file{}
	list := data[12:]
	if n := binary.LittleEndian.Uint32(data[4:]); n >= 4 && uint64(n)+8 <= uint64(len(data)) {
		list = data[12 : n+8]
	} else if uint64(n)+8 > uint64(len(data)) {
		return nil, io.ErrUnexpectedEOF
	}
	for len(list) > 0 {
		tag, body, rest, err := riffChunk(list)
		if err != nil {
			return nil, err
		}
		list = rest
		switch tag {
		case "VP8X":
			if len(body) < 10 {
				return nil, io.ErrUnexpectedEOF
			}
			f.opaque = body[0]>>4&1 == 0
			f.canvas = image.Pt(uint24(body[4:])+1, uint24(body[7:])+1)
		case "ANMF":
			if f.pixels != nil {
				continue // only the first frame
			}
			if len(body) < 16 {
				return nil, io.ErrUnexpectedEOF
			}
			at := image.Pt(2*uint24(body[0:]), 2*uint24(body[3:]))
			f.frame = image.Rectangle{at, at.Add(image.Pt(uint24(body[6:])+1, uint24(body[9:])+1))}
			f.animated = true
			for sub := body[16:]; len(sub) > 0; {
				tag, body, rest, err := riffChunk(sub)
				if err != nil {
					return nil, err
				}
				f.pixelChunk(tag, body)
				sub = rest
			}
		case "EXIF":
			f.exif = body
		case "XMP ":
			f.xmp = body
		default:
			f.pixelChunk(tag, body)
		}
	}
	if f.pixels == nil {
		return nil, errors.New("it holds no image")
	}
	if f.opaque {
		f.alpha = nil
	}
	return f, nil
}

func (f *file) pixelChunk(tag string, body []byte) {
	if f.pixels != nil {
		return
	}
	switch tag {
	case "ALPH":
		f.alpha = body
	case "VP8 ":
		f.pixels = body
	case "VP8L":
		f.pixels, f.lossless, f.alpha = body, true, nil
	}
}

// size returns the size of the frame's bitstream. A frame that covers a part of its canvas has to lie within it.
func (f *file) size() (image.Point, error) {
	size, err := f.bitstreamSize()
	if err == nil && f.onCanvas() && (!f.frame.In(image.Rectangle{Max: f.canvas}) || f.frame.Size() != size) {
		err = errors.New("its first frame does not fit its canvas")
	}
	return size, err
}

func (f *file) bitstreamSize() (image.Point, error) {
	b := f.pixels
	switch {
	case f.lossless && len(b) >= 5:
		v := binary.LittleEndian.Uint32(b[1:])
		return image.Pt(int(v&0x3fff)+1, int(v>>14&0x3fff)+1), nil
	case !f.lossless && len(b) >= 10:
		return image.Pt(int(binary.LittleEndian.Uint16(b[6:])&0x3fff), int(binary.LittleEndian.Uint16(b[8:])&0x3fff)), nil
	}
	return image.Point{}, io.ErrUnexpectedEOF
}

// still wraps the frame into a file of its own, the form the decoder takes.
func (f *file) still(size image.Point) []byte {
	var b bytes.Buffer
	chunk := func(tag string, body []byte) {
		b.WriteString(tag)
		b.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(body))))
		b.Write(body)
		if len(body)%2 == 1 {
			b.WriteByte(0)
		}
	}
	b.WriteString("RIFF\x00\x00\x00\x00WEBP")
	if f.alpha != nil {
		w, h := size.X-1, size.Y-1
		chunk("VP8X", []byte{1 << 4, 0, 0, 0, byte(w), byte(w >> 8), byte(w >> 16), byte(h), byte(h >> 8), byte(h >> 16)})
		chunk("ALPH", f.alpha)
	}
	if f.lossless {
		chunk("VP8L", f.pixels)
	} else {
		chunk("VP8 ", f.pixels)
	}
	out := b.Bytes()
	binary.LittleEndian.PutUint32(out[4:], uint32(len(out)-8))
	return out
}

// Size reads the size of the image that Decode returns from the headers.
func Size(data []byte) (image.Point, error) {
	f, err := parse(data)
	if err != nil {
		return image.Point{}, err
	}
	size, err := f.size()
	if err != nil || !f.onCanvas() {
		return size, err
	}
	return f.canvas, nil
}

// BytesPerPixel returns the most memory that Decode takes for a pixel of the file, as measured: more for alpha and for a
// canvas around the frame.
func BytesPerPixel(data []byte) int {
	f, err := parse(data)
	if err != nil {
		return 0
	}
	each := 5
	switch {
	case f.lossless:
		each = 8
	case f.alpha != nil:
		each = 11
	}
	if f.onCanvas() {
		each += 3
	}
	return each
}

// Metadata returns EXIF and XMP, nil where the file has none.
func Metadata(data []byte) (exif, xmp []byte) {
	f, err := parse(data)
	if err != nil {
		return nil, nil
	}
	return f.exif, f.xmp
}

// Decode decodes the first frame, on its canvas if the file is an animation, composited over white.
func Decode(ctx context.Context, data []byte) (*rgb.Image, error) {
	f, err := parse(data)
	if err != nil {
		return nil, err
	}
	size, err := f.size()
	if err != nil {
		return nil, err
	}
	m, err := webp.Decode(cancel.Reader(ctx, f.still(size)))
	if err != nil {
		return nil, err
	}
	p, err := f.convert(m)
	if err != nil || !f.onCanvas() {
		return p, err
	}
	full := rgb.New(f.canvas.X, f.canvas.Y)
	if !f.opaque { // the canvas is transparent black
		for i := range full.Pix {
			full.Pix[i] = 255
		}
	}
	for y := range p.Height {
		copy(full.Row(f.frame.Min.Y + y)[3*f.frame.Min.X:], p.Row(y))
	}
	return full, nil
}

// onCanvas reports whether the frame covers a part of its canvas only.
func (f *file) onCanvas() bool {
	return f.animated && f.canvas != image.Point{} && f.canvas != f.frame.Size()
}

// convert converts the decoded frame.
func (f *file) convert(m image.Image) (*rgb.Image, error) {
	switch m := m.(type) {
	case *image.YCbCr:
		return fromYUV(m), nil
	case *image.NYCbCrA:
		p := fromYUV(&m.YCbCr)
		for y := range p.Height {
			for x, a := range m.A[y*m.AStride : y*m.AStride+p.Width] {
				for c, d := 0, p.Row(y)[3*x:]; c < 3 && a != 255; c++ {
					d[c] = rgb.OverWhite(uint32(d[c]), uint32(a))
				}
			}
		}
		return p, nil
	case *image.NRGBA:
		if f.opaque || f.pixels[4]>>4&1 == 0 { // the bitstream, too, may say that alpha is not used
			for i := 3; i < len(m.Pix); i += 4 {
				m.Pix[i] = 255
			}
		}
		return rgb.FromImage(m), nil
	}
	return nil, errors.New("unsupported pixel layout")
}

// fromYUV upsamples and converts a lossy frame as libwebp does (dsp/upsampling.c, dsp/yuv.h): chroma is interpolated
// with weights 9, 3, 3, 1, colors are ITU-R BT.601 of limited range in 14-bit fixed point.
func fromYUV(m *image.YCbCr) *rgb.Image {
	p := rgb.New(m.Rect.Dx(), m.Rect.Dy())
	cw, ch := (p.Width+1)/2, (p.Height+1)/2
	rgb.Parallel(p.Height, func(lo, hi int) {
		us, vs := make([]byte, p.Width+1), make([]byte, p.Width+1)
		for y := lo; y < hi; y++ {
			near := y / 2
			far := min(max(near-1+2*(y&1), 0), ch-1)
			for _, c := range []struct{ out, pix []byte }{{us, m.Cb}, {vs, m.Cr}} {
				upsample(c.out, c.pix[near*m.CStride:][:cw], c.pix[far*m.CStride:][:cw])
			}
			dst := p.Row(y)
			for x, l := range m.Y[y*m.YStride : y*m.YStride+p.Width] {
				y, u, v := int32(l)*19077>>8, int32(us[x]), int32(vs[x])
				d := dst[3*x : 3*x+3]
				d[0] = rgb.Clip((y + v*26149>>8 - 14234) >> 6)
				d[1] = rgb.Clip((y - u*6419>>8 - v*13320>>8 + 8708) >> 6)
				d[2] = rgb.Clip((y + u*33050>>8 - 17685) >> 6)
			}
		}
	})
	return p
}

// upsample doubles a chroma row; the order of its roundings is libwebp's.
func upsample(out, near, far []byte) {
	edge := func(x int) byte { return byte((3*int32(near[x]) + int32(far[x]) + 2) >> 2) }
	out[0] = edge(0)
	for x := 1; x < len(near); x++ {
		n0, n1, f0, f1 := int32(near[x-1]), int32(near[x]), int32(far[x-1]), int32(far[x])
		sum := n0 + n1 + f0 + f1 + 8
		out[2*x-1] = byte(((sum+2*(n1+f0))>>3 + n0) >> 1)
		out[2*x] = byte(((sum+2*(n0+f1))>>3 + n1) >> 1)
	}
	out[2*len(near)-1] = edge(len(near) - 1)
}
