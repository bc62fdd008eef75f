package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// streams opens the standard files of a case.
type streams struct {
	dir    string
	l      *launch
	files  []*os.File // open until the end
	theirs []*os.File // open until the program has started
}

func (s *streams) close() {
	for _, f := range s.files {
		f.Close()
	}
}

// in opens standard input.
func (s *streams) in(way string) (*os.File, error) {
	switch way {
	case "":
		return nil, nil
	case "closed":
		s.l.Close = append(s.l.Close, 0)
		return nil, nil
	case "open", "empty":
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		s.theirs = append(s.theirs, r)
		if way == "open" {
			s.files = append(s.files, w)
		} else {
			w.Close()
		}
		return r, nil
	}
	f, err := os.OpenFile(filepath.Join(s.dir, way), os.O_RDONLY|unix.O_NONBLOCK, 0) // a FIFO has no writer yet
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(int(f.Fd()), false); err != nil {
		return nil, err
	}
	s.theirs = append(s.theirs, f)
	return f, nil
}

// out opens standard output or error, and what reads it.
func (s *streams) out(fd int, way string) (*os.File, io.ReadCloser, error) {
	switch way {
	case "", "broken", "stuck":
		r, w, err := os.Pipe()
		if err != nil {
			return nil, nil, err
		}
		s.theirs = append(s.theirs, w)
		if way == "broken" {
			r.Close()
			return w, nil, nil
		}
		s.files = append(s.files, r)
		if way == "stuck" {
			return w, nil, nil
		}
		return w, r, nil
	case "closed":
		s.l.Close = append(s.l.Close, fd)
		return nil, nil, nil
	case "null":
		return nil, nil, nil
	case "full":
		f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		s.theirs = append(s.theirs, f)
		return f, nil, err
	}
	return nil, nil, fmt.Errorf("no way of standard output is called %s", way)
}

// tree is what a folder holds: what its files are, by path.
type tree map[string]entry

// entry is what a file is.
type entry struct {
	what string // all that must stay the same
	data []byte // of regular files in out; the hash of long ones
}

// look lists a folder.
func look(dir string) tree {
	t := tree{}
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		name, _ := filepath.Rel(dir, path)
		e := entry{what: info.Mode().String()}
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			link, _ := os.Readlink(path)
			e.what += " to " + link
		case info.Mode().IsRegular() && (info.Size() < 8<<20 || info.Size() < 64<<20 && strings.HasPrefix(name, "out/")):
			data, _ := os.ReadFile(path)
			e.what = fmt.Sprintf("%s %d bytes %x", e.what, len(data), sha256.Sum256(data))
			if strings.HasPrefix(name, "out/") {
				if e.data = data; len(data) > 64<<10 { // many answers are remembered
					sum := sha256.Sum256(data)
					e.data = sum[:]
				}
			}
		case info.Mode().IsRegular():
			e.what = fmt.Sprintf("%s %d bytes of %v", e.what, info.Size(), info.ModTime())
		}
		t[name] = e
		return nil
	})
	return t
}
