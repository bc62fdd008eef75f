// Package exif reads the directories of TIFF structures, the form of TIFF files and of all EXIF data, and the
// orientation in EXIF and XMP.
package exif

import (
	"bytes"
	"encoding/binary"
	"math"
)

// Signature precedes EXIF data in JPEG files, and sometimes in others.
const Signature = "Exif\x00\x00"

const tagOrientation = 274

// Orientation returns the orientation 1…8 in EXIF or, where EXIF has none, in XMP, and 1 where neither has any. As in Pillow a
// value in EXIF that is no orientation stands for none.
func Orientation(exif, xmp []byte) int {
	if o, ok := orientation(bytes.TrimPrefix(exif, []byte(Signature))); ok {
		if 1 <= o && o <= 8 {
			return o
		}
		return 1
	}
	for name := []byte("tiff:Orientation"); ; { // an attribute or an element
		_, rest, found := bytes.Cut(xmp, name)
		if !found {
			return 1
		}
		xmp = rest
		for _, open := range []string{"=\"", ">"} {
			if v, ok := bytes.CutPrefix(rest, []byte(open)); ok && len(v) > 0 && '0' <= v[0] && v[0] <= '9' {
				if '1' <= v[0] && v[0] <= '8' {
					return int(v[0] - '0')
				}
				return 1
			}
		}
	}
}

// orientation returns the entry's value, in whatever kind of number it is written, or 0 where it is no whole one. Bytes are no
// number to Pillow. ok is false where there is no entry.
func orientation(b []byte) (o int, ok bool) {
	kind, v := Entry(b, tagOrientation)
	if v == nil {
		return 0, false
	}
	size := sizes[kind]
	if int64(len(v)) < size {
		return 0, true
	}
	var x float64
	switch order := Order(b); kind {
	case short:
		x = float64(order.Uint16(v))
	case long:
		x = float64(order.Uint32(v))
	case signedByte:
		x = float64(int8(v[0]))
	case signedShort:
		x = float64(int16(order.Uint16(v)))
	case signedLong:
		x = float64(int32(order.Uint32(v)))
	case rational:
		x = float64(order.Uint32(v)) / float64(order.Uint32(v[4:]))
	case signedRational:
		x = float64(int32(order.Uint32(v))) / float64(int32(order.Uint32(v[4:])))
	case float:
		x = float64(math.Float32frombits(order.Uint32(v)))
	case double:
		x = math.Float64frombits(order.Uint64(v))
	case long8:
		x = float64(order.Uint64(v))
	}
	if x >= 1 && x <= 8 && x == math.Trunc(x) {
		return int(x), true
	}
	return 0, true
}

// Order returns the byte order of a TIFF structure.
func Order(b []byte) binary.ByteOrder {
	if b[0] == 'M' {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// form is how numbers lie in a directory: those of TIFF, or those of BigTIFF, which are longer.
type form struct {
	order  binary.ByteOrder
	big    bool
	inline int64 // bytes of values that stand in the entry itself
}

// formOf returns the form of a TIFF structure and where its first directory begins, or 0.
func formOf(b []byte) (f form, at int64) {
	if len(b) < 8 {
		return f, 0
	}
	f = form{order: Order(b), inline: 4}
	if f.order.Uint16(b[2:]) != bigVersion {
		return f, int64(f.order.Uint32(b[4:]))
	}
	f.big, f.inline = true, 8
	if len(b) < 16 || f.order.Uint16(b[4:]) != 8 || f.order.Uint16(b[6:]) != 0 {
		return f, 0
	}
	return f, f.offset(b[8:])
}

// bigVersion is the number in the header of a BigTIFF.
const bigVersion = 43

// offset reads a place in the file; one beyond all files is beyond this one.
func (f form) offset(b []byte) int64 {
	if !f.big {
		return int64(f.order.Uint32(b))
	}
	return int64(min(f.order.Uint64(b), math.MaxInt64/4))
}

// Directory returns the bytes of the entries of the first directory of a TIFF structure, and those of one. ok is false
// where it lies outside b.
func Directory(b []byte) (entries []byte, size int, ok bool) {
	f, at := formOf(b)
	count, size := int64(2), 12
	if f.big {
		count, size = 8, 20
	}
	if at < 8 || at > int64(len(b))-count {
		return nil, size, false
	}
	n := int64(f.order.Uint16(b[at:]))
	if f.big {
		n = f.offset(b[at:])
	}
	entries = b[at+count:]
	if n > int64(len(entries)/size) {
		return entries[:len(entries)/size*size], size, false
	}
	return entries[:n*int64(size)], size, true
}

// The kinds of values.
const (
	unsignedByte   = 1
	short          = 3
	long           = 4
	rational       = 5
	signedByte     = 6
	undefined      = 7
	signedShort    = 8
	signedLong     = 9
	signedRational = 10
	float          = 11
	double         = 12
	long8          = 16
)

// sizes are the bytes of a value of each kind.
var sizes = map[uint16]int64{unsignedByte: 1, short: 2, long: 4, rational: 8, signedByte: 1, undefined: 1, signedShort: 2, signedLong: 4,
	signedRational: 8, float: 4, double: 8, long8: 8}

// Entry finds an entry of the first directory of a TIFF structure and returns its values as bytes. kind is 0 where the
// entry is absent; values are nil where they lie outside b.
func Entry(b []byte, tag uint16) (kind uint16, values []byte) {
	entries, size, _ := Directory(b)
	f, _ := formOf(b)
	for e := entries; len(e) >= size; e = e[size:] {
		if f.order.Uint16(e) != tag {
			continue
		}
		kind = f.order.Uint16(e[2:])
		count, value := f.offset(e[4:]), e[size-int(f.inline):size]
		if count > int64(len(b)) {
			return kind, nil
		}
		n := count * sizes[kind]
		if n <= f.inline {
			return kind, value[:n]
		}
		at := f.offset(value)
		if at > int64(len(b)) || n > int64(len(b))-at {
			return kind, nil
		}
		return kind, b[at : at+n]
	}
	return 0, nil
}

// Values returns the values of an entry of bytes, shorts, longs or, in a BigTIFF, longer ones.
func Values(b []byte, tag uint16) []int {
	kind, v := Entry(b, tag)
	if len(v) == 0 {
		return nil
	}
	order := Order(b)
	var out []int
	switch kind {
	case unsignedByte:
		for _, x := range v {
			out = append(out, int(x))
		}
	case short:
		for ; len(v) >= 2; v = v[2:] {
			out = append(out, int(order.Uint16(v)))
		}
	case long:
		for ; len(v) >= 4; v = v[4:] {
			out = append(out, int(order.Uint32(v)))
		}
	case long8:
		for ; len(v) >= 8; v = v[8:] {
			out = append(out, int(min(order.Uint64(v), math.MaxInt64/4)))
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
