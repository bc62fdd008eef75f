package llctest

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"time"

	"pgc/codegen/llvm"
)

// Kept is KeptOf of llc.
func Kept(key []byte, make func() ([]byte, error)) ([]byte, error) {
	if folder == "off" {
		return make()
	}
	llc, err := llvm.FindLLC()
	if err != nil {
		return nil, err
	}
	return KeptOf(llc, key, make)
}

// KeptOf returns what make makes, from a folder in that of the objects where a test has made it from the same. The key tells all
// that it depends on, but for the program at a path, such as llc, which belongs to the key, too. Of those who ask for the same at
// once one makes it; what fails is not kept.
func KeptOf(path string, key []byte, make func() ([]byte, error)) ([]byte, error) {
	if folder == "off" {
		return make()
	}
	dir := filepath.Join(folder, "kept")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	v, err := version(path)
	if err != nil { // it tells no version: a test's own
		return make()
	}
	sum := sha256.Sum256(append([]byte(v+"\n"), key...))
	made := false
	out, err := (&store{dir: dir}).keep(hex.EncodeToString(sum[:]), func() ([]byte, error) {
		made = true
		return make()
	})
	if err != nil || !made {
		return out, err
	}
	return out, tidy(dir, maxKept, time.Now())
}
