//go:build !least

package draw

import (
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
	order, err := p.Order()
	if err != nil {
		return s
	}
	var out strings.Builder
	for i := range order.NumRuns() {
		r := order.Run(i)
		if r.Direction() == bidi.RightToLeft {
			out.WriteString(bidi.ReverseString(r.String()))
		} else {
			out.WriteString(r.String())
		}
	}
	return out.String()
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

// join replaces Arabic letters by their forms: each joins its neighbours where both have forms for it.
func join(s string) string {
	forms := arabic()
	var units []string // letters, lam and alef as one, with their marks behind
	var marks []string
	for _, r := range s {
		n := len(units)
		switch {
		case n > 0 && unicode.Is(unicode.Mn, r):
			marks[n-1] += string(r)
			continue
		case n > 0 && marks[n-1] == "" && units[n-1] == "ل" && forms["ل"+string(r)] != nil:
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
