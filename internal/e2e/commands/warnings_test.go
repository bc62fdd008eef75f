package commands

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pgc/golden"
	"pgc/internal/e2e"
)

// noObject are the warnings about location tokens, which a random model may begin with.
var noObject = regexp.MustCompile(`(?m)^warning: .*names something that is no object.*\n`)

// TestWarnings: what is surely not what was meant is said on standard error, once a kind, and in JSON; the answer and the
// status stay.
func TestWarnings(t *testing.T) {
	exe, dir := e2e.Compiled(t, "pg2-mha"), t.TempDir()
	a, b := golden.Picture("noise.png"), golden.Picture("alpha.png")
	const cut = "the answer was cut at 1 token: a larger max_new_tokens (--max-new-tokens) lets it end"
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{a, "<image>x"}, []string{"the prompt holds <image>, which is read as text: leave it out", cut}},
		{[]string{a, "x<eos>"}, []string{"the prompt holds <eos>", cut}},
		{[]string{a, "<image>x", "--parse-specials"}, []string{cut}},
		{[]string{a, `x\n`}, []string{`ends in the two characters \n`, cut}},
		{[]string{a, b, "caption en"}, []string{"a caption of 2 pictures together is asked of a model of single pictures: ask about each alone (--each)", cut}},
		{[]string{a, b, "which is larger?"}, []string{cut}},
		{[]string{a, b, "caption en", "--each"}, []string{a + ": " + cut}},
		{[]string{a, "x", "--ignore-eos"}, nil},
	} {
		code, _, stderr := e2e.Printed(exe, append(c.args, "--max-new-tokens", "1")...)
		stderr = noObject.ReplaceAllString(stderr, "")
		lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
		if stderr == "" {
			lines = nil
		}
		if code != 0 || len(lines) != len(c.want) {
			t.Errorf("%q: status %d, %q, expected %q", c.args, code, lines, c.want)
			continue
		}
		for i, line := range lines {
			if !strings.HasPrefix(line, "warning: ") || !strings.Contains(line, c.want[i]) {
				t.Errorf("%q: %q, expected %q", c.args, line, c.want[i])
			}
		}
	}
	dark := filepath.Join("..", "..", "..", "runtime", "imageio", "testdata", "grey16-12.png")
	for _, args := range [][]string{{dark, "x", "--ignore-eos"}, {"detect", dark, "cat"}} {
		const want = "picture 1: its samples of 16 bits reach only 4081, so they are taken for samples of 12 bits"
		if code, _, stderr := e2e.Printed(exe, args...); code != 0 || strings.Count(stderr, want) != 1 {
			t.Errorf("%q: status %d, %q, expected %q", args, code, stderr, want)
		}
	}
	in := filepath.Join(dir, "in.jsonl")
	if err := os.WriteFile(in, fmt.Appendf(nil, `{"image":%q,"prompt":"x"}`+"\n"+`{"image":%[1]q,"prompt":"y"}`, a), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := e2e.Printed(exe, "batch", "--input", in, "--output", "-", "--max-new-tokens", "1")
	const lone = `the answer names something that is no object, \"<loc0317>\": 1 location token, expected 4`
	want := "warning: request 1: " + strings.ReplaceAll(lone, `\"`, `"`) + "\nwarning: request 1: " + cut + "\n"
	object := `"malformed":[{"text":"<loc0317>","reason":"1 location token, expected 4"}]`
	if code != 0 || stderr != want || strings.Count(stdout, `"warnings":["`+lone+`","`+cut+`"]`) != 2 || strings.Count(stdout, object) != 2 {
		t.Errorf("status %d, %q, %s", code, stderr, stdout)
	}
}

// TestLogprobsWithoutJSON: nothing prints log-probabilities without --json, and the answer is what it is.
func TestLogprobsWithoutJSON(t *testing.T) {
	exe := e2e.Compiled(t, "pg2-mha")
	args := []string{"generate", "--image", golden.Picture("noise.png"), "--prompt", "x", "--max-new-tokens", "5"}
	code, stdout, stderr := e2e.Printed(exe, append(args, "--logprobs")...)
	if want := string(e2e.MustRun(t, exe, args...)); code != 0 || stdout != want || !strings.Contains(stderr, "warning: --logprobs has no effect without --json, which prints them\n") {
		t.Errorf("status %d, %q, %q, expected %q and a warning", code, stdout, stderr, want)
	}
}
