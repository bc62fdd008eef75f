package output

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// place is where a result goes.
type place struct {
	path   string      // as the user names it
	target string      // path with its links followed
	info   fs.FileInfo // of the target, nil where there is none
	magic  bool        // target is a link of /proc to an open file, which has no name to follow
}

// maxLinks is how many symbolic links the kernel follows.
const maxLinks = 40

// find follows the links at path, also to a file that does not exist yet. It refuses folders.
func find(path string) (place, error) {
	p := place{path: path, target: path}
	if path == "" {
		return p, p.cannot(errors.New("it has no name, expected one"))
	}
	for range maxLinks {
		info, err := os.Lstat(p.target)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return p, nil
		case err != nil:
			return p, p.cannot(err)
		case info.IsDir():
			return p, p.cannot(errors.New("it is a folder, expected a file"))
		case info.Mode()&fs.ModeSymlink == 0:
			p.info = info
			return p, nil
		}
		dir, err := filepath.EvalSymlinks(filepath.Dir(p.target))
		if err != nil {
			return p, p.cannot(err)
		}
		if strings.HasPrefix(dir, "/proc/") {
			p.target, p.magic = dir+"/"+filepath.Base(p.target), true
			return p, nil
		}
		link, err := os.Readlink(p.target)
		if err != nil {
			return p, p.cannot(err)
		}
		if !filepath.IsAbs(link) {
			link = dir + "/" + link
		}
		p.target = link
	}
	return p, p.cannot(unix.ELOOP)
}

// stream reports whether there is something that takes bytes as they come, rather than a regular file or nothing.
func (p place) stream() bool { return p.magic || p.info != nil && !p.info.Mode().IsRegular() }

// open opens a stream. An open file of this process is used as it is, at its place.
func (p place) open() (*os.File, error) {
	if number, ok := strings.CutPrefix(p.target, fmt.Sprintf("/proc/%d/fd/", os.Getpid())); ok && p.magic {
		fd, err := strconv.Atoi(number)
		if err != nil {
			return nil, err
		}
		if fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			return nil, err
		}
		return os.NewFile(uintptr(fd), p.path), nil
	}
	return os.OpenFile(p.target, os.O_WRONLY, 0)
}

// cannot is the sentence about an error of writing there.
func (p place) cannot(err error) error { return &Error{p.path, Cause(err)} }

// mounted reports whether a file system begins at path, so that nothing else can have its name.
func mounted(path string) bool {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_TYPE, &st)
	return err == nil && st.Attributes_mask&st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}

// ownerOf returns the user and the group of a file.
func ownerOf(info fs.FileInfo) (uid, gid int) {
	st := info.Sys().(*syscall.Stat_t)
	return int(st.Uid), int(st.Gid)
}

// Error says that a result cannot be written.
type Error struct {
	Path string
	Err  error
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("cannot write %s: %v", e.Path, e.Err) }

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// Cause strips operation and file name, which the caller's sentence has, from an error of this package or of os.
func Cause(err error) error {
	var own *Error
	if errors.As(err, &own) {
		return own.Err
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	var linkErr *os.LinkError
	if errors.As(err, &linkErr) {
		return linkErr.Err
	}
	var callErr *os.SyscallError
	if errors.As(err, &callErr) {
		return callErr.Err
	}
	return err
}
