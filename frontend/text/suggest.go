package text

import (
	"strings"

	"pgc/ir"
)

// suggestion is ", perhaps NAME" for the operation whose name is nearest to a wrong one, or nothing if none is near.
func suggestion(name string) string {
	if made, ok := composed[name]; ok {
		return ": it is written with " + made
	}
	best, at := 3, ""
	for _, def := range ir.Ops() {
		if strings.HasPrefix(def.Name, name+"_") {
			return ", perhaps " + def.Name
		}
		if d := distance(name, def.Name); d < best && d < len(name) {
			best, at = d, def.Name
		}
	}
	if at == "" {
		return ""
	}
	return ", perhaps " + at
}

// composed are operations of other languages that plain ones stand for.
var composed = map[string]string{
	"softmax":    "reduce_max, sub, exp, reduce_sum and div",
	"layer_norm": "reduce_mean, sub, mul, add and rsqrt",
	"rms_norm":   "mul, reduce_mean, add and rsqrt",
	"dot":        "einsum",
	"linear":     "einsum",
	"where":      "select",
	"embedding":  "gather",
	"cast":       "convert",
	"permute":    "transpose",
	"split":      "slice",
	"mean":       "reduce_mean",
	"sum":        "reduce_sum",
}

// distance is how many characters must be changed, added, dropped or swapped with their neighbor to make a of b
// (Damerau's distance, restricted).
func distance(a, b string) int {
	const longest = 64
	if len(a) > longest || len(b) > longest {
		return longest
	}
	var rows [3][longest + 1]int // of a's prefix, the one before and the one before that
	for j := range len(b) + 1 {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		rows[2], rows[1] = rows[1], rows[0]
		rows[0][0] = i
		for j := 1; j <= len(b); j++ {
			change := rows[1][j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			d := min(change, rows[1][j]+1, rows[0][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[2][j-2]+1)
			}
			rows[0][j] = d
		}
	}
	return rows[0][len(b)]
}
