//go:build least

package annotate

import "unicode"

// wide reports whether a terminal shows a rune in two columns: letters of Chinese, Japanese and Korean alone, since the
// table of all such runes is 15 KB.
func wide(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul)
}
