package gputest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"pgc/codegen/llvm/llctest"
	"pgc/codegen/ptx/emu"
	"pgc/golden"
)

// What launches did is kept for later runs in the folder emulated of that of the objects: a file for each text of PTX and emulator,
// which has so many bytes unless one run needs more, and in all files so many.
const (
	maxFile  = 64 << 20
	maxFiles = 1 << 30
)

// sources are the folders of the module that the emulator's results depend on, but for the libraries in go.sum.
var sources = []string{"codegen/ptx/emu", "ir/scalar"}

// emulator is the hash of the emulator's sources, the libraries' and Go's versions. It is empty where this program may be made of
// others: of older ones, for it is not younger than they, or elsewhere.
var emulator = sync.OnceValue(func() string {
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	built, err := os.Stat(self)
	if err != nil {
		return ""
	}
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOARCH)
	add := func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.ModTime().After(built.ModTime()) {
			return fmt.Errorf("%s is younger than this program", path)
		}
		text, err := os.ReadFile(path)
		fmt.Fprintf(h, "%s %d\n%s", filepath.Base(path), len(text), text)
		return err
	}
	module := filepath.Dir(golden.Dir())
	for _, dir := range append([]string{"go.sum"}, sources...) {
		if err := filepath.WalkDir(filepath.Join(module, dir), add); err != nil {
			return ""
		}
	}
	return hex.EncodeToString(h.Sum(nil))
})

// shelf is where what launches did is kept; nil where it is not.
var shelf = sync.OnceValues(func() (*llctest.Shelf, error) {
	if emulator() == "" {
		return nil, nil
	}
	return llctest.NewShelf("emulated", maxFiles)
})

// remember returns what launches of a text did in earlier runs, and a function that keeps what they did in this one.
func remember(text string) (*emu.Memo, func() error) {
	s, err := shelf()
	if err != nil || s == nil {
		return nil, func() error { return err }
	}
	hash := sha256.Sum256([]byte(emulator() + text))
	name, memo := hex.EncodeToString(hash[:]), &emu.Memo{}
	if data, ok := s.Get(name); ok {
		if read, err := emu.ReadMemo(data); err == nil {
			memo = read
		}
	}
	return memo, func() error {
		if data := memo.Bytes(maxFile); data != nil {
			return s.Put(name, data)
		}
		return nil
	}
}
