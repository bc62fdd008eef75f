package commands

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
)

// TestExecutable covers what a compiled executable does with bad input, in an empty chroot, and when it is damaged.
func TestExecutable(t *testing.T) {
	elf := e2e.Runtime(t)
	dir := t.TempDir()
	exe := filepath.Join(dir, "captioner")
	e2e.Build(t, exe, filepath.Join(golden.Dir(), "pg1-odd"), elf, build.Options{CPU: "x86-64-v3", MaxTokens: 311})
	picture := filepath.Join(golden.Dir(), "pictures", "noise.png")
	text := filepath.Join(dir, "not-a-picture.png")
	if err := os.WriteFile(text, []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	damaged, truncated := filepath.Join(dir, "damaged"), filepath.Join(dir, "truncated")
	data, _ := os.ReadFile(exe)
	os.WriteFile(truncated, data[:len(data)-1000], 0o755)
	bad := bytes.Clone(data)
	bad[len(elf)/2] ^= 1
	os.WriteFile(damaged, bad, 0o755)

	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{exe, picture}, 2, "PROMPT"},
		{[]string{exe, "generate"}, 2, "picture and a prompt"},
		{[]string{exe, "generate", "--image", picture}, 2, "--prompt"},
		{[]string{exe, "--nonsense"}, 2, "nonsense"},
		{[]string{exe, "missing.png", "caption en"}, 1, "missing.png"},
		{[]string{exe, text, "caption en"}, 1, "not-a-picture.png"},
		{[]string{exe, picture, strings.Repeat("cat dog ", 160)}, 1, "the KV cache holds 311"},
		{[]string{exe, "forward", "--image", picture, "--prompt", "x", "-o", filepath.Join(dir, "no", "x.safetensors")}, 1, "cannot write"},
		{[]string{exe, "generate", "--image", picture, "--prompt", "x", "--draw", filepath.Join(dir, "no", "x.png")}, 1, "x.png"},
		{[]string{exe, "generate", "--threads", "-1", "--image", picture, "--prompt", "x"}, 2, "--threads"},
		{[]string{damaged, "info"}, 1, "damaged"},
		{[]string{truncated, "info"}, 1, "truncated"},
		{[]string{exe, "info", "--verify"}, 0, ""},
		{[]string{exe, "tokenize", "caption en"}, 0, ""},
	} {
		var stdout, stderr bytes.Buffer
		cmd := exec.Command(c.args[0], c.args[1:]...)
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		var exit *exec.ExitError
		status := 0
		if errors.As(err, &exit) {
			status = exit.ExitCode()
		}
		lines := strings.Count(stderr.String(), "\n")
		if status != c.status || !strings.Contains(stderr.String(), c.want) || status != 0 && (lines != 1 || stdout.Len() > 0) {
			t.Errorf("%q: status %d, want %d; stderr %q, want %q on one line; stdout %q", c.args[1:], status, c.status, stderr.String(), c.want, stdout.String())
		}
		if status != 0 {
			t.Log(strings.TrimSpace(stderr.String()))
		}
	}
	lines := filepath.Join(dir, "lines.txt")
	if err := os.WriteFile(lines, []byte("a\r\n\n\xff\na"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(exe, "tokenize", "--input", lines).Output()
	if got := strings.Split(string(out), "\n"); err != nil || len(got) != 5 || got[1] != "[]" || !strings.HasPrefix(got[0], strings.TrimSuffix(got[3], "]")+",") {
		t.Errorf("lines a\\r, nothing, 0xFF and a are %q (error %v)", out, err)
	}
	chroot(t, exe, picture)
}

// chroot runs the executable where nothing but itself and a picture exists.
func chroot(t *testing.T, exe, picture string) {
	if os.Getuid() != 0 {
		t.Log("empty chroot not tested: needs root")
		return
	}
	root := t.TempDir()
	for name, from := range map[string]string{"captioner": exe, "p.png": picture} {
		data, _ := os.ReadFile(from)
		if err := os.WriteFile(filepath.Join(root, name), data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("chroot", root, "/captioner", "generate", "--image", "/p.png", "--prompt", "caption en", "--json").CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte(`"finish_reason"`)) {
		t.Errorf("in an empty chroot: %v: %s", err, out)
	}
}

// TestNotANumber compiles checkpoints of which one weight is so large that sums overflow: nothing is made up as an
// answer, and damage is named before the checkpoint.
func TestNotANumber(t *testing.T) {
	for _, c := range []struct {
		checkpoint, key string
		args            []string
	}{
		{"pg1-odd", "language_model.model.layers.1.mlp.up_proj.weight", []string{golden.Picture("grey.png"), "caption en"}},
		{"colpali-odd", "vlm.language_model.model.layers.1.mlp.up_proj.weight", []string{"rank", "--query", "cat", golden.Picture("grey.png")}},
	} {
		dir := golden.Copy(t, c.checkpoint)
		golden.SetFloat(t, filepath.Join(dir, "model.safetensors"), c.key, 3e38)
		exe := filepath.Join(t.TempDir(), "exe")
		e2e.CompileTo(t, exe, dir)
		code, stdout, stderr := e2e.Status(exe, c.args...)
		if code != 1 || stdout != "" || !strings.Contains(stderr, " is NaN") || !strings.Contains(stderr, ": FILE info --verify tells whether the file is damaged; if not, the checkpoint ") || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: status %d, %q, %q", c.checkpoint, code, stdout, stderr)
		}
	}
}
