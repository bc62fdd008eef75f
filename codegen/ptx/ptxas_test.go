package ptx

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// ptxas finds NVIDIA's assembler: $PTXAS, the PATH, or where make ptxas puts it. Without one the test is skipped.
func ptxas(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("PTXAS"); path != "" {
		return path
	}
	if path, err := exec.LookPath("ptxas"); err == nil {
		return path
	}
	path, err := filepath.Abs(filepath.Join("..", "..", "tools", "ptxas"))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Skip("no ptxas: make ptxas fetches it")
	}
	return path
}

// assemble returns what ptxas says of a module for an architecture; -v reports registers and spills.
func assemble(t *testing.T, ptxas, text, arch string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "module.ptx")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(ptxas, "-v", "-arch", arch, "-o", path+".cubin", path)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s rejected the text for %s: %v\n%s", ptxas, arch, err, said.String())
	}
	return said.String()
}

var (
	properties = regexp.MustCompile(`Function properties for (\S+)\s+(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads`)
	registers  = regexp.MustCompile(`Compiling entry function '(\S+)'[^U]*Used (\d+) registers`)
)

// Every kernel that the other tests execute is accepted for three generations of GPUs, and none spills registers.
func TestPtxasAcceptsWithoutSpills(t *testing.T) {
	path := ptxas(t)
	var ks []*Kernel
	for _, lanes := range []int{1, warp} {
		for _, c := range opCases() {
			ks = append(ks, emitted(t, c.kernel(t, lanes)))
		}
	}
	for _, k := range controlKernels(t) {
		ks = append(ks, emitted(t, k))
	}
	for _, c := range matmulCases() {
		ks = append(ks, c.kernels(t)...)
	}
	for _, c := range rowCases() {
		ks = append(ks, c.kernel(t))
	}
	for _, arch := range []string{"sm_80", "sm_90", "sm_120"} {
		t.Run(arch, func(t *testing.T) {
			t.Parallel()
			said := assemble(t, path, Module(ks), arch)
			found := properties.FindAllStringSubmatch(said, -1)
			for _, m := range found {
				if m[2] != "0" || m[3] != "0" || m[4] != "0" {
					t.Errorf("%s: %s bytes of stack, %s of spill stores, %s of spill loads", m[1], m[2], m[3], m[4])
				}
			}
			if len(found) != len(ks) {
				t.Errorf("ptxas tells of %d kernels of %d:\n%s", len(found), len(ks), said)
			}
			most := ""
			for _, m := range registers.FindAllStringSubmatch(said, -1) {
				if strings.HasPrefix(m[1], "matmul") || strings.HasPrefix(m[1], "row") || strings.HasPrefix(m[1], "map") {
					most += fmt.Sprintf(" %s %s", m[1], m[2])
				}
			}
			t.Logf("%d kernels without spills; registers:%s", len(found), most)
		})
	}
}
