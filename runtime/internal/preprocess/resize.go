package preprocess

import (
	"encoding/binary"
	"math"

	"pgc/runtime/rgb"
)

// Resize squashes p to width x height with exactly the pixels of Pillow's Image.resize(resample=BICUBIC) (Resample.c of
// Pillow up to 12.3): cubic with a = -0.5, widened by the scale when shrinking, in two passes, horizontal first, with
// coefficients of 22 fractional bits and results rounded to 8 bits between the passes. A pass that would not change the
// size is left out, and an image over a hundred times as tall as wide is first shrunk in height. Both sizes must be
// positive.
func Resize(p *rgb.Image, width, height int) *rgb.Image {
	if p.Height > 100*p.Width && height < p.Height && width != p.Width {
		p = Resize(p, p.Width, height)
	}
	q := rgb.New(width, height)
	var across *taps
	if width != p.Width {
		across = newTaps(p.Width, width)
	}
	if height == p.Height {
		rgb.Parallel(height, func(lo, hi int) {
			newHorizontal(p, width, across).rows(q.Pix[3*lo*width:3*hi*width], lo, hi)
		})
		return q
	}
	v := newTaps(p.Height, height)
	rgb.Parallel(height, func(lo, hi int) {
		w := window{h: newHorizontal(p, width, across)}
		if across != nil {
			w.buf = make([]byte, 3*width*v.widest(lo, hi))
		}
		for y := lo; y < hi; y++ {
			k := v.of(y)
			first := v.first[y]
			blend(q.Row(y), w.slide(first, first+len(k)), k)
		}
	})
	return q
}

const precision = 22 // fractional bits of a coefficient: 32 - 8 for the sample - 2 for overshoot

// taps holds the filter coefficients of one direction: output i is the sum of inputs first[i]… times coefficients
// of(i).
type taps struct {
	first []int
	end   []int // where the coefficients of output i end in all
	all   []int64
}

func (t *taps) of(i int) []int64 {
	if i == 0 {
		return t.all[:t.end[0]]
	}
	return t.all[t.end[i-1]:t.end[i]]
}

// widest returns the largest number of coefficients of an output in lo…hi.
func (t *taps) widest(lo, hi int) int {
	n := 0
	for i := lo; i < hi; i++ {
		n = max(n, len(t.of(i)))
	}
	return n
}

// newTaps computes coefficients in double precision and in the order of Pillow's precompute_coeffs. It converts each
// product on its own so that no compiler may fuse it with an addition.
func newTaps(in, out int) *taps {
	t := &taps{first: make([]int, out), end: make([]int, out)}
	scale := float64(in) / float64(out)
	filter := max(scale, 1)
	support := float64(2 * filter)
	step := 1 / filter
	w := make([]float64, 0, 2*int(math.Ceil(support))+1)
	for i := range out {
		center := float64((float64(i) + 0.5) * scale)
		lo := max(int(center-support+0.5), 0)
		hi := min(int(center+support+0.5), in)
		w = w[:0]
		sum := 0.0
		for j := range hi - lo {
			v := bicubic(float64((float64(j+lo) - center + 0.5) * step))
			w = append(w, v)
			sum += v
		}
		for _, v := range w {
			if sum != 0 {
				v /= sum
			}
			t.all = append(t.all, int64(float64(v*(1<<precision))+math.Copysign(0.5, v)))
		}
		t.first[i], t.end[i] = lo, len(t.all)
	}
	return t
}

// bicubic is Keys' cubic convolution kernel with a = -0.5.
func bicubic(x float64) float64 {
	const a = -0.5
	x = math.Abs(x)
	switch {
	case x < 1:
		return float64(float64(float64(float64((a+2)*x)-(a+3))*x)*x) + 1
	case x < 2:
		return float64((float64((float64((x-5)*x)+8)*x) - 4) * a)
	}
	return 0
}

// One multiplication filters two samples: they lie in the two halves of an int64, and so do the sums. A sum fits 32
// bits with its sign, for the absolute values of a filter's coefficients add up to less than 1.5. A negative low half
// borrows from the high one, which unpack gives back.
const half = int64(1)<<(precision-1) | int64(1)<<(precision-1+32)

