package fault

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestGuard reads a mapped file that has become shorter, and panics otherwise.
func TestGuard(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(1 << 17); err != nil {
		t.Fatal(err)
	}
	b, err := unix.Mmap(int(f.Fd()), 0, 1<<17, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(b)
	sum := byte(0)
	read := func() error { sum += b[1<<16]; return nil }
	if err := Guard(read); err != nil {
		t.Errorf("the whole file: %v", err)
	}
	if err := f.Truncate(1); err != nil {
		t.Fatal(err)
	}
	if err := Guard(read); err != ErrCut {
		t.Errorf("the file that is cut: %v", err)
	}
	mine := errors.New("mine")
	if err := Guard(func() error { return mine }); err != mine {
		t.Errorf("an error became %v", err)
	}
	defer func() {
		if r := recover(); r != mine {
			t.Errorf("a panic became %v", r)
		}
	}()
	Guard(func() error { panic(mine) })
}
