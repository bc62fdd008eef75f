package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var fixtures = []string{"gemma", "gemma2", "partial", "unfused"}

func read(t testing.TB, name string, into any) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(raw, into); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return raw
}

func open(t testing.TB, name string) (*Tokenizer, []byte) {
	t.Helper()
	compact, err := Parse(read(t, name+".json", nil))
	if err != nil {
		t.Fatal(err)
	}
	tok, err := Load(compact)
	if err != nil {
		t.Fatal(err)
	}
	return tok, compact
}

// libraryCase is what testdata/gen.py writes for a text.
type libraryCase struct {
	Text             string
	IDs, Plain       []int32
	Decoded, Skipped string
}

// compare checks a case and returns how many answers differ from the library's.
func (c *libraryCase) compare(t *testing.T, tok *Tokenizer) (wrong int) {
	t.Helper()
	check := func(what string, ok bool, got, want any) {
		if !ok {
			if wrong++; wrong < 3 {
				t.Errorf("%s of %q is %v, the library has %v", what, c.Text, got, want)
			}
		}
	}
	got := tok.Encode(c.Text, true)
	check("encoding", slices.Equal(got, c.IDs), got, c.IDs)
	got = tok.Encode(c.Text, false)
	check("encoding without special tokens", slices.Equal(got, c.Plain), got, c.Plain)
	text := tok.Decode(c.IDs, false)
	check("decoding", text == c.Decoded, text, c.Decoded)
	text = tok.Decode(c.IDs, true)
	check("decoding without special tokens", text == c.Skipped, text, c.Skipped)
	return wrong
}

func TestLibrary(t *testing.T) {
	for _, name := range fixtures {
		t.Run(name, func(t *testing.T) {
			tok, _ := open(t, name)
			var cases []libraryCase
			read(t, name+".cases.json", &cases)
			wrong, tokens := 0, 0
			for _, c := range cases {
				wrong += c.compare(t, tok)
				tokens += len(c.IDs)
			}
			if len(cases) < 80 || tokens < 700 {
				t.Errorf("only %d texts of %d tokens", len(cases), tokens)
			}
			t.Logf("%d texts, %d tokens, %d differences", len(cases), tokens, wrong)
		})
	}
}

func TestLibraryDecoding(t *testing.T) {
	tok, _ := open(t, "gemma")
	var cases []struct {
		IDs              []int32
		Decoded, Skipped string
	}
	read(t, "decode.json", &cases)
	broken := 0
	for _, c := range cases {
		if got := tok.Decode(c.IDs, false); got != c.Decoded {
			t.Errorf("%v decodes to %q, the library has %q", c.IDs, got, c.Decoded)
		}
		if got := tok.Decode(c.IDs, true); got != c.Skipped {
			t.Errorf("%v decodes to %q without special tokens, the library has %q", c.IDs, got, c.Skipped)
		}
		broken += strings.Count(c.Decoded, "\uFFFD")
	}
	if broken == 0 {
		t.Error("no case holds bytes that are not UTF-8")
	}
	t.Logf("%d sequences, %d broken bytes", len(cases), broken)
}

func TestProcessor(t *testing.T) {
	var file map[string]any
	read(t, "gemma.json", &file)
	file["added_tokens"] = file["added_tokens"].([]any)[:4]
	raw, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := ParsePaliGemma(raw)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := Load(compact)
	if err != nil {
		t.Fatal(err)
	}
	l := Layout{ImageTokens: 3}
	for name, id := range map[string]*int32{"<image>": &l.Image, "<bos>": &l.BOS, "<eos>": &l.EOS} {
		var ok bool
		if *id, ok = tok.ID(name); !ok || !tok.IsSpecial(*id) {
			t.Fatalf("%s is not a special token", name)
		}
	}
	if n := tok.VocabSize(); n != int(l.Image)+1+1024+128 {
		t.Errorf("vocabulary of %d, <image> is %d", n, l.Image)
	}
	var cases []struct {
		Prompt string
		Suffix *string
		Images int
		IDs    []int32 `json:"input_ids"`
		Types  []int32 `json:"token_type_ids"`
		Labels []int32
	}
	read(t, "prompts.json", &cases)
	for _, c := range cases {
		p, err := tok.Prompt(l, c.Images, c.Prompt, c.Suffix, true)
		if err != nil {
			t.Errorf("%q: %v", c.Prompt, err)
			continue
		}
		if !slices.Equal(p.IDs, c.IDs) || !slices.Equal(p.Types, c.Types) || !slices.Equal(p.Labels, c.Labels) {
			t.Errorf("%q: %v, types %v, labels %v; the processor has %v, %v, %v", c.Prompt, p.IDs, p.Types, p.Labels, c.IDs, c.Types, c.Labels)
		}
		if want := len(c.Types) - sum(c.Types); p.Prefix != want {
			t.Errorf("%q: prefix of %d, expected %d", c.Prompt, p.Prefix, want)
		}
		typed := c.Prompt
		if c.Suffix != nil {
			typed += *c.Suffix
		}
		if plain, err := tok.Prompt(l, c.Images, c.Prompt, c.Suffix, false); err != nil {
			t.Error(err)
		} else if same := slices.Equal(plain.IDs, c.IDs); same != !strings.ContainsAny(strings.NewReplacer("<loc", "", "<seg", "").Replace(typed), "<") {
			t.Errorf("%q taken literally is %v, the processor has %v", c.Prompt, plain.IDs, c.IDs)
		}
	}
	if _, err := tok.Prompt(l, 3, "<image>a<image>", nil, true); err == nil || !strings.Contains(err.Error(), "2 times, expected once for each of 3") {
		t.Errorf("two <image> for three pictures: error %v", err)
	}
}

