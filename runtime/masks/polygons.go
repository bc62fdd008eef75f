package masks

import "image"

// Polygons returns the outer contours of a mask, x y x y … in pixels of the picture, clockwise from the upper left corner. They run along
// the edges of pixels, so that filling them gives the mask again with its holes filled. Pixels that touch only at a corner
// belong to different contours.
func Polygons(m *image.Alpha) [][]float64 {
	t := tracer{m, make([]bool, m.Rect.Dx()*m.Rect.Dy())}
	polygons := [][]float64{}
	for y := range m.Rect.Dy() {
		for x := range m.Rect.Dx() {
			if !t.inside(x, y) || t.inside(x, y-1) || t.seen[y*m.Rect.Dx()+x] {
				continue
			}
			if p, outer := t.trace(x, y); outer {
				for i := 0; i < len(p); i += 2 {
					p[i] += float64(m.Rect.Min.X)
					p[i+1] += float64(m.Rect.Min.Y)
				}
				polygons = append(polygons, p)
			}
		}
	}
	return polygons
}

// tracer follows the edges between a mask and what is outside.
type tracer struct {
	m    *image.Alpha
	seen []bool // the upper edge of the pixel was followed
}

func (t *tracer) inside(x, y int) bool {
	return x >= 0 && y >= 0 && x < t.m.Rect.Dx() && y < t.m.Rect.Dy() && t.m.Pix[y*t.m.Stride+x] != 0
}

// trace follows a contour with the mask on its right, beginning along the upper edge of a pixel, and returns the corners
// where it turns. Around an object it runs clockwise, around a hole the other way.
func (t *tracer) trace(x0, y0 int) (corners []float64, outer bool) {
	type vector struct{ x, y int }
	start, east := vector{x0, y0}, vector{1, 0}
	at, ahead := start, east
	corners = append(corners, float64(x0), float64(y0)) // the edge before it was not followed, so the contour turns here
	area := 0                                           // twice the signed area
	for {
		if ahead == east {
			t.seen[at.y*t.m.Rect.Dx()+at.x] = true
		}
		next := vector{at.x + ahead.x, at.y + ahead.y}
		area += at.x*next.y - next.x*at.y
		at = next
		right := vector{-ahead.y, ahead.x}
		left := vector{-right.x, -right.y}
		// pixel says whether the pixel ahead at one side of the corner is inside. Pixels have their corner at the upper left.
		pixel := func(side vector) bool {
			return t.inside(at.x+(ahead.x+side.x-1)/2, at.y+(ahead.y+side.y-1)/2)
		}
		switch {
		case !pixel(right):
			ahead = right
		case pixel(left):
			ahead = left
		default:
			continue
		}
		if at == start && ahead == east {
			return corners, area > 0
		}
		corners = append(corners, float64(at.x), float64(at.y))
	}
}
