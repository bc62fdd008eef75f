// Package output writes results: the one place that every file, device and standard output of both programs passes.
//
// A regular file appears under its name only when it is complete, with the mode of the file that it replaces; symbolic
// links are followed and stay; devices, FIFOs and what a process has open are written as streams; a short write is an
// error. Errors are one sentence that begins "cannot write PATH".
package output

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"pgc/runtime/process"
)

// File is a result that is being written. The caller must Close or Abort it.
type File struct {
	place  place
	f      *os.File
	temp   string      // the hidden name of the incomplete file, or "" where it has none yet or is a stream
	forget func()      // of process.Temporary for temp
	mode   fs.FileMode // of the complete file
	owner  int         // user of the file that is replaced, or -1
	group  int
	closed bool
}

// Create starts a file at path, or a stream where path is a device, a FIFO or an open file of this process such as
// /dev/stdout. A new file has the mode 0666 without the umask.
func Create(path string) (*File, error) { return create(path, 0o666, false) }

// CreateExecutable is Create of a file that may be executed by whoever may read it. It refuses streams.
func CreateExecutable(path string) (*File, error) { return create(path, 0o777, true) }

// WriteFile writes data to path as Create does.
func WriteFile(path string, data []byte) error {
	o, err := Create(path)
	if err != nil {
		return err
	}
	if _, err := o.Write(data); err != nil {
		o.Abort()
		return err
	}
	return o.Close()
}

func create(path string, perm fs.FileMode, executable bool) (*File, error) {
	p, err := find(path)
	if err != nil {
		return nil, err
	}
	o := &File{place: p, owner: -1, group: -1}
	if p.stream() {
		if executable {
			return nil, p.cannot(errors.New("it exists and is not a regular file"))
		}
		if o.f, err = p.open(); err != nil {
			return nil, p.cannot(err)
		}
		return o, nil
	}
	if err := p.allowed(); err != nil {
		return nil, err
	}
	if p.info != nil {
		if err := unix.Access(p.target, unix.W_OK); err != nil {
			return nil, p.cannot(err)
		}
		if mounted(p.target) {
			return nil, p.cannot(errors.New("a file is mounted there and cannot be replaced, expected its folder to be mounted"))
		}
		old := p.info.Mode().Perm()
		if executable {
			old |= old & 0o444 >> 2
		}
		perm &= old // until it is complete, nobody else reads it who could not read the old one
		o.mode = old
		o.owner, o.group = ownerOf(p.info)
	}
	if err := o.createBeside(perm); err != nil {
		return nil, p.cannot(err)
	}
	return o, nil
}

// createBeside makes the incomplete file in the folder of the target: without a name where the file system can, so that
// it vanishes with the process, else with a hidden one.
func (o *File) createBeside(perm fs.FileMode) error {
	dir := filepath.Dir(o.place.target)
	if fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, uint32(perm)); err == nil {
		o.f = os.NewFile(uintptr(fd), o.place.path)
		if _, err := os.Lstat(o.nameless()); err == nil {
			return nil
		}
		o.f.Close()
	}
	return o.createNamed(perm)
}

// createNamed makes the incomplete file with a hidden name.
func (o *File) createNamed(perm fs.FileMode) error {
	return o.unused(func(name string) (err error) {
		if o.f, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm); err == nil {
			o.temp = name
		}
		return err
	})
}

// nameless is where the kernel shows the open file.
func (o *File) nameless() string { return fmt.Sprintf("/proc/self/fd/%d", o.f.Fd()) }

// unused calls try with hidden names beside the target until one is free, which is temp then.
func (o *File) unused(try func(name string) error) (err error) {
	o.forget, err = process.Temporary(func() (string, error) {
		for {
			name := filepath.Join(filepath.Dir(o.place.target), fmt.Sprintf(".pgc-%016x", rand.Uint64()))
			if err := try(name); !errors.Is(err, fs.ErrExist) {
				return name, err
			}
		}
	})
	return err
}

// unnamed says that the hidden name is gone.
func (o *File) unnamed() {
	o.temp = ""
	o.forget()
}

// Write implements io.Writer.
func (o *File) Write(b []byte) (int, error) {
	n, err := o.f.Write(b)
	if err != nil {
		return n, o.place.cannot(err)
	}
	return n, nil
}

// Close completes the file and gives it its name. On an error nothing is left behind, and an older file stays.
func (o *File) Close() error {
	err := o.publish()
	if closed := o.f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		o.Abort()
		return o.place.cannot(err)
	}
	o.closed = true
	return nil
}

// publish gives the complete file its mode, its owner and its name.
func (o *File) publish() error {
	if o.place.stream() {
		return nil
	}
	if o.owner >= 0 {
		if uid, gid := os.Geteuid(), os.Getegid(); (uid != o.owner || gid != o.group) && o.f.Chown(o.owner, o.group) != nil && o.f.Chown(-1, o.group) != nil {
			o.mode &^= 0o070 // they were the rights of another group
		}
		if err := o.f.Chmod(o.mode); err != nil {
			return err
		}
	}
	if o.temp == "" {
		err := o.unused(func(name string) error {
			err := unix.Linkat(unix.AT_FDCWD, o.nameless(), unix.AT_FDCWD, name, unix.AT_SYMLINK_FOLLOW)
			if err == nil {
				o.temp = name
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	err := os.Rename(o.temp, o.place.target)
	if err == nil {
		o.unnamed()
	}
	return err
}

// Abort gives up: it removes the incomplete file. After Close it does nothing.
func (o *File) Abort() {
	if o.closed {
		return
	}
	o.closed = true
	o.f.Close()
	if o.temp != "" {
		process.Remove(o.temp)
		o.unnamed()
	}
}

// Check says why CreateExecutable could not make a file at path, or nil: to be asked before long work.
func Check(path string) error { return attempt(path, 0o777, true) }

// attempt makes a file as create does, and takes it back.
func attempt(path string, perm fs.FileMode, executable bool) error {
	o, err := create(path, perm, executable)
	if err == nil {
		o.Abort()
	}
	return err
}
