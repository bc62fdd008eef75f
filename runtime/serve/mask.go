package serve

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/png"
)

// maskURI returns a mask of a width × height picture as a data: URI of a PNG of that size: 255 where the object is.
func maskURI(mask *image.Alpha, width, height int) (string, error) {
	m := image.NewGray(image.Rect(0, 0, width, height))
	for y := range mask.Rect.Dy() {
		copy(m.Pix[m.PixOffset(mask.Rect.Min.X, mask.Rect.Min.Y+y):], mask.Pix[y*mask.Stride:][:mask.Rect.Dx()])
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		return "", err
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes()), nil
}
