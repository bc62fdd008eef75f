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

// TestRankNames: names of pictures are bytes in a pipe, and no commands to a terminal.
func TestRankNames(t *testing.T) {
	dir := t.TempDir()
	data, err := os.ReadFile(golden.Picture("noise.png"))
	if err != nil {
		t.Fatal(err)
	}
	name := "a\x1b]0;title\a.png"
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"rank", "--query", "x", name}
	screen, tty := e2e.Terminal(t)
	defer tty.Close()
	var piped, stderr bytes.Buffer
	for _, out := range []any{&piped, tty} {
		cmd := exec.Command(e2e.Compiled(t, "colpali-odd"), args...)
		cmd.Dir, cmd.Stderr = dir, &stderr
		if f, ok := out.(*os.File); ok {
			cmd.Stdout = f
		} else {
			cmd.Stdout = &piped
		}
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v: %s", err, stderr.String())
		}
	}
	if !strings.HasSuffix(piped.String(), "\t"+name+"\n") {
		t.Errorf("a pipe gets %q", piped.String())
	}
	shown := make([]byte, 1000)
	n, err := screen.Read(shown)
	if text := string(shown[:n]); err != nil || strings.ContainsAny(text, "\x1b\a") || !strings.Contains(text, `a\x1b]0;title\a.png`) {
		t.Errorf("a terminal gets %q (%v)", text, err)
	}
}
