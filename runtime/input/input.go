// Package input reads files whole that come from anywhere: a device or a sparse file has no end.
package input

import (
	"fmt"
	"io"
	"os"
)

// ReadFile reads the file, the pipe or the device at path.
func ReadFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Read(f, path, limit)
}

// ReadRegular reads the regular file at path: no pipe, whose writer may never come.
func ReadRegular(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		return nil, err
	}
	return ReadFile(path, limit)
}

// Read reads f, which errors call name, to its end. More than limit bytes are an error, found in a file by its size.
func Read(f *os.File, name string, limit int64) ([]byte, error) {
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Size() > limit {
		return nil, fmt.Errorf("%s has %d bytes, expected at most %d", name, info.Size(), limit)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s has over %d bytes, expected at most as many", name, limit)
	}
	return data, err
}
