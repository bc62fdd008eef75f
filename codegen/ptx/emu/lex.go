package emu

import (
	"fmt"
	"strings"
)

// token is a word, a number, a string or one punctuation mark of the text.
type token struct {
	text      string
	line, col int32
}

// lex splits PTX text into tokens and leaves out comments. The last token is empty.
func lex(file, text string) ([]token, error) {
	out := make([]token, 0, len(text)/4)
	line, start := 1, 0 // start is the index of the line's first byte
	fail := func(i int, format string, args ...any) error {
		return &Finding{Kind: Syntax, Pos: Pos{file, line, i - start + 1}, Thread: -1, Text: fmt.Sprintf(format, args...)}
	}
	for i := 0; i < len(text); {
		c := text[i]
		from := i
		switch {
		case c == '\n':
			line++
			i++
			start = i
			continue
		case c == ' ' || c == '\t' || c == '\r' || c == 0 && strings.Trim(text[i:], "\x00") == "":
			i++
			continue
		case strings.HasPrefix(text[i:], "//"):
			for i < len(text) && text[i] != '\n' {
				i++
			}
			continue
		case strings.HasPrefix(text[i:], "/*"):
			end := strings.Index(text[i+2:], "*/")
			if end < 0 {
				return nil, fail(i, "a comment does not end")
			}
			for _, b := range []byte(text[i : i+2+end]) {
				i++
				if b == '\n' {
					line++
					start = i
				}
			}
			i += 2
			continue
		case c == '"':
			for i++; i < len(text) && text[i] != '"' && text[i] != '\n'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			if i >= len(text) || text[i] != '"' {
				return nil, fail(from, "a string does not end in its line")
			}
			i++
		case wordByte(c):
			for i < len(text) && (wordByte(text[i]) || strings.HasPrefix(text[i:], "::") && i+2 < len(text) && wordByte(text[i+2])) {
				if text[i] == ':' {
					i++
				}
				i++
				if c == '.' && i < len(text) && text[i] == '.' { // directives follow each other, as in .reg.b32
					break
				}
			}
		case strings.IndexByte("(){}[]<>,;:@!+-|=*~&", c) >= 0:
			i++
		default:
			return nil, fail(i, "unexpected character %q", rune(c))
		}
		out = append(out, token{text[from:i], int32(line), int32(from - start + 1)})
	}
	return append(out, token{"", int32(line), int32(len(text) - start + 1)}), nil
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '$' || c == '%'
}
