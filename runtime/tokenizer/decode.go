package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// Decoder decodes ids as they come. Each text it returns is complete UTF-8, and together they are the text that Decode
// returns for all ids. A run of byte tokens therefore appears only when it has ended.
type Decoder struct {
	t           *Tokenizer
	skipSpecial bool
	run         []byte
}

// NewDecoder returns a decoder at the beginning of a text.
func (t *Tokenizer) NewDecoder(skipSpecial bool) *Decoder {
	return &Decoder{t: t, skipSpecial: skipSpecial}
}

// Next adds an id and returns the text that is complete now.
func (d *Decoder) Next(id int32) string {
	if d.skipSpecial && d.t.Special(id) {
		return ""
	}
	text := d.t.Token(id)
	if text == "" {
		return ""
	}
	text = replace(text, d.t.decoder)
	if d.t.decodeBytes {
		if b, ok := byteToken(text); ok {
			d.run = append(d.run, b)
			return ""
		}
	}
	return d.Flush() + text
}

// Flush returns the text held back, at the end of a text.
func (d *Decoder) Flush() string {
	run := d.run
	d.run = d.run[:0]
	if utf8.Valid(run) {
		return string(run)
	}
	return strings.Repeat("\uFFFD", len(run))
}

// Bytes returns what a token adds to a text: of a byte token the byte.
func (t *Tokenizer) Bytes(id int32) []byte {
	text := replace(t.Token(id), t.decoder)
	if b, ok := byteToken(text); ok && t.decodeBytes {
		return []byte{b}
	}
	return []byte(text)
}

// Special reports whether a decoder that skips special tokens leaves one out.
func (t *Tokenizer) Special(id int32) bool {
	own := t.Original(id)
	return own < 0 || int(own) >= t.vocab || t.flags[own]&flagSkip != 0
}

// byteToken parses <0xAB>. A plus sign may replace the first digit, as in the library's number parser.
func byteToken(s string) (byte, bool) {
	if len(s) != 6 || s[:3] != "<0x" || s[5] != '>' {
		return 0, false
	}
	v := byte(0)
	for i, c := range []byte(s[3:5]) {
		switch {
		case c >= '0' && c <= '9':
			v = v<<4 | (c - '0')
		case c >= 'A' && c <= 'F':
			v = v<<4 | (c - 'A' + 10)
		case c >= 'a' && c <= 'f':
			v = v<<4 | (c - 'a' + 10)
		case c == '+' && i == 0:
		default:
			return 0, false
		}
	}
	return v, true
}
