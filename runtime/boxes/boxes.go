// Package boxes parses PaliGemma's answers to "detect" and "segment": for every object four location tokens, for a mask
// sixteen segment tokens, and a label, joined by " ; " (big_vision, configs/proj/paligemma/README.md):
//
//	<loc0120><loc0034><loc0800><loc0512> cat ; <loc0001>…
package boxes

import (
	"fmt"
	"strings"
	"unicode"

	"pgc/runtime/plural"
)

// What answers are made of.
const (
	Locations = 1024 // of an axis
	Codes     = 128  // entries of the mask's codebook
	Corners   = 4    // locations of a box
	MaskLen   = 16   // codes of a mask
)

// Scale is what locations are divided by: 1024, as everybody does who draws boxes. Benchmark is the scale of the published
// scores of segmentation (big_vision, evaluators/proj/paligemma/transfers/segmentation.py).
const (
	Scale     = Locations
	Benchmark = Locations - 1
)

// Box is one object.
type Box struct {
	Label string     `json:"label"`
	Box   [4]float64 `json:"box"`           // x0, y0, x1, y1 in pixels of the image: location / 1024 × size
	Loc   [4]int     `json:"loc"`           // y0, x0, y1, x1 in 0…1023, as in the answer
	Seg   []int      `json:"seg,omitempty"` // the sixteen codes 0…127 of the mask; nil without one
}

// Place computes Box from Loc for an image of w×h pixels, locations being fractions of scale.
func (b *Box) Place(w, h, scale int) {
	for i, size := range [Corners]int{h, w, h, w} { // of y0, x0, y1, x1
		b.Box[i^1] = float64(b.Loc[i]) / float64(scale) * float64(size)
	}
}

// Malformed is a part of an answer that should describe an object but does not.
type Malformed struct {
	Text   string `json:"text"`   // as the model wrote it
	Reason string `json:"reason"` // one clause: what is wrong and what was expected
}

// Marks that stand between objects, and between a label and what is beside it: ASCII's, wide and small ones, Arabic, N'Ko, Armenian,
// Ethiopic, Mongolian, Lisu, Vai. The Greek question mark is a semicolon.
const (
	semicolons = ";\uff1b\ufe54\u061b\u1364\u037e\u204f"
	commas     = ",\uff0c\ufe50\u3001\ufe51\uff64\u060c\u07f8\u055d\u1363\u1802\u1808\ua4fe\ua60d\u2e41"
	colons     = ":\uff1a\ufe55\u1365\u1366\u1804\u02d0\ua789"
)

// Separates reports whether a character stands between classes: commas and semicolons of all scripts.
func Separates(r rune) bool { return strings.ContainsRune(semicolons+commas, r) }

// space reports whether a character is not seen: spaces of all scripts, some without width.
func space(r rune) bool { return unicode.IsSpace(r) || r == '\u200b' || r == '\u2060' || r == '\ufeff' }

// around reports whether a character separates labels from tokens and objects from each other: spaces, semicolons, commas and
// colons.
func around(r rune) bool { return space(r) || Separates(r) || strings.ContainsRune(colons, r) }

// Parse returns the objects of an answer about an image of w×h pixels, in order. Semicolons end objects, as the next
// run of tokens does. These mean nothing: spaces, commas and colons around labels, punctuation without a label, <bos>, <eos>
// and <pad>, spaces between tokens. A label stands behind its tokens or, where the text between semicolons begins with one
// and ends with tokens, before them.
//
// Parse skips and reports malformed parts: too few locations, corners that are equal or the wrong way round, a number out
// of range, a mask of other than sixteen codes, text without a box among boxes. An answer without any token has no
// objects and no malformed parts. Equal objects are all returned.
func Parse(answer string, w, h int) (found []Box, malformed []Malformed) {
	if len(runsOf(answer)) == 0 {
		return nil, nil
	}
	for part := range strings.FieldsFuncSeq(answer, func(r rune) bool { return strings.ContainsRune(semicolons, r) }) {
		for _, g := range split(part) {
			if reason := g.check(); reason != "" {
				malformed = append(malformed, Malformed{g.text, reason})
				continue
			}
			b := Box{Label: g.label, Loc: [4]int(g.loc), Seg: g.seg}
			b.Place(w, h, Scale)
			found = append(found, b)
		}
	}
	return found, malformed
}

