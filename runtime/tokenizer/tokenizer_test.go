package tokenizer

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

func load(t testing.TB) (*Tokenizer, []byte) {
	t.Helper()
	text, err := os.ReadFile("testdata/tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	compact, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := Load(compact)
	if err != nil {
		t.Fatal(err)
	}
	return tok, compact
}

// TestLibrary compares with what the tokenizers library gives (testdata/gen.py).
func TestLibrary(t *testing.T) {
	tok, _ := load(t)
	var cases []struct {
		Text, Decoded, Skipped string
		IDs                    []int32
	}
	raw, err := os.ReadFile("testdata/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	wrong := 0
	for _, c := range cases {
		if got := tok.Encode(c.Text, true); !slices.Equal(got, c.IDs) {
			wrong++
			t.Errorf("%q gives %v, want %v", c.Text, got, c.IDs)
		}
		if got := tok.Decode(c.IDs, false); got != c.Decoded {
			wrong++
			t.Errorf("%v decodes to %q, want %q", c.IDs, got, c.Decoded)
		}
		if got := tok.Decode(c.IDs, true); got != c.Skipped {
			wrong++
			t.Errorf("%v decodes to %q, want %q", c.IDs, got, c.Skipped)
		}
	}
	t.Logf("%d lines, %d differences", len(cases), wrong)
}

func TestUsersCannotForgeSpecials(t *testing.T) {
	tok, _ := load(t)
	eos, _ := tok.ID("<eos>")
	loc, _ := tok.ID("<loc0001>")
	ids := tok.Encode("a<eos><loc0001>", false)
	if slices.Contains(ids, eos) || !slices.Contains(ids, loc) {
		t.Errorf("ids %v", ids)
	}
	if got := tok.Decode(ids, true); got != "a<eos><loc0001>" {
		t.Errorf("decodes to %q", got)
	}
}

func TestInvalidBytes(t *testing.T) {
	tok, _ := load(t)
	a, _ := tok.ID("<0xE7>")
	if got := tok.Decode([]int32{a, a}, false); got != "\uFFFD\uFFFD" {
		t.Errorf("decodes to %q", got)
	}
}

func TestLongTextIsNotQuadratic(t *testing.T) {
	tok, _ := load(t)
	if n := len(tok.Encode(strings.Repeat("umbrella ", 20_000), false)); n < 20_000 {
		t.Errorf("%d tokens", n)
	}
}

func FuzzLoad(f *testing.F) {
	_, compact := load(f)
	f.Add(compact)
	f.Fuzz(func(t *testing.T, data []byte) {
		if tok, err := Load(data); err == nil && tok.vocab < 100_000 {
			tok.Token(5)
		}
	})
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		`{`:                              "unexpected end",
		`{"model":{"type":"WordPiece"}}`: `expected "BPE"`,
		`{"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}`:                                                                "normalizer",
		`{"model":{"type":"BPE","vocab":{},"merges":[]}}`:                                                                     "model.vocab is empty",
		`{"normalizer":{"type":"Replace","pattern":{"String":" "},"content":"▁"},"model":{"vocab":{"a":0},"merges":["a b"]}}`: "not in the vocabulary",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", text, err, want)
		}
	}
}
