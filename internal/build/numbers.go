package build

import (
	"errors"
	"strconv"
	"strings"
)

// The layers of a model, and functions with adapters and without, do the same with other numbers: %28, %w8, layers.3. In the text
// that an executable carries, the numbers of a name are counted from the last name of the function that begins alike, and those of
// results from the newest, so that it says the same in the same words. That makes it a quarter as long once it is compressed.

// counted is what stands before such a number. strconv.Quote leaves none in a text.
const counted = '\x01'

// relative writes the numbers in the names of a text as differences.
func relative(text string) string {
	return renumbered(text, func(name string, last map[string]int) string {
		var b strings.Builder
		for i := 0; i < len(name); {
			end := i
			for end < len(name) && isDigit(name[end]) {
				end++
			}
			if digits := end - i; digits == 0 || digits > 9 || digits > 1 && name[i] == '0' {
				end = max(end, i+1)
				b.WriteString(name[i:end])
			} else {
				n, _ := strconv.Atoi(name[i:end])
				b.WriteByte(counted)
				b.WriteString(strconv.Itoa(n - count(last, name[:i], n)))
			}
			i = end
		}
		return b.String()
	})
}

// absolute undoes relative.
func absolute(text string) (whole string, err error) {
	whole = renumbered(text, func(name string, last map[string]int) string {
		var b strings.Builder
		for i := 0; i < len(name); i++ {
			if name[i] != counted {
				b.WriteByte(name[i])
				continue
			}
			end := i + 1
			for end < len(name) && (isDigit(name[end]) || name[end] == '-') {
				end++
			}
			by, bad := strconv.Atoi(name[i+1 : end])
			n := last[b.String()] + by
			if bad != nil || n < 0 || n > 999_999_999 {
				err = errors.New("a number of a name is damaged")
				n = 0
			}
			count(last, b.String(), n)
			b.WriteString(strconv.Itoa(n))
			i = end - 1
		}
		return b.String()
	})
	return whole, err
}

// count returns the last number behind some text, and makes n the last one, but of results, the newest.
func count(last map[string]int, behind string, n int) int {
	before := last[behind]
	if last[behind] = n; behind == "%" {
		last[behind] = max(n, before)
	}
	return before
}

// renumbered changes the names of a text, those of values and those in quotes. Numbers start anew in every function.
func renumbered(text string, change func(name string, last map[string]int) string) string {
	var b strings.Builder
	last := map[string]int{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "func ") {
			clear(last)
		}
		for {
			i := strings.IndexAny(line, `%"`)
			if i < 0 {
				break
			}
			end := i + 1
			for end < len(line) && inName(line[end], line[end-1]) {
				end++
			}
			b.WriteString(line[:i])
			b.WriteString(change(line[i:end], last))
			line = line[end:]
		}
		b.WriteString(line)
	}
	return b.String()
}

// inName reports whether a name goes on with c behind another byte.
func inName(c, behind byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c == '.' || c == '/' || c == counted ||
		c == '-' && behind == counted
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
