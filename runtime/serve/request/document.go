// Package request is what clients ask for, in OpenAI's form or in ollama's: bodies, checked field by field, become one
// kind of request. It knows neither HTTP nor the model.
package request

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"pgc/runtime/jsonerr"
	"pgc/runtime/serve/openai"
)

// Document is a JSON object whose fields are read one by one. It knows which ones nobody read.
type Document struct {
	fields map[string]json.RawMessage
	long   []string // strings that were lifted out of the text
	mark   string   // what stands for them begins so
	read   map[string]bool
}

// longString is the length from which on a string of letters that need no escape is lifted out of the text, so that a
// picture of megabytes is copied once and not scanned by every level of the decoder.
const longString = 4 << 10

// Parse reads a JSON object. A byte order mark before it is passed over.
func Parse(body []byte) (*Document, error) {
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	if !utf8.Valid(body) {
		return nil, openai.Invalid("", "the body is no UTF-8, expected JSON in UTF-8")
	}
	d := &Document{mark: fmt.Sprintf("lifted-%016x-", rand.Uint64()), read: map[string]bool{}}
	text := d.lift(body)
	if err := json.Unmarshal(text, &d.fields); err != nil {
		return nil, openai.Invalid("", "the body is no JSON object: %v", jsonerr.Explain(err))
	}
	if d.fields == nil {
		return nil, openai.Invalid("", "the body is null, expected a JSON object")
	}
	return d, nil
}

// plain tells the characters of base64 and of data: URIs, which need no escape in JSON.
var plain = func() (t [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_:;,.%") {
		t[c] = true
	}
	return t
}()

// lift returns the text with a short string in place of every long one of plain characters.
func (d *Document) lift(body []byte) []byte {
	var out []byte
	done := 0
	for at := 0; at < len(body); {
		open := bytes.IndexByte(body[at:], '"')
		if open < 0 {
			break
		}
		open += at
		end := open + 1
		for end < len(body) && plain[body[end]] {
			end++
		}
		if end < len(body) && body[end] == '"' {
			if end-open > longString {
				out = append(append(out, body[done:open+1]...), fmt.Sprintf("%s%d", d.mark, len(d.long))...)
				d.long = append(d.long, string(body[open+1:end]))
				done = end
			}
			at = end + 1
			continue
		}
		for end < len(body) && body[end] != '"' { // other characters: on to the end of the string
			if body[end] == '\\' {
				end++
			}
			end++
		}
		at = end + 1
	}
	if out == nil {
		return body
	}
	return append(out, body[done:]...)
}

// text returns a string as it was before it was lifted.
func (d *Document) text(s string) string {
	if rest, ok := strings.CutPrefix(s, d.mark); ok {
		n := 0
		if _, err := fmt.Sscanf(rest, "%d", &n); err == nil && n >= 0 && n < len(d.long) {
			return d.long[n]
		}
	}
	return s
}

// raw returns a field, nil if it is missing or null.
func (d *Document) raw(name string) json.RawMessage {
	d.read[name] = true
	if v := d.fields[name]; string(v) != "null" {
		return v
	}
	return nil
}

// get reads a field into v, a pointer, and reports whether it is there.
func (d *Document) get(name string, v any) (bool, error) {
	raw := d.raw(name)
	if raw == nil {
		return false, nil
	}
	return true, decode(raw, name, v)
}

// decode reads JSON, called name in errors, into v. A whole number may be written as 16.0.
func decode(raw json.RawMessage, name string, v any) error {
	err := json.Unmarshal(raw, v)
	if err == nil {
		return nil
	}
	if f, e := strconv.ParseFloat(string(raw), 64); e == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 && json.Unmarshal(strconv.AppendInt(nil, int64(f), 10), v) == nil {
		return nil
	}
	err = jsonerr.Explain(err)
	switch f, ok := errors.AsType[*jsonerr.Field](err); {
	case !ok:
		return openai.Invalid(name, "%s: %v", name, err)
	case f.Name == "":
		return openai.Invalid(name, "%s %s", name, f.Text)
	default:
		return openai.Invalid(name, "%s.%v", name, f)
	}
}

// optional reads a field that may be missing.
func optional[T any](d *Document, name string) (*T, error) {
	var v T
	found, err := d.get(name, &v)
	if !found || err != nil {
		return nil, err
	}
	return &v, nil
}

// texts reads a field that is a string or a list of strings.
func (d *Document) texts(name string) ([]string, error) {
	raw := d.raw(name)
	if raw == nil {
		return nil, nil
	}
	if raw[0] == '"' {
		var one string
		err := decode(raw, name, &one)
		return []string{d.text(one)}, err
	}
	var list []*string
	if raw[0] != '[' || json.Unmarshal(raw, &list) != nil || slices.Contains(list, nil) {
		return nil, openai.Invalid(name, "%s is %.40s, expected a string or a list of strings", name, raw)
	}
	var out []string
	for _, s := range list {
		out = append(out, d.text(*s))
	}
	return out, nil
}

// unread lists the fields with a value that nobody read.
func (d *Document) unread() (names []string) {
	for _, name := range slices.Sorted(maps.Keys(d.fields)) {
		if !d.read[name] && string(d.fields[name]) != "null" {
			names = append(names, name)
		}
	}
	return names
}
