package commands

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
)

// TestEach: a line is a path, a tab and an answer without newlines; a picture that cannot be read does not stop the
// others and makes the status 1.
func TestEach(t *testing.T) {
	exe, dir := e2e.Compiled(t, "pg2-mha"), t.TempDir()
	odd, none := filepath.Join(dir, "tab\there\nand a newline.png"), filepath.Join(dir, "none.png")
	copyPicture(t, "alpha.png", odd)
	ask := func(pictures ...string) (int, string, string) {
		return e2e.Status(exe, append([]string{"--each", "--max-new-tokens", "12", "--no-verify"}, append(pictures, "x")...)...)
	}
	code, stdout, stderr := ask(none, golden.Picture("noise.png"), none, odd)
	if code != 1 || strings.Count(stderr, "image "+none+": no such file") != 2 || !strings.Contains(stderr, "2 of 4 answers failed\n") {
		t.Errorf("status %d, %q", code, stderr)
	}
	lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	if len(lines) != 2 {
		t.Fatalf("lines %q", lines)
	}
	for i, name := range []string{golden.Picture("noise.png"), odd} {
		text := strings.TrimSuffix(string(e2e.MustRun(t, exe, "generate", "--image", name, "--prompt", "x", "--max-new-tokens", "12")), "\n")
		shown := strings.NewReplacer("\t", `\t`, "\n", `\n`).Replace(name)
		if want := shown + "\t" + strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(text); lines[i] != want {
			t.Errorf("line %q, expected %q", lines[i], want)
		}
	}
	code, stdout, _ = ask("--json", none, odd)
	var objects []struct{ Image, Text, Error string }
	for line := range strings.Lines(stdout) {
		var o struct{ Image, Text, Error string }
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatal(err)
		}
		objects = append(objects, o)
	}
	if code != 1 || len(objects) != 2 || objects[0].Image != none || objects[0].Error == "" || objects[1].Image != odd || objects[1].Error != "" {
		t.Errorf("status %d, %+v", code, objects)
	}
}

// TestHelp: help and version are what --help and --version are.
func TestHelp(t *testing.T) {
	exe := e2e.Compiled(t, "pg2-mha")
	for args, like := range map[string]string{"help": "--help", "help batch": "batch --help", "version": "--version"} {
		got, want := e2e.MustRun(t, exe, strings.Fields(args)...), e2e.MustRun(t, exe, strings.Fields(like)...)
		if string(got) != string(want) || len(want) == 0 {
			t.Errorf("%s printed %q, expected %q", args, got, want)
		}
	}
	if text := string(e2e.MustRun(t, exe, "--version")); !strings.Contains(text, "pg2-mha") || !strings.Contains(text, build.Version) || strings.Count(text, "\n") != 1 {
		t.Errorf("--version printed %q", text)
	}
	for _, args := range []string{"help nothing", "help --no-verify", "help batch info"} {
		if code, _, stderr := e2e.Status(exe, strings.Fields(args)...); code != 2 || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: status %d, %q", args, code, stderr)
		}
	}
}

// TestSpecialTokensKept: a text may keep <eos>, as transformers' decode does with skip_special_tokens=False.
func TestSpecialTokensKept(t *testing.T) {
	exe := e2e.Compiled(t, "pg2-mha")
	type object struct {
		Text   string
		Tokens []int32
		Reason string `json:"finish_reason"`
	}
	ask := func(n int, flags ...string) (o object) {
		out := e2e.MustRun(t, exe, append([]string{"generate", "--json", "--image", golden.Picture("noise.png"), "--prompt", "x", "--temperature", "2", "--seed", fmt.Sprint(n), "--max-new-tokens", "250"}, flags...)...)
		if err := json.Unmarshal(out, &o); err != nil {
			t.Fatal(err)
		}
		return o
	}
	for seed := range 200 {
		plain := ask(seed)
		if plain.Reason != "stop" {
			continue
		}
		if kept := ask(seed, "--skip-special-tokens=false"); !strings.HasSuffix(kept.Text, "<eos>") || !strings.HasPrefix(plain.Text, strings.SplitN(kept.Text, "<", 2)[0]) || strings.HasSuffix(plain.Text, "<eos>") {
			t.Errorf("texts %q and %q", plain.Text, kept.Text)
		}
		return
	}
	t.Error("no answer ended by itself")
}
