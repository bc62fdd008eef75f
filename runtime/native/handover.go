package native

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"pgc/runtime/integrity"
)

// selfVariable names the file descriptor of the executable in the environment of a runtime that another one has made way
// for: it runs from memory, or from the cache, and cannot find its program by itself.
const selfVariable = "PGC_EXECUTABLE_FD"

// HandOver replaces this process by another runtime, the ELF file image, for the same program, which self is, with the
// same arguments. It returns only if that is not possible.
func HandOver(image []byte, self *os.File) error {
	env := append(os.Environ(), selfVariable+"="+strconv.Itoa(int(self.Fd())))
	if _, err := unix.FcntlInt(self.Fd(), unix.F_SETFD, 0); err != nil { // stays open
		return err
	}
	err := execMemory(image, env)
	var other error
	if !errors.Is(err, unix.ENOENT) { // the system forbids to execute memory: a file then
		other = execCached(image, env)
	}
	if errors.Is(err, unix.ENOENT) || errors.Is(other, unix.ENOENT) {
		return fmt.Errorf("the runtime for GPUs needs the system's dynamic loader%s and glibc, which are not here: expected them, or --device cpu", loader(image))
	}
	return fmt.Errorf("the runtime for GPUs does not start: from memory: %w; from the cache: %w", err, other)
}

// execMemory executes an ELF file from memory. ENOENT says that its dynamic loader is missing.
func execMemory(image []byte, env []string) error {
	fd, err := unix.MemfdCreate("pgc", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), "memory")
	defer f.Close()
	if _, err := f.Write(image); err != nil {
		return err
	}
	path := fmt.Sprintf("/proc/self/fd/%d", fd)
	if _, err := os.Stat(path); err != nil {
		return errors.New("/proc is not there")
	}
	return syscall.Exec(path, os.Args, env)
}

// execCached executes an ELF file from the user's cache folder.
func execCached(image []byte, env []string) error {
	dir, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	dir = filepath.Join(dir, "pgc")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if err := integrity.Private(info); err != nil { // who may write there could put another program in its place
		return fmt.Errorf("%s: %w", dir, err)
	}
	f, err := os.CreateTemp(dir, "runtime-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(image); err != nil {
		f.Close()
		return err
	}
	if err := errors.Join(f.Chmod(0o700), f.Close()); err != nil {
		return err
	}
	// A name that is not random is not left behind a second time.
	path := filepath.Join(dir, "runtime-cuda")
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syscall.Exec(path, os.Args, env)
}

// loader names the dynamic loader of an ELF file, with a space in front, or is "": its path stands near the front.
func loader(image []byte) string {
	front := image[:min(len(image), 1<<16)]
	at := bytes.Index(front, []byte("/lib"))
	if at < 0 {
		return ""
	}
	name, _, _ := bytes.Cut(front[at:], []byte{0})
	return " " + string(name)
}

// TakenOver returns the file that another runtime has handed to this one, or nil.
func TakenOver() (*os.File, error) {
	text, ok := os.LookupEnv(selfVariable)
	if !ok {
		return nil, nil
	}
	os.Unsetenv(selfVariable)
	fd, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return nil, fmt.Errorf("%s is %q in the environment, expected it not to be set", selfVariable, text)
	}
	unix.CloseOnExec(int(fd))
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return nil, fmt.Errorf("%s names file descriptor %d in the environment, which is not open: expected the variable not to be set", selfVariable, fd)
	}
	return os.NewFile(uintptr(fd), path), nil
}
