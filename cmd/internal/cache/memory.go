package cache

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"pgc/runtime/input"
	"pgc/runtime/integrity"
	"pgc/runtime/output"
)

const (
	memoryFile = "index.json"
	maxMemory  = 64 << 20 // bytes
	lockFile   = "lock"
)

// memory is what a folder remembers of files, so that they are read once. It holds nothing that cannot be lost.
type memory struct {
	Sums map[string]sum   // by path, of files that executables are made of
	Used map[string]int64 // by name, when an executable was asked for last, in nanoseconds since 1970
}

// sum is the SHA-256 of a file.
type sum struct {
	File integrity.Version
	Hex  string
}

// load reads the memory. One that is missing, damaged or no regular file is empty.
func (f *Folder) load() *memory {
	m := new(memory)
	path := filepath.Join(f.dir, memoryFile)
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
		if text, err := input.ReadFile(path, maxMemory); err != nil || json.Unmarshal(text, m) != nil {
			m = new(memory)
		}
	}
	if m.Sums == nil {
		m.Sums = map[string]sum{}
	}
	if m.Used == nil {
		m.Used = map[string]int64{}
	}
	return m
}

// update changes the memory, one process at a time, and forgets files that are not there any more.
func (f *Folder) update(change func(m *memory) error) error {
	path := filepath.Join(f.dir, lockFile)
	lock, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err == nil {
		defer lock.Close()
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		return fmt.Errorf("cannot lock the cache by %s: %w", path, output.Cause(err))
	}
	m := f.load()
	if err := change(m); err != nil {
		return err
	}
	for path, s := range m.Sums {
		if info, err := os.Stat(path); err != nil || integrity.VersionOf(info) != s.File {
			delete(m.Sums, path)
		}
	}
	for name := range m.Used {
		if _, err := os.Lstat(filepath.Join(f.dir, name)); err != nil {
			delete(m.Used, name)
		}
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	path = filepath.Join(f.dir, memoryFile)
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		if err := os.RemoveAll(path); err != nil { // a link is not to be followed, a FIFO not to be waited for
			return fmt.Errorf("cannot replace %s: %w", path, output.Cause(err))
		}
	}
	return output.WriteFile(path, text)
}
