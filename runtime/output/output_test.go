package output

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// umask sets the umask until the test ends.
func umask(t *testing.T, mask int) {
	old := unix.Umask(mask)
	t.Cleanup(func() { unix.Umask(old) })
}

// put makes a file with exactly this mode.
func put(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}

// holds compares content and mode of a file.
func holds(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil || string(data) != text {
		t.Errorf("%s holds %q (%v), expected %q", path, data, err, text)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode() != mode {
		t.Errorf("%s has the mode %v, expected %v", path, info.Mode(), mode)
	}
}

// listed compares the names in a folder.
func listed(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("the folder holds %q, expected %q", got, want)
	}
}

func TestModes(t *testing.T) {
	for _, c := range []struct {
		mask       int
		old        fs.FileMode // 0 for none
		executable bool
		want       fs.FileMode
	}{
		{0o022, 0, false, 0o644},
		{0o077, 0, false, 0o600},
		{0o027, 0, true, 0o750},
		{0o077, 0o664, false, 0o664},
		{0o022, 0o600, false, 0o600},
		{0o022, 0o640, true, 0o750},
	} {
		umask(t, c.mask)
		path := filepath.Join(t.TempDir(), "f")
		if c.old != 0 {
			put(t, path, "old", c.old)
		}
		o, err := create(path, map[bool]fs.FileMode{false: 0o666, true: 0o777}[c.executable], c.executable)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(o, "new")
		if c.old != 0 {
			holds(t, path, "old", c.old)
		}
		if err := o.Close(); err != nil {
			t.Fatal(err)
		}
		holds(t, path, "new", c.want)
		listed(t, filepath.Dir(path), "f")
	}
}

// TestLinks follows links, also to a file that is not there yet, and keeps them.
func TestLinks(t *testing.T) {
	umask(t, 0o022)
	dir := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "sub"), 0o755), os.Symlink("sub/target", filepath.Join(dir, "link")),
		os.Symlink("link", filepath.Join(dir, "link2")), os.Symlink("loop", filepath.Join(dir, "loop"))); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"first", "second"} {
		if err := WriteFile(filepath.Join(dir, "link2"), []byte(text)); err != nil {
			t.Fatal(err)
		}
		holds(t, filepath.Join(dir, "sub", "target"), text, 0o644)
		for _, link := range []string{"link", "link2"} {
			if info, err := os.Lstat(filepath.Join(dir, link)); err != nil || info.Mode()&fs.ModeSymlink == 0 {
				t.Errorf("%s is no link any more: %v, %v", link, info, err)
			}
		}
	}
	if err := WriteFile(filepath.Join(dir, "loop"), nil); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a loop of links: %v", err)
	}
	listed(t, dir, "link", "link2", "loop", "sub")
	listed(t, filepath.Join(dir, "sub"), "target")
}

