package tokenizer

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

// small is a valid tokenizer.json with an edit.
func small(t testing.TB, edit func(f map[string]any)) []byte {
	t.Helper()
	var f map[string]any
	if err := json.Unmarshal([]byte(`{"version":"1.0","added_tokens":[{"id":0,"content":"<e>","special":true}],
		"normalizer":{"type":"Replace","pattern":{"String":" "},"content":"▁"},"pre_tokenizer":null,"post_processor":null,
		"decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"}]},
		"model":{"type":"BPE","dropout":null,"unk_token":"<e>","fuse_unk":true,"byte_fallback":true,"vocab":{"<e>":0,"a":1,"b":2,"ab":3,"▁":4},"merges":["a b"]}}`), &f); err != nil {
		t.Fatal(err)
	}
	edit(f)
	out, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func object(v any, path ...string) map[string]any {
	m := v.(map[string]any)
	for _, p := range path {
		m = m[p].(map[string]any)
	}
	return m
}

func value(t *testing.T, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ path, value, want string }{
		{"version", `"2.0"`, `version is "2.0", expected "1.0"`},
		{"model", `null`, "model is missing"},
		{"model.type", `"Unigram"`, `model.type is "Unigram", expected "BPE"`},
		{"model.dropout", `0.1`, "model.dropout is 0.1"},
		{"model.continuing_subword_prefix", `"##"`, "model.continuing_subword_prefix"},
		{"model.end_of_word_suffix", `"</w>"`, "model.end_of_word_suffix"},
		{"model.ignore_merges", `true`, "model.ignore_merges is true"},
		{"model.unk_token", `"<none>"`, `model.unk_token "<none>" is not in model.vocab`},
		{"model.vocab", `{}`, "model.vocab is empty"},
		{"model.vocab", `{"a":-1}`, "vocab"},
		{"model.vocab", `{"a":1.5}`, "vocab"},
		{"model.vocab", `{"<e>":0,"a":4000000000}`, "4000000000"},
		{"model.vocab", `{"<e>":0,"a":2000000}`, "too large for 2 tokens"},
		{"model.vocab", `{"<e>":0,"a":1,"b":1}`, `id 1 is given twice, to "a" and "b"`},
		{"model.vocab", `{"<e>":0,"":1}`, "empty token"},
		{"model.merges", `["a  b"]`, `model.merges[0] is "a  b"`},
		{"model.merges", `[["a"]]`, `model.merges[0] is "a", expected two`},
		{"model.merges", `["b a"]`, `model.merges[0] needs the token "ba"`},
		{"model.merges", `["a b","a c"]`, `model.merges[1] needs the token "c"`},
		{"model.merges", `7`, "model.merges is neither"},
		{"model.merges", `null`, ""}, // an empty list
		{"normalizer", `{"type":"NFKC"}`, `normalizer.type is "NFKC"`},
		{"normalizer", `{"type":"Sequence","normalizers":[{"type":"Lowercase"}]}`, `normalizer.normalizers[0].type is "Lowercase"`},
		{"normalizer", `{"type":"Replace","pattern":{"Regex":" +"},"content":"▁"}`, "normalizer.pattern is not a String"},
		{"normalizer", `{"type":"Replace","pattern":{"String":" "}}`, "normalizer.content is missing"},
		{"pre_tokenizer", `{"type":"ByteLevel"}`, `pre_tokenizer.type is "ByteLevel"`},
		{"pre_tokenizer", `{"type":"Split","pattern":{"String":"a"},"behavior":"Isolated","invert":false}`, "pre_tokenizer splits at what the normalizer leaves"},
		{"pre_tokenizer", `{"type":"Split","pattern":{"String":" "},"behavior":"Removed","invert":true}`, "pre_tokenizer splits"},
		{"pre_tokenizer", `{"type":"Sequence","pretokenizers":[{"type":"Digits"}]}`, `pre_tokenizer.pretokenizers[0].type is "Digits"`},
		{"pre_tokenizer", `{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"String":" "},"behavior":"Isolated","invert":false}]}`, ""},
		{"decoder", `null`, "decoder is null"},
		{"decoder", `{"type":"WordPiece"}`, `decoder[0].type is "WordPiece"`},
		{"decoder", `{"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"ByteFallback"}]}`, `decoder.decoders[1].type is "ByteFallback"`},
		{"decoder", `{"type":"Sequence","decoders":[null]}`, "decoder.decoders[0] is null"},
		{"decoder", `{"type":"Fuse"}`, ""},
		{"added_tokens", `[{"content":"x"}]`, `added_tokens[0] ("x") has no id`},
		{"added_tokens", `[{"id":7,"content":"x"}]`, `added_tokens[0] ("x") has id 7, but the vocabulary makes it 5`},
		{"added_tokens", `[{"id":2,"content":"a"}]`, `added_tokens[0] ("a") has id 2, but the vocabulary makes it 1`},
		{"added_tokens", `[{"id":5,"content":"x y","normalized":true},{"id":6,"content":"x▁y","normalized":true}]`, `ids 5 and 6 both stand for "x▁y"`},
		{"added_tokens", `{}`, "added_tokens holds an object, expected a list"},
		{"added_tokens", `[{"id":"7","content":"x"}]`, "added_tokens.id holds a string, expected a whole number"},
		{"added_tokens", `[{"id":5,"content":"x","lstrip":1}]`, "added_tokens.lstrip holds a number, expected true or false"},
		{"model", `[]`, "model holds an array, expected an object"},
		{"model.byte_fallback", `"yes"`, "model.byte_fallback holds a string, expected true or false"},
		{"model.dropout", `"0"`, "model.dropout holds a string, expected a number"},
		{"model.unk_token", `3`, "model.unk_token holds a number, expected a string"},
		{"normalizer", `{"type":"Replace","pattern":" ","content":"▁"}`, "normalizer.pattern holds a string, expected an object"},
		{"normalizer", `{"type":"Prepend","prepend":"▁"}`, `normalizer.type is "Prepend", expected "Replace" or "Sequence"`},
		{"normalizer", `{"type":"Sequence","normalizers":[` + strings.Repeat(`{"type":"Replace","pattern":{"String":"a"},"content":"b"},`, 64) +
			`{"type":"Replace","pattern":{"String":" "},"content":"▁"}]}`, "normalizer has 65 replacements, expected at most 64"},
		{"normalizer", `{"type":"Sequence","normalizers":[` + strings.Repeat(`{"type":"Replace","pattern":{"String":"a"},"content":"aa"},`, 9) +
			`{"type":"Replace","pattern":{"String":" "},"content":"▁"}]}`, "normalizer has replacements that can make a text over 256 times longer"},
	} {
		parts := strings.Split(c.path, ".")
		text := small(t, func(f map[string]any) {
			object(f, parts[:len(parts)-1]...)[parts[len(parts)-1]] = value(t, c.value)
		})
		_, err := Parse(text)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s = %s: %v", c.path, c.value, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s = %s: error %v, expected one with %q", c.path, c.value, err, c.want)
		case err != nil && (errors.Unwrap(err) == nil || strings.Contains(err.Error(), "\n")):
			t.Errorf("%s = %s: error %q is not one line that wraps another", c.path, c.value, err)
		}
	}
	for text, want := range map[string]string{"": "is not JSON: it ends too early", `{"model": x`: "is not JSON: it has 'x' at byte 11", "[]": "it holds an array, expected an object", "null": "model is missing",
		"3": "it holds a number, expected an object", `{"model":3}`: "model holds a number, expected an object", "{\"version\": \"\xff\"}": "is not UTF-8 text"} {
		if _, err := Parse([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), "tokenizer.json: "+want) {
			t.Errorf("%q: error %v, expected %q", text, err, want)
		}
	}
}

