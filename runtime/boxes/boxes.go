// Package boxes reads PaliGemma's detection and segmentation answers: <loc y0><loc x0><loc y1><loc x1>, sixteen <seg>
// tokens for a mask, and a label, joined by " ; " (big_vision's PaliGemma README). It imports nothing of the project.
package boxes

import (
	"regexp"
	"strconv"
	"strings"
)

// Box is one detected object.
type Box struct {
	Label string     `json:"label"`
	Box   [4]float64 `json:"box"`           // x0, y0, x1, y1 in pixels of the picture
	Loc   [4]int     `json:"loc"`           // y0, x0, y1, x1 in 0…1023
	Seg   []int      `json:"seg,omitempty"` // the codes of the mask, 0…127
}

// group is four locations, perhaps sixteen segments, and a label up to the next separator or location.
var group = regexp.MustCompile(`<loc(\d{4})><loc(\d{4})><loc(\d{4})><loc(\d{4})>((?:<seg\d{3}>)*)([^;<]*)`)
var segment = regexp.MustCompile(`<seg(\d{3})>`)

// Parse returns the boxes of an answer over a picture of w×h pixels, in order. Groups that are no box (too few
// locations, an end before its begin, a number over 1023, segments other than sixteen) are left out and counted.
func Parse(answer string, w, h int) (found []Box, malformed int) {
	rest := answer
	for _, m := range group.FindAllStringSubmatch(answer, -1) {
		rest = strings.Replace(rest, m[0], "", 1)
		b := Box{Label: strings.TrimSpace(m[6])}
		ok := true
		for i := range b.Loc {
			b.Loc[i], _ = strconv.Atoi(m[1+i])
			ok = ok && b.Loc[i] < 1024
		}
		for _, s := range segment.FindAllStringSubmatch(m[5], -1) {
			code, _ := strconv.Atoi(s[1])
			b.Seg = append(b.Seg, code)
			ok = ok && code < 128
		}
		ok = ok && b.Loc[2] > b.Loc[0] && b.Loc[3] > b.Loc[1] && (len(b.Seg) == 0 || len(b.Seg) == 16)
		if !ok {
			malformed++
			continue
		}
		scale := func(v, size int) float64 { return float64(v) / 1024 * float64(size) }
		b.Box = [4]float64{scale(b.Loc[1], w), scale(b.Loc[0], h), scale(b.Loc[3], w), scale(b.Loc[2], h)}
		found = append(found, b)
	}
	if strings.Contains(rest, "<loc") {
		malformed++
	}
	return found, malformed
}
