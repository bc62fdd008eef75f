package damage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgc/golden"
	"pgc/internal/e2e"
	"pgc/runtime/integrity"
	"pgc/runtime/program"
)

// isolate gives executables a cache folder of the test's own, whose path it returns.
func isolate(t *testing.T) string {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	return cache
}

// victim is a copy of an executable whose weights are damaged and mended.
type victim struct {
	path    string
	content []byte
	weights []byte // of content, with the padding
	at      int64  // where they begin
}

func newVictim(t *testing.T, exe string) *victim {
	t.Helper()
	v := &victim{path: filepath.Join(t.TempDir(), "exe")}
	var err error
	if v.content, err = os.ReadFile(exe); err != nil {
		t.Fatal(err)
	}
	image, err := program.OpenFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	i := slices.IndexFunc(image.Sections, func(s program.SectionInfo) bool { return s.Name == program.SectionWeights })
	v.at = image.Sections[i].Offset
	v.weights = v.content[v.at:image.Sections[i+1].Offset]
	v.write(t, v.weights)
	return v
}

// write makes the file anew, with these weights.
func (v *victim) write(t *testing.T, weights []byte) {
	t.Helper()
	content := slices.Concat(v.content[:v.at], weights, v.content[v.at+int64(len(v.weights)):])
	os.Remove(v.path)
	if err := os.WriteFile(v.path, content, 0o755); err != nil {
		t.Fatal(err)
	}
}

