package pgc_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgc"
	"pgc/golden"
	"pgc/runtime/imageio"
)

// TestChecks: requests are checked without their images being read; what a token adds to a text and the likeliest tokens at
// its place are told.
func TestChecks(t *testing.T) {
	m := open(t)
	unread := pgc.File(filepath.Join(t.TempDir(), "none.png"))
	if err := m.CheckRequest(pgc.Request{Images: []pgc.Image{unread}, Prompt: "caption en"}); err != nil {
		t.Error(err)
	}
	for words, r := range map[string]pgc.Request{
		"the KV cache holds":  {Images: []pgc.Image{unread}, Prompt: strings.Repeat("word ", 400)},
		"temperature is -1":   {Images: []pgc.Image{unread}, Settings: pgc.Settings{Temperature: new(-1.0)}},
		"with log-probabilit": {Images: []pgc.Image{unread}, Top: 2},
	} {
		if err := m.CheckRequest(r); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%v, expected %s", err, words)
		}
	}
	a, err := m.Generate(t.Context(), pgc.Request{Images: []pgc.Image{picture("noise")}, Prompt: "caption en", Top: 3, Settings: pgc.Settings{Logprobs: true, MaxNewTokens: new(5)}})
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for i, id := range a.Tokens {
		part, special, err := m.TokenText(id)
		if err != nil {
			t.Fatal(err)
		}
		if !special {
			text += string(part)
		}
		if top := a.Top[i]; len(top) != 3 || top[0].ID != id || top[0].Logprob != a.Logprobs[i] || top[1].Logprob > top[0].Logprob {
			t.Errorf("token %d of a greedy answer is %d at %v, the likeliest are %v", i, id, a.Logprobs[i], top)
		}
	}
	if text != a.Text {
		t.Errorf("tokens are %q, the text is %q", text, a.Text)
	}
	data, err := os.ReadFile(filepath.Join(golden.Dir(), "pictures", "noise.png"))
	if err != nil {
		t.Fatal(err)
	}
	limits := imageio.DefaultLimits
	if _, _, err := pgc.BytesWithin(data, limits).Size(t.Context()); err != nil {
		t.Error(err)
	}
	limits.Pixels = 10
	if _, _, err := pgc.BytesWithin(data, limits).Size(t.Context()); err == nil {
		t.Error("a picture over the limit was read")
	}
}
