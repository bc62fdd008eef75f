package boxes

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// kinds are the kinds of tokens: how they begin, and the digits of their numbers.
var kinds = [...]struct {
	prefix string
	digits int
}{{"<loc", 4}, {"<seg", 3}}

// Location and Code are the tokens of a location and of a code of a mask.
func Location(i int) string { return named(0, i) }
func Code(i int) string     { return named(1, i) }

func named(kind, i int) string {
	return fmt.Sprintf("%s%0*d>", kinds[kind].prefix, kinds[kind].digits, i)
}

// Begins reports whether a text is the beginning of a token, and not all of it.
func Begins(text string) bool {
	for _, kind := range kinds {
		if len(text) <= len(kind.prefix) {
			if strings.HasPrefix(kind.prefix, text) {
				return true
			}
			continue
		}
		digits, ok := strings.CutPrefix(text, kind.prefix)
		if ok && len(digits) <= kind.digits && strings.Trim(digits, "0123456789") == "" {
			return true
		}
	}
	return false
}

// IsToken reports whether a text is a token of a location or of a mask, whatever its number.
func IsToken(text string) bool {
	n, _, _ := token(text)
	return n > 0 && n == len(text)
}

// token returns the length of the location or segment token, <loc0123> or <seg012>, that text begins with, and its number;
// 0 where it begins with none.
func token(text string) (n int, isSeg bool, number int) {
	for i, kind := range kinds {
		rest, ok := strings.CutPrefix(text, kind.prefix)
		if !ok || len(rest) <= kind.digits || rest[kind.digits] != '>' {
			continue
		}
		for _, c := range []byte(rest[:kind.digits]) {
			if c < '0' || '9' < c {
				return 0, false, 0
			}
			number = 10*number + int(c-'0')
		}
		return len(kind.prefix) + kind.digits + 1, i == 1, number
	}
	return 0, false, 0
}

// runsOf finds runs of tokens with nothing but spaces between: where each begins and ends.
func runsOf(text string) (runs [][2]int) {
	open := false // a token ended the last run, and spaces follow
	for at := 0; at < len(text); {
		n, _, _ := token(text[at:])
		switch {
		case n > 0 && open:
			runs[len(runs)-1][1] = at + n
		case n > 0:
			runs, open = append(runs, [2]int{at, at + n}), true
		default:
			var r rune
			r, n = utf8.DecodeRuneInString(text[at:])
			open = open && space(r)
		}
		at += n
	}
	return runs
}
