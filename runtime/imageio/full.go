//go:build !least

package imageio

import (
	"context"

	"pgc/runtime/imageio/internal/bmp"
	"pgc/runtime/imageio/internal/gif"
	"pgc/runtime/imageio/internal/jpeg"
	"pgc/runtime/imageio/internal/pnm"
	"pgc/runtime/imageio/internal/tiff"
	"pgc/runtime/imageio/internal/webp"
	"pgc/runtime/rgb"
)

// expected ends errors about files that are not images.
const expected = "expected a PNG, JPEG, GIF, WebP, BMP, TIFF or PNM image"

var others = []*format{
	{"GIF", magic("GIF87a", "GIF89a"), gif.Size, whole(gif.Decode), nil, constant(5)},
	{"WebP", isWebP, webp.Size, whole(webp.Decode), webp.Metadata, webp.BytesPerPixel},
	{"BMP", isBMP, bmp.Size, whole(bmp.Decode), nil, constant(4)},
	{"PNM", pnm.Match, pnm.Size, whole(pnm.Decode), nil, constant(4)},
	{"TIFF", magic("II*\x00", "MM\x00*", "II+\x00", "MM\x00+"), tiff.Size, decodeTIFF, tiff.Metadata, tiff.BytesPerPixel},
}

// unread says that this runtime does not decode a format that others do, or returns nothing.
func unread([]byte) string { return "" }

// constant is the memory of a decoder that takes as much for every file, or nearly.
func constant(bytes int) func([]byte) int { return func([]byte) int { return bytes } }

// decodeTIFF also bounds strips and tiles, and passes the JPEG codec to the TIFF codec.
func decodeTIFF(ctx context.Context, data []byte, maxPixels int64) (*rgb.Image, error) {
	strips := new(jpeg.Strips)
	return tiff.Decode(ctx, data, maxPixels, func(data []byte, ycc bool, fits func(width, height, components int) error) (*rgb.Image, error) {
		return strips.Decode(ctx, data, ycc, fits)
	})
}
