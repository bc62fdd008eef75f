package imageio

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"testing"
)

// BenchmarkJPEG12MP decodes a smooth picture of a telephone's size (4:2:0, baseline).
func BenchmarkJPEG12MP(b *testing.B) {
	m := image.NewNRGBA(image.Rect(0, 0, 4000, 3000))
	for y := range 3000 {
		for x := range 4000 {
			v := 128 + 60*math.Sin(float64(x)/9)*math.Cos(float64(y)/7) + float64((x*7919+y*104729)%23)
			m.SetNRGBA(x, y, color.NRGBA{uint8(v), uint8(255 - v), uint8(x / 16), 255})
		}
	}
	var file bytes.Buffer
	if err := jpeg.Encode(&file, m, &jpeg.Options{Quality: 90}); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(file.Len()))
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Decode(context.Background(), "x", file.Bytes(), DefaultLimits); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("image/jpeg", func(b *testing.B) { // planes only, neither upsampled nor converted
		b.ReportAllocs()
		for b.Loop() {
			if _, err := jpeg.Decode(bytes.NewReader(file.Bytes())); err != nil {
				b.Fatal(err)
			}
		}
	})
}
