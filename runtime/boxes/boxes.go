// Package boxes parses PaliGemma's answers to "detect" and "segment": for every object four location tokens, for a mask
// sixteen segment tokens, and a label, joined by " ; " (big_vision, configs/proj/paligemma/README.md):
//
//	<loc0120><loc0034><loc0800><loc0512> cat ; <loc0001>…
package boxes

import (
	"fmt"
	"regexp"
	"strings"
)

const (
	bins    = 1024 // locations of an axis
	codes   = 128  // entries of the mask's codebook
	maskLen = 16   // codes of a mask
	corners = 4    // locations of a box
)

// Box is one object.
type Box struct {
	Label string     `json:"label"`
	Box   [4]float64 `json:"box"`           // x0, y0, x1, y1 in pixels of the image: location / 1024 × size
	Loc   [4]int     `json:"loc"`           // y0, x0, y1, x1 in 0…1023, as in the answer
	Seg   []int      `json:"seg,omitempty"` // the sixteen codes 0…127 of the mask; nil without one
}

// Malformed is a part of an answer that should describe an object but does not.
type Malformed struct {
	Text   string // as the model wrote it
	Reason string // one clause: what is wrong and what was expected
}

// tokens is a run of location and segment tokens; the label follows up to the next run or semicolon.
var tokens = regexp.MustCompile(`(?:<loc\d{4}>|<seg\d{3}>)+`)

// tokenLen is the length of "<loc0000>"; "<seg000>" is one shorter.
const tokenLen = len("<loc0000>")

// Parse returns the objects of an answer about an image of w×h pixels, in order. It skips and reports malformed parts:
// too few locations, an empty box, a number out of range, a mask of other than sixteen codes, text without a box among
// boxes. An answer without any such token has no objects and no malformed parts.
func Parse(answer string, w, h int) (found []Box, malformed []Malformed) {
	runs := tokens.FindAllStringIndex(answer, -1)
	if len(runs) == 0 {
		return nil, nil
	}
	reject := func(text, reason string) {
		if text = strings.TrimSpace(text); text != "" {
			malformed = append(malformed, Malformed{text, reason})
		}
	}
	const noBox = "no location tokens before it"
	stray := func(text string) {
		for part := range strings.SplitSeq(text, ";") {
			reject(part, noBox)
		}
	}
	stray(answer[:runs[0][0]])
	for i, run := range runs {
		end := len(answer)
		if i+1 < len(runs) {
			end = runs[i+1][0]
		}
		label, rest, _ := strings.Cut(answer[run[1]:end], ";")
		groups := split(answer[run[0]:run[1]])
		for j, g := range groups {
			text, own := g.text, ""
			if j == len(groups)-1 {
				text, own = text+label, strings.TrimSpace(label)
			}
			if reason := g.check(); reason != "" {
				reject(text, reason)
				continue
			}
			b := Box{Label: own, Loc: [4]int(g.loc), Seg: g.seg}
			pixel := func(v, size int) float64 { return float64(v) / bins * float64(size) }
			b.Box = [4]float64{pixel(b.Loc[1], w), pixel(b.Loc[0], h), pixel(b.Loc[3], w), pixel(b.Loc[2], h)}
			found = append(found, b)
		}
		stray(rest)
	}
	return found, malformed
}

// group holds the tokens of one object.
type group struct {
	text     string
	loc, seg []int
}

// split splits a run into groups: a location token after four of them, or after a segment token, begins another.
func split(run string) (groups []group) {
	var g group
	for len(run) > 0 {
		n := tokenLen
		isSeg := run[1] == 's'
		if isSeg {
			n--
		}
		if !isSeg && (len(g.loc) == corners || len(g.seg) > 0) {
			groups, g = append(groups, g), group{}
		}
		v := 0
		for _, c := range run[len("<loc") : n-1] {
			v = 10*v + int(c-'0')
		}
		if isSeg {
			g.seg = append(g.seg, v)
		} else {
			g.loc = append(g.loc, v)
		}
		g.text += run[:n]
		run = run[n:]
	}
	return append(groups, g)
}

// check returns what is wrong with a group, or "".
func (g *group) check() string {
	if len(g.loc) != corners {
		return fmt.Sprintf("%d location tokens, expected %d", len(g.loc), corners)
	}
	for _, v := range g.loc {
		if v >= bins {
			return fmt.Sprintf("location %d, expected at most %d", v, bins-1)
		}
	}
	if len(g.seg) != 0 && len(g.seg) != maskLen {
		return fmt.Sprintf("%d segment tokens, expected none or %d", len(g.seg), maskLen)
	}
	for _, v := range g.seg {
		if v >= codes {
			return fmt.Sprintf("segment code %d, expected at most %d", v, codes-1)
		}
	}
	if g.loc[2] <= g.loc[0] || g.loc[3] <= g.loc[1] {
		return fmt.Sprintf("the box from y %d, x %d to y %d, x %d is empty", g.loc[0], g.loc[1], g.loc[2], g.loc[3])
	}
	return ""
}
