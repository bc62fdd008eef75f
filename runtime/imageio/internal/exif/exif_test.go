package exif

import (
	"encoding/binary"
	"math"
	"testing"
)

// entry is EXIF with an orientation alone; values longer than four bytes lie behind the directory.
func entry(kind uint16, count uint32, value []byte) []byte {
	b := []byte("Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00")
	b = binary.LittleEndian.AppendUint16(b, tagOrientation)
	b = binary.LittleEndian.AppendUint16(b, kind)
	b = binary.LittleEndian.AppendUint32(b, count)
	if len(value) > 4 {
		b = binary.LittleEndian.AppendUint32(b, 26)
		return append(append(b, 0, 0, 0, 0), value...)
	}
	return append(append(b, append(value, 0, 0, 0, 0)[:4]...), 0, 0, 0, 0)
}

// TestOrientation compares with what Pillow's exif_transpose does with every kind of value, and where EXIF and XMP both have one.
func TestOrientation(t *testing.T) {
	le := binary.LittleEndian
	double := le.AppendUint64(nil, math.Float64bits(6))
	for _, c := range []struct {
		exif []byte
		xmp  string
		want int
	}{
		{entry(3, 1, []byte{6, 0}), "", 6},
		{entry(4, 1, []byte{7}), "", 7},
		{entry(8, 1, []byte{5}), "", 5},
		{entry(9, 1, []byte{3}), "", 3},
		{entry(9, 1, []byte{255, 255, 255, 255}), "", 1},
		{entry(6, 1, []byte{6}), "", 6},
		{entry(1, 1, []byte{6}), "", 1},
		{entry(7, 1, []byte{6}), "", 1},
		{entry(2, 2, []byte("6")), "", 1},
		{entry(5, 1, []byte{12, 0, 0, 0, 2, 0, 0, 0}), "", 6},
		{entry(5, 1, []byte{13, 0, 0, 0, 2, 0, 0, 0}), "", 1},
		{entry(10, 1, []byte{6, 0, 0, 0, 0, 0, 0, 0}), "", 1},
		{entry(11, 1, le.AppendUint32(nil, math.Float32bits(8))), "", 8},
		{entry(12, 1, double), "", 6},
		{entry(12, 1, double[:7]), `tiff:Orientation="3"`, 3},
		{entry(3, 2, []byte{6, 0, 1, 0}), "", 6},
		{entry(3, 1, []byte{9}), `tiff:Orientation="6"`, 1},
		{entry(3, 1, []byte{0}), `tiff:Orientation="6"`, 1},
		{nil, `tiff:Orientation="6"`, 6},
		{nil, `<tiff:Orientation>8</tiff:Orientation>`, 8},
		{nil, `tiff:Orientation="0" tiff:Orientation="6"`, 1},
		{nil, `tiff:Orientation='6'`, 1},
		{nil, "", 1},
	} {
		if got := Orientation(c.exif, []byte(c.xmp)); got != c.want {
			t.Errorf("%q and %q: orientation %d, expected %d", c.exif, c.xmp, got, c.want)
		}
	}
}
