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

var fixtures = []string{"gemma", "gemma2", "pieces", "partial", "unfused", "strip"}

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

// libraryCase is an encoding of testdata/library.py.
type libraryCase struct {
	Text             string
	Raw              []byte
	IDs, Plain       []int32
	Decoded, Skipped *string
}

// compare checks a case and returns how many answers differ from the library's.
func (c *libraryCase) compare(t *testing.T, tok *Tokenizer) (wrong int) {
	t.Helper()
	decoded := c.Text
	if c.Raw != nil {
		c.Text = string(c.Raw)
		decoded = wellFormed(c.Text)
	}
	if c.Plain == nil {
		c.Plain = c.IDs
	}
	if c.Decoded == nil {
		c.Decoded = &decoded
	}
	for specials, want := range map[bool][]int32{true: c.IDs, false: c.Plain} {
		if got := tok.Encode(c.Text, specials); !slices.Equal(got, want) {
			wrong++
			t.Errorf("encoding of %q with special tokens %v is %v, the library has %v", c.Text, specials, got, want)
		}
	}
	d := decodeCase{c.IDs, *c.Decoded, c.Skipped}
	return wrong + d.compare(t, tok)
}

// decodeCase is a decoding of testdata/library.py.
type decodeCase struct {
	IDs     []int32
	Decoded string
	Skipped *string
}

func (c *decodeCase) compare(t *testing.T, tok *Tokenizer) (wrong int) {
	t.Helper()
	if c.Skipped == nil {
		c.Skipped = &c.Decoded
	}
	for skip, want := range map[bool]string{false: c.Decoded, true: *c.Skipped} {
		if got := tok.Decode(c.IDs, skip); got != want {
			wrong++
			t.Errorf("%v decodes to %q, special tokens left out %v; the library has %q", c.IDs, got, skip, want)
		}
	}
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
	var cases []decodeCase
	read(t, "decode.json", &cases)
	broken := 0
	for _, c := range cases {
		c.compare(t, tok)
		broken += strings.Count(c.Decoded, "\uFFFD")
	}
	if broken == 0 {
		t.Error("no case holds bytes that are not UTF-8")
	}
	t.Logf("%d sequences, %d broken bytes", len(cases), broken)
}

// promptCase is a layout of testdata/library.py.
type promptCase struct {
	Prompt string
	Suffix *string
	Images int
	IDs    []int32 `json:"input_ids"`
	Types  []int32 `json:"token_type_ids"`
	Labels []int32
}

func (c *promptCase) compare(t *testing.T, tok *Tokenizer, l Layout) (wrong int) {
	t.Helper()
	p, err := tok.Prompt(l, c.Images, c.Prompt, c.Suffix, true)
	if err != nil {
		t.Errorf("%q: %v", c.Prompt, err)
		return 1
	}
	if !slices.Equal(p.IDs, c.IDs) || !slices.Equal(p.Types, c.Types) || !slices.Equal(p.Labels, c.Labels) {
		t.Errorf("%q: %v, types %v, labels %v; the processor has %v, %v, %v", c.Prompt, p.IDs, p.Types, p.Labels, c.IDs, c.Types, c.Labels)
		wrong++
	}
	if want := len(c.Types) - sum(c.Types); p.Prefix != want {
		t.Errorf("%q: prefix of %d, expected %d", c.Prompt, p.Prefix, want)
		wrong++
	}
	// Taken literally the prompt is the same exactly if no special token is typed in it.
	typed := c.Prompt
	if c.Suffix != nil {
		typed += *c.Suffix
	}
	special := false
	for _, id := range tok.Encode(typed, true) {
		special = special || isSpecial(tok, id)
	}
	if plain, err := tok.Prompt(l, c.Images, c.Prompt, c.Suffix, false); err != nil {
		t.Error(err)
	} else if same := slices.Equal(plain.IDs, c.IDs); same == special {
		t.Errorf("%q taken literally is %v, the processor has %v", c.Prompt, plain.IDs, c.IDs)
		wrong++
	}
	return wrong
}

// paligemmaLayout finds the tokens of a prompt by name.
func paligemmaLayout(t *testing.T, tok *Tokenizer, imageTokens int) Layout {
	t.Helper()
	l := Layout{ImageTokens: imageTokens, End: "\n"}
	for name, id := range map[string]*int32{"<image>": &l.Image, "<bos>": &l.BOS, "<eos>": &l.EOS} {
		var ok bool
		if *id, ok = tok.ID(name); !ok || !isSpecial(tok, *id) {
			t.Fatalf("%s is not a special token", name)
		}
	}
	return l
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
	l := paligemmaLayout(t, tok, 3)
	if n := tok.VocabSize(); n != int(l.Image)+1+1024+128 {
		t.Errorf("vocabulary of %d, <image> is %d", n, l.Image)
	}
	var cases []promptCase
	read(t, "prompts.json", &cases)
	for _, c := range cases {
		c.compare(t, tok, l)
	}
	if _, err := tok.Prompt(l, 3, "<image>a<image>", nil, true); err == nil || !strings.Contains(err.Error(), "2 times, expected once for each of 3") {
		t.Errorf("two <image> for three pictures: error %v", err)
	}
	suffix := "a<image>"
	if _, err := tok.Prompt(l, 1, "caption en", &suffix, true); err == nil || !strings.Contains(err.Error(), "hold 4 image tokens, expected 3 for each of 1") {
		t.Errorf("<image> in the suffix: error %v", err)
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
		forgery(t, name, tok)
	}
	tok, _ := open(t, "gemma")
	loc, _ := tok.ID("<loc0001>")
	if ids := tok.Encode("a<eos><loc0001>", false); !slices.Contains(ids, loc) {
		t.Errorf("<loc0001> is no token in %v", ids)
	} else if got := tok.Decode(ids, true); got != "a<eos><loc0001>" {
		t.Errorf("%v decodes to %q", ids, got)
	}
}

func forgery(t *testing.T, name string, tok *Tokenizer) {
	n := 0
	for id := range int32(tok.VocabSize()) {
		if !isSpecial(tok, id) {
			continue
		}
		n++
		text := "a" + tok.Token(id) + "b"
		if ids := tok.Encode(text, false); slices.Contains(ids, id) {
			t.Errorf("%s: %q encodes to %v with the special token %d", name, text, ids, id)
		}
		if ids := tok.Encode(text, true); !slices.Contains(ids, id) {
			t.Errorf("%s: %q encodes to %v without the special token %d though asked", name, text, ids, id)
		}
	}
	if n < 4 {
		t.Errorf("%s: %d special tokens", name, n)
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
		if text := tok.Token(id); text != "" {
			t.Errorf("id %d is %q", id, text)
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

func TestLongText(t *testing.T) {
	for _, name := range []string{"gemma", "gemma2", "pieces"} {
		tok, _ := open(t, name)
		longTexts(t, tok, 64<<10, 0)
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

// IsSpecial reports whether a token is declared special, such as <eos> and <image>, but not <loc0000>.
func (t *Tokenizer) IsSpecial(id int32) bool {
	return id >= 0 && int(id) < t.vocab && t.flags[id]&flagSpecial != 0
}

// Decode returns the text of ids; special tokens are left out if skipSpecial is set, ids without a token always.
// Neighboring byte tokens are decoded together; if they are not UTF-8, each becomes one U+FFFD, as in the library.
func (t *Tokenizer) Decode(ids []int32, skipSpecial bool) string {
	d := t.NewDecoder(skipSpecial)
	var out strings.Builder
	for _, id := range ids {
		out.WriteString(d.Next(id))
	}
	out.WriteString(d.Flush())
	return out.String()
}
