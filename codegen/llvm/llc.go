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
	paths, err := findLLCs(llcNames(), 1)
	if err != nil {
		return "", err
	}
	return paths[0], nil
})

// llcNames lists what an llc may be called, in the order of preference.
func llcNames() []string {
	names := []string{"llc"}
	for v := NewestLLVM; v >= OldestLLVM; v-- {
		names = append(names, fmt.Sprintf("llc-%d", v))
	}
	for _, pattern := range []string{"/usr/lib/llvm*/bin/llc", "/usr/local/opt/llvm*/bin/llc", "/opt/homebrew/opt/llvm*/bin/llc"} {
		folders, _ := filepath.Glob(pattern)
		sort.Sort(sort.Reverse(sort.StringSlice(folders)))
		names = append(names, folders...)
	}
	return names
}

// findLLCs returns the first max of the named programs that are an llc of a known release, each release once.
func findLLCs(names []string, max int) ([]string, error) {
	var paths, wrong []string
	seen := map[int]bool{}
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		out, err := exec.Command(path, "--version").Output()
		m := llcVersion.FindSubmatch(out)
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("%s cannot be run: %v", path, err))
			continue
		}
		if m == nil {
			continue
		}
		major, _ := strconv.Atoi(string(m[1]))
		switch {
		case major < OldestLLVM || major > NewestLLVM:
			wrong = append(wrong, fmt.Sprintf("%s is LLVM %d", path, major))
		case !seen[major]:
			seen[major] = true
			paths = append(paths, path)
		}
		if len(paths) == max {
			break
		}
	}
	if len(paths) > 0 {
		return paths, nil
	}
	found := ""
	if len(wrong) > 0 {
		found = " (" + strings.Join(wrong, ", ") + ")"
	}
	return nil, fmt.Errorf("no llc from LLVM %d–%d found%s: install the llvm package (apt-get install llvm, or make llvm) or put llc on the PATH",
		OldestLLVM, NewestLLVM, found)
}

// Assemble compiles LLVM IR to a relocatable object with llc.
func Assemble(ctx context.Context, ir []byte, t target.Target) ([]byte, error) {
	return assemble(ctx, ir, t, "obj")
}

// Assembly compiles LLVM IR to assembly text with llc.
func Assembly(ctx context.Context, ir []byte, t target.Target) ([]byte, error) {
	return assemble(ctx, ir, t, "asm")
}

func assemble(ctx context.Context, ir []byte, t target.Target, kind string) ([]byte, error) {
	path, err := FindLLC()
	if err != nil {
		return nil, err
	}
	return runLLC(ctx, path, ir, t, kind)
}

// flags are llc's: code that may lie anywhere, no fusing of a product with a sum, which would change bits, no reduction of
// strength in loops, which Emit has done, and a section for each function, so that the linker tells them apart.
func flags(t target.Target, kind string) []string {
	return []string{"-O3", "-filetype=" + kind, "-relocation-model=pic", "-fp-contract=off", "-disable-lsr", "-function-sections", "-mtriple=" + t.Triple(),
		"-mcpu=" + t.Level, "-mattr=" + t.Attrs(), "-o", "-", "-"}
}

// Run is how llc is run: the program at path with arguments, on IR. Tests put a memory in front of Exec.
var Run = Exec

// Exec starts a program on standard input and returns its output. The error holds the first line of what it says.
func Exec(ctx context.Context, path string, args []string, input []byte) ([]byte, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin = bytes.NewReader(input)
	// When llc crashes, it would look for names of its functions by way of temporary files, which it may leave.
	cmd.Env = append(os.Environ(), "LC_ALL=C", "LLVM_DISABLE_SYMBOLIZATION=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		first, _, _ := strings.Cut(strings.TrimSpace(stderr.String()), "\n")
		return nil, fmt.Errorf("%w: %s", err, first)
	}
	return out, nil
}

func runLLC(ctx context.Context, path string, ir []byte, t target.Target, kind string) ([]byte, error) {
	out, err := Run(ctx, path, flags(t, kind), ir)
	return out, explain(ctx, path, t, err)
}

// explain says what an error of llc means.
func explain(ctx context.Context, path string, t target.Target, err error) error {
	switch {
	case err == nil || ctx.Err() != nil:
		return err
	case strings.Contains(err.Error(), "unable to get target"):
		return fmt.Errorf("%s has no back end for %s, which code for %s needs: install an LLVM that has it, as Debian's llvm does", path, t.Triple(), t.Name)
	}
	return fmt.Errorf("%s rejected the generated LLVM IR: %w", path, err)
}
