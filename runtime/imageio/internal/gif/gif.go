// Package gif reads the first frame of GIF files: the standard library decodes it, this package places it on its
// canvas.
package gif

import (
	"bytes"
	"context"
	"image"
	"image/gif"

	"pgc/runtime/imageio/internal/cancel"
	"pgc/runtime/rgb"
)

// Size reads the size of the canvas from the header.
func Size(data []byte) (image.Point, error) {
	c, err := gif.DecodeConfig(bytes.NewReader(data))
	return image.Pt(c.Width, c.Height), err
}

// Decode decodes the first frame on its canvas, composited over white. As in Pillow, canvas outside the frame is
// transparent, thus white, if the frame has a transparent color, and otherwise has the first color of the palette.
func Decode(ctx context.Context, data []byte) (*rgb.Image, error) {
	size, err := Size(data)
	if err != nil {
		return nil, err
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
