package integrity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pgc/runtime/program"
)

const weightBytes = 5*program.BlockBytes + 5000

// write makes an executable with weights of noise, two tensors.
func write(t *testing.T, path string) {
	t.Helper()
	noise := rand.NewChaCha8([32]byte{1})
	b := make([]byte, weightBytes)
	noise.Read(b)
	half := int64(weightBytes/2) &^ 63
	p := &program.Program{Target: program.Target{Arch: "amd64", CPU: "x"}, WeightBytes: weightBytes, Weights: []program.Weight{
		{Name: "first", DType: "f32", Shape: []int64{half / 4}, Bytes: half},
		{Name: "second", DType: "f32", Shape: []int64{(weightBytes - half) / 4}, Offset: half, Bytes: weightBytes - half}}}
	if err := program.Write(t.Context(), path, []byte("\x7fELF"), []*program.Program{p}, program.Bytes(program.SectionWeights, b)); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, path string) *program.Executable {
	t.Helper()
	m, err := program.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// isolate gives the test a cache folder of its own, whose path it returns.
func isolate(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), "deep", "cache")
	t.Setenv("XDG_CACHE_HOME", dir)
	return dir
}

// weightsAt is where the weights begin in the file.
func weightsAt(m *program.Executable) int64 {
	for _, s := range m.Sections {
		if s.Name == program.SectionWeights {
			return s.Offset
		}
	}
	return -1
}

