package llvm

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgc/ir/target"
)

// fakeLLC writes a program that answers --version as an llc of a release does.
func fakeLLC(t *testing.T, version string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "llc")
	script := "#!/bin/sh\necho 'Some distribution'\necho '" + version + "'\n"
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFindLLCTakesKnownReleasesOnly(t *testing.T) {
	old, good, odd := fakeLLC(t, "Debian LLVM version 13.0.1"), fakeLLC(t, "LLVM version 17.0.6"), fakeLLC(t, "llc, the liquor licence calculator")
	again := fakeLLC(t, "LLVM version 17.0.2")
	paths, err := findLLCs([]string{filepath.Join(t.TempDir(), "none"), odd, old, good, again}, 9)
	if err != nil || len(paths) != 1 || paths[0] != good {
		t.Errorf("got %v, %v, expected %s", paths, err, good)
	}
	_, err = findLLCs([]string{odd, old}, 1)
	if err == nil || !strings.Contains(err.Error(), "no llc from LLVM 14–22 found ("+old+" is LLVM 13): install the llvm package (apt-get install llvm, or make llvm)") {
		t.Errorf("got %v", err)
	}
	broken := filepath.Join(t.TempDir(), "llc")
	if err := os.WriteFile(broken, []byte("#!/bin/sh\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err = findLLCs([]string{broken}, 1); err == nil || !strings.Contains(err.Error(), "found ("+broken+" cannot be run: exit status 3): ") {
		t.Errorf("got %v", err)
	}
}

func TestRejectedIRIsOneLine(t *testing.T) {
	tgt, err := target.Find("x86-64-v3")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Assemble(context.Background(), []byte("define void @k() {\n  ret i32 1\n}\n"), tgt)
	if err == nil || !strings.Contains(err.Error(), "rejected the generated LLVM IR") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}

func TestMissingBackEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "llc")
	script := "#!/bin/sh\necho \"llc: error: : unable to get target for 'aarch64-linux-gnu', see --version and --triple.\" >&2\nexit 1\n"
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	tgt, err := target.Find("neoverse-n1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = runLLC(context.Background(), path, nil, tgt, "obj")
	if want := "llc has no back end for aarch64-linux-gnu, which code for neoverse-n1 needs"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, expected %s", err, want)
	}
}

func TestAssembleStopsWhenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	tgt, err := target.Find("x86-64-v3")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Assemble(ctx, nil, tgt); err != context.Canceled {
		t.Errorf("got %v", err)
	}
}

// Every installed llc takes the flags of every level without a warning.
func TestLLCKnowsTheFlags(t *testing.T) {
	for _, path := range llcs(t) {
		for _, name := range []string{"x86-64-v3", "x86-64-v4"} {
			tgt, err := target.Find(name)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(path, flags(tgt, "asm")...)
			cmd.Stdin = strings.NewReader("define void @k() nounwind {\n  ret void\n}\n")
			var stderr strings.Builder
			cmd.Stderr = &stderr
			if out, err := cmd.Output(); err != nil || stderr.Len() > 0 || !strings.Contains(string(out), "retq") {
				t.Errorf("%s for %s: %v, says %q\n%s", path, name, err, stderr.String(), out)
			}
		}
	}
}

// llcs returns the installed llc of every known release.
func llcs(t testing.TB) []string {
	t.Helper()
	paths, err := findLLCs(llcNames(), NewestLLVM-OldestLLVM+1)
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// TestCrashesLeaveNothing: llc is told to look for no names when it crashes, by way of temporary files that it leaves.
func TestCrashesLeaveNothing(t *testing.T) {
	out, err := Exec(t.Context(), "sh", []string{"-c", "echo $LLVM_DISABLE_SYMBOLIZATION"}, nil)
	if err != nil || string(out) != "1\n" {
		t.Errorf("llc sees %q (%v)", out, err)
	}
}
