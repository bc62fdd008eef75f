//go:build least

package imageio

import (
	"bytes"

	"pgc/runtime/parts"
)

// expected ends errors about files that are not images.
const expected = "expected a PNG or JPEG image"

var others []*format

// unread says that this runtime does not decode a format that others do, or returns nothing.
func unread(data []byte) string {
	for _, f := range []struct {
		name  string
		match func(head []byte) bool
	}{{"GIF", magic("GIF87a", "GIF89a")}, {"WebP", isWebP}, {"BMP", isBMP}, {"TIFF", magic("II*\x00", "MM\x00*", "II+\x00", "MM\x00+")},
		{"PNM", func(head []byte) bool {
			return len(head) > 2 && head[0] == 'P' && bytes.IndexByte([]byte("123456"), head[1]) >= 0 && head[2] <= ' '
		}}} {
		if f.match(data) {
			return parts.Missing("it is a " + f.name + " image, whose decoder is").Error()
		}
	}
	return ""
}
