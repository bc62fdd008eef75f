package imageio

import (
	"bytes"
	"context"
	"image"

	"pgc/runtime/imageio/internal/jpeg"
	"pgc/runtime/imageio/internal/png"
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

// formats are those that every runtime decodes, and then the others of this one.
var formats = append([]*format{
	{"PNG", magic("\x89PNG\r\n\x1a\n"), png.Size, whole(png.Decode), png.Metadata, png.BytesPerPixel},
	{"JPEG", magic("\xff\xd8\xff"), jpeg.Size, whole(jpeg.Decode), jpeg.Metadata, jpeg.BytesPerPixel},
}, others...)

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

// sniff finds the format by the first bytes, or returns nil.
func sniff(data []byte) *format {
	for _, f := range formats {
		if f.match(data) {
			return f
		}
	}
	return nil
}
