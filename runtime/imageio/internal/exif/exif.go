// Package exif reads the directories of TIFF structures, the form of TIFF files and of all EXIF data, and the
// orientation in EXIF and XMP.
package exif

import (
	"bytes"
	"encoding/binary"
	"regexp"
)

// Signature precedes EXIF data in JPEG files, and sometimes in others.
const Signature = "Exif\x00\x00"

const tagOrientation = 274

var xmpOrientation = regexp.MustCompile(`tiff:Orientation(?:="|>)([1-8])`)

// Orientation returns the orientation 1…8 in EXIF or, failing that, in XMP, and 1 where neither has any.
func Orientation(exif, xmp []byte) int {
	if o := Value(bytes.TrimPrefix(exif, []byte(Signature)), tagOrientation, 0); 1 <= o && o <= 8 {
		return o
	}
	if m := xmpOrientation.FindSubmatch(xmp); m != nil {
		return int(m[1][0] - '0')
	}
	return 1
}

// Order returns the byte order of a TIFF structure.
func Order(b []byte) binary.ByteOrder {
	if b[0] == 'M' {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// Entry finds an entry of the first directory of a TIFF structure and returns its values as bytes. kind is 0 where the
// entry is absent; values are nil where they lie outside b.
func Entry(b []byte, tag uint16) (kind uint16, values []byte) {
	if len(b) < 8 {
		return 0, nil
	}
	order := Order(b)
	at := int64(order.Uint32(b[4:]))
	if at < 8 || at > int64(len(b))-2 {
		return 0, nil
	}
	for n, e := order.Uint16(b[at:]), b[at+2:]; n > 0 && len(e) >= 12; n, e = n-1, e[12:] {
		if order.Uint16(e) != tag {
			continue
		}
		kind = order.Uint16(e[2:])
		size := int64(order.Uint32(e[4:])) * map[uint16]int64{1: 1, 3: 2, 4: 4, 7: 1}[kind]
		if size <= 4 {
			return kind, e[8 : 8+size]
		}
		at := int64(order.Uint32(e[8:]))
		if at > int64(len(b)) || size > int64(len(b))-at {
			return kind, nil
		}
		return kind, b[at : at+size]
	}
	return 0, nil
}

// Values returns the values of an entry of bytes, shorts or longs.
func Values(b []byte, tag uint16) []int {
	kind, v := Entry(b, tag)
	if len(v) == 0 {
		return nil
	}
	order := Order(b)
	var out []int
	switch kind {
	case 1:
		for _, x := range v {
			out = append(out, int(x))
		}
	case 3:
		for ; len(v) >= 2; v = v[2:] {
			out = append(out, int(order.Uint16(v)))
		}
	case 4:
		for ; len(v) >= 4; v = v[4:] {
			out = append(out, int(order.Uint32(v)))
		}
	}
	return out
}

// Value returns the first value of an entry, or def where there is none.
func Value(b []byte, tag uint16, def int) int {
	if v := Values(b, tag); len(v) > 0 {
		return v[0]
	}
	return def
}
