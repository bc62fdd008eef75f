package output

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// inputs are the files that the program reads, which no result may replace.
var inputs struct {
	sync.Mutex
	files []fs.FileInfo
}

// errInput is why a file is not replaced.
var errInput = errors.New("it is an input, too, expected another file")

// Protect keeps the files at paths, and those of folders there, from being replaced by results. Paths that name none, as
// addresses do, are left out; "-" is standard input.
func Protect(paths ...string) {
	inputs.Lock()
	defer inputs.Unlock()
	for _, path := range paths {
		if path == "-" {
			path = "/dev/stdin"
		}
		info, err := os.Stat(path)
		if err == nil && info.Mode().IsRegular() {
			inputs.files = append(inputs.files, info)
			continue
		}
		entries, _ := os.ReadDir(path)
		for _, e := range entries {
			if info, err := os.Stat(filepath.Join(path, e.Name())); err == nil && info.Mode().IsRegular() {
				inputs.files = append(inputs.files, info)
			}
		}
	}
}

// Allowed says why Create could not make a file at path, such as that it would replace an input or the program itself, or
// returns nil: to be asked before long work whose end opens the result. Streams are not opened.
func Allowed(path string) error {
	p, err := find(path)
	if err != nil || p.stream() {
		return err
	}
	return attempt(path, 0o666, false)
}

// allowed says that a result would replace an input or the program itself, or returns nil.
func (p place) allowed() error {
	if p.info == nil || !p.info.Mode().IsRegular() {
		return nil
	}
	if self, err := os.Stat("/proc/self/exe"); err == nil && os.SameFile(p.info, self) {
		return p.cannot(errors.New("it is the program that runs, expected another file"))
	}
	inputs.Lock()
	defer inputs.Unlock()
	for _, in := range inputs.files {
		if os.SameFile(p.info, in) {
			return p.cannot(errInput)
		}
	}
	return nil
}
