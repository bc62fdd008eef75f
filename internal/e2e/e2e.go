// Package e2e compiles golden checkpoints to executables and runs them, for the tests in the folders of this one. Each
// folder is a package of its own, so that go test runs them side by side and none takes long.
package e2e

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"pgc/codegen/cpu/cputest"
	"pgc/golden"
	"pgc/internal/build"
)

// scratch holds the executables that the tests of a package share.
var scratch string

// Main runs the tests of a package and returns the exit code for TestMain.
func Main(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("", "pgc-e2e-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	return cputest.Main(m)
}

// Runtime returns the ELF file of the runtime for processors, GPURuntime that of the runtime for GPUs, and LeastRuntime the
// least one.
var (
	Runtime, GPURuntime = building("pgcrt", "pgcrt", ""), building("pgcrt-cuda", "pgcrt-cuda", "")
	LeastRuntime        = building("pgcrt-least", "pgcrt", ",least")
)

// building returns a function that builds a command when it is first called.
func building(name, command, tags string) func(t testing.TB) []byte {
	get := sync.OnceValues(func() ([]byte, error) { return Command(name, command, tags) })
	return func(t testing.TB) []byte {
		t.Helper()
		elf, err := get()
		if err != nil {
			t.Fatal(err)
		}
		return elf
	}
}

// environment is that of the whole run, before a test gave itself a cache folder, which is Go's, too, and module a folder of
// this module, before a test went elsewhere.
var (
	environment = os.Environ()
	module, _   = filepath.Abs(golden.Dir())
)

// Command builds a command of this module as scripts/build.sh does; env may say for which machine. The file stays, by its name,
// in a folder of the user's for all packages and later runs: go build finds it up to date, or links it anew.
func Command(name, command, tags string, env ...string) ([]byte, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("pgc-runtimes-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return nil, err
	}
	out := filepath.Join(dir, name)
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-tags", "nethttpomithttp2"+tags, "-o", out, "pgc/cmd/"+command)
	cmd.Dir, cmd.Env = module, slices.Concat(environment, []string{"CGO_ENABLED=0"}, env)
	if msg, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, msg)
	}
	return os.ReadFile(out)
}

// Compiled is a golden checkpoint's executable, compiled once for the tests of a package.
func Compiled(t *testing.T, name string) string {
	t.Helper()
	return Once(t, name, func(exe string) { CompileTo(t, exe, filepath.Join(golden.Dir(), name)) })
}

// Once returns the path of an executable that compile makes unless a test of the package has made it.
func Once(t *testing.T, name string, compile func(exe string)) string {
	t.Helper()
	if scratch == "" {
		t.Fatal("TestMain of this package does not run e2e.Main, which makes the folder of its executables")
	}
	exe := filepath.Join(scratch, name)
	if _, err := os.Stat(exe); err != nil {
		compile(exe)
	}
	return exe
}

// CompileTo compiles a checkpoint.
func CompileTo(t *testing.T, exe, checkpoint string) {
	t.Helper()
	compile(t, exe, checkpoint, build.Options{})
}

// CompileFor compiles a checkpoint for instruction sets. Examples do so, too, which have no *testing.T.
func CompileFor(cpus, checkpoint, exe string) error {
	elf, err := Command("pgcrt", "pgcrt", "")
	if err == nil {
		_, err = built(context.Background(), exe, checkpoint, elf, build.Options{CPU: cpus, MaxTokens: 311})
	}
	return err
}

// CompiledWith is Compiled with options, of which those that are not given are the same in all packages: so they share
// objects.
func CompiledWith(t *testing.T, name string, o build.Options) string {
	t.Helper()
	key := sha256.Sum256(fmt.Appendf(nil, "%+v", o))
	return Once(t, fmt.Sprintf("%s-%x", name, key[:8]), func(exe string) { compile(t, exe, filepath.Join(golden.Dir(), name), o) })
}

func compile(t testing.TB, exe, checkpoint string, o build.Options) {
	t.Helper()
	o.CPU, o.MaxTokens = cmp.Or(o.CPU, "x86-64-v3"), cmp.Or(o.MaxTokens, 311)
	Build(t, exe, checkpoint, Runtime(t), o)
}
