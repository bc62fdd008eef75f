package gpu

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pgc/runtime/integrity"
	"pgc/runtime/output"
)

// The cache keeps what the driver has compiled, in files whose names tell text, device and driver. When a file is used,
// its time of modification becomes the present; those that were not used for longest go when there are too many bytes.

// cacheBytes is how many bytes the cache holds. The kernels of one executable take about a megabyte.
const cacheBytes = 512 << 20

// cacheEnding is that of the names of the cache's files.
const cacheEnding = ".cubin"

// cached is the path at which the cache keeps a compiled module, or "" where it keeps none.
func (x *Executor) cached(text []byte) string {
	info := x.d.Info()
	if x.options.Cache == "" || !info.Compiles {
		return ""
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s %d.%d %d\n", info.Name, info.Major, info.Minor, info.Driver)
	h.Write(text)
	return filepath.Join(x.options.Cache, fmt.Sprintf("%x", h.Sum(nil))+cacheEnding)
}

// own reads a file of the cache that nobody but this user may have written, and notes that it was used.
func own(path string) ([]byte, error) {
	if err := errors.Join(private(filepath.Dir(path)), private(path)); err != nil {
		return nil, err
	}
	image, err := os.ReadFile(path)
	if err == nil {
		now := time.Now()
		os.Chtimes(path, now, now) // else it goes sooner
	}
	return image, err
}

// keep writes a compiled module to the cache, and removes what has no room there. A module that is not kept is compiled
// again next time.
func keep(path string, image []byte, most int64) {
	dir := filepath.Dir(path)
	if os.MkdirAll(dir, 0o700) != nil || private(dir) != nil {
		return
	}
	room(dir, most-int64(len(image)))
	output.WriteFile(path, image)
}

// room removes files of the cache, those first that were not used for longest, until they have at most so many bytes.
func room(dir string, most int64) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	var files []os.FileInfo
	total := int64(0)
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && info.Mode().IsRegular() && strings.HasSuffix(e.Name(), cacheEnding) {
			files, total = append(files, info), total+info.Size()
		}
	}
	slices.SortFunc(files, func(a, b os.FileInfo) int {
		return cmp.Or(a.ModTime().Compare(b.ModTime()), cmp.Compare(a.Name(), b.Name()))
	})
	for _, f := range files {
		if total <= most {
			return
		}
		if os.Remove(filepath.Join(dir, f.Name())) == nil {
			total -= f.Size()
		}
	}
}

// private says why a file or folder is not this user's alone to write. A link is not.
func private(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if mode := info.Mode(); !mode.IsRegular() && !mode.IsDir() {
		return fmt.Errorf("%s is neither a file nor a folder", path)
	}
	return integrity.Private(info)
}
