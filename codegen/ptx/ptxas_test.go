package ptx

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgc/ir"
	"pgc/models/paligemma"
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

// ptxasOn returns what ptxas says of a module for an architecture; -v reports registers and spills.
func ptxasOn(t *testing.T, ptxas, text, arch string) string {
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

// largeModel is the kernels of a PaliGemma of 3 billion parameters.
func largeModel(t *testing.T) []*Kernel {
	t.Helper()
	m, err := paligemma.Graph(paligemma.Config{
		Vision: paligemma.Vision{HiddenSize: 1152, IntermediateSize: 4304, NumHiddenLayers: 2, NumAttentionHeads: 16, ImageSize: 224, PatchSize: 14, LayerNormEps: 1e-6},
		Text: paligemma.Text{VocabSize: 257216, HiddenSize: 2048, IntermediateSize: 16384, NumHiddenLayers: 2, NumAttentionHeads: 8,
			NumKeyValueHeads: 1, HeadDim: 256, RMSNormEps: 1e-6, RopeTheta: 1e4, QueryPreAttnScalar: 256, TieWordEmbeddings: true}},
		paligemma.Options{MaxTokens: 1024, DType: func(string) ir.DType { return ir.BF16 }})
	if err != nil {
		t.Fatal(err)
	}
	ks := compileModule(t, m, false).Kernels
	for _, k := range ks {
		k.Name, k.Text = "large_"+k.Name, strings.Replace(k.Text, ".entry ", ".entry large_", 1)
	}
	if len(ks) < 20 {
		t.Errorf("only %d kernels", len(ks))
	}
	return ks
}

// Every kernel that the other tests execute, and those of a large model, are accepted for three generations of GPUs,
// and none spills registers.
func TestPtxasAcceptsWithoutSpills(t *testing.T) {
	path := ptxas(t)
	var ks, ops []*Kernel
	for _, c := range opCases() {
		ops = append(ops, emitted(t, c.kernel(t, warp)))
	}
	for _, k := range controlKernels(t) {
		ks = append(ks, emitted(t, k))
	}
	for _, c := range append(fewCases(), manyCases()...) {
		ks = append(ks, c.kernels(t)...)
	}
	for _, c := range rowCases() {
		ks = append(ks, c.kernel(t))
	}
	ks = append(ks, tensorKernel(), tensorPeakKernel(16, 2), nothingKernel())
	ks = append(ks, attentionKernels(t)...)
	ks = append(ks, largeModel(t)...)
	for _, arch := range []string{"sm_80", "sm_90", "sm_120"} {
		t.Run(arch, func(t *testing.T) {
			t.Parallel()
			ks := ks
			if arch == "sm_80" { // once is enough for the operations one by one
				ks = append(slices.Clone(ks), ops...)
			}
			said := ptxasOn(t, path, moduleOf(ks), arch)
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
				if strings.HasPrefix(m[1], "large") {
					most += fmt.Sprintf(" %s %s", m[1], m[2])
				}
			}
			t.Logf("%d kernels without spills; registers:%s", len(found), most)
		})
	}
}
