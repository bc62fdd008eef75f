package sentencepiece

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgc/runtime/tokenizer"
)

// TestIDs compares ids with those that transformers' GemmaTokenizer in a PaliGemmaProcessor makes of the same file:
// golden/gen/sentencepiece_models.py writes them, here or, in any number, in a folder that PGC_SENTENCEPIECE names.
func TestIDs(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.model")
	if more := os.Getenv("PGC_SENTENCEPIECE"); more != "" {
		others, _ := filepath.Glob(filepath.Join(more, "*.model"))
		files = append(files, others...)
	}
	if len(files) < 3 {
		t.Fatalf("only %d files", len(files))
	}
	for _, path := range files {
		model, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(strings.TrimSuffix(path, ".model") + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var want struct {
			Added map[string]Added
			Size  int
			Cases []struct {
				Text string
				IDs  []int32
			}
		}
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		var added []Added
		for _, a := range want.Added {
			added = append(added, a)
		}
		file, err := TokenizerJSON(model, added)
		if err != nil {
			t.Fatal(err)
		}
		compact, err := tokenizer.ParsePaliGemma(file)
		if err != nil {
			t.Fatal(err)
		}
		tok, err := tokenizer.Load(compact)
		if err != nil {
			t.Fatal(err)
		}
		if tok.VocabSize() != want.Size {
			t.Errorf("%s: %d tokens, expected %d", path, tok.VocabSize(), want.Size)
		}
		for _, c := range want.Cases {
			if got := tok.Encode(c.Text, true); !slices.Equal(got, c.IDs) {
				t.Errorf("%s: %q is %v, expected %v", path, c.Text, got, c.IDs)
			}
		}
	}
}

// TestBroken holds errors to their words, and damages a file at every byte.
func TestBroken(t *testing.T) {
	model, err := os.ReadFile("testdata/001.model")
	if err != nil {
		t.Fatal(err)
	}
	piece := func(text string) string {
		return "\x0a" + string(rune(len(text)+2)) + "\x0a" + string(rune(len(text))) + text
	}
	for text, want := range map[string]string{
		"":                            "is no tokenizer.model of SentencePiece: copy or download it again",
		"\x0a\x7f":                    "is no tokenizer.model of SentencePiece: copy or download it again",
		"\x0b":                        "is no tokenizer.model of SentencePiece: copy or download it again",
		string(model[:len(model)/2]):  "is no tokenizer.model of SentencePiece: copy or download it again",
		piece("a") + piece("a"):       "has the piece \"a\" twice: expected the file of a Gemma tokenizer",
		piece("<bos>") + piece("<s>"): "has no piece <eos>: expected the file of a Gemma tokenizer",
	} {
		if _, err := TokenizerJSON([]byte(text), nil); err == nil || err.Error() != want {
			t.Errorf("%.40q: error %v, wanted %s", text, err, want)
		}
	}
	for at := range len(model) {
		damaged := slices.Clone(model)
		damaged[at] ^= 0xff
		parse(damaged) // does not panic
	}
}
