// Package gif reads the first frame of GIF files: the standard library decodes it, this package places it on its
// canvas.
package gif

import (
	"bytes"
	"context"
	"encoding/binary"
	"image"
	"image/gif"

	"pgc/runtime/imageio/internal/cancel"
	"pgc/runtime/rgb"
)

// Size returns the size of the canvas: that of the header or, as in Pillow, as much more as the first frame takes.
func Size(data []byte) (image.Point, error) {
	c, err := gif.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return image.Point{}, err
	}
	canvas := image.Rect(0, 0, c.Width, c.Height)
	return canvas.Union(frame(data)).Max, nil
}

// The parts of a file.
const (
	headerSize   = 13 // with the size of the canvas from byte 6 on
	canvasAt     = 6
	flagsAt      = 10
	extension    = 0x21
	descriptor   = 0x2c
	frameSize    = 9 // of a descriptor behind its first byte
	hasPalette   = 0x80
	paletteShift = 0x07
)

// frame returns where the first frame lies; it is empty where there is none.
func frame(data []byte) image.Rectangle {
	if len(data) < headerSize {
		return image.Rectangle{}
	}
	rest := data[headerSize:]
	skip := func(n int) { rest = rest[min(n, len(rest)):] }
	if flags := data[flagsAt]; flags&hasPalette != 0 {
		skip(3 << (flags&paletteShift + 1))
	}
	for len(rest) > frameSize {
		switch rest[0] {
		case descriptor:
			at := func(i int) int { return int(binary.LittleEndian.Uint16(rest[1+i:])) }
			return image.Rect(at(0), at(2), at(0)+at(4), at(2)+at(6))
		case extension:
			skip(2)
			for len(rest) > 0 && rest[0] != 0 { // blocks with their lengths before them
				skip(1 + int(rest[0]))
			}
			skip(1)
		default:
			return image.Rectangle{}
		}
	}
	return image.Rectangle{}
}

// Decode decodes the first frame on its canvas, composited over white. As in Pillow, canvas outside the frame is
// transparent, thus white, if the frame has a transparent color, and otherwise has the first color of the palette.
func Decode(ctx context.Context, data []byte) (*rgb.Image, error) {
	size, err := Size(data)
	if err != nil {
		return nil, err
	}
	if at := data[canvasAt:]; size.X != int(binary.LittleEndian.Uint16(at)) || size.Y != int(binary.LittleEndian.Uint16(at[2:])) {
		data = bytes.Clone(data) // for a decoder that takes no frame beyond the canvas
		binary.LittleEndian.PutUint16(data[canvasAt:], uint16(min(size.X, 1<<16-1)))
		binary.LittleEndian.PutUint16(data[canvasAt+2:], uint16(min(size.Y, 1<<16-1)))
	}
	m, err := gif.Decode(cancel.Reader(ctx, data))
	if err != nil {
		return nil, err
	}
	canvas := image.Rectangle{Max: size}
	frame, ok := m.(*image.Paletted)
	if !ok || frame.Rect == canvas {
		return rgb.FromImage(m), nil
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
	return rgb.FromImage(full), nil
}
