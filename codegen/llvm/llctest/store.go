package llctest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"pgc/codegen/llvm"
)

// store keeps outputs of run in a folder.
type store struct {
	dir string
	run func(ctx context.Context, path string, args []string, ir []byte) ([]byte, error)
}

// get returns what llc makes of IR. Of processes and goroutines that ask for the same at once, one runs llc and the
// others wait.
func (s *store) get(ctx context.Context, path string, args []string, ir []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	v, err := version(path)
	if err != nil { // no llc that tells its version: a test's own
		return s.run(ctx, path, args, ir)
	}
	return s.keep(key(v, args, ir), func() ([]byte, error) { return s.run(ctx, path, args, ir) })
}

// keep returns the file of a name, which it makes if there is none. Of those who ask for the same at once one makes it; what
// fails is not kept.
func (s *store) keep(name string, make func() ([]byte, error)) ([]byte, error) {
	unlock, err := s.lock(name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if out, ok := s.read(name); ok {
		return out, nil
	}
	out, err := make()
	if err != nil {
		return nil, err
	}
	return out, s.write(name, out)
}

// functions returns an object for every function. llc compiles those together that are not in the folder; an object is
// then kept as often as it has functions, and everything but one function is hidden in each. llc verifies what it compiles.
func (s *store) functions(ctx context.Context, path string, args []string, fs []llvm.Function) ([][]byte, error) {
	args = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == llvm.Unverified })
	v, err := version(path)
	if err != nil || !separable(args) {
		return llvm.ExecFunctions(ctx, path, args, fs)
	}
	keys, missing := map[string]string{}, []llvm.Function(nil)
	for _, f := range fs {
		keys[f.Symbol] = key(v, args, f.Text)
		if _, err := os.Stat(filepath.Join(s.dir, keys[f.Symbol])); err != nil {
			missing = append(missing, f)
		}
	}
	_, err = llvm.Side(llvm.Parts(missing), func(part []llvm.Function) (struct{}, error) {
		return struct{}{}, s.compile(ctx, path, args, part, keys)
	})
	if err != nil {
		return nil, err
	}
	return llvm.Side(fs, func(f llvm.Function) ([]byte, error) {
		for {
			if out, ok := s.read(keys[f.Symbol]); ok {
				return out, nil
			}
			if err := s.compile(ctx, path, args, []llvm.Function{f}, keys); err != nil { // it was damaged, or removed
				return nil, err
			}
		}
	})
}

// separable reports whether llc makes of a function what it makes of it beside others, with constants in sections of
// their own entries: constants of 64 bytes are in one section with others, and arm64's are known by their section.
func separable(args []string) bool {
	all := strings.Join(args, " ")
	return strings.Contains(all, "-filetype=obj") && strings.Contains(all, "-mtriple=x86_64") && !strings.Contains(all, "+avx512")
}

// compile puts those of the functions into the folder that are not there.
func (s *store) compile(ctx context.Context, path string, args []string, fs []llvm.Function, keys map[string]string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var all []string
	for _, f := range fs {
		all = append(all, keys[f.Symbol])
	}
	unlock, err := s.lock(all...)
	if err != nil {
		return err
	}
	defer unlock()
	fs = slices.DeleteFunc(slices.Clone(fs), func(f llvm.Function) bool {
		_, ok := s.read(keys[f.Symbol])
		return ok
	})
	if len(fs) == 0 {
		return nil
	}
	obj, err := s.run(ctx, path, args, llvm.Module(fs))
	if err != nil {
		return err
	}
	for _, f := range fs {
		one, err := only(obj, f.Symbol)
		if err == nil {
			err = s.write(keys[f.Symbol], one)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// key is the name of an output: the hash of all that it depends on.
func key(version string, args []string, ir []byte) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q ", version, args)
	h.Write(ir)
	return hex.EncodeToString(h.Sum(nil))
}

// read returns what is kept under a key, unless nothing is or it was damaged: its hash lies behind it.
func (s *store) read(key string) ([]byte, bool) {
	name := filepath.Join(s.dir, key)
	data, err := os.ReadFile(name)
	n := len(data) - sha256.Size
	if err != nil || n < 0 {
		return nil, false
	}
	if sum := sha256.Sum256(data[:n]); !bytes.Equal(sum[:], data[n:]) {
		return nil, false
	}
	now := time.Now()
	os.Chtimes(name, now, now) // where it fails, the file was removed as old
	return data[:n:n], true
}

// write keeps an output under a key, which the caller has locked.
func (s *store) write(key string, out []byte) error {
	name, sum := filepath.Join(s.dir, key), sha256.Sum256(out)
	if err := os.WriteFile(name+".new", slices.Concat(out, sum[:]), 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// lock waits until no one else, in this process or another, holds one of the keys. It takes them in one order, so that no
// two wait for each other.
func (s *store) lock(keys ...string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(s.dir, "locks"), os.O_CREATE|os.O_RDWR, fs.FileMode(0o600))
	if err != nil {
		return nil, err
	}
	var places []int64
	for _, k := range keys {
		at, err := strconv.ParseInt(k[:12], 16, 64)
		if err != nil {
			f.Close()
			return nil, err
		}
		places = append(places, at)
	}
	slices.Sort(places)
	for _, at := range places {
		for err = unix.EINTR; err == unix.EINTR; {
			err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLKW, &unix.Flock_t{Type: unix.F_WRLCK, Start: at, Len: 1})
		}
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
	}
	return func() { f.Close() }, nil
}

// versions are what programs say of themselves, by path: functions that ask once.
var versions sync.Map

// version identifies the llc at path: what it says, and which file it is.
func version(path string) (string, error) {
	ask, _ := versions.LoadOrStore(path, sync.OnceValues(func() (string, error) { return identify(path) }))
	return ask.(func() (string, error))()
}

// asked names the environment variable that holds what a program says, for the programs that this process starts: they need not
// ask again.
const asked = "PGC_TEST_VERSION"

func identify(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(real)
	if err != nil {
		return "", err
	}
	file := fmt.Sprintf("%s\n%d %d\n", path, info.Size(), info.ModTime().UnixNano())
	if v := os.Getenv(asked); strings.HasPrefix(v, file) {
		return v, nil
	}
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		return "", err
	}
	v := file + string(out)
	return v, os.Setenv(asked, v)
}

// saysOf is what a program of a version says.
func saysOf(version string) string { return strings.SplitN(version, "\n", 3)[2] }
