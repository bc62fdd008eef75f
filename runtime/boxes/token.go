package boxes

import (
	"strings"
	"unicode/utf8"
)

// token returns the length of the location or segment token, <loc0123> or <seg012>, that text begins with, and its number;
// 0 where it begins with none.
func token(text string) (n int, isSeg bool, number int) {
	for _, kind := range []struct {
		prefix string
		digits int
	}{{"<loc", 4}, {"<seg", 3}} {
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
		return len(kind.prefix) + kind.digits + 1, kind.digits == 3, number
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
