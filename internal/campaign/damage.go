package main

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// random is a source of choices.
type random struct{ *rand.Rand }

func newRandom(seed uint64) random { return random{rand.New(rand.NewPCG(seed, 0x706763))} }

// one returns one of a list.
func one[T any](r random, list []T) T { return list[r.IntN(len(list))] }

// chance is true with a probability.
func (r random) chance(p float64) bool { return r.Float64() < p }

// kinds are files that are no regular file with bytes of their own.
var kinds = map[string]func(path, to string) error{
	"folder": func(path, _ string) error { return os.Mkdir(path, 0o777) },
	"fifo":   func(path, _ string) error { return unix.Mkfifo(path, 0o666) },
	"socket": func(path, _ string) error { return unix.Mknod(path, unix.S_IFSOCK|0o666, 0) },
	"link":   func(path, to string) error { return os.Symlink(to, path) },
	"sparse": func(path, _ string) error { // a terabyte of zeros
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			return err
		}
		return os.Truncate(path, 1<<40)
	},
	"missing": func(string, string) error { return nil },
}

// damages change the bytes of a file.
var damages = map[string]func(data []byte, r random) []byte{
	"cut":    func(data []byte, r random) []byte { return data[:r.IntN(len(data)+1)] },
	"empty":  func([]byte, random) []byte { return nil },
	"one":    func(data []byte, r random) []byte { return data[:min(1, len(data))] },
	"append": func(data []byte, r random) []byte { return append(slices.Clone(data), noise(r, 1+r.IntN(5000))...) },
	"noise":  func(data []byte, r random) []byte { return noise(r, r.IntN(3000)) },
	"bits": func(data []byte, r random) []byte {
		data = slices.Clone(data)
		for range 1 + r.IntN(8) {
			if len(data) > 0 {
				data[r.IntN(len(data))] ^= 1 << r.IntN(8)
			}
		}
		return data
	},
	"head": func(data []byte, r random) []byte { // where headers are
		data = slices.Clone(data)
		for range 1 + r.IntN(4) {
			if len(data) > 0 {
				data[r.IntN(min(len(data), 200))] = one(r, []byte{0, 1, 0x7f, 0x80, 0xff, byte(r.Uint32())})
			}
		}
		return data
	},
	"zero": func(data []byte, r random) []byte {
		data = slices.Clone(data)
		a, b := span(data, r)
		clear(data[a:b])
		return data
	},
	"drop": func(data []byte, r random) []byte {
		a, b := span(data, r)
		return slices.Concat(data[:a], data[b:])
	},
	"double": func(data []byte, r random) []byte {
		a, b := span(data, r)
		return slices.Concat(data[:b], data[a:])
	},
	"number": func(data []byte, r random) []byte { return replaceOne(data, r, numbers, oddNumbers) },
	"word":   func(data []byte, r random) []byte { return swapOne(data, r, anyWord) },
	"value":  oddValue,
}

func noise(r random, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// span returns a part of data.
func span(data []byte, r random) (from, to int) {
	from = r.IntN(len(data) + 1)
	return from, min(len(data), from+r.IntN(1+min(len(data), 1<<r.IntN(16))))
}

var (
	numbers    = regexp.MustCompile(`-?\b\d+(\.\d+)?\b`)
	anyWord    = regexp.MustCompile(`[%@]?\w+`)
	oddNumbers = []string{"0", "-1", "1", "2", "3", "7", "255", "65536", "2147483647", "2147483648", "4294967296", "4611686018427387904",
		"9223372036854775807", "9223372036854775808", "18446744073709551616", "1e308", "1e999", "-0", "0.5", "1e-400", "NaN"}
)

// replaceOne replaces one match of a pattern in text.
func replaceOne(data []byte, r random, pattern *regexp.Regexp, by []string) []byte {
	found := pattern.FindAllIndex(data, 20000)
	if len(found) == 0 {
		return data
	}
	at := one(r, found)
	return slices.Concat(data[:at[0]], []byte(one(r, by)), data[at[1]:])
}

// swapOne replaces one match by another one, removes it or doubles it.
func swapOne(data []byte, r random, pattern *regexp.Regexp) []byte {
	found := pattern.FindAllIndex(data, 20000)
	if len(found) == 0 {
		return data
	}
	at, other := one(r, found), one(r, found)
	word := string(data[at[0]:at[1]])
	by := []string{string(data[other[0]:other[1]]), "", word + word, word + " " + word}
	return slices.Concat(data[:at[0]], []byte(one(r, by)), data[at[1]:])
}

// oddValues are JSON values that few files hold.
var oddValues = []string{"null", "true", "-1", "0", "1e400", "1.5", `""`, `"x"`, "[]", "{}", "[null]", "9007199254740993", "9223372036854775808", `"\ud800"`, `"\u0000"`,
	`{"a":{"a":{"a":1}}}`, strings.Repeat("[", 20000) + strings.Repeat("]", 20000)}

// oddValue replaces or removes one value of a JSON file, or of the header of a safetensors file.
func oddValue(data []byte, r random) []byte {
	from, to := 0, len(data)
	if len(data) > 10 && data[8] == '{' { // safetensors
		n := int(uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16)
		from, to = 8, min(len(data), 8+n)
	}
	var spans [][2]int
	d := json.NewDecoder(bytes.NewReader(data[from:to]))
	for len(spans) < 50000 {
		before := int(d.InputOffset())
		token, err := d.Token()
		if err != nil {
			break
		}
		if _, ok := token.(json.Delim); !ok {
			spans = append(spans, [2]int{from + before, from + int(d.InputOffset())})
		}
	}
	if len(spans) == 0 {
		return data
	}
	at := one(r, spans)
	old := data[at[0]:at[1]]
	skip := len(old) - len(bytes.TrimLeft(old, " \t\r\n,:")) // separators stay
	by := one(r, oddValues)
	if r.chance(0.1) {
		by = ""
	}
	out := slices.Concat(data[:at[0]+skip], []byte(by), data[at[1]:])
	if grown := len(out) - len(data); from == 8 && r.chance(0.9) { // the header's length follows
		n := to - from + grown
		out[0], out[1], out[2] = byte(n), byte(n>>8), byte(n>>16)
	}
	return out
}
