package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// longest bounds what Line shows of a text, in bytes, and end is how much of that is its end.
const (
	longest = 4096
	end     = 1024
)

// Line makes one line for people of a text that may quote names from anywhere: a newline becomes "; ", bytes that are
// no UTF-8 and what a terminal would obey instead of print are escaped, and the middle of a very long text is left out.
func Line(text string) string {
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest-end], "") + " … " + strings.ToValidUTF8(text[len(text)-end:], "")
	}
	var b strings.Builder
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		switch {
		case r == '\n':
			b.WriteString("; ")
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		text = text[n:]
	}
	return b.String()
}

// Name is what the program is called, for its messages. One that is started without a name has that of its file.
func Name() string {
	if len(os.Args) > 0 && os.Args[0] != "" {
		return Line(filepath.Base(os.Args[0]))
	}
	path, err := os.Executable()
	if err != nil {
		return "pgc"
	}
	return Line(filepath.Base(path))
}

// Args are the arguments behind the name.
func Args() []string { return os.Args[min(1, len(os.Args)):] }
