package draw

import (
	"encoding/xml"
	"strings"
	"testing"
)

// TestXML compares every character, and what is no UTF-8, with encoding/xml.
func TestXML(t *testing.T) {
	var all strings.Builder
	for r := rune(0); r <= 0x10ffff; r++ {
		all.WriteRune(r)
	}
	for _, text := range []string{all.String(), "", "a\xff\xc3", "\xed\xa0\x80"} {
		var want strings.Builder
		if err := xml.EscapeText(&want, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got := XML(text); got != want.String() {
			t.Errorf("%d bytes of text are escaped otherwise than by encoding/xml", len(text))
		}
	}
}
