// Package pnm decodes the files of Netpbm, PBM, PGM and PPM, binary and plain, and gray PFM, as Pillow does.
package pnm

import (
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"strconv"

	"pgc/runtime/rgb"
)

// header is what precedes the samples.
type header struct {
	kind          byte // 1 to 6, or f
	width, height int
	most          int  // the value of white; 0 for bits and floats
	little        bool // the byte order of floats
	at            int  // where the samples begin
}

// plain reports whether samples are digits.
func (h *header) plain() bool { return h.kind <= '3' }

// channels is the number of samples of a pixel.
func (h *header) channels() int {
	if h.kind == '3' || h.kind == '6' {
		return 3
	}
	return 1
}

// Match reports whether a file begins as one of these formats.
func Match(head []byte) bool {
	return len(head) > 2 && head[0] == 'P' && ('1' <= head[1] && head[1] <= '6' || head[1] == 'f') && space(head[2])
}

// space reports whether c separates words.
func space(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

// maxWord bounds the letters of a number.
const maxWord = 10

// word returns the next word from place at on, and the place behind the white space that ends it. A comment goes from #
// to the end of its line.
func word(data []byte, at int) (text string, next int, err error) {
	var b []byte
	for ; at < len(data); at++ {
		switch c := data[at]; {
		case c == '#':
			for at < len(data) && data[at] != '\n' && data[at] != '\r' {
				at++
			}
		case !space(c):
			if b = append(b, c); len(b) > maxWord {
				return "", 0, fmt.Errorf("its header has a number of over %d digits", maxWord)
			}
		case len(b) > 0:
			return string(b), at + 1, nil
		}
	}
	if len(b) == 0 {
		return "", 0, io.ErrUnexpectedEOF
	}
	return string(b), at, nil
}

// parse reads the header.
func parse(data []byte) (*header, error) {
	h := &header{kind: data[1], at: 2}
	number := func() (n int, err error) {
		var text string
		if text, h.at, err = word(data, h.at); err != nil {
			return 0, err
		}
		n, err = strconv.Atoi(text)
		if err != nil {
			return 0, fmt.Errorf("its header has %q, expected a number", text)
		}
		return n, nil
	}
	var err error
	if h.width, err = number(); err != nil {
		return nil, err
	}
	if h.height, err = number(); err != nil {
		return nil, err
	}
	switch h.kind {
	case '1', '4':
	case 'f':
		text, next, err := word(data, h.at)
		if err != nil {
			return nil, err
		}
		scale, err := strconv.ParseFloat(text, 64)
		if err != nil || scale == 0 || math.IsInf(scale, 0) || math.IsNaN(scale) {
			return nil, fmt.Errorf("its header has the scale %q, expected a number other than 0", text)
		}
		h.little, h.at = scale < 0, next
	default:
		if h.most, err = number(); err != nil {
			return nil, err
		}
		if h.most <= 0 || h.most > math.MaxUint16 {
			return nil, fmt.Errorf("its white is %d, expected 1 to 65535", h.most)
		}
	}
	return h, nil
}

// Size reads width and height from the header.
func Size(data []byte) (image.Point, error) {
	h, err := parse(data)
	if err != nil {
		return image.Point{}, err
	}
	return image.Pt(h.width, h.height), nil
}

// levels returns what values from 0 to 65535 become where most is white, at most white of so many levels: Pillow's
// rounding, half to even.
func levels(most, white int) []uint16 {
	table := make([]uint16, math.MaxUint16+1)
	for v := range table {
		table[v] = uint16(min(white, int(math.RoundToEven(float64(v)/float64(most)*float64(white)))))
	}
	return table
}

// errLarge is about a plain sample.
var errLarge = errors.New("it has a sample that is larger than its white")

// put makes pixels of the samples that next gives, row by row.
func (h *header) put(next func() (int, error), row func() error) (*rgb.Image, error) {
	p, deep := rgb.New(h.width, h.height), h.most > 255 && h.channels() == 1
	white, seen := 255, 0
	if deep {
		white = math.MaxUint16
	}
	var table []uint16
	if h.most != 0 {
		table = levels(h.most, white)
	}
	for y := range h.height {
		if err := row(); err != nil {
			return nil, err
		}
		dst := p.Row(y)
		for i := 0; i < len(dst); i += 3 {
			for c := range h.channels() {
				v, err := next()
				if err != nil {
					return nil, err
				}
				seen = max(seen, v)
				switch {
				case h.most == 0:
					dst[i] = byte(255 * (1 - v))
				case deep:
					rgb.PutDeep(dst[i:], table[v])
				default:
					dst[i+c] = byte(table[v])
				}
			}
			if h.channels() == 1 && !deep {
				dst[i+1], dst[i+2] = dst[i], dst[i]
			}
		}
	}
	switch {
	case deep:
		p.SettleDeep(false)
	case h.most == math.MaxUint16 && seen != 0 && seen < 1<<14:
		p.Doubt = fmt.Sprintf("its samples reach only %d of 65535, so it is dark: scale them if it should not be", seen)
	}
	return p, nil
}
