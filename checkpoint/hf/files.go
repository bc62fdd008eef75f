package hf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"pgc/checkpoint/download"
	"pgc/models/config"
	"pgc/runtime/input"
)

const configFile = "config.json"

// Bounds of the files that are read whole.
const (
	maxConfig    = 16 << 20
	maxIndex     = 256 << 20
	maxTokenizer = 256 << 20 // Gemma's have 17 to 35 MB
	maxLicense   = 4 << 20
)

// readFile reads a file of a checkpoint, which must have at most limit bytes.
func readFile(dir, name string, limit int64) ([]byte, error) {
	if isBigVision(dir) { // a file that has no others
		return nil, fs.ErrNotExist
	}
	path := find(dir, name)
	text, err := input.ReadRegular(path, limit)
	if errors.Is(err, fs.ErrNotExist) {
		if target, linkErr := os.Readlink(path); linkErr == nil {
			return nil, fmt.Errorf("%s points to %s, which is missing: the download is not complete (hf download goes on with it)", path, target)
		}
	}
	if err == nil {
		err = download.Itself(path, text)
	}
	return text, err
}

// readJSON reads a file that holds one JSON object.
func readJSON(dir, name string, limit int64) (*config.Section, error) {
	text, err := readFile(dir, name, limit)
	if err != nil {
		return nil, err
	}
	return config.Parse(filepath.Join(dir, name), text)
}

// optional is readJSON where a missing file is an empty object.
func optional(dir, name string) (*config.Section, error) {
	s, err := readJSON(dir, name, maxConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return config.Empty(filepath.Join(dir, name)), nil
	}
	return s, err
}
