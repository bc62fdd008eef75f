package picture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"io"

	"golang.org/x/image/webp"
)

// webpFile is what is needed of a WebP file: the first frame's chunks and where
// it lies on the canvas.
type webpFile struct {
	canvas        image.Point // zero without an extended header: the frame is all
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

// parseWebP finds the first frame and the metadata.
func parseWebP(data []byte) (*webpFile, error) {
	f := &webpFile{}
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
		return nil, errors.New("it holds no picture")
	}
	if f.opaque {
		f.alpha = nil
	}
	return f, nil
}

func (f *webpFile) pixelChunk(tag string, body []byte) {
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

// size is that of the frame's bitstream.
func (f *webpFile) size() (width, height int, err error) {
	b := f.pixels
	switch {
	case f.lossless && len(b) >= 5:
		v := binary.LittleEndian.Uint32(b[1:])
		return int(v&0x3fff) + 1, int(v>>14&0x3fff) + 1, nil
	case !f.lossless && len(b) >= 10:
		return int(binary.LittleEndian.Uint16(b[6:]) & 0x3fff), int(binary.LittleEndian.Uint16(b[8:]) & 0x3fff), nil
	}
	return 0, 0, io.ErrUnexpectedEOF
}

// still wraps the frame into a file of its own, the form the decoder takes.
func (f *webpFile) still(width, height int) []byte {
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
		w, h := width-1, height-1
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

func decodeWebP(data []byte, lim Limits) (*Picture, error) {
	f, err := parseWebP(data)
	if err != nil {
		return nil, err
	}
	w, h, err := f.size()
	if err != nil {
		return nil, err
	}
	for _, size := range []image.Point{{w, h}, f.canvas} {
		if size == (image.Point{}) {
			continue
		}
		if err := lim.check(size.X, size.Y); err != nil {
			return nil, err
		}
	}
	m, err := webp.Decode(reader(f.still(w, h)))
	if err != nil {
		return nil, err
	}
	p, err := f.picture(m)
	if err != nil || !f.animated || f.canvas == (image.Point{}) || f.canvas == f.frame.Size() {
		return p, err
	}
	full := New(f.canvas.X, f.canvas.Y)
	for i := range full.RGB {
		if !f.opaque { // the canvas is transparent black
			full.RGB[i] = 255
		}
	}
	if !f.frame.In(image.Rectangle{Max: f.canvas}) || f.frame.Size() != image.Pt(w, h) {
		return nil, errors.New("its first frame does not fit its canvas")
	}
	for y := range p.Height {
		copy(full.RGB[3*((f.frame.Min.Y+y)*full.Width+f.frame.Min.X):], p.RGB[3*y*p.Width:3*(y+1)*p.Width])
	}
	return full, nil
}

// picture converts the decoded frame.
func (f *webpFile) picture(m image.Image) (*Picture, error) {
	switch m := m.(type) {
	case *image.YCbCr:
		return yuvPicture(m), nil
	case *image.NYCbCrA:
		p := yuvPicture(&m.YCbCr)
		for y := range p.Height {
			for x, a := range m.A[y*m.AStride : y*m.AStride+p.Width] {
				for c, d := 0, p.RGB[3*(y*p.Width+x):]; c < 3 && a != 255; c++ {
					d[c] = overWhite(uint32(d[c]), uint32(a))
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
		return fromImage(m)
	}
	return nil, errors.New("unsupported pixel layout")
}

// yuvPicture upsamples and converts a lossy frame as libwebp does
// (dsp/upsampling.c, dsp/yuv.h): chroma is interpolated with weights 9, 3, 3, 1,
// colours are ITU-R BT.601 of limited range in 14-bit fixed point.
func yuvPicture(m *image.YCbCr) *Picture {
	p := New(m.Rect.Dx(), m.Rect.Dy())
	cw, ch := (p.Width+1)/2, (p.Height+1)/2
	parallel(p.Height, func(lo, hi int) {
		us, vs := make([]byte, p.Width+1), make([]byte, p.Width+1)
		for y := lo; y < hi; y++ {
			near := y / 2
			far := min(max(near-1+2*(y&1), 0), ch-1)
			for _, c := range []struct{ out, pix []byte }{{us, m.Cb}, {vs, m.Cr}} {
				upsampleWebP(c.out, c.pix[near*m.CStride:][:cw], c.pix[far*m.CStride:][:cw])
			}
			dst := p.RGB[3*y*p.Width : 3*(y+1)*p.Width]
			for x, l := range m.Y[y*m.YStride : y*m.YStride+p.Width] {
				y, u, v := int32(l)*19077>>8, int32(us[x]), int32(vs[x])
				d := dst[3*x : 3*x+3]
				d[0] = clip((y + v*26149>>8 - 14234) >> 6)
				d[1] = clip((y - u*6419>>8 - v*13320>>8 + 8708) >> 6)
				d[2] = clip((y + u*33050>>8 - 17685) >> 6)
			}
		}
	})
	return p
}

// upsampleWebP doubles a chroma row; the order of its roundings is libwebp's.
func upsampleWebP(out, near, far []byte) {
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

func orientationWebP(data []byte) int {
	f, err := parseWebP(data)
	if err != nil {
		return 1
	}
	return orientationOf(f.exif, f.xmp)
}