// TestVerify changes weights in every way and expects the sentence.
func TestVerify(t *testing.T) {
	isolate(t)
	path := filepath.Join(t.TempDir(), "exe")
	write(t, path)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := weightsAt(open(t, path))
	const block, page = program.BlockBytes, 4096
	for _, c := range []struct {
		what   string
		change func(w []byte)
		want   string
	}{
		{"nothing", func([]byte) {}, ""},
		{"the first bit", func(w []byte) { w[0] ^= 1 }, "tensor first is damaged"},
		{"the last bit", func(w []byte) { w[weightBytes-1] ^= 0x80 }, "tensor second is damaged"},
		{"the padding", func(w []byte) { w[weightBytes] ^= 1 }, "damaged between the tensors"},
		{"a page of zeros", func(w []byte) { clear(w[block : block+page]) }, "tensor first is damaged"},
		{"two blocks swapped", func(w []byte) {
			b := bytes.Clone(w[:block])
			copy(w, w[4*block:5*block])
			copy(w[4*block:], b)
		}, "tensor first and 1 more are damaged"},
		{"moved by a byte", func(w []byte) { copy(w[1:weightBytes], w) }, "tensor first and 1 more are damaged"},
	} {
		b := bytes.Clone(whole)
		c.change(b[at:])
		if err := os.WriteFile(path, b, 0o755); err != nil {
			t.Fatal(err)
		}
		m, steps, last := open(t, path), 0, int64(-1)
		err := Verify(t.Context(), m, func(done, total int64) {
			if done < last || total != weightBytes {
				t.Errorf("%s: %d of %d bytes after %d", c.what, done, total, last)
			}
			steps, last = steps+1, done
		})
		if c.want == "" {
			if err != nil || steps != m.Blocks() || last != weightBytes {
				t.Errorf("%s: %v after %d steps and %d bytes", c.what, err, steps, last)
			}
			continue
		}
		want := path + ": section weights: " + c.want + ": copy the file anew from where it is whole, or compile it again"
		if err == nil || err.Error() != want || !errors.Is(err, program.ErrDamaged) {
			t.Errorf("%s: error %v, expected %q", c.what, err, want)
		}
	}
	if err := os.WriteFile(path, whole, 0o755); err != nil {
		t.Fatal(err)
	}
	m := open(t, path)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Verify(canceled, m, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if err := os.Truncate(path, at+3*block); err != nil {
		t.Fatal(err)
	}
	if err := Verify(t.Context(), m, nil); !errors.Is(err, program.ErrDamaged) || !strings.Contains(err.Error(), "is cut short") {
		t.Errorf("cut while it is open: %v", err)
	}
}

// TestCheck checks beside work that is never done, and waits for it from several goroutines.
func TestCheck(t *testing.T) {
	isolate(t)
	path := filepath.Join(t.TempDir(), "exe")
	write(t, path)
	before := runtime.NumGoroutine()
	busy := func() bool { return true }
	for _, damage := range []bool{false, true} {
		if damage {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			f.WriteAt([]byte("damage"), 4096+weightBytes/2)
			f.Close()
		}
		m := open(t, path)
		var told atomic.Int32
		c := Start(m, busy, func(err error) {
			if told.Add(1); !errors.Is(err, program.ErrDamaged) {
				t.Errorf("told of %v", err)
			}
		})
		var waiting sync.WaitGroup
		for range 8 {
			waiting.Go(func() {
				if err := c.Wait(t.Context()); damage != errors.Is(err, program.ErrDamaged) || !damage && err != nil {
					t.Errorf("damage %v: %v", damage, err)
				}
			})
		}
		waiting.Wait()
		c.Close(errors.New("closed"))
		if damage != (told.Load() > 0) {
			t.Errorf("damage %v: told %d times", damage, told.Load())
		}
		// Left alone, it finds the damage as well; closed in between, it reads no further.
		alone := make(chan error, 1)
		c = Start(m, busy, func(err error) { alone <- err })
		if damage {
			<-alone
		}
		closed := errors.New("closed")
		c.Close(closed)
		if err := c.Wait(t.Context()); damage != errors.Is(err, program.ErrDamaged) || !damage && err != closed && err != nil {
			t.Errorf("damage %v, closed: %v", damage, err)
		}
	}
	for range 100 { // a goroutine that has returned may still count
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines are left, there were %d", runtime.NumGoroutine(), before)
}

// TestRecords: what was verified is remembered until the file changes, and only what this user alone may write counts.
func TestRecords(t *testing.T) {
	cache := isolate(t)
	path := filepath.Join(t.TempDir(), "exe")
	write(t, path)
	known := func() bool { _, ok := Known(open(t, path)); return ok }
	verify := func() {
		t.Helper()
		if err := Ensure(t.Context(), open(t, path)); err != nil {
			t.Fatal(err)
		}
	}
	verify()
	if known() {
		t.Error("a file that may still change unnoticed is remembered")
	}
	time.Sleep(2100 * time.Millisecond)
	verify()
	if !known() {
		t.Fatal("nothing is remembered")
	}
	folder := filepath.Join(cache, folderName)
	file := filepath.Join(folder, name(VersionOf(open(t, path).Info)))
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r record
	if err := json.Unmarshal(good, &r); err != nil || time.Since(r.Verified) > time.Minute {
		t.Errorf("the record is %s (%v)", good, err)
	}
	other := r
	other.Sum++
	foreign, _ := json.Marshal(other)
	must := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	put := func(text []byte) error { return os.WriteFile(file, text, 0o600) }
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	must(os.Mkdir(elsewhere, 0o700), os.WriteFile(filepath.Join(elsewhere, filepath.Base(file)), good, 0o600))
	hostile := map[string]struct{ change, undo func() error }{
		"garbage":         {func() error { return put([]byte("{")) }, nil},
		"an empty file":   {func() error { return put(nil) }, nil},
		"another file's":  {func() error { return put(foreign) }, nil},
		"others write it": {func() error { return os.Chmod(file, 0o662) }, nil},
		"a link": {func() error {
			return errors.Join(os.Remove(file), os.Symlink(filepath.Join(elsewhere, filepath.Base(file)), file))
		}, nil},
		"a FIFO":                  {func() error { return errors.Join(os.Remove(file), unix.Mkfifo(file, 0o600)) }, nil},
		"a folder":                {func() error { return errors.Join(os.Remove(file), os.Mkdir(file, 0o700)) }, func() error { return os.Remove(file) }},
		"others write the folder": {func() error { return os.Chmod(folder, 0o777) }, func() error { return os.Chmod(folder, 0o700) }},
		"the group writes it":     {func() error { return os.Chmod(folder, 0o720) }, func() error { return os.Chmod(folder, 0o700) }},
		"the folder is a link": {func() error {
			return errors.Join(os.Rename(folder, folder+"-"), os.Symlink(elsewhere, folder))
		}, func() error { return errors.Join(os.Remove(folder), os.Rename(folder+"-", folder)) }},
		"the folder is a file": {func() error {
			return errors.Join(os.Rename(folder, folder+"-"), os.WriteFile(folder, nil, 0o600))
		}, func() error { return errors.Join(os.Remove(folder), os.Rename(folder+"-", folder)) }},
		"the cache folder is a file": {func() error {
			return errors.Join(os.Rename(cache, cache+"-"), os.WriteFile(cache, nil, 0o600))
		}, func() error { return errors.Join(os.Remove(cache), os.Rename(cache+"-", cache)) }},
	}
	if os.Geteuid() == 0 {
		hostile["another's"] = struct{ change, undo func() error }{func() error { return os.Chown(file, 12345, -1) }, nil}
		hostile["another's folder"] = struct{ change, undo func() error }{func() error { return os.Chown(folder, 12345, -1) }, func() error { return os.Chown(folder, 0, -1) }}
	}
	for what, h := range hostile {
		must(h.change())
		if known() {
			t.Errorf("%s: it is believed", what)
		}
		verify() // says nothing, and replaces what it may
		if h.undo == nil && !known() {
			t.Errorf("%s: it is not replaced", what)
		}
		if h.undo != nil {
			must(h.undo())
		}
		os.Remove(file)
		must(put(good))
	}
	if text, err := os.ReadFile(filepath.Join(elsewhere, filepath.Base(file))); err != nil || !bytes.Equal(text, good) {
		t.Errorf("a link was followed: %q, %v", text, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(err)
	f.WriteAt([]byte("\x7f"), 0) // what is there
	f.Close()
	if known() {
		t.Error("a file that was written is known")
	}
	must(os.Chmod(path, 0o700))
	time.Sleep(2100 * time.Millisecond)
	verify()
	must(os.Chmod(path, 0o755))
	if known() {
		t.Error("a file whose change time is another is known")
	}
	t.Setenv("XDG_CACHE_HOME", "")
	for _, home := range []string{"", "relative", "/dev/null"} {
		t.Setenv("HOME", home)
		verify()
		if known() {
			t.Errorf("HOME=%s: it is known", home)
		}
	}
	if _, err := os.Lstat("relative"); err == nil {
		t.Error("a folder is made where the program runs")
	}
	t.Setenv("XDG_CACHE_HOME", cache)
	for range maxRecords {
		must(os.WriteFile(filepath.Join(folder, "x"+fmt.Sprint(rand.Uint64())), nil, 0o600))
	}
	time.Sleep(2100 * time.Millisecond)
	verify()
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 || !known() {
		t.Errorf("%d records are kept (%v), expected the last one", len(entries), err)
	}
}
