package commands

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgc/golden"
	"pgc/internal/e2e"
)

// TestArgumentsAreBytes: names that are no UTF-8 stay apart, and texts have the ids that they have in a file.
func TestArgumentsAreBytes(t *testing.T) {
	dir := t.TempDir()
	exe := e2e.Compiled(t, "pg2-mha")
	picture := filepath.Join(dir, "in\xff.png")
	data, err := os.ReadFile(golden.Picture("noise.png"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(picture, data, 0o644); err != nil {
		t.Skip("the file system refuses names that are no UTF-8:", err)
	}
	for _, name := range []string{"a\xff.st", "a\xfe.st"} {
		e2e.MustRun(t, exe, "forward", "--image", picture, "--prompt", name, "-o", filepath.Join(dir, name))
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 {
		t.Errorf("the folder holds %q (%v), expected a picture and two outputs", entries, err)
	}
	text := "caption \xff\xc3 en"
	lines := filepath.Join(dir, "lines")
	if err := os.WriteFile(lines, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if a, b := e2e.MustRun(t, exe, "tokenize", text), e2e.MustRun(t, exe, "tokenize", "--input", lines); !bytes.Equal(a, b) {
		t.Errorf("the argument has the ids %s, the line %s", a, b)
	}
}

// TestNamesAreShown: whatever names hold, an error is one line that no terminal obeys.
func TestNamesAreShown(t *testing.T) {
	odd := "x${HOME}\x1b[31m"
	from := golden.Copy(t, "pg2-mha")
	checkpoint := filepath.Join(filepath.Dir(from), odd)
	if err := os.Rename(from, checkpoint); err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(t.TempDir(), "exe\nnext")
	e2e.CompileTo(t, exe, checkpoint)
	var stdout, stderr bytes.Buffer
	for _, args := range [][]string{{"--help"}, {"info"}} {
		stdout.Reset()
		cmd := exec.Command(exe, args...)
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil || !strings.Contains(stdout.String(), `x${HOME}\x1b[31m`) || strings.Contains(stdout.String(), "\x1b") || strings.Contains(stdout.String(), "exe\n") {
			t.Errorf("%q: %v, %q, %q", args, err, stdout.String(), stderr.String())
		}
	}
	code, _, text := e2e.Status(exe, "generate", "--image", "no\x1b]0;title\a\xff.png", "--prompt", "x")
	if want := `exe; next: image no\x1b]0;title\a\xff.png: `; code != 1 || !strings.HasPrefix(text, want) || strings.Count(text, "\n") != 1 {
		t.Errorf("status %d, %q, expected %q", code, text, want)
	}
}
