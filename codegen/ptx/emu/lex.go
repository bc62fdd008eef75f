package emu

import (
	"fmt"
	"strings"
)

// token is a word, a number or one punctuation mark of the text.
type token struct {
	text string
	line int
}

// lex splits PTX text into tokens; comments are left out.
func lex(text string) ([]token, error) {
	var out []token
	line := 1
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '\n':
			line++
			i++
		case c == ' ' || c == '\t' || c == '\r':
			i++
		case strings.HasPrefix(text[i:], "//"):
			for i < len(text) && text[i] != '\n' {
				i++
			}
		case wordByte(c):
			start := i
			for i < len(text) && (wordByte(text[i]) || strings.HasPrefix(text[i:], "::") && i > start) {
				if text[i] == ':' {
					i++
				}
				i++
			}
			out = append(out, token{text[start:i], line})
		case strings.IndexByte("(){}[]<>,;:@!+-", c) >= 0:
			out = append(out, token{string(c), line})
			i++
		default:
			return nil, fmt.Errorf("line %d: unexpected %q", line, c)
		}
	}
	return append(out, token{"", line}), nil
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '$' || c == '%'
}