func sum(v []int32) (n int) {
	for _, x := range v {
		n += int(x)
	}
	return n
}

// TestForgery types every special token; only --parse-specials may see one.
func TestForgery(t *testing.T) {
	for _, name := range fixtures {
		tok, _ := open(t, name)
		for id := range int32(tok.VocabSize()) {
			if !tok.IsSpecial(id) {
				continue
			}
			text := "a" + tok.Token(id) + "b"
			if ids := tok.Encode(text, false); slices.Contains(ids, id) {
				t.Errorf("%s: %q encodes to %v with the special token %d", name, text, ids, id)
			}
			if ids := tok.Encode(text, true); !slices.Contains(ids, id) {
				t.Errorf("%s: %q encodes to %v without the special token %d though asked", name, text, ids, id)
			}
		}
	}
	tok, _ := open(t, "gemma")
	loc, _ := tok.ID("<loc0001>")
	if ids := tok.Encode("a<eos><loc0001>", false); !slices.Contains(ids, loc) {
		t.Errorf("<loc0001> is no token in %v", ids)
	} else if got := tok.Decode(ids, true); got != "a<eos><loc0001>" {
		t.Errorf("%v decodes to %q", ids, got)
	}
}

func TestVocabulary(t *testing.T) {
	var file struct {
		Model struct{ Vocab map[string]int32 }
		Added []struct {
			ID      int32
			Content string
		} `json:"added_tokens"`
	}
	read(t, "gemma2.json", &file)
	tok, _ := open(t, "gemma2")
	for _, a := range file.Added {
		file.Model.Vocab[a.Content] = a.ID
	}
	for token, id := range file.Model.Vocab {
		if got, ok := tok.ID(token); !ok || got != id {
			t.Errorf("id of %q is %d, %v, expected %d", token, got, ok, id)
		}
		if got := tok.Token(id); got != token {
			t.Errorf("token %d is %q, expected %q", id, got, token)
		}
	}
	if tok.VocabSize() != len(file.Model.Vocab) {
		t.Errorf("vocabulary of %d, expected %d", tok.VocabSize(), len(file.Model.Vocab))
	}
	for _, token := range []string{"", "no such token", "<loc9999>"} {
		if id, ok := tok.ID(token); ok {
			t.Errorf("%q has id %d", token, id)
		}
	}
	for _, id := range []int32{-1, int32(tok.VocabSize()), 1 << 30} {
		if tok.Token(id) != "" || tok.IsSpecial(id) {
			t.Errorf("id %d is %q, special %v", id, tok.Token(id), tok.IsSpecial(id))
		}
	}
}

// TestIllFormed compares with Python's bytes.decode("utf-8", "replace").
func TestIllFormed(t *testing.T) {
	for in, want := range map[string]string{
		"a\xffb":               "a\uFFFDb",
		"\xe2\x82":             "\uFFFD",
		"\xe2\x82a":            "\uFFFDa",
		"\xf0\x9f\x98":         "\uFFFD",
		"\xf0\x9f\x98\x80":     "😀",
		"\xf0\x80\x80\x80":     "\uFFFD\uFFFD\uFFFD\uFFFD",
		"\xe0\x80\xaf":         "\uFFFD\uFFFD\uFFFD",
		"\xed\xa0\x80":         "\uFFFD\uFFFD\uFFFD",
		"\xf4\x90\x80\x80":     "\uFFFD\uFFFD\uFFFD\uFFFD",
		"\xf1\x80\x80\xe1\x80": "\uFFFD\uFFFD",
		"\xc2\xc2\xa0":         "\uFFFD\u00a0",
		"\xf5\x80":             "\uFFFD\uFFFD",
		"\xc0\xaf":             "\uFFFD\uFFFD",
	} {
		if got := wellFormed(in); got != want {
			t.Errorf("%q becomes %q, expected %q", in, got, want)
		}
	}
}

// TestStreaming checks that a decoder never returns half a character and all of the text.
func TestStreaming(t *testing.T) {
	tok, _ := open(t, "gemma")
	ids := tok.Encode("a 🐈 b\u200dß猫", false)
	d := tok.NewDecoder(false)
	var out strings.Builder
	for _, id := range ids {
		s := d.Next(id)
		if strings.Contains(s, "\uFFFD") {
			t.Errorf("half a character in %q", s)
		}
		out.WriteString(s)
	}
	out.WriteString(d.Flush())
	if out.String() != "a 🐈 b\u200dß猫" {
		t.Errorf("streamed %q", out.String())
	}
	if d.Flush() != "" {
		t.Error("a second Flush returns text")
	}
}

// TestLongText encodes long repetitive texts and decodes them again; in quadratic time it would take hours.
func TestLongText(t *testing.T) {
	tok, _ := open(t, "gemma")
	for _, unit := range []string{"the cat ", "\n", " ", "a", "🐈", "<"} {
		text := strings.Repeat(unit, 64_000)
		if got := tok.Decode(tok.Encode(text, false), false); got != text {
			t.Errorf("%q repeated does not come back", unit)
		}
	}
}

func TestDeterministic(t *testing.T) {
	for _, name := range fixtures {
		_, a := open(t, name)
		_, b := open(t, name)
		if !bytes.Equal(a, b) {
			t.Errorf("%s gives different bytes the second time", name)
		}
	}
}

// TestConcurrent uses one tokenizer from several goroutines.
func TestConcurrent(t *testing.T) {
	tok, _ := open(t, "gemma2")
	want := tok.Encode("the cat sits on a mat", false)
	errs := make(chan error, 4)
	for range cap(errs) {
		go func() {
			for range 200 {
				if got := tok.Encode("the cat sits on a mat", false); !slices.Equal(got, want) {
					errs <- fmt.Errorf("%v, expected %v", got, want)
					return
				}
			}
			errs <- nil
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
