package commands

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"pgc/golden"
	"pgc/internal/e2e"
)

// writers are the commands of executables that write a file: each with its last argument missing.
func writers(t *testing.T) [][]string {
	t.Helper()
	dir := t.TempDir()
	in := filepath.Join(dir, "in.jsonl")
	picture := golden.Picture("noise.png")
	if err := os.WriteFile(in, fmt.Appendf(nil, `{"images": [%q], "prompt": "x", "max_new_tokens": 1}`, picture), 0o644); err != nil {
		t.Fatal(err)
	}
	exe := e2e.Compiled(t, "pg2-mha")
	return [][]string{
		{exe, "forward", "--image", picture, "--prompt", "x", "-o"},
		{exe, "generate", "--image", picture, "--prompt", "x", "--max-new-tokens", "1", "--draw"},
		{exe, "detect", picture, "x", "--max-boxes", "1", "--format", "coco", "-o"},
		{e2e.Compiled(t, "colpali-odd"), "embed", "--query", "x", "-o"},
		{exe, "batch", "--input", in, "--output"},
	}
}

// TestOutputs writes every result to what is no new file: devices and FIFOs stay and take bytes, links are followed,
// modes stay, a full device is an error, and nothing is left behind.
func TestOutputs(t *testing.T) {
	for _, command := range writers(t) {
		name := command[1]
		dir := t.TempDir()
		at := func(name string) string { return filepath.Join(dir, name) }
		run := func(path string) (int, string) {
			code, _, stderr := e2e.Status(command[0], append(command[1:len(command):len(command)], path)...)
			return code, stderr
		}
		if err := unix.Mkfifo(at("fifo"), 0o600); err != nil {
			t.Fatal(err)
		}
		for link, to := range map[string]string{"link": "target", "null": "/dev/null", "full": "/dev/full"} {
			if err := os.Symlink(to, at(link)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(at("target"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if code, stderr := run(at("link")); code != 0 {
			t.Errorf("%s to a link: status %d, %s", name, code, stderr)
		}
		want, err := os.ReadFile(at("target"))
		if err != nil || len(want) == 0 {
			t.Errorf("%s to a link wrote %d bytes, %v", name, len(want), err)
		}
		if info, _ := os.Lstat(at("target")); info.Mode() != 0o600 {
			t.Errorf("%s turned the mode 0600 into %v", name, info.Mode())
		}
		if code, stderr := run(at("null")); code != 0 {
			t.Errorf("%s to the null device: status %d, %s", name, code, stderr)
		}
		if code, stderr := run(at("full")); code != 1 || strings.Count(e2e.Unwarned(stderr), "\n") != 1 || !strings.Contains(stderr, at("full")) || !strings.Contains(stderr, "no space left on device") {
			t.Errorf("%s to a full device: status %d, %q", name, code, stderr)
		}
		read := make(chan []byte)
		go func() {
			data, _ := os.ReadFile(at("fifo"))
			read <- data
		}()
		if code, stderr := run(at("fifo")); code != 0 {
			t.Errorf("%s to a FIFO: status %d, %s", name, code, stderr)
		}
		if got := <-read; len(got) == 0 || name != "batch" && !bytes.Equal(got, want) {
			t.Errorf("%s wrote %d bytes into a FIFO and %d into a file", name, len(got), len(want))
		}
		for path, kind := range map[string]fs.FileMode{"fifo": fs.ModeNamedPipe, "link": fs.ModeSymlink, "null": fs.ModeSymlink, "full": fs.ModeSymlink} {
			if info, err := os.Lstat(at(path)); err != nil || info.Mode().Type() != kind {
				t.Errorf("%s turned %s into %v", name, path, info.Mode())
			}
		}
		if entries, _ := os.ReadDir(dir); len(entries) != 5 {
			t.Errorf("%s left %v", name, entries)
		}
		for _, device := range []string{"/dev/null", "/dev/full"} {
			if info, err := os.Stat(device); err != nil || info.Mode().Type() != fs.ModeDevice|fs.ModeCharDevice {
				t.Fatalf("%s turned %s into %v", name, device, info.Mode())
			}
		}
	}
}

// TestOutputIsInput: no result replaces a picture, requests or the executable itself.
func TestOutputIsInput(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, from := range map[string]string{"p.png": golden.Picture("noise.png"), "exe": e2e.Compiled(t, "pg2-mha"), "embeds": e2e.Compiled(t, "colpali-odd")} {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at(name), data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.WriteFile(at("none.jsonl"), nil, 0o644), os.Symlink("p.png", at("link.png"))); err != nil {
		t.Fatal(err)
	}
	before := contents(t, dir)
	for _, args := range []string{
		"exe forward --image p.png --prompt x -o p.png", "exe forward --image link.png --prompt x -o p.png", "exe forward --image p.png --prompt x -o exe",
		"exe generate --image p.png --prompt x --draw link.png", "exe detect p.png x -o p.png", "exe detect p.png x --draw link.png", "exe batch --input none.jsonl --output none.jsonl", "embeds embed p.png -o p.png",
	} {
		words := strings.Fields(args)
		cmd := exec.Command(at(words[0]), words[1:]...)
		var stderr bytes.Buffer
		cmd.Dir, cmd.Stderr = dir, &stderr
		cmd.Run()
		text := stderr.String()
		if cmd.ProcessState.ExitCode() != 1 || strings.Count(text, "\n") != 1 || !strings.Contains(text, "cannot write "+words[len(words)-1]+": it is ") {
			t.Errorf("%s: %v, %q", args, cmd.ProcessState, text)
		}
	}
	if after := contents(t, dir); !maps.Equal(before, after) {
		t.Error("a file has changed")
	}
}

// contents are the files of a folder.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		data, readErr := os.ReadFile(filepath.Join(dir, e.Name()))
		err = errors.Join(err, readErr)
		all[e.Name()] = string(data)
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestUmask gives new files what the umask leaves.
func TestUmask(t *testing.T) {
	for _, command := range writers(t) {
		path := filepath.Join(t.TempDir(), "new")
		shell := append([]string{"-c", `umask 077; exec "$@"`, "sh"}, append(command, path)...)
		if code, _, stderr := e2e.Status("sh", shell...); code != 0 {
			t.Errorf("%s: status %d, %s", command[1], code, stderr)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: a new file has %v, %v, expected the mode 0600", command[1], info, err)
		}
	}
}

// TestFullStdout: what cannot be printed is an error of every command.
func TestFullStdout(t *testing.T) {
	picture := golden.Picture("noise.png")
	lines := filepath.Join(t.TempDir(), "lines")
	if err := os.WriteFile(lines, []byte("a\nb\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"info"}, {"info", "--json"}, {"--help"}, {"generate", "--help"}, {"tokenize", "x"}, {"tokenize", "--input", lines},
		{"generate", "--image", picture, "--prompt", "x", "--max-new-tokens", "1"},
		{"generate", "--image", picture, "--prompt", "x", "--max-new-tokens", "1", "--json"},
		{"forward", "--image", picture, "--prompt", "x", "-o", "/dev/stdout"}, {"detect", picture, "x", "--max-boxes", "1", "--format", "json"},
	} {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		cmd := exec.Command(e2e.Compiled(t, "pg2-mha"), args...)
		cmd.Stdout, cmd.Stderr = full, &stderr
		cmd.Run()
		full.Close()
		if code := cmd.ProcessState.ExitCode(); code != 1 || strings.Count(e2e.Unwarned(stderr.String()), "\n") != 1 || !strings.Contains(stderr.String(), "no space left on device") {
			t.Errorf("%q: status %d, %q", args, code, stderr.String())
		}
	}
}

// TestBatchOneWriter: a second batch is refused while the first one runs, and doubled answers are dropped.
func TestBatchOneWriter(t *testing.T) {
	dir := t.TempDir()
	exe := e2e.Compiled(t, "pg2-mha")
	in, out, link := filepath.Join(dir, "in"), filepath.Join(dir, "out.jsonl"), filepath.Join(dir, "link")
	request := fmt.Sprintf(`{"id": 7, "images": [%q], "prompt": "x", "max_new_tokens": 1}`, golden.Picture("noise.png"))
	if err := os.WriteFile(in, []byte(request), 0o644); err != nil {
		t.Fatal(err)
	}
	answer := `{"id":7,"text":"first","tokens":[]}` + "\n"
	other := `{"id":"b","text":"b","tokens":[]}` + "\n"
	if err := os.WriteFile(out, []byte(answer+other+strings.Replace(answer, "first", "second", 1)+other), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("out.jsonl", link); err != nil {
		t.Fatal(err)
	}
	lock, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := e2e.Status(exe, "batch", "--input", in, "--output", link)
	if want := "another process is writing it, expected one writer\n"; code != 1 || !strings.HasSuffix(stderr, want) || strings.Count(stderr, "\n") != 1 {
		t.Errorf("a second batch: status %d, %q", code, stderr)
	}
	lock.Close()
	if code, _, stderr := e2e.Status(exe, "batch", "--input", in, "--output", link); code != 0 {
		t.Errorf("status %d, %q", code, stderr)
	}
	if got, err := os.ReadFile(out); err != nil || string(got) != answer+other {
		t.Errorf("the output is %q (%v), expected each answer once", got, err)
	}
	if info, err := os.Lstat(out); err != nil || info.Mode() != 0o640 {
		t.Errorf("the output has the mode %v (%v), expected 0640", info.Mode(), err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is %v (%v)", info.Mode(), err)
	}
}
