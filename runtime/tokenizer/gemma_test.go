package tokenizer

import (
	"bufio"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

var gemmaDir = flag.String("gemma-dir", "", "folder with Gemma's real tokenizers and the files of testdata/parity.py; `make tokenizer-parity` makes it")

// TestGemma compares the real tokenizers with the library and with transformers on what testdata/parity.py wrote.
func TestGemma(t *testing.T) {
	if *gemmaDir == "" {
		t.Skip("TestGemma needs -gemma-dir: see make tokenizer-parity")
	}
	for _, name := range []string{"gemma", "gemma2", "paligemma"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(*gemmaDir, name)
			text, err := os.ReadFile(filepath.Join(dir, "tokenizer.json"))
			if err != nil {
				t.Fatal(err)
			}
			tok := openReal(t, text, Parse)
			gemmaCases(t, tok, filepath.Join(dir, "pieces.jsonl"), 256_000)
			gemmaCases(t, tok, filepath.Join(dir, "mixed.jsonl"), 100_000)
			wrong, lines := 0, 0
			var d decodeCase
			eachLine(t, filepath.Join(dir, "decode.jsonl"), &d, func() {
				wrong += d.compare(t, tok)
				d, lines = decodeCase{}, lines+1
			})
			t.Logf("%d lines of random ids, %d differences", lines, wrong)
			if got, want := tok.Encode("caption en\n", false), []int32{21209, 659, 108}; !slices.Equal(got, want) {
				t.Errorf("\"caption en\\n\" is %v, expected %v", got, want)
			}

			pali := openReal(t, text, func(text []byte, _ ...AddedToken) ([]byte, error) { return ParsePaliGemma(text) })
			gemmaCases(t, pali, filepath.Join(dir, "processor.jsonl"), 100_000)
			l := paligemmaLayout(t, pali, 4)
			wrong, lines = 0, 0
			var p promptCase
			eachLine(t, filepath.Join(dir, "prompts.jsonl"), &p, func() {
				wrong += p.compare(t, pali, l)
				p, lines = promptCase{}, lines+1
			})
			t.Logf("%d prompts, %d differences; <image> is %d", lines, wrong, l.Image)
			if lines < 2000 {
				t.Errorf("%d prompts, expected 2,000", lines)
			}
			forgery(t, name, pali)
			longTexts(t, pali, 1<<20, time.Second)
		})
	}
}

// openReal parses and loads a real tokenizer, which must take at most 10 ms.
func openReal(t *testing.T, text []byte, parse func([]byte, ...AddedToken) ([]byte, error)) *Tokenizer {
	start := time.Now()
	compact, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	spent, best := time.Since(start), time.Hour
	var tok *Tokenizer
	for range 5 {
		start = time.Now()
		if tok, err = Load(compact); err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Since(start))
	}
	t.Logf("Parse %v, vocabulary of %d, compact form of %d bytes, Load %v, longest search %d and %d", spent.Round(time.Millisecond), tok.VocabSize(),
		len(compact), best, tok.pieceProbe, tok.mergeProbe)
	if best > 10*time.Millisecond {
		t.Errorf("Load takes %v, expected at most 10 ms", best)
	}
	return tok
}

func gemmaCases(t *testing.T, tok *Tokenizer, path string, least int) {
	lines, wrong, tokens, size := 0, 0, 0, 0
	var spent time.Duration
	var c libraryCase
	eachLine(t, path, &c, func() {
		wrong += c.compare(t, tok)
		start := time.Now()
		ids := tok.Encode(c.Text, true)
		spent += time.Since(start)
		lines, tokens, size = lines+1, tokens+len(ids), size+len(c.Text)
		c = libraryCase{}
	})
	if lines < least {
		t.Errorf("%s has %d lines, expected at least %d", path, lines, least)
	}
	t.Logf("%s: %d lines, %d bytes, %d tokens, %d differences; %.1f MB/s, %.2f Mtokens/s", filepath.Base(path), lines, size, tokens, wrong,
		float64(size)/spent.Seconds()/1e6, float64(tokens)/spent.Seconds()/1e6)
}

// eachLine unmarshals the lines of a file into one value and calls f after each.
func eachLine(t *testing.T, path string, into any, f func()) {
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	scan := bufio.NewScanner(file)
	scan.Buffer(nil, 1<<24)
	for scan.Scan() {
		if err := json.Unmarshal(scan.Bytes(), into); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		f()
	}
	if err := scan.Err(); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// processorTime is what this process has used, which other processes do not lengthen.
func processorTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// longTexts encodes units repeated to a size and decodes them again. A time of 0 asks for no limit: in quadratic time a
// text would take hours.
func longTexts(t *testing.T, tok *Tokenizer, size int, limit time.Duration) {
	slowest, of := time.Duration(0), ""
	for _, unit := range []string{" ", "a", "\n", "\t", "▁", "<", "=", "0", "ab ", "ha", "the cat ", "\r\n", " \n", "🐈", "猫", "\u200d", "<loc0001>", "<eos>"} {
		text := strings.Repeat(unit, size/len(unit))
		start := processorTime(t)
		ids := tok.Encode(text, false)
		spent := processorTime(t) - start
		if spent > slowest {
			slowest, of = spent, unit
		}
		if limit > 0 && spent > limit {
			t.Errorf("%q repeated to %d bytes takes %v, expected at most %v", unit, size, spent, limit)
		}
		if got := tok.Decode(ids, false); got != strings.ReplaceAll(text, "▁", " ") {
			t.Errorf("%q repeated does not come back", unit)
		}
	}
	t.Logf("texts of %d bytes: the slowest, of %q, takes %v", size, of, slowest)
}