func unpack(sum int64) (lo, hi byte) {
	l := int32(sum)
	h := int32((sum - int64(l)) >> 32)
	return rgb.Clip(l >> precision), rgb.Clip(h >> precision)
}

// horizontal resizes rows to another width, for one goroutine.
type horizontal struct {
	src   *rgb.Image
	width int
	taps  *taps   // nil when the width is the source's
	pair  []int64 // two rows of the source, packed
}

func newHorizontal(src *rgb.Image, width int, t *taps) *horizontal {
	h := &horizontal{src: src, width: width, taps: t}
	if t != nil {
		h.pair = make([]int64, 3*src.Width)
	}
	return h
}

// rows writes the rows lo…hi of the source, resized in width, to dst.
func (h *horizontal) rows(dst []byte, lo, hi int) {
	w := 3 * h.src.Width
	if h.taps == nil {
		copy(dst, h.src.Pix[lo*w:hi*w])
		return
	}
	n := 3 * h.width
	for y := lo; y < hi; y += 2 {
		z := min(y+1, hi-1) // the last row alone is filtered as a pair with itself
		top, bottom := h.src.Pix[y*w:(y+1)*w], h.src.Pix[z*w:(z+1)*w]
		for i, v := range top {
			h.pair[i] = int64(v) | int64(bottom[i])<<32
		}
		h.filterPair(dst[(y-lo)*n:(y-lo+1)*n], dst[(z-lo)*n:(z-lo+1)*n])
	}
}

func (h *horizontal) filterPair(top, bottom []byte) {
	for i := range h.width {
		k := h.taps.of(i)
		s := h.pair[3*h.taps.first[i]:]
		s = s[:3*len(k)]
		r, g, b := half, half, half
		for _, c := range k {
			r += c * s[0]
			g += c * s[1]
			b += c * s[2]
			s = s[3:]
		}
		t, u := top[3*i:3*i+3], bottom[3*i:3*i+3]
		t[0], u[0] = unpack(r)
		t[1], u[1] = unpack(g)
		t[2], u[2] = unpack(b)
	}
}

// window holds the resized rows that the next output rows need, so that a very tall image is never held at the new
// width as a whole.
type window struct {
	h      *horizontal
	buf    []byte
	lo, hi int // the source rows in buf
}

// slide returns rows lo…hi at the new width; lo and hi never decrease.
func (w *window) slide(lo, hi int) []byte {
	n := 3 * w.h.width
	if w.h.taps == nil {
		return w.h.src.Pix[lo*n : hi*n]
	}
	keep := 0
	if lo < w.hi {
		keep = copy(w.buf, w.buf[(lo-w.lo)*n:(w.hi-w.lo)*n])
	} else {
		w.hi = lo
	}
	w.h.rows(w.buf[keep:(hi-lo)*n], w.hi, hi)
	w.lo, w.hi = lo, hi
	return w.buf[:(hi-lo)*n]
}

// blend writes the sum of the rows times the coefficients k, eight columns at a time: bytes 0 and 4, 1 and 5, 2 and 6,
// 3 and 7 of a word are the pairs.
func blend(dst, rows []byte, k []int64) {
	n := len(dst)
	if n < 8 {
		for x := range dst {
			sum := int64(1) << (precision - 1)
			for j, c := range k {
				sum += c * int64(rows[j*n+x])
			}
			dst[x] = rgb.Clip(int32(sum >> precision))
		}
		return
	}
	const pair = 0x000000ff_000000ff
	for x := 0; x < n; x += 8 {
		x := min(x, n-8) // the last block overlaps the one before
		a, b, c, d := half, half, half, half
		for j, w := range k {
			v := binary.LittleEndian.Uint64(rows[j*n+x:])
			a += w * int64(v&pair)
			b += w * int64(v>>8&pair)
			c += w * int64(v>>16&pair)
			d += w * int64(v>>24&pair)
		}
		o := dst[x : x+8]
		o[0], o[4] = unpack(a)
		o[1], o[5] = unpack(b)
		o[2], o[6] = unpack(c)
		o[3], o[7] = unpack(d)
	}
}
