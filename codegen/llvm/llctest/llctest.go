// Package llctest lets tests share what llc makes. Packages of this module compile the same kernels again and again,
// each in a process of its own; with this package a kernel is compiled once. Objects lie in a folder of the user's cache,
// named by the hash of all that they depend on, for later runs, too. PGC_TEST_OBJECTS names another folder; with "off"
// every test runs llc. What other programs make is kept beside them (KeptOf).
//
// Nothing is kept of an llc that fails, and what is damaged is made anew.
package llctest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"pgc/codegen/llvm"
)

// What stays in the folder when it is tidied, which the first tests of an hour do: objects that a test used within a week,
// the latest of them up to so many bytes. What is kept beside them is tidied when it grows.
const (
	maxAge    = 7 * 24 * time.Hour
	maxBytes  = 256 << 20
	maxKept   = 1 << 30
	tidyAfter = time.Hour
)

// variable names the environment variable that says where objects lie.
const variable = "PGC_TEST_OBJECTS"

// folder is where objects lie, or "off", as the environment says when the process begins: a test may change it.
var folder = func() string {
	if dir := os.Getenv(variable); dir != "" {
		return dir
	}
	if dir, err := os.UserCacheDir(); err == nil {
		return filepath.Join(dir, "pgc-test-objects")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("pgc-objects-%d", os.Getuid()))
}()

// Main runs the tests of a package with shared objects and returns the exit code for TestMain. Compilers and emulators
// leave much garbage and keep little: to collect it seldom, below a gigabyte, saves a fifth of their time. Programs that
// tests start have the folder of objects, too, whatever cache a test gives them.
func Main(m *testing.M) int {
	debug.SetGCPercent(1000)
	debug.SetMemoryLimit(1 << 30)
	err := os.Setenv(variable, folder)
	if err == nil {
		err = Share()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// Share makes package llvm of this process take what is in the folder, and put there what is not.
func Share() error {
	if folder == "off" {
		return nil
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	if err := tidySometimes(folder, time.Now()); err != nil {
		return err
	}
	s := &store{dir: folder, run: llvm.Run}
	llvm.Run, llvm.RunFunctions = s.get, s.functions
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
	path, where := os.Getenv("PATH"), os.Getenv(variable)
	restore = func() {
		os.Setenv("PATH", path)
		os.Setenv(variable, where)
		os.Unsetenv(lent)
		os.RemoveAll(dir)
	}
	err = errors.Join(os.Symlink(self, filepath.Join(dir, "llc")), os.Setenv("PATH", dir+string(os.PathListSeparator)+path), os.Setenv(lent, llc),
		os.Setenv(variable, folder))
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
		var v string
		if v, err = version(path); err == nil {
			out = []byte(saysOf(v))
		}
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
	run, functions := llvm.Run, llvm.RunFunctions
	llvm.Run, llvm.RunFunctions = llvm.Exec, llvm.ExecFunctions
	t.Cleanup(func() { llvm.Run, llvm.RunFunctions = run, functions })
}

// tidySometimes tidies the folder unless that was done within the hour: to look at thousands of files takes as long as
// many a program that shares them. The age of an empty file tells.
func tidySometimes(dir string, now time.Time) error {
	stamp := filepath.Join(dir, "tidied")
	if info, err := os.Stat(stamp); err == nil && now.Sub(info.ModTime()).Abs() < tidyAfter {
		return nil
	}
	if err := os.WriteFile(stamp, nil, 0o600); err != nil {
		return err
	}
	if err := os.Chtimes(stamp, now, now); err != nil {
		return err
	}
	return tidy(dir, maxBytes, now)
}

// tidy removes old files from the folder. Another process may remove the same.
func tidy(dir string, most int64, now time.Time) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var files []os.FileInfo
	for _, e := range entries {
		if f, err := e.Info(); err == nil && f.Mode().IsRegular() && f.Size() > 0 { // the files of locks and of the last time hold nothing
			files = append(files, f)
		}
	}
	slices.SortFunc(files, func(a, b os.FileInfo) int { return cmp.Compare(b.ModTime().UnixNano(), a.ModTime().UnixNano()) })
	total := int64(0)
	for _, f := range files {
		if total += f.Size(); total > most || now.Sub(f.ModTime()) > maxAge {
			if err := os.Remove(filepath.Join(dir, f.Name())); err != nil && !os.IsNotExist(err) {
				return err
			}
		}
	}
	return nil
}
