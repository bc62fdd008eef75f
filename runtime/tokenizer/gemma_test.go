package tokenizer

import (
	"bufio"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

var gemmaDir = flag.String("gemma-dir", "", "folder with gemma.json and gemma2.json, Gemma's real tokenizers, and the lines of testdata/corpus.py")

// TestGemma compares the real tokenizers with the library on the lines that testdata/corpus.py wrote.
func TestGemma(t *testing.T) {
	if *gemmaDir == "" {
		t.Skip("TestGemma needs -gemma-dir, see testdata/corpus.py")
	}
	for _, name := range []string{"gemma", "gemma2"} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(*gemmaDir, name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			compact, err := Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			parse, best := time.Since(start), time.Hour
			var tok *Tokenizer
			for range 5 {
				start = time.Now()
				if tok, err = Load(compact); err != nil {
					t.Fatal(err)
				}
				best = min(best, time.Since(start))
			}
			t.Logf("Parse %v, compact form of %d bytes, Load %v, longest search %d and %d", parse.Round(time.Millisecond), len(compact), best, tok.pieceProbe, tok.mergeProbe)
			if best > 10*time.Millisecond {
				t.Errorf("Load takes %v, expected at most 10 ms", best)
			}
			file, err := os.Open(filepath.Join(*gemmaDir, name+".jsonl"))
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			lines, wrong, tokens, size := 0, 0, 0, 0
			var spent time.Duration
			scan := bufio.NewScanner(file)
			scan.Buffer(nil, 1<<24)
			for scan.Scan() {
				var c libraryCase
				if err := json.Unmarshal(scan.Bytes(), &c); err != nil {
					t.Fatal(err)
				}
				wrong += c.compare(t, tok)
				start := time.Now()
				ids := tok.Encode(c.Text, true)
				spent += time.Since(start)
				lines, tokens, size = lines+1, tokens+len(ids), size+len(c.Text)
			}
			if err := scan.Err(); err != nil {
				t.Fatal(err)
			}
			if lines < 20_000 {
				t.Errorf("%d lines, expected at least 20,000", lines)
			}
			t.Logf("%d lines, %d tokens, %d differences; %.1f MB/s, %.2f Mtokens/s", lines, tokens, wrong,
				float64(size)/spent.Seconds()/1e6, float64(tokens)/spent.Seconds()/1e6)
			if got, want := tok.Encode("caption en\n", false), []int32{21209, 659, 108}; !slices.Equal(got, want) {
				t.Errorf("\"caption en\\n\" is %v, expected %v", got, want)
			}
		})
	}
}
