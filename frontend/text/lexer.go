package text

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"
)

// The kinds of tokens. White space and comments (to the end of the line, or between /* and */) are skipped.
const (
	tokenIdent  lexer.TokenType = iota + 1 // f32, embed.weight
	tokenValue                             // %3, %q.weight
	tokenFunc                              // @decode
	tokenRef                               // $0, #1, @2, &3
	tokenNumber                            // 12, -1.5e-6, -inf
	tokenString                            // "a\n"
	tokenPunct                             // one of the characters below, or <=
)

const punctuation = "(){}[],=:"

// maxString bounds a string, in bytes.
const maxString = 4096

// maxDepth bounds the nesting of brackets, so that no input can exhaust the parser's stack.
const maxDepth = 10_000

// definition tells participle about the tokens; the scanner is written out because a table of regular expressions takes
// seconds for the text of a large model.
type definition struct{}

func (definition) Symbols() map[string]lexer.TokenType {
	return map[string]lexer.TokenType{"EOF": lexer.EOF, "Ident": tokenIdent, "Value": tokenValue, "Func": tokenFunc,
		"Ref": tokenRef, "Number": tokenNumber, "String": tokenString, "Punct": tokenPunct}
}

func (d definition) Lex(file string, r io.Reader) (lexer.Lexer, error) {
	src, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return d.LexString(file, string(src))
}

func (definition) LexString(file, src string) (lexer.Lexer, error) {
	return &scanner{src: src, pos: lexer.Position{Filename: file, Line: 1, Column: 1}}, nil
}

// scanner cuts a text into tokens.
type scanner struct {
	src   string // what is left
	pos   lexer.Position
	depth int
}

// take consumes n bytes.
func (s *scanner) take(n int) string {
	taken := s.src[:n]
	s.src = s.src[n:]
	s.pos.Offset += n
	if i := strings.LastIndexByte(taken, '\n'); i >= 0 {
		s.pos.Line += strings.Count(taken, "\n")
		s.pos.Column = 1 + utf8.RuneCountInString(taken[i+1:])
	} else {
		s.pos.Column += utf8.RuneCountInString(taken)
	}
	return taken
}

func (s *scanner) fail(format string, args ...any) (lexer.Token, error) {
	return lexer.Token{}, participle.Errorf(s.pos, format, args...)
}

// skip consumes white space and comments.
func (s *scanner) skip() error {
	for {
		switch {
		case strings.HasPrefix(s.src, "//"):
			n := strings.IndexByte(s.src, '\n')
			if n < 0 {
				n = len(s.src)
			}
			s.take(n)
		case strings.HasPrefix(s.src, "/*"):
			n := strings.Index(s.src[2:], "*/")
			if n < 0 {
				return participle.Errorf(s.pos, "comment is not closed")
			}
			s.take(n + 4)
		default:
			n := span(s.src, func(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' })
			if n == 0 {
				return nil
			}
			s.take(n)
		}
	}
}

// span is the length of the beginning of src whose bytes are all in a class.
func span(src string, in func(byte) bool) int {
	for i := range len(src) {
		if !in(src[i]) {
			return i
		}
	}
	return len(src)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' }

func isWord(c byte) bool { return isLetter(c) || isDigit(c) || c == '.' }

// Next returns the next token.
func (s *scanner) Next() (lexer.Token, error) {
	if err := s.skip(); err != nil {
		return lexer.Token{}, err
	}
	if s.src == "" {
		return lexer.EOFToken(s.pos), nil
	}
	c, rest := s.src[0], s.src[1:]
	token := func(t lexer.TokenType, n int) (lexer.Token, error) {
		pos := s.pos
		return lexer.Token{Type: t, Value: s.take(n), Pos: pos}, nil
	}
	switch {
	case isLetter(c):
		return token(tokenIdent, span(s.src, isWord))
	case c == '%' && span(rest, isWord) > 0:
		return token(tokenValue, 1+span(rest, isWord))
	case strings.IndexByte("$#@&", c) >= 0 && span(rest, isDigit) > 0:
		return token(tokenRef, 1+span(rest, isDigit))
	case c == '@' && span(rest, isWord) > 0:
		return token(tokenFunc, 1+span(rest, isWord))
	case isDigit(c) || c == '-':
		if n := number(s.src); n > 0 {
			return token(tokenNumber, n)
		}
		if strings.HasPrefix(rest, ">") {
			return s.fail("unexpected \"->\": a function has no type, its results stand behind return")
		}
		return s.fail("%q begins a number, but none follows", c)
	case c == '"':
		n := quoted(s.src)
		if n == 0 {
			return s.fail("string is not closed on its line")
		}
		if n > maxString {
			return s.fail("a string of %d bytes, expected at most %d", n, maxString)
		}
		return token(tokenString, n)
	case strings.HasPrefix(s.src, "<="):
		return token(tokenPunct, 2)
	case strings.IndexByte(punctuation, c) >= 0:
		return s.punct(c, token)
	}
	r, _ := utf8.DecodeRuneInString(s.src)
	return s.fail("unexpected character %q%s", r, hints[r])
}

// hints say what is written instead of characters that other languages have.
var hints = map[rune]string{
	'<': ": the bound of a symbol stands behind <=",
	'#': ": comments begin with //",
	';': ": operations end with their type, without a semicolon",
	'+': ": arithmetic is written as calls, such as add($0, 1.0)",
	'*': ": arithmetic is written as calls, such as mul($0, 2.0)",
	'/': ": arithmetic is written as calls, such as div($0, 2.0); comments begin with //",
	'@': ": a function is named @f, an accumulator @0",
}

func (s *scanner) punct(c byte, token func(lexer.TokenType, int) (lexer.Token, error)) (lexer.Token, error) {
	switch c {
	case '(', '[', '{':
		if s.depth++; s.depth > maxDepth {
			return s.fail("brackets are nested deeper than %d", maxDepth)
		}
	case ')', ']', '}':
		s.depth--
	}
	return token(tokenPunct, 1)
}

// number is the length of the number that src begins with, or 0.
func number(src string) int {
	n := 0
	if strings.HasPrefix(src, "-") {
		if n = 1; strings.HasPrefix(src[1:], "inf") {
			return 4
		}
	}
	digits := func() int {
		d := span(src[n:], isDigit)
		n += d
		return d
	}
	if digits() == 0 {
		return 0
	}
	if n < len(src) && src[n] == '.' {
		n++
		digits()
	}
	if n < len(src) && (src[n] == 'e' || src[n] == 'E') {
		before := n
		if n++; n < len(src) && (src[n] == '+' || src[n] == '-') {
			n++
		}
		if digits() == 0 {
			return before
		}
	}
	return n
}

// quoted is the length of the string that src begins with, its quotes included, or 0 when it does not end.
func quoted(src string) int {
	for i := 1; i < len(src) && src[i] != '\n'; i++ {
		switch src[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

var _ lexer.StringDefinition = definition{}

// describe names a token for an error message.
func describe(t lexer.Token) string {
	if t.EOF() {
		return "the end of the text"
	}
	return fmt.Sprintf("%q", t.Value)
}