// group is what should be an object.
type group struct {
	text, label string
	loc, seg    []int
}

// split splits the text between two semicolons into groups, each with its label. Text that is no label is a group
// without tokens.
func split(part string) (groups []group) {
	runs := runsOf(part)
	end := func(i int) int { // of the text behind run i
		if i+1 < len(runs) {
			return runs[i+1][0]
		}
		return len(part)
	}
	label := func(from, to int) string { return labelOf(part[from:to]) }
	first := len(part)
	if len(runs) > 0 {
		first = runs[0][0]
	}
	before := label(0, first)
	labelFirst := before != "" && len(runs) > 0 && label(runs[len(runs)-1][1], len(part)) == ""
	if before != "" && !labelFirst {
		groups = append(groups, group{text: before})
	}
	for i, run := range runs {
		members := splitRun(part[run[0]:run[1]])
		last := &members[len(members)-1]
		from := 0 // where the label before the run begins
		if i > 0 {
			from = runs[i-1][1]
		}
		if labelFirst {
			members[0].label = label(from, run[0])
			members[0].text = strings.TrimLeftFunc(part[from:run[0]], around) + members[0].text
		} else {
			last.label = label(run[1], end(i))
			last.text = strings.TrimRightFunc(last.text+part[run[1]:end(i)], around)
		}
		groups = append(groups, members...)
	}
	return groups
}

// marks are the tokens around an answer, which a text has that was decoded with special tokens.
var marks = strings.NewReplacer("<bos>", "", "<eos>", "", "<pad>", "")

// labelOf is the label in a text beside tokens, or "". Punctuation alone, such as the end of a sentence, is none.
func labelOf(text string) string {
	text = strings.TrimFunc(marks.Replace(text), around)
	if !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPunct(r) && !space(r) }) {
		return ""
	}
	return text
}

// splitRun splits a run of tokens into groups: a location token after four of them, or after a segment token, begins
// another.
func splitRun(run string) (groups []group) {
	var g group
	begin := 0
	for at := 0; at < len(run); {
		n, isSeg, v := token(run[at:])
		if n == 0 { // space
			at++
			continue
		}
		if !isSeg && (len(g.loc) == Corners || len(g.seg) > 0) {
			g.text = strings.TrimSpace(run[begin:at])
			groups, g, begin = append(groups, g), group{}, at
		}
		if isSeg {
			g.seg = append(g.seg, v)
		} else {
			g.loc = append(g.loc, v)
		}
		at += n
	}
	g.text = run[begin:]
	return append(groups, g)
}

// check returns what is wrong with a group, or "".
func (g *group) check() string {
	if len(g.loc)+len(g.seg) == 0 {
		return "no location tokens beside it"
	}
	if len(g.loc) != Corners {
		return fmt.Sprintf("%s, expected %d", plural.Of(len(g.loc), "location token"), Corners)
	}
	for _, v := range g.loc {
		if v >= Locations {
			return fmt.Sprintf("location %d, expected at most %d", v, Locations-1)
		}
	}
	if len(g.seg) != 0 && len(g.seg) != MaskLen {
		return fmt.Sprintf("%s, expected none or %d", plural.Of(len(g.seg), "segment token"), MaskLen)
	}
	for _, v := range g.seg {
		if v >= Codes {
			return fmt.Sprintf("segment code %d, expected at most %d", v, Codes-1)
		}
	}
	if g.loc[2] <= g.loc[0] || g.loc[3] <= g.loc[1] {
		return fmt.Sprintf("the box from y %d, x %d to y %d, x %d is empty", g.loc[0], g.loc[1], g.loc[2], g.loc[3])
	}
	return ""
}