// TestStreams writes to devices, FIFOs and open files as they are.
func TestStreams(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	read := make(chan []byte)
	go func() {
		data, _ := os.ReadFile(fifo)
		read <- data
	}()
	if err := WriteFile(fifo, []byte("through")); err != nil {
		t.Fatal(err)
	}
	if got := <-read; string(got) != "through" {
		t.Errorf("the FIFO gave %q", got)
	}
	if info, err := os.Lstat(fifo); err != nil || info.Mode()&fs.ModeNamedPipe == 0 {
		t.Errorf("the FIFO is no FIFO any more: %v, %v", info, err)
	}
	null := filepath.Join(dir, "null")
	if err := errors.Join(os.Symlink("/dev/null", null), WriteFile(null, []byte("x"))); err != nil {
		t.Error(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(openName(w), []byte("piped")); err != nil {
		t.Error(err)
	}
	w.Close()
	if got, _ := io.ReadAll(r); string(got) != "piped" {
		t.Errorf("the pipe gave %q", got)
	}
	if err := WriteFile("/dev/full", []byte("x")); !errors.Is(err, unix.ENOSPC) || err.Error() != "cannot write /dev/full: no space left on device" {
		t.Errorf("/dev/full: %v", err)
	}
	for _, path := range []string{"/dev/null", fifo, openName(r)} {
		if err := Check(path); err == nil || err.Error() != "cannot write "+path+": it exists and is not a regular file" {
			t.Errorf("an executable at %s: %v", path, err)
		}
	}
	listed(t, dir, "fifo", "null")
}

// openName is the path of an open file of this process.
func openName(f *os.File) string { return (&File{f: f}).nameless() }

// TestOpenFileKeepsItsPlace: /dev/stdout of `>> file` adds to the file, even if it is removed.
func TestOpenFileKeepsItsPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	io.WriteString(f, "before ")
	for _, text := range []string{"one ", "two"} {
		if err := WriteFile(openName(f), []byte(text)); err != nil {
			t.Fatal(err)
		}
		os.Remove(path)
	}
	got := make([]byte, 100)
	if n, _ := f.ReadAt(got, 0); string(got[:n]) != "before one two" {
		t.Errorf("the file holds %q", got[:n])
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	put(t, file, "old", 0o444)
	for path, want := range map[string]string{
		"":                              "it has no name, expected one",
		dir:                             "it is a folder, expected a file",
		filepath.Join(dir, "none/x"):    "no such file or directory",
		filepath.Join(dir, "file/x"):    "not a directory",
		filepath.Join(dir, "new") + "/": "no such file or directory",
	} {
		if err := WriteFile(path, []byte("x")); err == nil || err.Error() != "cannot write "+path+": "+want {
			t.Errorf("%q: error %v, expected %q", path, err, want)
		}
		if err := Allowed(path); err == nil || err.Error() != "cannot write "+path+": "+want {
			t.Errorf("%q is found wrong late: %v, expected %q", path, err, want)
		}
	}
	if err := Allowed(filepath.Join(dir, "new")); err != nil {
		t.Error(err)
	}
	if os.Geteuid() != 0 {
		if err := WriteFile(file, []byte("x")); !errors.Is(err, unix.EACCES) {
			t.Errorf("a file without permission to write: %v", err)
		}
	}
	holds(t, file, "old", 0o444)
	listed(t, dir, "file")
}

// TestMounted: what is mounted over a file cannot be replaced, which is said before the work.
func TestMounted(t *testing.T) {
	dir := t.TempDir()
	from, at := filepath.Join(dir, "from"), filepath.Join(dir, "at")
	put(t, from, "mounted", 0o600)
	put(t, at, "below", 0o600)
	if err := unix.Mount(from, at, "", unix.MS_BIND, ""); err != nil {
		t.Skip("nothing can be mounted here, which takes root:", err)
	}
	defer unix.Unmount(at, unix.MNT_DETACH)
	if _, err := Create(at); err == nil || err.Error() != "cannot write "+at+": a file is mounted there and cannot be replaced, expected its folder to be mounted" {
		t.Errorf("error %v", err)
	}
	if err := Check(at); err == nil {
		t.Error("an executable could be written there")
	}
	holds(t, at, "mounted", 0o600)
	listed(t, dir, "at", "from")
	if l, err := OpenLog(at); err != nil { // it only grows
		t.Error(err)
	} else {
		l.Close()
	}
}

// TestInputs: a result replaces no file that the program reads, by whatever name, and not the program itself.
func TestInputs(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	put(t, at("in"), "input", 0o600)
	put(t, at("other"), "other", 0o600)
	if err := errors.Join(os.Mkdir(at("folder"), 0o700), os.WriteFile(at("folder/part"), nil, 0o600), os.Symlink("in", at("link")),
		os.Link(at("in"), at("second")), os.Symlink("/proc/self/exe", at("self"))); err != nil {
		t.Fatal(err)
	}
	Protect(at("in"), at("folder"), at("none"), "")
	defer func() { inputs.files = nil }()
	for _, name := range []string{"in", "link", "second", "folder/part"} {
		want := "cannot write " + at(name) + ": it is an input, too, expected another file"
		_, err := OpenLog(at(name))
		for _, err := range []error{err, WriteFile(at(name), nil), Check(at(name)), Allowed(at(name))} {
			if err == nil || err.Error() != want {
				t.Errorf("%s: %v, expected %s", name, err, want)
			}
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := Allowed(self); err == nil || !strings.Contains(err.Error(), "it is the program that runs") {
		t.Errorf("the program itself: %v", err)
	}
	if err := WriteFile(at("other"), nil); err != nil || Allowed(at("new")) != nil {
		t.Errorf("another file: %v", err)
	}
	holds(t, at("in"), "input", 0o600)
}

// TestFailures: an incomplete file has no name, and none is left when writing fails, is given up, or does not end.
func TestFailures(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	put(t, path, "old", 0o600)
	o, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(o, "new")
	if o.temp == "" { // as when the process is killed
		listed(t, dir, "f")
	}
	o.Abort()
	signal.Ignore(unix.SIGXFSZ)
	defer signal.Reset(unix.SIGXFSZ)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 100, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	err = WriteFile(path, make([]byte, 1000))
	if e := unix.Setrlimit(unix.RLIMIT_FSIZE, &old); e != nil {
		t.Fatal(e)
	}
	if err == nil || err.Error() != "cannot write "+path+": file too large" {
		t.Errorf("a file over the limit: %v", err)
	}
	holds(t, path, "old", 0o600)
	listed(t, dir, "f")
}

// TestNamedTemporary is the way of file systems that have no files without a name.
func TestNamedTemporary(t *testing.T) {
	dir := t.TempDir()
	o := &File{place: place{path: "f", target: filepath.Join(dir, "f")}, owner: -1, group: -1}
	if err := o.createNamed(0o600); err != nil {
		t.Fatal(err)
	}
	io.WriteString(o, "text")
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	holds(t, filepath.Join(dir, "f"), "text", 0o600)
	listed(t, dir, "f")
	if err := o.createNamed(0o600); err != nil {
		t.Fatal(err)
	}
	o.closed = false
	o.Abort()
	listed(t, dir, "f")
}

func TestFolder(t *testing.T) {
	umask(t, 0o027)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	put(t, at("file"), "old", 0o600)
	if err := errors.Join(os.Mkdir(at("empty"), 0o700), os.Symlink("empty", at("link")), os.Symlink("none", at("dangling")),
		os.Mkdir(at("full"), 0o700), os.WriteFile(at("full/x"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		at("file"):     "not a directory, expected a new folder",
		at("full"):     "it is not empty, expected a new folder",
		at("dangling"): "it is a link to nothing, expected a new folder",
		at("none/x"):   "no such file or directory",
	} {
		if _, err := CreateFolder(path); err == nil || err.Error() != "cannot write "+path+": "+want {
			t.Errorf("%s: error %v, expected %q", path, err, want)
		}
	}
	for path, mode := range map[string]fs.FileMode{at("new"): 0o750, at("link"): 0o700} {
		d, err := CreateFolder(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(WriteFile(filepath.Join(d.Dir, "x"), []byte("text")), d.Close()); err != nil {
			t.Fatal(err)
		}
		holds(t, filepath.Join(path, "x"), "text", 0o640)
		if info, _ := os.Stat(path); info.Mode().Perm() != mode {
			t.Errorf("%s has the mode %v, expected %v", path, info.Mode(), mode)
		}
	}
	if entries, err := os.ReadDir("/dev/shm"); err == nil && len(entries) == 0 {
		if _, err := CreateFolder("/dev/shm"); err == nil || err.Error() != "cannot write /dev/shm: a file system is mounted there, expected a folder in it" {
			t.Errorf("where a file system is mounted: %v", err)
		}
	}
	failed, err := CreateFolder(at("failed"))
	if err != nil {
		t.Fatal(err)
	}
	reason := WriteFile(filepath.Join(failed.Dir, "none", "x"), nil)
	if err := failed.Abort(reason); err.Error() != "cannot write "+at("failed")+"/none/x: no such file or directory" || !errors.Is(err, unix.ENOENT) {
		t.Errorf("a failure in a folder: %v", err)
	}
	d, err := CreateFolder(at("late"))
	if err != nil {
		t.Fatal(err)
	}
	put(t, at("late"), "a file that came meanwhile", 0o600)
	if err := d.Close(); err == nil {
		t.Error("a folder has replaced a file")
	}
	holds(t, at("late"), "a file that came meanwhile", 0o600)
	listed(t, dir, "dangling", "empty", "file", "full", "late", "link", "new")
}

func TestChecked(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	c := &Checked{w: full}
	io.WriteString(c, "x")
	c.w = new(bytes.Buffer)
	io.WriteString(c, "y")
	if err := c.Finish(nil); err == nil || err.Error() != "cannot write standard output: no space left on device" {
		t.Errorf("error %v", err)
	}
	if err := c.Finish(context.Canceled); errors.Is(err, context.Canceled) {
		t.Errorf("error %v, expected the reason of the end", err)
	}
	ended := false
	c = &Checked{w: full}
	c.Cancels(func() { ended = true })
	if io.WriteString(c, "x"); !ended {
		t.Error("an error of printing ends no work")
	}
	if own := errors.New("own"); c.Finish(own) != own {
		t.Error("an error of printing has replaced the command's own")
	}
}
