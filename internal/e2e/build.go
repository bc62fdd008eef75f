package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgc/codegen/llvm/llctest"
	"pgc/internal/build"
)

// Build compiles a checkpoint to an executable that begins with the ELF file rt, and returns the compiler's report. Where
// the tests of the package have done so before, with the same compiler, options and files, it takes what they made. It is for
// tests of what executables do: a test of the compiler calls build.Compile.
func Build(t testing.TB, exe, checkpoint string, rt []byte, o build.Options) *build.Report {
	t.Helper()
	r, err := built(t.Context(), exe, checkpoint, rt, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func built(ctx context.Context, exe, checkpoint string, rt []byte, o build.Options) (*build.Report, error) {
	id, ok := Identity(checkpoint, rt, o)
	if !ok {
		return build.Compile(ctx, checkpoint, exe, rt, o)
	}
	var r *build.Report
	made := false
	data, err := llctest.Kept(id, func() ([]byte, error) {
		made = true
		var err error
		if r, err = build.Compile(ctx, checkpoint, exe, rt, o); err != nil {
			return nil, err
		}
		file, err := os.ReadFile(exe)
		if err == nil && !bytes.HasPrefix(file, rt) {
			err = fmt.Errorf("%s does not begin with the runtime", exe)
		}
		if err != nil {
			return nil, err
		}
		report, err := json.Marshal(r)
		return slices.Concat(binary.LittleEndian.AppendUint32(nil, uint32(len(report))), report, file[len(rt):]), err
	})
	if err != nil || made {
		return r, err
	}
	report := data[4:][:binary.LittleEndian.Uint32(data)]
	if err := json.Unmarshal(report, &r); err != nil {
		return nil, err
	}
	r.Output = exe
	return r, write(exe, rt, data[4+len(report):])
}

// write writes an executable of two parts, anew.
func write(exe string, rt, rest []byte) error {
	if err := os.Remove(exe); err != nil && !os.IsNotExist(err) {
		return err
	}
	file, err := os.OpenFile(exe, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o777)
	if err != nil {
		return err
	}
	for _, part := range [][]byte{rt, rest} {
		if _, err := file.Write(part); err != nil {
			file.Close()
			return err
		}
	}
	return file.Close()
}

// Identity is the hash of all that an executable depends on, but llc. Where something is not known, ok is false: a folder
// that is looked for elsewhere, a function among the options, this processor.
func Identity(checkpoint string, rt []byte, o build.Options) (id []byte, ok bool) {
	compiler, err := program()
	if err != nil || strings.Contains(o.CPU, "native") {
		return nil, false
	}
	h := sha256.New()
	fmt.Fprintf(h, "%x %x %x ", compiler, sum(rt), sum(o.GPURuntime))
	files := []string{checkpoint, o.Adapter, o.Tokenizer, o.Masks}
	for _, a := range o.Adapters {
		files = append(files, a.Dir)
	}
	for _, path := range files {
		if path != "" && contents(h, path) != nil {
			return nil, false
		}
		fmt.Fprintf(h, "%q ", filepath.Base(path))
	}
	if _, err := os.Stat(filepath.Join(checkpoint, "adapter_config.json")); err == nil { // its base lies elsewhere
		return nil, false
	}
	o.Adapter, o.Tokenizer, o.Masks, o.GPURuntime = "", "", "", nil
	o.Adapters = append(o.Adapters[:0:0], o.Adapters...)
	for i := range o.Adapters {
		o.Adapters[i].Dir = ""
	}
	if !plain(reflect.ValueOf(o)) {
		return nil, false
	}
	fmt.Fprintf(h, "%#v", o)
	return h.Sum(nil), true
}

// sums are the hashes of runtimes, by where they lie: they are large, and each is asked for again and again.
var sums sync.Map

type place struct {
	first *byte
	n     int
}

func sum(elf []byte) any {
	if len(elf) < 1<<20 {
		return sha256.Sum256(elf)
	}
	at := place{&elf[0], len(elf)}
	known, ok := sums.Load(at)
	if !ok {
		known, _ = sums.LoadOrStore(at, sha256.Sum256(elf))
	}
	return known
}

// plain reports whether a value prints as what it is: it holds no pointer, function or interface that is not nil.
func plain(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if !plain(v.Field(i)) {
				return false
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if !plain(v.Index(i)) {
				return false
			}
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			if !plain(k) || !plain(v.MapIndex(k)) {
				return false
			}
		}
	case reflect.Func, reflect.Pointer, reflect.Interface, reflect.Chan, reflect.UnsafePointer:
		return v.IsNil()
	}
	return true
}

// contents adds to a hash what a file holds, or all files in a folder, with their names.
func contents(h hash.Hash, path string) error {
	return filepath.WalkDir(path, func(at string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(path, at)
		if err != nil {
			return err
		}
		return add(h, name, at)
	})
}

// add adds a file to a hash.
func add(h hash.Hash, name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no file", path)
	}
	fmt.Fprintf(h, "%q %d ", name, info.Size())
	_, err = io.Copy(h, f)
	return err
}

// program is the hash of this program, the compiler in it.
var program = sync.OnceValues(func() ([]byte, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	err = add(h, "", path)
	return h.Sum(nil), err
})
