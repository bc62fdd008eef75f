package pnm

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"pgc/runtime/rgb"
)

// Decode decodes the first picture of a file.
func Decode(ctx context.Context, data []byte) (*rgb.Image, error) {
	h, err := parse(data)
	if err != nil {
		return nil, err
	}
	body := data[h.at:]
	if h.kind == 'f' {
		return h.floats(ctx, body)
	}
	if h.plain() {
		r := &words{data: body, kind: h.kind, most: h.most}
		return h.put(r.next, ctx.Err)
	}
	width := 1 // bytes of a sample
	if h.most > 255 {
		width = 2
	}
	stride := h.width * h.channels() * width
	if h.kind == '4' {
		stride = (h.width + 7) / 8
	}
	if len(body) < stride*h.height {
		return nil, io.ErrUnexpectedEOF
	}
	var line []byte
	at := 0
	row := func() error {
		line, body, at = body[:stride], body[stride:], 0
		return ctx.Err()
	}
	next := func() (v int, err error) {
		switch {
		case h.kind == '4':
			v = int(line[at/8]) >> (7 - at%8) & 1
		case width == 2:
			v = int(binary.BigEndian.Uint16(line[2*at:]))
		default:
			v = int(line[at])
		}
		at++
		return v, nil
	}
	return h.put(next, row)
}

// floats decodes samples of 32 bits, the last row first.
func (h *header) floats(ctx context.Context, body []byte) (*rgb.Image, error) {
	if len(body) < 4*h.width*h.height {
		return nil, io.ErrUnexpectedEOF
	}
	order := binary.ByteOrder(binary.BigEndian)
	if h.little {
		order = binary.LittleEndian
	}
	p, r := rgb.New(h.width, h.height), rgb.Range{}
	for y := range h.height {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		dst := p.Row(h.height - 1 - y)
		for x := range h.width {
			v := float64(math.Float32frombits(order.Uint32(body[4*(y*h.width+x):])))
			r.Add(v)
			s := rgb.Whole(v)
			dst[3*x], dst[3*x+1], dst[3*x+2] = s, s, s
		}
	}
	p.Doubt = r.Doubt()
	return p, nil
}

// words are the samples of a plain file.
type words struct {
	data []byte
	kind byte
	most int
}

// next returns the next sample. Those of a PBM are single digits, with or without space between them.
func (w *words) next() (int, error) {
	value, digits := 0, 0
	for len(w.data) > 0 {
		c := w.data[0]
		w.data = w.data[1:]
		switch {
		case c == '#':
			for len(w.data) > 0 && w.data[0] != '\n' && w.data[0] != '\r' {
				w.data = w.data[1:]
			}
			continue
		case space(c) && digits == 0:
			continue
		case space(c):
			return w.check(value)
		case c < '0' || '9' < c || w.kind == '1' && c > '1':
			return 0, fmt.Errorf("it has %q among its samples, expected digits", c)
		}
		if digits++; digits > maxWord {
			return 0, fmt.Errorf("it has a sample of over %d digits", maxWord)
		}
		value = 10*value + int(c-'0')
		if w.kind == '1' {
			return value, nil
		}
	}
	if digits == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	return w.check(value)
}

// check refuses a sample that is lighter than white.
func (w *words) check(v int) (int, error) {
	if v > w.most {
		return 0, errLarge
	}
	return v, nil
}
