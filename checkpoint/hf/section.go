package hf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// section is a JSON object of a config file, read key by key with defaults. It remembers which keys were asked for, so
// that one nobody knows can be named, and the first thing that is wrong.
type section struct {
	file, path string
	raw        map[string]json.RawMessage
	known      map[string]bool
	err        error
}

func (s *section) fail(key, format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("%s: %s%s %s", s.file, s.path, key, fmt.Sprintf(format, args...))
	}
}

// has reports whether a key is there and not null.
func (s *section) has(key string) bool {
	if s.known == nil {
		s.known = map[string]bool{}
	}
	s.known[key] = true
	v, ok := s.raw[key]
	return ok && string(v) != "null"
}

// show is a value as an error shows it: on one line and not too long.
func (s *section) show(key string) string {
	var b bytes.Buffer
	if json.Compact(&b, s.raw[key]) != nil || b.Len() > 80 {
		return fmt.Sprintf("%.80q…", s.raw[key])
	}
	return b.String()
}

// get decodes the value of a key into to, unless the key is missing or null; expected says what it should have been.
func (s *section) get(key string, to any, expected string) bool {
	if !s.has(key) {
		return false
	}
	if err := json.Unmarshal(s.raw[key], to); err != nil {
		s.fail(key, "is %s, expected %s", s.show(key), expected)
		return false
	}
	return true
}

func (s *section) int(key string, missing int) int {
	v := missing
	if s.get(key, &v, "a whole number") && (v < 0 || v > math.MaxInt32) {
		s.fail(key, "is %s, expected a whole number", s.show(key))
		return missing
	}
	return v
}

// size is a positive number up to most.
func (s *section) size(key string, missing, most int) int {
	v := s.int(key, missing)
	if v == 0 {
		s.fail(key, "is 0, expected a positive number")
		return 1
	}
	if v > most {
		s.fail(key, "is %d, expected at most %d", v, most)
		return 1
	}
	return v
}

func (s *section) float(key string, missing float64) float64 {
	v := missing
	s.get(key, &v, "a number")
	return v
}

// positive returns v, the value of a key, and fails unless it is greater than 0.
func (s *section) positive(key string, v float64) float64 {
	if !(v > 0) {
		s.fail(key, "is %g, expected a positive number", v)
		return 1
	}
	return v
}

func (s *section) bool(key string, missing bool) bool {
	v := missing
	s.get(key, &v, "true or false")
	return v
}

func (s *section) string(key, missing string) string {
	v := missing
	s.get(key, &v, "a string")
	return v
}

// only demands that a key, if it is there and not null, has one of some values; an empty list counts as null.
func (s *section) only(key string, allowed ...any) {
	var v any
	if !s.get(key, &v, "JSON") {
		return
	}
	for _, a := range allowed {
		if list, ok := v.([]any); ok && len(list) == 0 && a == nil || v == a {
			return
		}
	}
	text, _ := json.Marshal(allowed[0])
	s.fail(key, "is %s, which is not supported: expected %s", s.show(key), text)
}

// ids reads a token id or a list of them.
func (s *section) ids(key string) []int {
	var list []int
	if json.Unmarshal(s.raw[key], &list) != nil {
		list = []int{s.int(key, 0)}
	}
	s.has(key)
	if len(list) == 0 || slices.Min(list) < 0 || slices.Max(list) > math.MaxInt32 {
		s.fail(key, "is %s, expected token ids", s.show(key))
		return []int{0}
	}
	return list
}

// section returns a nested object; present tells whether it is there.
func (s *section) section(key string) (sub *section, present bool) {
	sub = &section{file: s.file, path: s.path + key + ".", raw: map[string]json.RawMessage{}}
	if !s.has(key) {
		return sub, false
	}
	if err := json.Unmarshal(s.raw[key], &sub.raw); err != nil {
		s.fail(key, "is not an object")
	}
	return sub, true
}

// rest fails if a key is left that nothing has read and that is not one of inert: a setting this package does not know
// might change the results. Null values and private keys (_name_or_path) set nothing.
func (s *section) rest(inert map[string]bool) {
	var unknown []string
	for key := range s.raw {
		if !s.known[key] && !inert[key] && !strings.HasPrefix(key, "_") && s.has(key) {
			unknown = append(unknown, key)
		}
	}
	if len(unknown) > 0 {
		sort.Strings(unknown)
		key := unknown[0]
		if len(key) > 80 {
			key = key[:80] + "…"
		}
		s.fail(fmt.Sprintf("%q", key), "is not a known setting: expected no such key (remove it if it changes nothing)")
	}
}

// Bounds of the files that are read whole.
const (
	maxConfig    = 16 << 20
	maxIndex     = 256 << 20
	maxTokenizer = 256 << 20 // Gemma's have 17 to 35 MB
	maxLicence   = 4 << 20
)

// readFile reads dir/name, which must be a file of at most limit bytes.
func readFile(dir, name string, limit int64) ([]byte, error) {
	path := filepath.Join(dir, name)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if target, linkErr := os.Readlink(path); linkErr == nil {
			return nil, fmt.Errorf("%s points to %s, which is missing: the download is not complete", path, target)
		}
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%s has %d bytes, expected at most %d", path, info.Size(), limit)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

// readJSON reads a file that holds one JSON object.
func readJSON(dir, name string, limit int64) (*section, error) {
	text, err := readFile(dir, name, limit)
	if err != nil {
		return nil, err
	}
	return parseJSON(filepath.Join(dir, name), text)
}

// parseJSON reads one JSON object.
func parseJSON(file string, text []byte) (*section, error) {
	s := &section{file: file}
	if err := json.Unmarshal(text, &s.raw); err != nil {
		return nil, fmt.Errorf("%s is not a JSON object: %w", s.file, err)
	}
	if s.raw == nil {
		return nil, fmt.Errorf("%s is not a JSON object: it is null", s.file)
	}
	return s, nil
}

// optional is readJSON where a missing file is an empty object.
func optional(dir, name string) (*section, error) {
	s, err := readJSON(dir, name, maxConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return &section{file: filepath.Join(dir, name), raw: map[string]json.RawMessage{}}, nil
	}
	return s, err
}
