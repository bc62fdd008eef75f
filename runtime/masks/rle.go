package masks

import "image"

// Area returns the pixels of a mask.
func Area(m *image.Alpha) int {
	n := 0
	for y := range m.Rect.Dy() {
		for _, v := range m.Pix[y*m.Stride:][:m.Rect.Dx()] {
			if v != 0 {
				n++
			}
		}
	}
	return n
}

// RLE returns the run-length codes of a mask in a w×h picture as COCO writes them, byte by byte as pycocotools.mask.encode:
// lengths of runs down the columns, beginning with pixels outside the object. From the fourth on a length is stored as its
// difference to the one two before, in characters of five bits, the lowest first; a sixth bit says that more follow.
func RLE(m *image.Alpha, w, h int) string {
	var text []byte
	var last [2]int // the length one before and two before
	runs, length, inside := 0, 0, false
	end := func() {
		v := length
		if runs > 2 {
			v -= last[1]
		}
		text = appendCode(text, v)
		last = [2]int{length, last[0]}
		runs++
		length = 0
	}
	add := func(pixels int, object bool) {
		if pixels > 0 && object != inside {
			end()
			inside = object
		}
		length += pixels
	}
	box := m.Rect
	if box.Empty() {
		box = image.Rectangle{}
	}
	add(box.Min.X*h, false)
	for x := range box.Dx() {
		add(box.Min.Y, false)
		for y := range box.Dy() {
			add(1, m.Pix[y*m.Stride+x] != 0)
		}
		add(h-box.Max.Y, false)
	}
	add((w-box.Max.X)*h, false)
	end()
	return string(text)
}

// appendCode appends a number in characters of five bits.
func appendCode(text []byte, v int) []byte {
	for {
		c := byte(v & 0x1f)
		v >>= 5
		// The sign is the fifth bit of the last character.
		done := v == 0 && c&0x10 == 0 || v == -1 && c&0x10 != 0
		if !done {
			c |= 0x20
		}
		text = append(text, c+48)
		if done {
			return text
		}
	}
}
