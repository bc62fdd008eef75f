package output

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLog appends, replaces behind a link, keeps the mode, and stays the only writer throughout.
func TestLog(t *testing.T) {
	umask(t, 0o022)
	dir := t.TempDir()
	path, link := filepath.Join(dir, "f"), filepath.Join(dir, "link")
	put(t, path, "one\n", 0o600)
	if err := os.Symlink("f", link); err != nil {
		t.Fatal(err)
	}
	l, err := OpenLog(link)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(when string) {
		t.Helper()
		if _, err := OpenLog(path); err == nil || err.Error() != "cannot write "+path+": another process is writing it, expected one writer" {
			t.Errorf("%s: a second writer: %v", when, err)
		}
	}
	refused("at first")
	r, err := l.Reader()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "one\n" {
		t.Errorf("read %q, %v", got, err)
	}
	io.WriteString(l, "two\n")
	holds(t, path, "one\ntwo\n", 0o600)
	failure := errors.New("failure")
	if err := l.Replace(func(w io.Writer) error { return failure }); err != failure {
		t.Errorf("error %v", err)
	}
	refused("after a failure")
	if err := l.Replace(func(w io.Writer) error { _, err := io.WriteString(w, "new\n"); return err }); err != nil {
		t.Fatal(err)
	}
	refused("when replaced")
	io.WriteString(l, "three\n")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	holds(t, path, "new\nthree\n", 0o600)
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is none any more: %v, %v", info, err)
	}
	again, err := OpenLog(path)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	listed(t, dir, "f", "link")
}

// TestLogReplacedMeanwhile: a process that opened the file before another replaced it does not write the old one.
func TestLogReplacedMeanwhile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	put(t, path, "old", 0o600)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l := &Log{place: place{path: path, target: path}, f: f}
	if !l.current() {
		t.Error("the file is not the one that its path names")
	}
	if err := WriteFile(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if l.current() {
		t.Error("the replaced file passes as the one that its path names")
	}
}

// TestLogStreams: a stream is not read, so that an endless one does not fill the memory.
func TestLogStreams(t *testing.T) {
	l, err := OpenLog("/dev/full")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r, err := l.Reader()
	if err != nil {
		t.Fatal(err)
	}
	if n, err := r.Read(make([]byte, 10)); n != 0 || err != io.EOF {
		t.Errorf("reading a stream: %d bytes, %v", n, err)
	}
	if _, err := io.WriteString(l, "x"); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("error %v", err)
	}
}
