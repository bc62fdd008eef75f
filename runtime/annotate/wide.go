//go:build !least

package annotate

import "golang.org/x/text/width"

// wide reports whether a terminal shows a rune in two columns.
func wide(r rune) bool {
	k := width.LookupRune(r).Kind()
	return k == width.EastAsianWide || k == width.EastAsianFullwidth
}
