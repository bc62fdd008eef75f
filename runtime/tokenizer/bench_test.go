package tokenizer

import (
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

// large is a tokenizer of PaliGemma's size: 257,216 tokens, of which all strings of up to three letters and many of
// four, and every way to merge two into a third.
var large = sync.OnceValues(func() ([]byte, error) {
	const alphabet = "▁abcdefghijklmnopqrstuvwxy"
	letters := strings.Split(alphabet, "")
	rng := rand.New(rand.NewPCG(3, 4))
	b := builder{ids: map[string]uint32{}, ranks: map[[2]int32]uint32{}, unk: -1, byteFallback: true, decodeBytes: true,
		normalizer: []replacement{{" ", "▁"}}, decoder: []replacement{{"▁", " "}}}
	add := func(parts ...string) error {
		token := strings.Join(parts, "")
		if _, ok := b.ids[token]; ok {
			return nil
		}
		id := uint32(len(b.tokens))
		if err := b.set(token, id, flagModel); err != nil {
			return err
		}
		for i := 1; i < len(parts); i++ {
			pair := [2]int32{int32(b.ids[strings.Join(parts[:i], "")]), int32(b.ids[strings.Join(parts[i:], "")])}
			b.ranks[pair] = uint32(len(b.merges))
			b.merges = append(b.merges, merge{pair, id})
		}
		return nil
	}
	for _, x := range letters {
		if err := add(x); err != nil {
			return nil, err
		}
	}
	for range 2 {
		for n := len(b.tokens); n > 0; n-- {
			for _, x := range letters {
				if err := add(append(strings.Split(b.tokens[n-1], ""), x)...); err != nil {
					return nil, err
				}
			}
		}
	}
	for len(b.tokens) < 257_216 {
		var parts []string
		for range 4 {
			parts = append(parts, letters[rng.IntN(len(letters))])
		}
		if err := add(parts...); err != nil {
			return nil, err
		}
	}
	b.modelSize = len(b.tokens)
	return b.compact()
})

func openLarge(b *testing.B) (*Tokenizer, []byte) {
	compact, err := large()
	if err != nil {
		b.Fatal(err)
	}
	tok, err := Load(compact)
	if err != nil {
		b.Fatal(err)
	}
	return tok, compact
}

func BenchmarkLoad(b *testing.B) {
	_, compact := openLarge(b)
	b.SetBytes(int64(len(compact)))
	for b.Loop() {
		if _, err := Load(compact); err != nil {
			b.Fatal(err)
		}
	}
}

// benchmarkText is prose of a megabyte.
func benchmarkText() string {
	words := strings.Fields("a cat sits on the mat beside two small dogs while birds watch them from old trees caption en detect person ; answer what")
	rng := rand.New(rand.NewPCG(5, 6))
	var s strings.Builder
	for s.Len() < 1<<20 {
		s.WriteString(words[rng.IntN(len(words))])
		s.WriteByte(' ')
	}
	return s.String()
}

func BenchmarkEncode(b *testing.B) {
	tok, _ := openLarge(b)
	text := benchmarkText()
	for _, c := range []struct{ name, text string }{{"words", text}, {"prompt", text[:80]}, {"letters", strings.Repeat("a", 1<<20)}, {"blanks", strings.Repeat(" ", 1<<20)}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.text)))
			b.ReportAllocs()
			for b.Loop() {
				tok.Encode(c.text, false)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	tok, _ := openLarge(b)
	text := benchmarkText()
	ids := tok.Encode(text, false)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		tok.Decode(ids, true)
	}
}
