// Package jsonerr turns errors of encoding/json, which speak of Go's types, into sentences about the text.
package jsonerr

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// Field is an error about a field, whose name begins the sentence, or without a name about the whole text.
type Field struct{ Name, Text string }

// Fieldf returns an error about a field: what is said of it.
func Fieldf(name, format string, args ...any) error {
	return &Field{name, fmt.Sprintf(format, args...)}
}

func (f *Field) Error() string { return cmp.Or(f.Name, "it") + " " + f.Text }

// ErrUnknown is in errors about a field that nothing reads; the words are encoding/json's.
var ErrUnknown = errors.New("unknown field")

// ErrEnd says that a text ends within its value.
var ErrEnd error = &Field{Text: "ends too early"}

// Explain returns err about fields and values of the text. Names of embedded structs, which the text lacks, are left out
// of fields.
func Explain(err error, embedded ...string) error {
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &kind):
		field := kind.Field
		for _, name := range embedded {
			field = strings.ReplaceAll("."+field, "."+name+".", ".")[1:]
		}
		return Fieldf(field, "holds %s, expected %s", phrase(kind.Value), expected(kind.Type))
	case errors.As(err, &syntax) && syntax.Error() != "unexpected end of JSON input":
		return &Field{Text: malformed(syntax)}
	case syntax != nil || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return ErrEnd
	case err != nil: // an unknown field has no type of its own
		if text, ok := strings.CutPrefix(err.Error(), "json: "); ok {
			if name, ok := strings.CutPrefix(text, ErrUnknown.Error()); ok {
				return fmt.Errorf("%w%s", ErrUnknown, name)
			}
			return errors.New(text)
		}
	}
	return err
}

// UTF16 returns an error if a text is in UTF-16, with a byte order mark or beginning with an object.
func UTF16(text []byte) error {
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) || len(text) > 1 && (text[0] == '{' && text[1] == 0 || text[0] == 0 && text[1] == '{') {
		return errors.New("it is UTF-16, expected JSON in UTF-8 (iconv -f UTF-16 -t UTF-8 converts it)")
	}
	return nil
}

// places says where a character is that makes a text malformed, by what encoding/json says.
var places = map[string]string{
	"looking for beginning of value":             "where a value is expected",
	"looking for beginning of object key string": "where a name in double quotes is expected",
	"after object key":                           "where a colon is expected",
	"after object key:value pair":                "where a comma or } is expected",
	"after array element":                        "where a comma or ] is expected",
	"after top-level value":                      "behind its end",
	"in string literal":                          "in a string, which has it only as an escape",
	"in string escape code":                      "in an escape, which it is not",
	"exceeded max depth":                         "at a depth beyond 10000",
}

// malformed says what makes a text malformed.
func malformed(err *json.SyntaxError) string {
	rest, ok := strings.CutPrefix(err.Error(), "invalid character ")
	end := 0
	if ok && len(rest) > 2 {
		end = strings.Index(rest[2:], "' ") + 3 // behind the character in quotes, which may be one itself
	}
	if end < 3 {
		return "is malformed"
	}
	c, at := rest[:end], rest[end+1:]
	where, hint := places[at], ""
	if where == "" { // such as "in literal true (expecting 'r')"
		at, _, _ = strings.Cut(at, " (")
		where = at
	}
	if strings.Contains("'N' 'I' 'T' 'F'", c) && (at == "looking for beginning of value" || at == "in numeric literal") {
		hint = ": JSON has null, true and false, and neither NaN nor Infinity"
	}
	return fmt.Sprintf("has %s at byte %d, %s%s", c, err.Offset, where, hint)
}

// phrase rewrites encoding/json's description of a value.
func phrase(value string) string {
	switch value {
	case "array", "object":
		return "an " + value
	case "bool":
		return "true or false"
	case "string", "number":
		return "a " + value
	}
	return "the " + value // "number 1.5"
}

// expected describes the values that a type takes.
func expected(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return expected(t.Elem())
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Uint32:
		return "a whole number from 0 to 4294967295"
	case reflect.Uint64:
		return "a whole number from 0 to 18446744073709551615"
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list"
	}
	return "an object"
}
