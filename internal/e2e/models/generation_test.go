package models

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgc/golden"
	"pgc/internal/e2e"
)

// generation is an answer of transformers' generate (golden/gen/generation.py).
type generation struct {
	Checkpoint, Kind, Prompt, Text string
	Images                         []string
	Options                        map[string]json.RawMessage
	Tokens                         []int32
	Logprobs, Margins              []float64
}

// TestGeneration compares answers with transformers' generate: greedy, with repetition penalties, with lists of ids
// that end an answer, and with the ids that are no words suppressed, of which the reference left alone would emit one.
func TestGeneration(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(golden.Dir(), "generation.json"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []generation
	if err := json.Unmarshal(raw, &rows); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	compared, worst := 0, 0.0
	for _, r := range rows {
		kinds[r.Kind]++
		if r.Kind == "free" {
			continue
		}
		exe := ""
		if eos := r.Options["eos_token_id"]; eos == nil {
			exe = e2e.Compiled(t, r.Checkpoint)
		} else { // a list comes from generation_config
			dir := golden.Copy(t, r.Checkpoint)
			golden.Edit(t, filepath.Join(dir, "generation_config.json"), `"eos_token_id": 1`, `"eos_token_id": `+string(eos))
			exe = filepath.Join(t.TempDir(), "exe")
			e2e.CompileTo(t, exe, dir)
		}
		most := "20" // transformers' default
		if n := r.Options["max_new_tokens"]; n != nil {
			most = string(n)
		}
		args := []string{"generate", "--json", "--prompt", r.Prompt, "--max-new-tokens", most}
		for _, image := range r.Images {
			args = append(args, "--image", golden.Picture(image))
		}
		if p := r.Options["repetition_penalty"]; p != nil {
			args = append(args, "--repetition-penalty", string(p))
		}
		got := e2e.Replies(t, e2e.MustRun(t, exe, append(args, "--logprobs")...))[0]
		// Without log-probabilities no logits are written: the tokens are the same.
		if short := e2e.Replies(t, e2e.MustRun(t, exe, args...))[0]; !slices.Equal(short.Tokens, got.Tokens) {
			t.Errorf("%s %s: tokens %v without log-probabilities, %v with them", r.Checkpoint, r.Kind, short.Tokens, got.Tokens)
		}
		sure := 0
		for sure < len(r.Margins) && r.Margins[sure] > 1e-3 {
			sure++
		}
		compared += sure
		if len(got.Tokens) < sure || !slices.Equal(got.Tokens[:sure], r.Tokens[:sure]) {
			t.Errorf("%s %s: tokens %v, transformers says %v", r.Checkpoint, r.Kind, got.Tokens, r.Tokens)
			continue
		}
		for i := range sure {
			worst = max(worst, math.Abs(got.Logprobs[i]-r.Logprobs[i]))
		}
		if sure < len(r.Tokens) {
			continue
		}
		reason := "length"
		if r.Kind == "eos" {
			reason = "stop"
		}
		if len(got.Tokens) != len(r.Tokens) || got.FinishReason != reason {
			t.Errorf("%s %s: %d tokens, %s; transformers gives %d, expected %s", r.Checkpoint, r.Kind, len(got.Tokens), got.FinishReason, len(r.Tokens), reason)
		}
		if text := strings.ToValidUTF8(r.Text, "�"); got.Text != text && r.Kind != "eos" { // what ends an answer is no part of our text
			t.Errorf("%s %s: text %q, transformers says %q", r.Checkpoint, r.Kind, got.Text, text)
		}
	}
	t.Logf("%d tokens of %v answers compared, worst error of a log-probability %.2g", compared, kinds, worst)
	if worst > 1e-4 || compared < 150 || kinds["free"] == 0 || kinds["eos"] < 2 || kinds["penalty"] < 4 {
		t.Errorf("worst error of a log-probability %g, expected at most 1e-4; %d tokens of %v", worst, compared, kinds)
	}
}

// TestBatch answers requests one by one, by batch, with several prompts about one picture and with --each: the same
// tokens, texts and log-probabilities to the bit, and every picture encoded once.
func TestBatch(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"pg1-odd", "pg2-odd"} {
		exe := e2e.Compiled(t, name)
		a, b := golden.Picture("noise.png"), golden.Picture("alpha.png")
		draw := []string{"--temperature", "1.7", "--top-k", "40", "--top-p", "0.9", "--seed", "5", "--repetition-penalty", "1.2"}
		fields := `"temperature":1.7,"top_k":40,"top_p":0.9,"seed":5,"repetition_penalty":1.2,"logprobs":true`
		type question struct {
			images []string
			prompt string
		}
		questions := []question{{[]string{a}, "caption en"}, {[]string{a}, ""}, {[]string{b}, "caption en"}, {[]string{b}, ""},
			{[]string{b, a}, "detect cat"}, {[]string{b, a, a}, "how many?\n"}, {[]string{a}, "caption en"}}
		var want []e2e.Reply
		var in strings.Builder
		for i, q := range questions {
			args := append([]string{"generate", "--json", "--logprobs", "--prompt", q.prompt}, draw...)
			for _, image := range q.images {
				args = append(args, "--image", image)
			}
			want = append(want, e2e.Replies(t, e2e.MustRun(t, exe, args...))[0])
			images, _ := json.Marshal(q.images)
			prompt, _ := json.Marshal(q.prompt)
			fmt.Fprintf(&in, `{"id":"<%d>","images":%s,"prompt":%s,%s}`+"\n", i, images, prompt, fields)
		}
		equal := func(what string, got, want e2e.Reply) {
			t.Helper()
			if got.Text != want.Text || !slices.Equal(got.Tokens, want.Tokens) || !slices.Equal(got.Logprobs, want.Logprobs) ||
				got.FinishReason != want.FinishReason || got.PromptTokens != want.PromptTokens {
				t.Errorf("%s %s: %+v, a run of its own gives %+v", name, what, got, want)
			}
		}
		requests := filepath.Join(dir, "in.jsonl")
		if err := os.WriteFile(requests, []byte(in.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		got := e2e.Replies(t, e2e.MustRun(t, exe, "batch", "--input", requests, "--output", "-"))
		if len(got) != len(want) {
			t.Fatalf("%d answers to %d requests", len(got), len(want))
		}
		for i := range want {
			equal(fmt.Sprint("batch ", i), got[i], want[i])
			if id := fmt.Sprintf(`"<%d>"`, i); string(got[i].ID) != id {
				t.Errorf("answer %d has the id %s, expected %s", i, got[i].ID, id)
			}
		}
		if got[1].Timings.Encode != 0 || got[0].Timings.Encode == 0 {
			t.Error("a picture was encoded for each of its prompts")
		}
		flags := append([]string{"generate", "--json", "--logprobs", "--image", a, "--image", b, "--prompt", "caption en", "--prompt", "", "--each"}, draw...)
		for i, r := range e2e.Replies(t, e2e.MustRun(t, exe, flags...)) {
			equal(fmt.Sprint("each ", i), r, want[i])
		}
		short := e2e.MustRun(t, exe, append([]string{a, b, "caption en", "--each"}, draw...)...)
		escape := strings.NewReplacer("\n", `\n`, "\r", `\r`)
		if text := a + "\t" + escape.Replace(want[0].Text) + "\n" + b + "\t" + escape.Replace(want[2].Text) + "\n"; string(short) != text {
			t.Errorf("%s --each: %q, expected %q", name, short, text)
		}
		both := e2e.MustRun(t, exe, append([]string{"generate", "--image", b, "--image", a, "--prompt", "detect cat"}, draw...)...)
		if string(both) != want[4].Text+"\n" {
			t.Errorf("%s two pictures: %q, expected %q", name, both, want[4].Text)
		}
	}
}

// TestNoWords draws very hot: no id that is no word is ever emitted, and a stop text ends the answer.
func TestNoWords(t *testing.T) {
	exe := e2e.Compiled(t, "pg1-odd")
	args := []string{"generate", "--json", "--image", golden.Picture("grey.png"), "--prompt", "caption en", "--temperature", "300", "--max-new-tokens", "250"}
	seen, longest := map[int32]bool{}, e2e.Reply{}
	for _, seed := range []string{"1", "2", "3", "4", "5", "6"} {
		r := e2e.Replies(t, e2e.MustRun(t, exe, append(args, "--seed", seed)...))[0]
		for _, id := range r.Tokens {
			seen[id] = true
			if id == 0 || id == 2 || id >= 1572 {
				t.Errorf("seed %s: id %d emitted", seed, id)
			}
		}
		if len(r.Text) > len(longest.Text) {
			longest = r
		}
	}
	if len(seen) < 300 {
		t.Errorf("only %d ids seen, too few to tell", len(seen))
	}
	text := []rune(longest.Text)
	stop := string(text[len(text)/2 : len(text)/2+3])
	before, _, _ := strings.Cut(longest.Text, stop)
	for _, seed := range []string{"1", "2", "3", "4", "5", "6"} {
		r := e2e.Replies(t, e2e.MustRun(t, exe, append(args, "--seed", seed, "--stop", "no such text", "--stop", stop)...))[0]
		if !strings.HasPrefix(longest.Text, r.Text) {
			continue // another seed's
		}
		if r.Text != before || r.FinishReason != "stop" {
			t.Errorf("stop text %q: %q, %s; expected %q, stop", stop, r.Text, r.FinishReason, before)
		}
		return
	}
	t.Errorf("no answer begins as %q", before)
}
