package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"testing"

	"pgc/codegen/cpu/cputest"
	"pgc/codegen/llvm/llctest"
)

// TestMain runs the tests, or pgc where the test executable is called so.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) != "pgc" {
		os.Exit(cputest.Main(m))
	}
	if err := llctest.Share(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	debug.SetGCPercent(400) // commands that compile leave much garbage
	main()
}

func TestSeparate(t *testing.T) {
	got := separate([]string{"opt", "-d=check", "-p=cse,dce", "-d", "time", "--eval=x", "-o=y", "-x=1", "--", "-d=z"})
	want := []string{"opt", "-d", "check", "-p", "cse,dce", "-d", "time", "--eval=x", "-o", "y", "-x=1", "--", "-d=z"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
