// Package masks makes masks of objects from the decoder's values, and the forms that people read them in: pixels, COCO's
// run-length codes, polygons, and a picture of indices. A mask is an *image.Alpha whose bounds are a part of the picture, in
// pixels of it: 0, or 255 where the object is, and outside the bounds no object is.
package masks

import (
	"image"
	"math"

	"pgc/runtime/boxes"
)

// Paste resizes the decoder's side×side values to a box of a w×h picture and returns where they are above 0. loc is y0, x0,
// y1, x1 in 0…1023, scale boxes.Scale or boxes.Benchmark. The mask's bounds are the box, which covers a pixel at least.
func Paste(logits []float32, side int, loc [4]int, w, h, scale int) *image.Alpha {
	r := Bounds(loc, w, h, scale)
	values := make([]float64, len(logits))
	for i, v := range logits {
		values[i] = float64(v)
	}
	// Rows are resized, then columns: Pillow's order.
	wide := resize(values, side, side, r.Dx())
	m := image.NewAlpha(r)
	for y, f := range triangle(side, r.Dy()) {
		row := m.Pix[y*m.Stride:][:r.Dx()]
		for x := range row {
			sum := 0.0
			for j, weight := range f.weights {
				sum += weight * wide[(f.from+j)*r.Dx()+x]
			}
			if sum > 0 {
				row[x] = 255
			}
		}
	}
	return m
}

// Bounds returns the pixels of a w×h picture that a box covers, as Paste does.
func Bounds(loc [4]int, w, h, scale int) image.Rectangle {
	x0, x1 := span(loc[1], loc[3], w, scale)
	y0, y1 := span(loc[0], loc[2], h, scale)
	return image.Rect(x0, y0, x1, y1)
}

// Memory returns how many bytes Paste takes for a mask of these bounds from side×side values: for its pixels, for the rows that
// are resized first, and for the filters.
func Memory(bounds image.Rectangle, side int) int64 {
	w, h := float64(bounds.Dx()), float64(bounds.Dy())
	return int64(min(w*h+8*float64(side)*w+filterBytes*(w+h), math.MaxInt64/2))
}

// span returns the pixels from…to-1 of an axis of size pixels that two locations cover, at least one.
func span(a, b, size, scale int) (from, to int) {
	pixel := func(v int) int {
		at := float64(v) / float64(scale) * float64(size)
		if scale == boxes.Benchmark {
			return int(at)
		}
		return int(math.RoundToEven(at))
	}
	from = min(max(pixel(min(a, b)), 0), size-1)
	return from, min(max(pixel(max(a, b)), from+1), size)
}

// resize resizes every row of values [rows, n] to k values.
func resize(values []float64, rows, n, k int) []float64 {
	out := make([]float64, 0, rows*k)
	filters := triangle(n, k)
	for r := range rows {
		row := values[r*n:][:n]
		for _, f := range filters {
			sum := 0.0
			for j, weight := range f.weights {
				sum += weight * row[f.from+j]
			}
			out = append(out, sum)
		}
	}
	return out
}

// filterBytes are those of a filter that enlarges, at most: itself, and three weights.
const filterBytes = 64

// filter is how a value of a resized axis is made: the weights of the values from from on.
type filter struct {
	from    int
	weights []float64
}

// triangle returns the filters that resize an axis of n values to k as Pillow's BILINEAR does: a triangle as wide as two
// steps of the coarser axis, so that shrinking averages.
func triangle(n, k int) []filter {
	filters := make([]filter, k)
	step := float64(n) / float64(k)
	reach := max(step, 1)
	for i := range filters {
		center := (float64(i) + 0.5) * step
		from := max(int(center-reach+0.5), 0)
		to := min(int(center+reach+0.5), n)
		weights := make([]float64, to-from)
		sum := 0.0
		for j := range weights {
			weights[j] = max(0, 1-math.Abs(float64(from+j)-center+0.5)/reach)
			sum += weights[j]
		}
		for j := range weights {
			weights[j] /= sum
		}
		filters[i] = filter{from, weights}
	}
	return filters
}
