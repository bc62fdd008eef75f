//go:build !least

package draw

import (
	"slices"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"
)

// visual returns the letters of a line from left to right: right-to-left scripts in reverse, Arabic letters in the forms
// that join them.
func visual(s string) string {
	if strings.IndexFunc(s, rightToLeft) < 0 {
		return s
	}
	var p bidi.Paragraph
	if _, err := p.SetString(join(s)); err != nil {
		return s
	}
	order, err := p.Order() // of reading: the runs are not moved
	if err != nil {
		return s
	}
	base := direction(s)
	var out, backwards []string
	flush := func() {
		slices.Reverse(backwards)
		out, backwards = append(out, backwards...), nil
	}
	for i := range order.NumRuns() {
		r := order.Run(i)
		text := r.String()
		switch {
		case r.Direction() == bidi.RightToLeft:
			backwards = append(backwards, bidi.ReverseString(text))
		case base == bidi.RightToLeft:
			backwards = append(backwards, text)
		default:
			n := 0
			if len(backwards) > 0 {
				n = number(text)
			}
			if n > 0 {
				backwards = append(backwards, text[:n])
			}
			if n < len(text) {
				flush()
				out = append(out, text[n:])
			}
		}
	}
	flush()
	return strings.Join(out, "")
}

// direction is that of a line, which its first letter that has one gives.
func direction(s string) bidi.Direction {
	for _, r := range s {
		switch p, _ := bidi.LookupRune(r); p.Class() {
		case bidi.L:
			return bidi.LeftToRight
		case bidi.R, bidi.AL:
			return bidi.RightToLeft
		}
	}
	return bidi.LeftToRight
}

// number returns the length of the number that a text begins with, which belongs to the right-to-left text before it.
func number(text string) (n int) {
	for i, r := range text {
		switch p, size := bidi.LookupRune(r); p.Class() {
		case bidi.EN, bidi.AN, bidi.ET:
			n = i + size
		case bidi.ES, bidi.CS:
		default:
			return n
		}
	}
	return n
}

func rightToLeft(r rune) bool {
	return unicode.In(r, unicode.Hebrew, unicode.Arabic)
}

// forms of an Arabic letter, in the order in which Unicode lists them. A letter that does not join the next one has two.
const (
	isolated = iota
	final
	initial
	medial
)

// arabic has the forms of each letter, of lam followed by alef as one, from Unicode's presentation forms: their
// compatibility decompositions name the letters.
var arabic = sync.OnceValue(func() map[string][]rune {
	forms := map[string][]rune{}
	for _, block := range [][2]rune{{0xFB50, 0xFBB1}, {0xFBD3, 0xFBFF}, {0xFE80, 0xFEFC}} {
		for r := block[0]; r <= block[1]; r++ {
			if letters := norm.NFKC.String(string(r)); letters != string(r) {
				forms[letters] = append(forms[letters], r)
			}
		}
	}
	return forms
})

// invisible reports whether a character only says how others are joined, ordered or shown.
func invisible(r rune) bool {
	return unicode.Is(unicode.Cf, r) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r) || unicode.Is(unicode.Variation_Selector, r)
}

// nonJoiner keeps the letters beside it apart, as in many Persian words.
const nonJoiner = '\u200c'

// join replaces Arabic letters by their forms: each joins its neighbors where both have forms for it.
func join(s string) string {
	forms := arabic()
	var units []string // letters, lam and alef as one, with their marks behind
	var marks []string
	for _, r := range s {
		n := len(units)
		switch {
		case n > 0 && (unicode.Is(unicode.Mn, r) || invisible(r) && r != nonJoiner):
			marks[n-1] += string(r)
			continue
		case n > 0 && units[n-1] == "ل" && forms["ل"+string(r)] != nil:
			units[n-1] += string(r)
			continue
		}
		units, marks = append(units, string(r)), append(marks, "")
	}
	joinsNext := func(i int) bool { return i >= 0 && len(forms[units[i]]) == 4 }
	joinsPrevious := func(i int) bool { return i < len(units) && len(forms[units[i]]) >= 2 }
	var out strings.Builder
	for i, u := range units {
		f := forms[u]
		form := isolated
		before, after := joinsNext(i-1) && joinsPrevious(i), joinsNext(i) && joinsPrevious(i+1)
		switch {
		case before && after:
			form = medial
		case before:
			form = final
		case after:
			form = initial
		}
		if form < len(f) {
			out.WriteRune(f[form])
		} else {
			out.WriteString(u)
		}
		out.WriteString(marks[i])
	}
	return out.String()
}
