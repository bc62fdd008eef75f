package llvm

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"sync"

	"pgc/ir/target"
)

// The LLVM releases whose llc is known to accept what Emit writes.
const (
	OldestLLVM = 14
	NewestLLVM = 22
)

var llcVersion = regexp.MustCompile(`LLVM version (\d+)`)

// FindLLC returns the path of an llc from LLVM 14–22: llc on the PATH, a versioned name, or a distribution's folder.
var FindLLC = sync.OnceValues(func() (string, error) {
	names := []string{"llc"}
	for v := NewestLLVM; v >= OldestLLVM; v-- {
		names = append(names, fmt.Sprintf("llc-%d", v))
	}
	folders, _ := filepath.Glob("/usr/lib/llvm*/bin/llc")
	more, _ := filepath.Glob("/opt/homebrew/opt/llvm*/bin/llc")
	sort.Sort(sort.Reverse(sort.StringSlice(folders)))
	var wrong []string
	for _, name := range append(append(names, folders...), more...) {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		out, err := exec.Command(path, "--version").Output()
		m := llcVersion.FindSubmatch(out)
		if err != nil || m == nil {
			continue
		}
		if major, _ := strconv.Atoi(string(m[1])); major >= OldestLLVM && major <= NewestLLVM {
			return path, nil
		}
		wrong = append(wrong, fmt.Sprintf("%s is LLVM %s", path, m[1]))
	}
	found := ""
	if len(wrong) > 0 {
		found = " (" + strings.Join(wrong, ", ") + ")"
	}
	return "", fmt.Errorf("no llc from LLVM %d–%d found%s: install the llvm package (apt-get install llvm, or make llvm) or put llc on the PATH",
		OldestLLVM, NewestLLVM, found)
})

// Assemble compiles LLVM IR to a relocatable object with llc.
func Assemble(ctx context.Context, ir []byte, t target.Target) ([]byte, error) {
	return llc(ctx, ir, t, "obj")
}

// Assembly compiles LLVM IR to assembly text with llc.
func Assembly(ctx context.Context, ir []byte, t target.Target) ([]byte, error) {
	return llc(ctx, ir, t, "asm")
}

func llc(ctx context.Context, ir []byte, t target.Target, kind string) ([]byte, error) {
	path, err := FindLLC()
	if err != nil {
		return nil, err
	}
	attrs := make([]string, len(t.Features))
	for i, f := range t.Features {
		attrs[i] = "+" + f
	}
	if t.Lanes == 16 {
		attrs = append(attrs, "-prefer-256-bit")
	}
	cmd := exec.CommandContext(ctx, path, "-O3", "-filetype="+kind, "-relocation-model=pic", "-mtriple=x86_64-linux-gnu",
		"-mcpu="+t.Level, "-mattr="+strings.Join(attrs, ","), "-o", "-", "-")
	cmd.Stdin = bytes.NewReader(ir)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		first, _, _ := strings.Cut(strings.TrimSpace(stderr.String()), "\n")
		return nil, fmt.Errorf("%s rejected the generated LLVM IR: %w: %s", path, err, first)
	}
	return out, nil
}
