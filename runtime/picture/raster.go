package picture

import (
	"image"
	"image/draw"
	"image/gif"
	"image/png"
)

// The formats whose decoders of the library give final pixels: PNG and GIF. Each looks
// at the size in the header before it decodes.

func decodePNG(data []byte, lim Limits) (*Picture, error) {
	c, err := png.DecodeConfig(reader(data))
	if err != nil {
		return nil, err
	}
	if err := lim.check(c.Width, c.Height); err != nil {
		return nil, err
	}
	m, err := png.Decode(reader(data))
	if err != nil {
		return nil, err
	}
	return fromImage(m)
}

// decodeGIF gives the first frame on its canvas. As in Pillow, canvas outside the
// frame is transparent, thus white, if the frame has a transparent colour, and
// otherwise has the first colour of the palette.
func decodeGIF(data []byte, lim Limits) (*Picture, error) {
	c, err := gif.DecodeConfig(reader(data))
	if err != nil {
		return nil, err
	}
	if err := lim.check(c.Width, c.Height); err != nil {
		return nil, err
	}
	m, err := gif.Decode(reader(data))
	if err != nil {
		return nil, err
	}
	canvas := image.Rect(0, 0, c.Width, c.Height)
	frame, ok := m.(*image.Paletted)
	if !ok || frame.Rect == canvas {
		return fromImage(m)
	}
	full := image.NewPaletted(canvas, frame.Palette)
	for i, c := range frame.Palette {
		if _, _, _, a := c.RGBA(); a == 0 {
			for j := range full.Pix {
				full.Pix[j] = byte(i)
			}
			break
		}
	}
	for y := frame.Rect.Min.Y; y < frame.Rect.Max.Y; y++ {
		copy(full.Pix[full.PixOffset(frame.Rect.Min.X, y):], frame.Pix[frame.PixOffset(frame.Rect.Min.X, y):][:frame.Rect.Dx()])
	}
	return fromImage(full)
}

// rgba is the picture as an opaque image to draw on.
func (p *Picture) rgba() *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, p.Width, p.Height))
	for i := range p.Width * p.Height {
		m.Pix[4*i], m.Pix[4*i+1], m.Pix[4*i+2], m.Pix[4*i+3] = p.RGB[3*i], p.RGB[3*i+1], p.RGB[3*i+2], 255
	}
	return m
}

// FromImage converts any image, composited over white.
func FromImage(m image.Image) *Picture {
	b := m.Bounds()
	n := image.NewNRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	draw.Draw(n, n.Rect, m, b.Min, draw.Src)
	p := New(b.Dx(), b.Dy())
	for y := range p.Height {
		straightRow(p.RGB[3*y*p.Width:3*(y+1)*p.Width], n.Pix[y*n.Stride:], 1)
	}
	return p
}