// TestPaliGemmaTokens checks what the processor adds to a file without its tokens, and to one that only has the texts.
func TestPaliGemmaTokens(t *testing.T) {
	for _, c := range []struct {
		vocab string
		image int32
		size  int
		mask  bool
	}{
		{`{"<e>":0,"a":1,"b":2,"ab":3,"▁":4}`, 5, 5 + 1 + 1024 + 128, false},
		{`{"<e>":0,"a":1,"b":2,"ab":3,"▁":4,"<mask>":5,"<loc0007>":6,"<image>":7}`, 7, 8 + 1023 + 128, true},
	} {
		compact, err := ParsePaliGemma(small(t, func(f map[string]any) { object(f, "model")["vocab"] = value(t, c.vocab) }))
		if err != nil {
			t.Fatal(err)
		}
		tok, err := Load(compact)
		if err != nil {
			t.Fatal(err)
		}
		image, _ := tok.ID("<image>")
		loc, _ := tok.ID("<loc0007>")
		if image != c.image || tok.VocabSize() != c.size || !isSpecial(tok, image) || isSpecial(tok, loc) {
			t.Errorf("<image> is %d (special %v), vocabulary of %d, <loc0007> special %v", image, isSpecial(tok, image), tok.VocabSize(), isSpecial(tok, loc))
		}
		if got, want := tok.Encode("ab<loc0007>", false), []int32{3, loc}; !slices.Equal(got, want) {
			t.Errorf("ab<loc0007> is %v, expected %v", got, want)
		}
		if mask, ok := tok.ID("<mask>"); ok != c.mask || ok && !isSpecial(tok, mask) {
			t.Errorf("<mask>: %d, %v", mask, ok)
		}
	}
}

// TestManySpaces splits a long run of blanks at an added token that takes the white space before it.
func TestManySpaces(t *testing.T) {
	compact, err := Parse(small(t, func(f map[string]any) {
		f["added_tokens"] = append(f["added_tokens"].([]any), map[string]any{"id": 5, "content": "\n", "lstrip": true})
	}))
	if err != nil {
		t.Fatal(err)
	}
	tok, err := Load(compact)
	if err != nil {
		t.Fatal(err)
	}
	n := 1 << 19
	if got := tok.Encode("a  "+strings.Repeat("\n", n)+" b", false); len(got) != n+3 || got[0] != 1 || got[1] != 5 || got[n] != 5 || got[n+1] != 4 {
		t.Errorf("%d ids, expected a, %d newlines, a blank and b", len(got), n)
	}
}

// isSpecial reports whether a token is declared special, such as <eos> and <image>, but not <loc0000>.
func isSpecial(t *Tokenizer, id int32) bool { return t.flags[id]&flagSpecial != 0 }

// Parse is ParsePaliGemma with the tokens that the file has, and extra ones added as by the library's add_tokens.
func Parse(text []byte, extra ...AddedToken) ([]byte, error) {
	return parse(text, func(*file) []AddedToken { return extra })
}
