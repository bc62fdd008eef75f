// Package png reads PNG files: the standard library decodes their pixels, this package finds their metadata.
package png

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"encoding/hex"
	"image"
	"image/png"
	"io"

	"pgc/runtime/imageio/internal/cancel"
	"pgc/runtime/rgb"
)

// Size reads width and height from the header.
func Size(data []byte) (image.Point, error) {
	c, err := png.DecodeConfig(bytes.NewReader(data))
	return image.Pt(c.Width, c.Height), err
}

// BytesPerPixel returns the most memory that Decode takes for a pixel of the file: its samples, in 8 or 16 bits, those of
// a pass if it is interlaced, and the result.
func BytesPerPixel(data []byte) int {
	const depth, colorType, interlace, gray, palette = 24, 25, 28, 0, 3 // places in the header, and types
	samples := 4
	if data[colorType] == palette || data[colorType] == gray && !transparent(data) {
		samples = 1
	}
	if data[depth] == 16 {
		samples *= 2
	}
	if data[interlace] != 0 {
		samples *= 2
	}
	return samples + 3
}

// transparent reports whether a color is transparent, which a chunk before the pixels says.
func transparent(data []byte) bool {
	for rest := data[8:]; len(rest) >= 12; {
		n := int(binary.BigEndian.Uint32(rest))
		switch tag := string(rest[4:8]); {
		case tag == "tRNS":
			return true
		case tag == "IDAT" || n > len(rest)-12:
			return false
		}
		rest = rest[12+n:]
	}
	return false
}

// Decode decodes a file, composited over white.
func Decode(ctx context.Context, data []byte) (*rgb.Image, error) {
	m, err := png.Decode(ended(ctx, data))
	if err != nil {
		return nil, err
	}
	return rgb.FromImage(m), nil
}

// end is the chunk IEND.
var end = []byte("\x00\x00\x00\x00IEND\xaeB\x60\x82")

// ended reads a file. One that is cut behind pixels ends there: Pillow reads it, too, if it has all of them.
func ended(ctx context.Context, data []byte) io.Reader {
	at, pixels := 8, false
	for rest := data[at:]; len(rest) >= 12; rest = data[at:] {
		n, tag := int(binary.BigEndian.Uint32(rest)), string(rest[4:8])
		if n > len(rest)-12 {
			break
		}
		if tag == "IEND" {
			return cancel.Reader(ctx, data)
		}
		at, pixels = at+12+n, pixels || tag == "IDAT"
	}
	if !pixels {
		return cancel.Reader(ctx, data)
	}
	return cancel.Reader(ctx, append(data[:at:at], end...))
}

// Metadata returns EXIF and XMP, nil where the file has none. They may stand before or after the pixels. EXIF is an
// eXIf chunk or, failing that, the text in which ImageMagick kept it before that chunk was defined.
func Metadata(data []byte) (exif, xmp []byte) {
	var profile []byte
	for rest := data[8:]; len(rest) >= 12; {
		n := int(binary.BigEndian.Uint32(rest))
		if n > len(rest)-12 {
			break
		}
		tag, body := string(rest[4:8]), rest[8:8+n]
		rest = rest[12+n:]
		switch tag {
		case "eXIf":
			exif = body
		case "tEXt", "zTXt", "iTXt":
			switch key, text := textChunk(tag, body); key {
			case "Raw profile type exif":
				profile = rawProfile(text)
			case "XML:com.adobe.xmp":
				xmp = text
			}
		}
	}
	if exif == nil {
		exif = profile
	}
	return exif, xmp
}

// maxText bounds the length of compressed text once it is inflated.
const maxText = 1 << 20

// textChunk splits a text chunk into its parts: keyword, 0, for zTXt the method, for iTXt a flag, the method and two
// more strings that end with 0; then the text, compressed or not.
func textChunk(tag string, body []byte) (key string, text []byte) {
	k, text, ok := bytes.Cut(body, []byte{0})
	packed := tag == "zTXt"
	switch {
	case !ok:
		return "", nil
	case packed && len(text) > 0:
		text = text[1:]
	case tag == "iTXt" && len(text) > 1:
		packed = text[0] == 1
		_, text, _ = bytes.Cut(text[2:], []byte{0})
		_, text, _ = bytes.Cut(text, []byte{0})
	}
	if packed {
		r, err := zlib.NewReader(bytes.NewReader(text))
		if err != nil {
			return "", nil
		}
		text, _ = io.ReadAll(io.LimitReader(r, maxText))
	}
	return string(k), text
}

// rawProfile decodes ImageMagick's text form of binary data: a line feed, the kind, the length, then lines of
// hexadecimal digits.
func rawProfile(text []byte) []byte {
	lines := bytes.SplitN(text, []byte("\n"), 4)
	if len(lines) < 4 {
		return nil
	}
	digits := bytes.ReplaceAll(lines[3], []byte("\n"), nil)
	n, _ := hex.Decode(digits, digits)
	return digits[:n]
}
