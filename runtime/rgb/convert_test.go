package rgb

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"math/rand"
	"testing"
)

// other is a picture of a type that no package knows.
type other struct{ of *image.NRGBA64 }

func (o other) ColorModel() color.Model { return color.NRGBA64Model }
func (o other) Bounds() image.Rectangle { return o.of.Bounds() }
func (o other) At(x, y int) color.Color { return o.of.At(x, y) }

// TestOtherImages: pictures of types that have no conversion of their own are those that image/draw makes of them.
func TestOtherImages(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	box := image.Rect(-3, 2, 30, 19)
	filled := func(b []byte) { r.Read(b) }
	ycc := image.NewYCbCr(box, image.YCbCrSubsampleRatio420)
	filled(ycc.Y)
	filled(ycc.Cb)
	filled(ycc.Cr)
	ycca := image.NewNYCbCrA(box, image.YCbCrSubsampleRatio422)
	filled(ycca.Y)
	filled(ycca.Cb)
	filled(ycca.A)
	cmyk, alpha, deep := image.NewCMYK(box), image.NewAlpha16(box), image.NewNRGBA64(box)
	filled(cmyk.Pix)
	filled(alpha.Pix)
	filled(deep.Pix)
	clear(deep.Pix[:80]) // transparent pixels
	for _, m := range []image.Image{ycc, ycca, cmyk, alpha, other{deep}, image.NewUniform(color.NRGBA{1, 200, 30, 99})} {
		if u, ok := m.(*image.Uniform); ok {
			m = clipped{u, box}
		}
		n := image.NewNRGBA(image.Rect(0, 0, box.Dx(), box.Dy()))
		draw.Draw(n, n.Rect, m, box.Min, draw.Src)
		if got, want := FromImage(m), FromImage(n); !bytes.Equal(got.Pix, want.Pix) {
			t.Errorf("%T: other pixels than image/draw makes", m)
		}
	}
}

// clipped is a part of a picture without an end.
type clipped struct {
	image.Image
	box image.Rectangle
}

func (c clipped) Bounds() image.Rectangle { return c.box }
