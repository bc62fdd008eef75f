package emu

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever is done to a text, it parses or there is a finding with a place; nothing panics.
func TestDamagedText(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(compiled, "*.ptx"))
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	rng := rand.New(rand.NewPCG(7, 8))
	kinds := map[Kind]int{}
	for _, file := range files {
		whole, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.SplitAfter(string(whole), "\n")
		if len(lines) > 700 {
			lines = lines[:700]
		}
		for range 40 {
			text := damage(rng, lines)
			m, err := Parse(text)
			if err != nil {
				var f *Finding
				if !errors.As(err, &f) || f.Pos.Line < 1 || f.Pos.Col < 1 || f.Text == "" {
					t.Fatalf("%s: %v is no finding with a place", file, err)
				}
				kinds[f.Kind]++
				continue
			}
			for _, e := range m.entries {
				if p, err := e.lowered(); err == nil && p.failed != nil {
					kinds[p.failed.Kind]++
				}
			}
		}
	}
	if kinds[Syntax] < 100 || kinds[UnknownOpcode] < 10 {
		t.Errorf("findings: %v", kinds)
	}
}

const others = " ;,.%{}[]()<>:@!0xfr_-+\"/\n\x80"

// damage changes one or two places of a text.
func damage(rng *rand.Rand, lines []string) string {
	out := append([]string(nil), lines...)
	for range 1 + rng.IntN(2) {
		i := rng.IntN(len(out))
		words := strings.FieldsFunc(out[i], func(r rune) bool { return strings.ContainsRune(" \t,;[]{}()\n", r) })
		switch rng.IntN(7) {
		case 0:
			out[i] = ""
		case 1: // a byte is another one
			if b := []byte(out[i]); len(b) > 0 {
				b[rng.IntN(len(b))] = others[rng.IntN(len(others))]
				out[i] = string(b)
			}
		case 2: // a word is missing, or another one
			if len(words) > 0 {
				other := strings.Fields(out[rng.IntN(len(out))] + " ;")
				out[i] = strings.Replace(out[i], words[rng.IntN(len(words))], []string{"", other[rng.IntN(len(other))]}[rng.IntN(2)], 1)
			}
		case 3: // lines change places
			j := rng.IntN(len(out))
			out[i], out[j] = out[j], out[i]
		case 4: // an operand more
			out[i] = strings.Replace(out[i], ";", ", %r1;", 1)
		case 5:
			out[i] = strings.Replace(out[i], ".", ".v2.", 1)
		default:
			out = out[:i+1]
		}
	}
	return strings.Join(out, "")
}
