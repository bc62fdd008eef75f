// Package config reads the JSON files of a checkpoint key by key. Every error names file and key, what was found and
// what was expected. Models ask for every key that transformers computes with, so a key that nobody has asked for
// changes nothing there either: it is a note.
package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"pgc/runtime/jsonerr"
)

// Section is a JSON object of a file. It remembers which keys were asked for, so that Rest can name those nobody knows.
type Section struct {
	file, path string
	raw        map[string]json.RawMessage
	known      map[string]bool
	*found     // in the whole file
}

// found is what there is to say about a file.
type found struct {
	err   error    // the first
	notes []string // a sentence each
	rest  []string // keys that nobody knows
}

// Parse reads one JSON object; file names it in errors.
func Parse(file string, text []byte) (*Section, error) {
	s := Empty(file)
	s.raw = nil
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	err := jsonerr.UTF16(text)
	if err == nil {
		err = json.Unmarshal(text, &s.raw)
	}
	if err != nil && json.Unmarshal(quoteNumbers(text), &s.raw) != nil {
		return nil, fmt.Errorf("%s is not a JSON object: %w", file, jsonerr.Explain(err))
	}
	if s.raw == nil {
		return nil, fmt.Errorf("%s is not a JSON object: it is null", file)
	}
	return s, nil
}

