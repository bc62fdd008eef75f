package picture

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/hex"
	"io"
	"regexp"
)

const (
	exifSignature = "Exif\x00\x00"
	xmpSignature  = "http://ns.adobe.com/xap/1.0/\x00"
)

var xmpOrientation = regexp.MustCompile(`tiff:Orientation(?:="|>)([1-8])`)

// orientationOf takes the EXIF orientation or, failing that, the one in XMP.
func orientationOf(exif, xmp []byte) int {
	if o := tiffTag(bytes.TrimPrefix(exif, []byte(exifSignature)), tagOrientation, 0); 1 <= o && o <= 8 {
		return o
	}
	if m := xmpOrientation.FindSubmatch(xmp); m != nil {
		return int(m[1][0] - '0')
	}
	return 1
}

func orientationJPEG(data []byte) int {
	f, _, err := parseJPEG(data)
	if err != nil {
		return 1
	}
	return orientationOf(f.exif, f.xmp)
}

func orientationTIFF(data []byte) int {
	_, xmp := tiffEntry(data, tagXMP)
	return orientationOf(data, xmp)
}

// orientationPNG looks at the metadata, which may stand before or after the pixels:
// an eXIf chunk, the text in which ImageMagick kept EXIF before that chunk was made,
// XMP.
func orientationPNG(data []byte) int {
	var exif, profile, xmp []byte
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
			switch key, text := pngText(tag, body); key {
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
	return orientationOf(exif, xmp)
}

// maxText bounds what compressed text in a PNG may become.
const maxText = 1 << 20

// pngText takes apart a chunk of text: keyword, 0, for zTXt the method, for iTXt a
// flag, the method, two more strings that end with 0; the text, compressed or not.
func pngText(tag string, body []byte) (key string, text []byte) {
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

// rawProfile undoes ImageMagick's form of binary data: a line feed, the kind, the
// length, then lines of hexadecimal digits.
func rawProfile(text []byte) []byte {
	lines := bytes.SplitN(text, []byte("\n"), 4)
	if len(lines) < 4 {
		return nil
	}
	digits := bytes.ReplaceAll(lines[3], []byte("\n"), nil)
	n, _ := hex.Decode(digits, digits)
	return digits[:n]
}

// orient turns p upright: orientation o says that row 0 and column 0 of p are,
// in turn: 1 top left, 2 top right, 3 bottom right, 4 bottom left, 5 left top,
// 6 right top, 7 right bottom, 8 left bottom.
func orient(p *Picture, o int) *Picture {
	if o < 2 || o > 8 {
		return p
	}
	q := New(p.Width, p.Height)
	if o >= 5 {
		q.Width, q.Height = p.Height, p.Width
	}
	q.Format = p.Format
	parallel(q.Height, func(lo, hi int) {
		for y := lo; y < hi; y++ {
			// The source pixel of (0, y) and the step for each further column.
			sx, sy, dx, dy := 0, y, 1, 0
			if o >= 5 {
				sx, sy, dx, dy = y, 0, 0, 1
			}
			if o == 2 || o == 3 || o == 7 || o == 8 {
				sx, dx = p.Width-1-sx, -dx
			}
			if o == 3 || o == 4 || o == 6 || o == 7 {
				sy, dy = p.Height-1-sy, -dy
			}
			from, step := 3*(sy*p.Width+sx), 3*(dy*p.Width+dx)
			dst := q.RGB[3*y*q.Width : 3*(y+1)*q.Width]
			for i := 0; i < len(dst); i += 3 {
				copy(dst[i:i+3], p.RGB[from:from+3])
				from += step
			}
		}
	})
	return q
}
