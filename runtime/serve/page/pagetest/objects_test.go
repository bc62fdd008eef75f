package pagetest

import (
	"fmt"
	"math"
	"net/http"
	"strings"
)

// located is an object of an answer.
type located struct {
	label string
	loc   [4]int // y0, x0, y1, x1 of 1024
	score float64
}

// scene is what there is in 05-purple.png.
var scene = []located{
	{"airplane", [4]int{136, 72, 384, 320}, 0.97},
	{"horse", [4]int{360, 232, 696, 608}, 0.91},
	{"horse", [4]int{408, 600, 752, 944}, 0.42},
}

const side = 345 // pixels of 05-purple.png

// text is the object as PaliGemma writes it.
func (o located) text() string {
	return fmt.Sprintf("<loc%04d><loc%04d><loc%04d><loc%04d> %s", o.loc[0], o.loc[1], o.loc[2], o.loc[3], o.label)
}

// box is the object as a server sends it, with an elliptic mask if asked for.
func (o located) box(mask bool) map[string]any {
	at := func(loc int) float64 { return float64(loc) / 1024 * side }
	x0, y0, x1, y1 := at(o.loc[1]), at(o.loc[0]), at(o.loc[3]), at(o.loc[2])
	box := map[string]any{"label": o.label, "score": o.score, "box": []float64{x0, y0, x1, y1}, "loc": o.loc[:]}
	if !mask {
		return box
	}
	inside := func(x, y int) bool {
		return math.Hypot((float64(x)+0.5-(x0+x1)/2)/(x1-x0), (float64(y)+0.5-(y0+y1)/2)/(y1-y0)) < 0.5
	}
	area, runs, on := 0, []int{0}, false // down the columns, zeros first
	for x := range side {
		for y := range side {
			if inside(x, y) != on {
				on = !on
				runs = append(runs, 0)
			}
			runs[len(runs)-1]++
			if on {
				area++
			}
		}
	}
	var outline []float64
	for i := range 48 {
		sin, cos := math.Sincos(2 * math.Pi * float64(i) / 48)
		outline = append(outline, (x0+x1)/2+cos*(x1-x0)/2, (y0+y1)/2+sin*(y1-y0)/2)
	}
	box["area"], box["polygons"] = area, [][]float64{outline}
	box["mask"] = map[string]any{"size": []int{side, side}, "counts": compress(runs)}
	return box
}

// compress writes run lengths as COCO does: five bits a letter, from the fourth on differences to those two before.
func compress(runs []int) string {
	var out strings.Builder
	for i, n := range runs {
		if i > 2 {
			n -= runs[i-2]
		}
		for more := true; more; {
			bits := n & 31
			n >>= 5
			if more = bits&16 != 0 && n != -1 || bits&16 == 0 && n != 0; more {
				bits |= 32
			}
			out.WriteByte(byte(bits + 48))
		}
	}
	return out.String()
}

// locate answers a request for objects with those of the scene that are asked for.
func locate(w http.ResponseWriter, r *http.Request, body request) {
	boxes, texts := []any{}, []string{}
	for _, o := range scene {
		for _, c := range body.Classes {
			if c == o.label {
				boxes = append(boxes, o.box(body.Task == "segment"))
				texts = append(texts, o.text())
			}
		}
	}
	pieces := []string{}
	for i, t := range texts {
		if i > 0 {
			pieces = append(pieces, " ; ")
		}
		pieces = append(pieces, t)
	}
	stream(w, map[string]any{"boxes": boxes}, pieces...)
}