// noNumbers are the values that Python's json module writes and reads as numbers, and that JSON lacks.
var noNumbers = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b`)

// quoteNumbers makes strings of such values, so that they are errors only in a setting that counts.
func quoteNumbers(text []byte) []byte {
	return noNumbers.ReplaceAllFunc(text, func(found []byte) []byte {
		if found[0] == '"' {
			return found
		}
		return fmt.Appendf(nil, "%q", found)
	})
}

// Empty is the section of a file that is missing: it has no key.
func Empty(file string) *Section {
	return &Section{file: file, raw: map[string]json.RawMessage{}, known: map[string]bool{}, found: &found{}}
}

// File is the path of the file.
func (s *Section) File() string { return s.file }

// Err is the first error of the file.
func (s *Section) Err() error { return s.err }

// Notes are what a user should know about the file, a sentence each.
func (s *Section) Notes() []string {
	if len(s.rest) == 0 {
		return s.notes
	}
	return append(slices.Clip(s.notes), fmt.Sprintf("%s: passed over, because transformers has no such settings: %s", s.file, Names(s.rest)))
}

// Names lists names in a sentence, the first eight of many.
func Names(names []string) string {
	const most = 8
	more := ""
	if n := len(names) - most; n > 0 {
		names, more = names[:most], fmt.Sprintf(" and %d more", n)
	}
	return strings.Join(names, ", ") + more
}

// Note adds a note about a key. The format continues the sentence that the key begins.
func (s *Section) Note(key, format string, args ...any) {
	s.notes = append(s.notes, s.sentence(key, format, args...))
}

// Len is the number of keys.
func (s *Section) Len() int { return len(s.raw) }

// Raw is the text of a value, or nil.
func (s *Section) Raw(key string) []byte { return s.raw[key] }

// Null reports whether a key is there and null.
func (s *Section) Null(key string) bool { return string(s.raw[key]) == "null" }

// Fail notes an error about a key, unless the file has one already. The format continues the sentence that the key
// begins.
func (s *Section) Fail(key, format string, args ...any) {
	if s.err == nil {
		s.err = errors.New(s.sentence(key, format, args...))
	}
}

func (s *Section) sentence(key, format string, args ...any) string {
	return fmt.Sprintf("%s: %s%s %s", s.file, s.path, key, fmt.Sprintf(format, args...))
}

// Has reports whether a key is there and not null.
func (s *Section) Has(key string) bool {
	s.known[key] = true
	v, ok := s.raw[key]
	return ok && string(v) != "null"
}

// Show is a value as an error shows it: on one line and not too long.
func (s *Section) Show(key string) string {
	var b bytes.Buffer
	if json.Compact(&b, s.raw[key]) != nil || b.Len() > 80 {
		return fmt.Sprintf("%.80q…", s.raw[key])
	}
	return b.String()
}

// Get decodes the value of a key into to, unless the key is missing or null; expected says what it should have been.
func (s *Section) Get(key string, to any, expected string) bool {
	if !s.Has(key) {
		return false
	}
	if err := json.Unmarshal(s.raw[key], to); err != nil {
		s.Fail(key, "is %s, expected %s", s.Show(key), expected)
		return false
	}
	return true
}

// Int reads a whole number from 0 to 2³¹-1; missing is the value of a missing key.
func (s *Section) Int(key string, missing int) int {
	v := missing
	if s.Get(key, &v, "a whole number") && (v < 0 || v > math.MaxInt32) {
		s.Fail(key, "is %s, expected a whole number", s.Show(key))
		return missing
	}
	return v
}

// ID reads a token id. A negative one means that there is no such token, which is what missing is for.
func (s *Section) ID(key string, missing int) int {
	v := 0
	if s.Has(key) && json.Unmarshal(s.raw[key], &v) == nil && v < 0 {
		return missing
	}
	return s.Int(key, missing)
}

// Size reads a whole number from 1 to most.
func (s *Section) Size(key string, missing, most int) int {
	v := s.Int(key, missing)
	if v == 0 {
		s.Fail(key, "is 0, expected a positive number")
		return 1
	}
	if v > most {
		s.Fail(key, "is %d, expected at most %d", v, most)
		return 1
	}
	return v
}

// Float reads a number.
func (s *Section) Float(key string, missing float64) float64 {
	v := missing
	s.Get(key, &v, "a number")
	return v
}

// Positive returns v, the value of a key, and fails unless it is greater than 0.
func (s *Section) Positive(key string, v float64) float64 {
	if !(v > 0) {
		s.Fail(key, "is %g, expected a positive number", v)
		return 1
	}
	return v
}

// Bool reads true or false.
func (s *Section) Bool(key string, missing bool) bool {
	v := missing
	s.Get(key, &v, "true or false")
	return v
}

// String reads a text.
func (s *Section) String(key, missing string) string {
	v := missing
	s.Get(key, &v, "a string")
	return v
}

// Only demands that a key, if it is there and not null, has one of some values; an empty list counts as null.
func (s *Section) Only(key string, allowed ...any) {
	if s.Is(key, allowed...) {
		return
	}
	text, _ := json.Marshal(allowed[0])
	s.Fail(key, "is %s, which is not supported: expected %s", s.Show(key), text)
}

// Is reports whether a key is missing or null or has one of some values; an empty list counts as null.
func (s *Section) Is(key string, allowed ...any) bool {
	var v any
	if !s.Get(key, &v, "JSON") {
		return true
	}
	list, ok := v.([]any)
	return slices.ContainsFunc(allowed, func(a any) bool { return ok && len(list) == 0 && a == nil || !ok && v == a })
}

// Tokens reads the ids of tokens, one or a list of them. A negative one means that there is no such token; nil that there
// is none.
func (s *Section) Tokens(key string) (ids []int) {
	if !s.Has(key) {
		return nil
	}
	var all []*int
	if json.Unmarshal(s.raw[key], &all) != nil {
		all = []*int{new(int)}
		if !s.Get(key, all[0], "a whole number") {
			return nil
		}
	}
	for _, id := range all {
		if id == nil || *id > math.MaxInt32 {
			s.Fail(key, "is %s, expected token ids", s.Show(key))
			return nil
		}
		if *id >= 0 {
			ids = append(ids, *id)
		}
	}
	return ids
}

// Ints reads a whole number or a list of them, none of which is negative.
func (s *Section) Ints(key string) []int {
	var list []int
	if json.Unmarshal(s.raw[key], &list) != nil {
		list = []int{s.Int(key, 0)}
	}
	s.Has(key)
	if len(list) == 0 || slices.Min(list) < 0 || slices.Max(list) > math.MaxInt32 {
		s.Fail(key, "is %s, expected whole numbers", s.Show(key))
		return []int{0}
	}
	return list
}

// Section returns a nested object; present tells whether it is there.
func (s *Section) Section(key string) (sub *Section, present bool) {
	sub = Empty(s.file)
	sub.path, sub.found = s.path+key+".", s.found
	if !s.Has(key) {
		return sub, false
	}
	if err := json.Unmarshal(s.raw[key], &sub.raw); err != nil {
		s.Fail(key, "is not an object")
	}
	return sub, true
}

// Or returns a section with the keys of s and those of other that s lacks or has as null. Errors name keys as if all were of s.
func (s *Section) Or(other *Section) *Section {
	both := Empty(s.file)
	maps.Copy(both.raw, other.raw)
	for key, v := range s.raw {
		if !s.Null(key) {
			both.raw[key] = v
		}
	}
	return both
}

// Unread lists the keys that nothing has read and that are not among inert.
func (s *Section) Unread(inert map[string]bool) map[string]bool {
	left := map[string]bool{}
	for key := range s.raw {
		if !s.known[key] && !inert[key] {
			left[key] = true
		}
	}
	return left
}

// Rest notes the keys that nothing has read and that are not of inert. Null values and private keys (_name_or_path) set
// nothing.
func (s *Section) Rest(inert map[string]bool) {
	for _, key := range slices.Sorted(maps.Keys(s.Unread(inert))) {
		if strings.HasPrefix(key, "_") || s.Null(key) {
			continue
		}
		if len(key) > 80 {
			key = key[:80] + "…"
		}
		s.rest = append(s.rest, s.path+plain(key))
	}
}

// plain quotes a key unless it is a name.
func plain(key string) string {
	if strings.ContainsFunc(key, func(r rune) bool {
		return r != '_' && r != '-' && !('a' <= r|0x20 && r|0x20 <= 'z') && !('0' <= r && r <= '9')
	}) {
		return strconv.Quote(key)
	}
	return key
}