// change writes the weights in place.
func (v *victim) change(t *testing.T, weights []byte) {
	t.Helper()
	f, err := os.OpenFile(v.path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(weights, v.at); err != nil {
		t.Fatal(err)
	}
}

// damage returns the weights with one change of a kind, somewhere, and says which.
func (v *victim) damage(r *rand.Rand) (weights []byte, what string) {
	for {
		w := bytes.Clone(v.weights)
		const page = 4096
		at, n := r.IntN(len(w)), len(w)/page
		p, q := r.IntN(n)*page, r.IntN(n)*page
		switch r.IntN(6) {
		case 0:
			bit := r.IntN(8)
			w[at] ^= 1 << bit
			what = fmt.Sprintf("bit %d of byte %d", bit, at)
		case 1:
			w[at] = byte(r.Uint32())
			what = fmt.Sprintf("byte %d", at)
		case 2:
			clear(w[p:][:page])
			what = fmt.Sprintf("zeros from %d", p)
		case 3:
			copy(w[p:][:page], v.weights[q:][:page])
			copy(w[q:][:page], v.weights[p:][:page])
			what = fmt.Sprintf("pages at %d and %d", p, q)
		case 4:
			copy(w[at:], v.weights[min(at+1, len(w)):])
			what = fmt.Sprintf("moved from %d on", at)
		case 5:
			for i := range min(len(w)-at, 1+r.IntN(page)) {
				w[at+i] = byte(r.Uint32())
			}
			what = fmt.Sprintf("noise from %d on", at)
		}
		if !bytes.Equal(w, v.weights) {
			return w, what
		}
	}
}

// complains says what is wrong with how an executable ended that should have found damage, or returns "".
func (v *victim) complains(code int, stdout, stderr string) string {
	if code == 1 && stdout == "" && strings.HasPrefix(stderr, "exe: "+v.path+": section weights: ") && strings.Contains(stderr, "damaged") &&
		strings.HasSuffix(stderr, ": copy the file anew from where it is whole, or compile it again\n") && strings.Count(stderr, "\n") == 1 {
		return ""
	}
	return fmt.Sprintf("status %d, %q, %q", code, stdout, stderr)
}

// TestDamagedWeights damages weights in random places: no command ends with status 0 or leaves a result.
func TestDamagedWeights(t *testing.T) {
	isolate(t)
	demo := filepath.Join(t.TempDir(), "demo")
	e2e.CompileTo(t, demo, filepath.Join(golden.Dir(), "..", "models", "paligemma", "demo", "paligemma-demo"))
	picture, dir := golden.Picture("noise.png"), t.TempDir()
	in := filepath.Join(dir, "in.jsonl")
	request := fmt.Sprintf(`{"images":[%q],"prompt":"caption en","max_new_tokens":3}`+"\n", picture)
	if err := os.WriteFile(in, []byte(strings.Repeat(request, 3)), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	answers := [][]string{
		{"generate", "--image", picture, "--prompt", "caption en", "--max-new-tokens", "2"},
		{picture, "detect cat", "--json", "--threads", "1", "--draw", out},
		{"detect", picture, "cat", "--format", "coco", "-o", out},
		{"batch", "--input", in, "--output", "-"},
		{"batch", "--input", in, "--output", out, "--threads", "1"},
		{"forward", "--image", picture, "--prompt", "caption en", "-o", out},
		{"info", "--verify"},
	}
	embeds := [][]string{{"embed", picture, "-o", out}, {"embed", "--query", "cat", "-o", out}, {"rank", "--query", "cat", picture}}
	r := rand.New(rand.NewPCG(7, 11))
	for exe, c := range map[string]struct {
		commands [][]string
		damages  int
	}{demo: {answers, 30}, e2e.Compiled(t, "pg2-mha"): {answers, 120}, e2e.Compiled(t, "colpali-odd"): {embeds, 60}} {
		v, commands := newVictim(t, exe), c.commands
		for i := range c.damages {
			args := commands[i%len(commands)]
			weights, what := v.damage(r)
			v.change(t, weights)
			if wrong := v.complains(e2e.Status(v.path, args...)); wrong != "" {
				t.Errorf("%s, %s: %s: %s", filepath.Base(exe), what, args[0], wrong)
			}
			if left, err := os.ReadFile(out); err == nil && len(left) > 0 {
				t.Errorf("%s, %s: %s leaves %d bytes", filepath.Base(exe), what, args[0], len(left))
			}
			os.Remove(out)
		}
		v.write(t, v.weights[:len(v.weights)-program.BlockBytes/256])
		if code, _, stderr := e2e.Status(v.path, "info"); code != 1 || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s, cut: status %d, %q", filepath.Base(exe), code, stderr)
		}
		v.write(t, v.weights)
		for _, args := range commands {
			if code, _, stderr := e2e.Status(v.path, args...); code != 0 {
				t.Errorf("%s, mended: %q: status %d, %s", filepath.Base(exe), args, code, stderr)
			}
			os.Remove(out)
		}
	}
}

// TestDamagedStream: on a terminal the text comes as it is made, and the end tells that it is not to be believed.
func TestDamagedStream(t *testing.T) {
	isolate(t)
	v := newVictim(t, e2e.Compiled(t, "pg2-mha"))
	for _, whole := range []bool{true, false} {
		if !whole {
			weights, _ := v.damage(rand.New(rand.NewPCG(1, 2)))
			v.write(t, weights)
		}
		near, far := e2e.Terminal(t)
		cmd := exec.Command(v.path, golden.Picture("noise.png"), "caption en", "--max-new-tokens", "8", "--ignore-eos")
		var stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = far, &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		far.Close()
		text, _ := io.ReadAll(near) // ends with EIO
		cmd.Wait()
		code := cmd.ProcessState.ExitCode()
		if whole && (code != 0 || len(text) < 3) {
			t.Errorf("whole: status %d, %q, %s", code, text, &stderr)
		}
		if wrong := v.complains(code, "", stderr.String()); !whole && wrong != "" {
			t.Errorf("damaged: %s behind %q", wrong, text)
		}
	}
}

// TestVerifiedOnce forges the record of a damaged file: what it says is believed, so that nothing is read, until the file
// or the record's permissions change.
func TestVerifiedOnce(t *testing.T) {
	cache := isolate(t)
	v := newVictim(t, e2e.Compiled(t, "pg2-mha"))
	weights, _ := v.damage(rand.New(rand.NewPCG(3, 4)))
	v.write(t, weights)
	image, err := program.OpenFile(v.path)
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	version := integrity.VersionOf(image.Info)
	record, err := json.Marshal(map[string]any{"file": version, "sum": image.Sum, "verified": "2026-01-02T03:04:05Z"})
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(cache, "pgc-verified")
	file := filepath.Join(folder, fmt.Sprintf("%x-%x.json", version.Device, version.Inode))
	ask := []string{golden.Picture("noise.png"), "caption en", "--max-new-tokens", "2"}
	info := func(args ...string) string {
		code, stdout, stderr := e2e.Status(v.path, append([]string{"info"}, args...)...)
		if code != 0 {
			t.Errorf("info %q: status %d, %s", args, code, stderr)
		}
		if len(args) > 0 && args[0] == "--json" {
			return stdout
		}
		return stdout[strings.LastIndex(stdout, "checksums"):]
	}
	expect := func(what string, believed bool) {
		t.Helper()
		code, stdout, stderr := e2e.Status(v.path, ask...)
		if wrong := v.complains(code, stdout, stderr); believed && (code != 0 || stderr != "") || !believed && wrong != "" {
			t.Errorf("%s: status %d, %q", what, code, stderr)
		}
		known := strings.HasPrefix(info(), "checksums    all right on 2026-01-02 ") || strings.HasPrefix(info(), "checksums    all right on 2026-01-01 ")
		if known != believed || !believed && info() != "checksums    those of the weights are compared beside the next answer\n" {
			t.Errorf("%s: info says %q", what, info())
		}
	}
	put := func(folderMode, mode os.FileMode) {
		t.Helper()
		os.RemoveAll(folder)
		if err := os.Mkdir(folder, folderMode); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, record, 0o600); err != nil {
			t.Fatal(err)
		}
		os.Chmod(folder, folderMode)
		os.Chmod(file, mode)
	}
	expect("no record", false)
	if code, _, stderr := e2e.Status(v.path, append(ask, "--no-verify")...); code != 0 {
		t.Errorf("--no-verify: status %d, %s", code, stderr)
	}
	if got := info("--no-verify"); got != "checksums    those of the weights are not compared (--no-verify)\n" {
		t.Errorf("info --no-verify says %q", got)
	}
	if got := info("--json"); !strings.Contains(got, `"verified":false,"verifies":true,`) {
		t.Errorf("info --json says %q", got)
	}
	if code, _, stderr := e2e.Status(v.path, "info", "--verify", "--no-verify"); code != 2 {
		t.Errorf("--verify and --no-verify: status %d, %s", code, stderr)
	}
	put(0o700, 0o600)
	expect("a record", true)
	if got := info("--json"); !strings.Contains(got, `"verified":true,"verified_at":"2026-01-02T03:04:05Z","verifies":false,`) {
		t.Errorf("info --json says %q", got)
	}
	put(0o700, 0o622)
	expect("a record that others may write", false)
	put(0o702, 0o600)
	expect("a folder that others may write", false)
	put(0o700, 0o600)
	if wrong := v.complains(e2e.Status(v.path, "info", "--verify")); wrong != "" {
		t.Errorf("info --verify: %s", wrong)
	}
	expect("after info --verify", false)
	put(0o700, 0o600)
	if err := os.Chmod(v.path, 0o700); err != nil {
		t.Fatal(err)
	}
	expect("a file that has changed", false)
}

