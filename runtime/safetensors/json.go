package safetensors

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// headerReader reads the header's JSON in one pass, without a value for what it does not keep: a header of a million
// tensors takes 3 s. It takes what encoding/json takes, as far as the format needs it: objects, strings and
// lists of whole numbers. Keys given twice, of which encoding/json would take the last, are errors.
type headerReader struct {
	text []byte // valid UTF-8
	at   int
}

// peek skips white space and returns the next byte, or 0 at the end.
func (h *headerReader) peek() byte {
	for ; h.at < len(h.text); h.at++ {
		switch c := h.text[h.at]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// expect takes the byte want.
func (h *headerReader) expect(what string, want byte) error {
	if h.peek() != want || h.at == len(h.text) {
		return h.unexpected(what, string(want))
	}
	h.at++
	return nil
}

// unexpected is an error about what comes next.
func (h *headerReader) unexpected(what, want string) error {
	if h.peek(); h.at == len(h.text) {
		return malformed(what, io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("%s: expected %s in the header's JSON, found %s", what, want, Printable(h.word()))
}

// word takes the next punctuation mark, string, number or name, for a message or to be parsed.
func (h *headerReader) word() string {
	c := h.peek()
	from := h.at
	if c == '"' {
		if text, err := h.str(""); err == nil {
			return text
		}
		return string(h.text[from:min(from+20, len(h.text))])
	}
	for h.at < len(h.text) && isWord(h.text[h.at]) {
		h.at++
	}
	return string(h.text[from:min(max(h.at, from+1), len(h.text))])
}

func isWord(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' || c == '+' || c == '-' || c == '.' || c == '_'
}

// str reads a string.
func (h *headerReader) str(what string) (string, error) {
	if h.peek() != '"' {
		return "", h.unexpected(what, "a string")
	}
	from, plain := h.at, true
	for i := from + 1; i < len(h.text); i++ {
		switch c := h.text[i]; {
		case c == '\\':
			plain = false
			i++
		case c < ' ':
			return "", malformed(what, fmt.Errorf("it has %q in a string, where it must be escaped", c))
		case c != '"':
		case plain:
			h.at = i + 1
			return string(h.text[from+1 : i]), nil
		default:
			h.at = i + 1
			var text string
			if err := json.Unmarshal(h.text[from:h.at], &text); err != nil {
				return "", malformed(what, errors.New("a string has an escape that JSON does not have"))
			}
			return text, nil
		}
	}
	return "", malformed(what, io.ErrUnexpectedEOF)
}

// list reads what lies between two brackets: items, with a comma between two of them.
func (h *headerReader) list(what string, open, end byte, item func() error) error {
	if err := h.expect(what, open); err != nil {
		return err
	}
	if h.peek() == end {
		h.at++
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		switch h.peek() {
		case ',':
			h.at++
		case end:
			h.at++
			return nil
		default:
			return h.unexpected(what, fmt.Sprintf(", or %c", end))
		}
	}
}

// object reads an object and calls value for each key. what names the object in errors; given reports whether a key was
// there before.
func (h *headerReader) object(what string, given func(key string) bool, value func(key string) error) error {
	return h.list(what, '{', '}', func() error {
		key, err := h.str(what)
		if err != nil {
			return err
		}
		if err := h.expect(what, ':'); err != nil {
			return err
		}
		if given(key) {
			return fmt.Errorf("%s gives %s twice", what, Printable(key))
		}
		return value(key)
	})
}

// integers reads a short list of whole numbers that are not negative.
func (h *headerReader) integers(what string) ([]int64, error) {
	list := make([]int64, 0, 4)
	err := h.list(what, '[', ']', func() error {
		if h.peek(); h.at == len(h.text) {
			return malformed(what, io.ErrUnexpectedEOF)
		}
		word := h.word()
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil || n < 0 || word[0] == '+' || len(word) > 1 && word[0] == '0' || len(list) == maxRank {
			return fmt.Errorf("%s: expected at most %d whole numbers that are not negative, found %s", what, maxRank, Printable(word))
		}
		list = append(list, n)
		return nil
	})
	return list, err
}

// end returns an error unless the text ends here.
func (h *headerReader) end() error {
	if h.peek(); h.at < len(h.text) {
		return errors.New("the header holds more than one JSON object")
	}
	return nil
}

func malformed(what string, err error) error {
	return fmt.Errorf("%s is not valid JSON: %w", what, err)
}
