package output

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Log is a file that grows by appending and that nobody else appends to: it is locked until Close or the end of the
// process.
type Log struct {
	place place
	f     *os.File
}

// OpenLog opens the file at path, or a stream, or makes a new file. It refuses a file that another process has open as
// a Log.
func OpenLog(path string) (*Log, error) {
	for {
		p, err := find(path)
		if err != nil {
			return nil, err
		}
		if err := p.allowed(); err != nil {
			return nil, err
		}
		l := &Log{place: p}
		if p.stream() {
			l.f, err = p.open()
		} else {
			l.f, err = os.OpenFile(p.target, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o666)
		}
		if err != nil {
			return nil, p.cannot(err)
		}
		if p.stream() {
			return l, nil
		}
		if err := lock(l.f); err != nil {
			l.f.Close()
			return nil, p.cannot(err)
		}
		if l.current() {
			return l, nil
		}
		l.f.Close() // another process replaced the file between opening and locking
	}
}

func lock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errors.New("another process is writing it, expected one writer")
	}
	if err != nil {
		return fmt.Errorf("it cannot be locked: %w", err)
	}
	return nil
}

// current reports whether the open file is still the one that the path names.
func (l *Log) current() bool {
	here, err := l.f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(l.place.target)
	return err == nil && os.SameFile(here, there)
}

// Reader returns what the file held when it was opened; a stream held nothing.
func (l *Log) Reader() (*io.SectionReader, error) {
	if l.place.stream() {
		return io.NewSectionReader(l.f, 0, 0), nil
	}
	info, err := l.f.Stat()
	if err != nil {
		return nil, l.place.cannot(err)
	}
	return io.NewSectionReader(l.f, 0, info.Size()), nil
}

// Write appends.
func (l *Log) Write(b []byte) (int, error) {
	n, err := l.f.Write(b)
	if err != nil {
		return n, l.place.cannot(err)
	}
	return n, nil
}

// Replace atomically replaces the whole file by what write writes. The lock goes over to the new file.
func (l *Log) Replace(write func(io.Writer) error) error {
	o, err := Create(l.place.path)
	if err != nil {
		return err
	}
	defer o.Abort()
	if err := write(o); err != nil {
		return err
	}
	if err := lock(o.f); err != nil {
		return l.place.cannot(err)
	}
	fd, err := unix.FcntlInt(o.f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return l.place.cannot(err)
	}
	next := os.NewFile(uintptr(fd), l.place.path)
	if err := o.Close(); err != nil {
		next.Close()
		return err
	}
	l.f.Close()
	l.f = next
	return nil
}

// Close closes the file, which unlocks it.
func (l *Log) Close() error {
	if err := l.f.Close(); err != nil {
		return l.place.cannot(err)
	}
	return nil
}
