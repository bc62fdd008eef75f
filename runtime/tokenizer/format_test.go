package tokenizer

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// use calls everything that reads the tables of a tokenizer.
func use(t *testing.T, tok *Tokenizer, text string) {
	t.Helper()
	for _, specials := range []bool{false, true} {
		ids := tok.Encode(text, specials)
		for _, id := range ids {
			if id < 0 || int(id) >= tok.VocabSize() {
				t.Fatalf("%q encodes to id %d of a vocabulary of %d", text, id, tok.VocabSize())
			}
		}
		if s := tok.Decode(append(ids, -1, 5, 1<<30), specials); !utf8.ValidString(text) && s == text {
			t.Fatalf("%q comes back though it is not UTF-8", text)
		}
	}
	tok.ID(text)
	tok.Token(7)
	if _, err := tok.Prompt(Layout{Image: 1, BOS: 2, EOS: 3, ImageTokens: 2, End: "\n"}, 1, text, &text, true); err != nil && !strings.Contains(err.Error(), " images") {
		t.Fatal(err)
	}
}

// TestDamage cuts and flips bytes of the compact form: an error or some tokenizer, never a panic.
func TestDamage(t *testing.T) {
	_, good := open(t, "gemma2")
	for n := range len(magic) + binary.Size(header{}) + 300 {
		if _, err := Load(good[:n]); err == nil {
			t.Fatalf("the first %d bytes are accepted", n)
		}
	}
	for _, bad := range [][]byte{nil, good[:len(good)-1], good[:len(good)-4], append(bytes.Clone(good), 0, 0, 0, 0)} {
		if _, err := Load(bad); err == nil || !strings.HasPrefix(err.Error(), "compact tokenizer: ") {
			t.Errorf("%d of %d bytes: error %v", len(bad), len(good), err)
		}
	}
	rng, accepted := rand.New(rand.NewPCG(1, 2)), 0
	for range 3000 {
		bad := bytes.Clone(good)
		limit := len(bad)
		if rng.IntN(2) == 0 {
			limit = 600 // header and first offsets
		}
		for range 1 + rng.IntN(3) {
			bad[rng.IntN(limit)] ^= byte(1 << rng.IntN(8))
		}
		if tok, err := Load(bad); err == nil {
			accepted++
			use(t, tok, "the cat <loc0001>\n\n▁▁ New York 猫🐈 <eos>")
		}
	}
	t.Logf("%d of 3000 damaged forms load", accepted)
}

func TestLoadKeepsBytes(t *testing.T) {
	_, compact := open(t, "gemma2")
	before := bytes.Clone(compact)
	tok, err := Load(compact)
	if err != nil {
		t.Fatal(err)
	}
	use(t, tok, "the cat")
	if !bytes.Equal(before, compact) {
		t.Error("use changes the compact form")
	}
	if n := testing.AllocsPerRun(10, func() {
		if _, err := Load(compact); err != nil {
			t.Fatal(err)
		}
	}); n > 200 {
		t.Errorf("Load allocates %.0f times", n)
	}
}

// Small seeds: the fuzzer changes them faster.

func FuzzLoad(f *testing.F) {
	compact, err := Parse(small(f, func(map[string]any) {}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(compact, "ab <e>")
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		if tok, err := Load(data); err == nil {
			use(t, tok, text)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(small(f, func(map[string]any) {}))
	f.Fuzz(func(t *testing.T, data []byte) {
		compact, err := Parse(data)
		if err != nil {
			return
		}
		tok, err := Load(compact)
		if err != nil {
			t.Fatalf("Load rejects what Parse wrote: %v", err)
		}
		use(t, tok, "ab <e>")
	})
}

// FuzzRoundTrip encodes and decodes any text: Gemma's encoders lose nothing but the difference of ▁ and blank.
func FuzzRoundTrip(f *testing.F) {
	for _, s := range []string{"", "caption en\n", "a  b\t\n\n", "猫🐈\u200d", "<eos><loc0001>", "\xff\xe2\x82", "▁ ▁"} {
		f.Add(s)
	}
	gemma, _ := open(f, "gemma")
	gemma2, _ := open(f, "gemma2")
	f.Fuzz(func(t *testing.T, text string) {
		want := strings.ReplaceAll(wellFormed(text), "▁", " ")
		for _, parseSpecials := range []bool{false, true} {
			ids := gemma.Encode(text, parseSpecials)
			if got := gemma.Decode(ids, false); got != want {
				t.Errorf("%q comes back as %q", text, got)
			}
			d, streamed := gemma.NewDecoder(false), ""
			for _, id := range ids {
				s := d.Next(id)
				if !utf8.ValidString(s) {
					t.Errorf("streams %q, which is not UTF-8", s)
				}
				streamed += s
			}
			if streamed += d.Flush(); streamed != want {
				t.Errorf("%q streams as %q", text, streamed)
			}
			if again := gemma.Encode(gemma.Decode(ids, false), parseSpecials); !slices.Equal(again, ids) && !strings.Contains(wellFormed(text), "▁") {
				t.Errorf("%q encodes to %v, and again to %v", text, ids, again)
			}
		}
		use(t, gemma2, text)
	})
}
