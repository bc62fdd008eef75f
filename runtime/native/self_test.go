package native

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestSelf runs this test binary again, in an empty root folder if the user may do so.
func TestSelf(t *testing.T) {
	if os.Getenv("NATIVE_TEST_SELF") != "" {
		f, err := OpenSelf()
		if err != nil {
			t.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("self %s %d\n", f.Name(), info.Size())
		return
	}
	dir := t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "self"), data, 0o755); err != nil {
		t.Fatal(err)
	}
	run := func(path string, chroot string) string {
		cmd := exec.Command(path, "-test.run=^TestSelf$")
		cmd.Dir, cmd.Env = dir, []string{"NATIVE_TEST_SELF=1"}
		if chroot != "" {
			cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: chroot}
			cmd.Dir = "/"
		}
		out, err := cmd.CombinedOutput()
		if errors.Is(err, syscall.ENOEXEC) {
			t.Skip("this process is emulated")
		}
		if err != nil {
			t.Fatalf("%s: %v\n%s", path, err, out)
		}
		return string(out)
	}
	want := func(out, path string) {
		t.Helper()
		if line := fmt.Sprintf("self %s %d\n", path, len(data)); !strings.Contains(out, line) {
			t.Errorf("got %q, expected %q", out, line)
		}
	}
	want(run(filepath.Join(dir, "self"), ""), filepath.Join(dir, "self"))
	want(run("./self", ""), "./self")
	if os.Getuid() != 0 {
		t.Log("not root: the empty chroot is not tried")
		return
	}
	want(run("/self", dir), "/self")
}

func TestOpenSelf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := openSelf("/no/proc", path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b, _ := io.ReadAll(f); !bytes.Equal(b, []byte("content")) || f.Name() != path {
		t.Errorf("read %q from %s", b, f.Name())
	}
	for _, p := range []string{"", "/none/either"} {
		if _, err := openSelf("/no/proc", p); err == nil || !strings.Contains(err.Error(), "cannot open this program's own file") {
			t.Errorf("path %q: error %v", p, err)
		}
	}
}
