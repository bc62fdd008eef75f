// Package llctest lets tests share what llc makes. Packages of this module compile the same kernels again and again,
// each in a process of its own; with this package an object is made once. Objects lie in a folder of the user's under
// the system's temporary one, named by the hash of all that they depend on.
package llctest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgc/codegen/llvm"
)

// What stays in the folder when tests begin: objects that a test used within a day, the latest of them up to so many
// bytes.
const (
	maxAge   = 24 * time.Hour
	maxBytes = 256 << 20
)

// Main runs the tests of a package with shared objects and returns the exit code for TestMain. Compilers and emulators
// leave much garbage and keep little: to collect it seldom saves a tenth of their time.
func Main(m *testing.M) int {
	debug.SetGCPercent(300)
	if err := Share(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// Share makes Assemble and Assembly of this process take what is in the folder, and put there what is not.
func Share() error {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("pgc-objects-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := tidy(dir, time.Now()); err != nil {
		return err
	}
	llvm.Run = (&store{dir: dir, run: llvm.Run}).get
	return nil
}

// lent names the environment variable that holds the path of llc for programs that share.
const lent = "PGC_TEST_LLC"

// Lend lets the programs that this process starts share, too, such as a real pgc: the first llc on their PATH is this
// program, which takes from the folder. restore ends that.
func Lend() (restore func(), err error) {
	llc, err := llvm.FindLLC()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pgc-llc-")
	if err != nil {
		return nil, err
	}
	path := os.Getenv("PATH")
	restore = func() {
		os.Setenv("PATH", path)
		os.Unsetenv(lent)
		os.RemoveAll(dir)
	}
	err = errors.Join(os.Symlink(self, filepath.Join(dir, "llc")), os.Setenv("PATH", dir+string(os.PathListSeparator)+path), os.Setenv(lent, llc))
	if err != nil {
		restore()
		return nil, err
	}
	return restore, nil
}

// A program of tests that Lend has called llc is that and no more.
func init() {
	if path := os.Getenv(lent); path != "" && filepath.Base(os.Args[0]) == "llc" {
		os.Exit(stand(path))
	}
}

// stand is llc for one run, from the standard input to the standard output, and returns the exit code.
func stand(path string) int {
	err := Share()
	var ir, out []byte
	switch args := os.Args[1:]; {
	case err != nil:
	case slices.Equal(args, []string{"--version"}):
		out, err = llvm.Exec(context.Background(), path, args, nil)
	default:
		if ir, err = io.ReadAll(os.Stdin); err == nil {
			out, err = llvm.Run(context.Background(), path, args, ir)
		}
	}
	if err == nil {
		_, err = os.Stdout.Write(out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// Alone makes a test run llc itself, for what it asserts about compiling twice.
func Alone(t testing.TB) {
	shared := llvm.Run
	llvm.Run = llvm.Exec
	t.Cleanup(func() { llvm.Run = shared })
}

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
	key := key(v, args, ir)
	name := filepath.Join(s.dir, key)
	unlock, err := lock(filepath.Join(s.dir, "lock-"+key[:2]))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if out, err := os.ReadFile(name); err == nil {
		now := time.Now()
		return out, os.Chtimes(name, now, now)
	}
	out, err := s.run(ctx, path, args, ir)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(name+".new", out, 0o600); err != nil {
		return nil, err
	}
	return out, os.Rename(name+".new", name)
}

// key is the name of an output: the hash of all that it depends on.
func key(version string, args []string, ir []byte) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q ", version, args)
	h.Write(ir)
	return hex.EncodeToString(h.Sum(nil))
}

// versions are what programs say of themselves, by path.
var versions sync.Map

// version identifies the llc at path.
func version(path string) (string, error) {
	if v, ok := versions.Load(path); ok {
		return v.(string), nil
	}
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		return "", err
	}
	versions.Store(path, path+"\n"+string(out))
	return path + "\n" + string(out), nil
}

// lock waits until no one else, in this process or another, holds the file.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for err = syscall.EINTR; err == syscall.EINTR; {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

// tidy removes old files from the folder. Another process may remove the same.
func tidy(dir string, now time.Time) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var files []os.FileInfo
	for _, e := range entries {
		if f, err := e.Info(); err == nil && f.Mode().IsRegular() {
			files = append(files, f)
		}
	}
	slices.SortFunc(files, func(a, b os.FileInfo) int { return cmp.Compare(b.ModTime().UnixNano(), a.ModTime().UnixNano()) })
	total := int64(0)
	for _, f := range files {
		if total += f.Size(); f.Size() > 0 && (total > maxBytes || now.Sub(f.ModTime()) > maxAge) {
			if err := os.Remove(filepath.Join(dir, f.Name())); err != nil && !os.IsNotExist(err) {
				return err
			}
		}
	}
	return nil
}
