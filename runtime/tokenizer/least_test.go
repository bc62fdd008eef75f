package tokenizer

import (
	"strings"
	"testing"
)

// TestAtLeast compares the bound with what the library encodes, and finds it where a long text has one.
func TestAtLeast(t *testing.T) {
	for _, name := range fixtures {
		tok, _ := open(t, name)
		var cases []libraryCase
		read(t, name+".cases.json", &cases)
		for _, c := range cases {
			text := c.Text
			if c.Raw != nil {
				text = string(c.Raw)
			}
			if n := tok.AtLeast(text); n > len(c.IDs) {
				t.Errorf("%s: %q has at least %d tokens, the library has %d", name, text, n, len(c.IDs))
			}
		}
		// The others take white space with a token, or one <unk> for many characters.
		n, bounded := tok.AtLeast(strings.Repeat("cat ", 10000)), name == "gemma" || name == "pieces" || name == "unfused"
		if bounded != (n > 1000) {
			t.Errorf("%s: 40,000 bytes have at least %d tokens", name, n)
		}
	}
}