// TestDamagedSections changes the last byte of every section but the weights, its padding as a rule, after the file was
// found whole: a change in place is found before any work. What a record vouches for is not read before info --verify.
func TestDamagedSections(t *testing.T) {
	cache := isolate(t)
	v := newVictim(t, e2e.Compiled(t, "pg2-mha"))
	image, err := program.OpenFile(v.path)
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	vouch := func() {
		t.Helper()
		stat, err := os.Stat(v.path)
		if err != nil {
			t.Fatal(err)
		}
		version := integrity.VersionOf(stat)
		record, err := json.Marshal(map[string]any{"file": version, "sum": image.Sum, "verified": "2026-01-02T03:04:05Z"})
		if err != nil {
			t.Fatal(err)
		}
		folder := filepath.Join(cache, "pgc-verified")
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%x-%x.json", version.Device, version.Inode)), record, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i, s := range image.Sections[:len(image.Sections)-1] {
		if s.Name == program.SectionWeights || s.Bytes == 0 {
			continue
		}
		at := image.Sections[i+1].Offset - 1
		put := func(b byte) {
			t.Helper()
			time.Sleep(20 * time.Millisecond) // beyond the grain of a file's times
			f, err := os.OpenFile(v.path, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteAt([]byte{b}, at); err != nil {
				t.Fatal(err)
			}
		}
		want := "exe: " + v.path + ": section " + s.Name + ": damaged: its checksum is wrong: copy the file anew from where it is whole, or compile it again\n"
		vouch()
		put(v.content[at] ^ 1)
		for _, command := range []string{"--help", "info"} {
			if code, stdout, stderr := e2e.Status(v.path, command); code != 1 || stdout != "" || stderr != want {
				t.Errorf("%s, section %s: status %d, %q, %q, expected %q", command, s.Name, code, stdout, stderr, want)
			}
		}
		vouch()
		if code, _, stderr := e2e.Status(v.path, "info"); code != 0 {
			t.Errorf("info, section %s: status %d, %q", s.Name, code, stderr)
		}
		if code, stdout, stderr := e2e.Status(v.path, "info", "--verify"); code != 1 || stdout != "" || stderr != want {
			t.Errorf("info --verify, section %s: status %d, %q, %q, expected %q", s.Name, code, stdout, stderr, want)
		}
		put(v.content[at])
	}
}
