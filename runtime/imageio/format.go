package imageio

import (
	"bytes"
	"context"
	"image"

	"pgc/runtime/imageio/internal/bmp"
	"pgc/runtime/imageio/internal/gif"
	"pgc/runtime/imageio/internal/jpeg"
	"pgc/runtime/imageio/internal/png"
	"pgc/runtime/imageio/internal/pnm"
	"pgc/runtime/imageio/internal/tiff"
	"pgc/runtime/imageio/internal/webp"
	"pgc/runtime/rgb"
)

// format is a file format that this package decodes.
type format struct {
	name     string
	match    func(head []byte) bool                                                      // reports whether a file that begins with head has it
	size     func(data []byte) (image.Point, error)                                      // reads width and height from the header
	decode   func(ctx context.Context, data []byte, maxPixels int64) (*rgb.Image, error) // decodes a file whose size is within maxPixels
	metadata func(data []byte) (exif, xmp []byte)                                        // finds what may hold an orientation; nil: nothing
	memory   func(data []byte) int                                                       // most bytes a pixel that decode takes, by the header
}

var formats = []*format{
	{"PNG", magic("\x89PNG\r\n\x1a\n"), png.Size, whole(png.Decode), png.Metadata, png.BytesPerPixel},
	{"JPEG", magic("\xff\xd8\xff"), jpeg.Size, whole(jpeg.Decode), jpeg.Metadata, jpeg.BytesPerPixel},
	{"GIF", magic("GIF87a", "GIF89a"), gif.Size, whole(gif.Decode), nil, constant(5)},
	{"WebP", isWebP, webp.Size, whole(webp.Decode), webp.Metadata, webp.BytesPerPixel},
	{"BMP", isBMP, bmp.Size, whole(bmp.Decode), nil, constant(4)},
	{"PNM", pnm.Match, pnm.Size, whole(pnm.Decode), nil, constant(4)},
	{"TIFF", magic("II*\x00", "MM\x00*", "II+\x00", "MM\x00+"), tiff.Size, decodeTIFF, tiff.Metadata, tiff.BytesPerPixel},
}

// constant is the memory of a decoder that takes as much for every file, or nearly.
func constant(bytes int) func([]byte) int { return func([]byte) int { return bytes } }

// magic matches files that begin with one of the prefixes.
func magic(prefixes ...string) func([]byte) bool {
	return func(head []byte) bool {
		for _, p := range prefixes {
			if bytes.HasPrefix(head, []byte(p)) {
				return true
			}
		}
		return false
	}
}

func isWebP(head []byte) bool {
	return len(head) >= 12 && string(head[:4]) == "RIFF" && string(head[8:12]) == "WEBP"
}

func isBMP(head []byte) bool {
	return len(head) >= 10 && bytes.HasPrefix(head, []byte("BM")) && head[6]|head[7]|head[8]|head[9] == 0
}

// whole adapts decoders whose memory depends only on the size of the image.
func whole(decode func(context.Context, []byte) (*rgb.Image, error)) func(context.Context, []byte, int64) (*rgb.Image, error) {
	return func(ctx context.Context, data []byte, _ int64) (*rgb.Image, error) { return decode(ctx, data) }
}

// decodeTIFF also bounds strips and tiles, and passes the JPEG codec to the TIFF codec.
func decodeTIFF(ctx context.Context, data []byte, maxPixels int64) (*rgb.Image, error) {
	strips := new(jpeg.Strips)
	return tiff.Decode(ctx, data, maxPixels, func(data []byte, ycc bool, fits func(width, height, components int) error) (*rgb.Image, error) {
		return strips.Decode(ctx, data, ycc, fits)
	})
}

// sniff finds the format by the first bytes, or returns nil.
func sniff(data []byte) *format {
	for _, f := range formats {
		if f.match(data) {
			return f
		}
	}
	return nil
}
