package attention

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// The cells of a text: all of the keys are seen, some, none.
const (
	allSeen  = "■"
	someSeen = "◧"
	unseen   = "·"
)

// WriteText writes the masks as text, a row a query: the number and the text of the token, and a cell for every key.
func (m *Mask) WriteText(w io.Writer) error {
	groups := m.groups()
	width := 0
	for _, g := range groups {
		width = max(width, utf8.RuneCountInString(g.label))
	}
	width = min(width, 24)
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "A row is a token, a column what it attends to in the same order: %s all of it, %s a part, %s nothing. %d tokens, the prefix has %d.\n",
		allSeen, someSeen, unseen, len(m.Tokens), m.Prefix)
	for _, k := range m.Kinds {
		fmt.Fprintf(b, "\n%s\n", k.title())
		for _, q := range groups {
			if q.first == m.Prefix {
				b.WriteString("  suffix\n")
			}
			fmt.Fprintf(b, "%6d  %s ", q.first, pad(q.label, width))
			for _, key := range groups {
				cell := someSeen
				switch share := m.share(k, q, key); {
				case share == 0:
					cell = unseen
				case share == 1:
					cell = allSeen
				}
				b.WriteString(" " + cell)
			}
			b.WriteByte('\n')
		}
	}
	return b.Flush()
}

// pad brings a text to a width in characters.
func pad(s string, width int) string {
	runes := []rune(s)
	if len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return s + strings.Repeat(" ", width-len(runes))
}
