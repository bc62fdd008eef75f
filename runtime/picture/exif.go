package picture

import (
	"bytes"
	"encoding/binary"
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

func orientationTIFF(data []byte) int { return orientationOf(data, nil) }

// orientationPNG finds the eXIf chunk, which may stand before or after the pixels.
func orientationPNG(data []byte) int {
	for rest := data[8:]; len(rest) >= 12; {
		n := int(binary.BigEndian.Uint32(rest))
		if n > len(rest)-12 {
			break
		}
		if string(rest[4:8]) == "eXIf" {
			return orientationOf(rest[8:8+n], nil)
		}
		rest = rest[12+n:]
	}
	return 1
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
