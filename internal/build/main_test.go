package build

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"pgc/codegen/llvm/llctest"
	"pgc/golden"
)

// scratch holds what the tests of this package share.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "pgc-build"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := llctest.Main(m)
	os.RemoveAll(scratch)
	os.Exit(code)
}

// built are the runtimes' ELF files: that for processors, and that for GPUs.
var built, builtGPU = building("pgcrt"), building("pgcrt-cuda")

// environment is that of the whole run, before a test gave itself a cache folder, which is Go's, too.
var environment = os.Environ()

// building builds a command when it is first called.
func building(name string) func() ([]byte, error) {
	return sync.OnceValues(func() ([]byte, error) {
		out := filepath.Join(scratch, name)
		cmd := exec.Command("go", "build", "-o", out, "pgc/cmd/"+name)
		cmd.Env = append(environment, "CGO_ENABLED=0")
		if msg, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%w: %s", err, msg)
		}
		return os.ReadFile(out)
	})
}

// runtimeELF builds the runtime once for the tests of this package.
func runtimeELF(t *testing.T) []byte {
	t.Helper()
	elf, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return elf
}

// compiled is a golden checkpoint's executable, compiled once for the tests of this package.
func compiled(t *testing.T, name string) string {
	t.Helper()
	exe := filepath.Join(scratch, name)
	if _, err := os.Stat(exe); err != nil {
		compileTo(t, exe, filepath.Join(golden.Dir(), name))
	}
	return exe
}

func compileTo(t *testing.T, exe, checkpoint string) {
	t.Helper()
	if _, err := Compile(t.Context(), checkpoint, exe, runtimeELF(t), Options{CPU: "x86-64-v3", MaxTokens: 311}); err != nil {
		t.Fatal(err)
	}
}
