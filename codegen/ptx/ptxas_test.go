package ptx

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pgc/codegen"
	"pgc/ir"
	"pgc/models/paligemma"
	"pgc/passes"
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

// architectures are those that every kernel is for, with what a multiprocessor of them has: threads, and shared memory, of
// which a block takes 1 KiB more than it asks for. All have 65,536 registers.
var architectures = []struct {
	name                    string
	threads, shared, blocks int
}{
	{"sm_80", 2048, 164 << 10, 32}, {"sm_86", 1536, 100 << 10, 16}, {"sm_89", 1536, 100 << 10, 24},
	{"sm_90", 2048, 228 << 10, 32}, {"sm_100", 2048, 228 << 10, 32}, {"sm_120", 1536, 100 << 10, 24},
}

// resident is how many blocks of a kernel a multiprocessor of architecture i runs at a time: registers are given to warps
// by 256.
func resident(i int, k *Kernel, registers int) int {
	a := architectures[i]
	n := min(a.blocks, a.threads/k.Threads, 65536/((registers*warp+255)/256*256*k.Threads/warp))
	if k.SharedBytes > 0 {
		n = min(n, a.shared/(int(k.SharedBytes)+1024))
	}
	return n
}

// largeModel is the kernels of a PaliGemma of 3 billion parameters, with matrices of the language model as int8 or int4
// if format says so.
func largeModel(t *testing.T, format string) []*Kernel {
	t.Helper()
	stored := func(key string) ir.DType {
		name := map[string]string{"int8": "i8g128", "int4": "i4g128"}[format]
		switch {
		case name == "" || !strings.HasPrefix(key, "language_model") || !strings.Contains(key, "proj") && !strings.Contains(key, "embed"):
			return ir.BF16
		case strings.Contains(key, "embed"):
			name = "i8g128"
		}
		d, _ := ir.ParseDType(name)
		return d
	}
	m, err := paligemma.Graph(paligemma.Config{
		Vision: paligemma.Vision{HiddenSize: 1152, IntermediateSize: 4304, NumHiddenLayers: 2, NumAttentionHeads: 16, ImageSize: 224, PatchSize: 14, LayerNormEps: 1e-6},
		Text: paligemma.Text{VocabSize: 257216, HiddenSize: 2048, IntermediateSize: 16384, NumHiddenLayers: 2, NumAttentionHeads: 8,
			NumKeyValueHeads: 1, HeadDim: 256, RMSNormEps: 1e-6, RopeTheta: 1e4, QueryPreAttnScalar: 256, TieWordEmbeddings: true}},
		paligemma.Options{MaxTokens: 1024, DType: stored, KV: ir.BF16, BF16Activations: true, BF16Integers: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := passes.Optimize(m, passes.Options{Off: passesOff()}); err != nil {
		t.Fatal(err)
	}
	r, err := codegen.Compile(t.Context(), m, Backend())
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Kernels) < 20 {
		t.Errorf("only %d kernels", len(r.Kernels))
	}
	return r.Kernels
}

// Every kernel that the other tests execute is accepted for the oldest, a middle and the newest generation of GPUs.
func TestPtxasAccepts(t *testing.T) {
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
	for _, arch := range []string{"sm_80", "sm_90", "sm_120"} {
		t.Run(arch, func(t *testing.T) {
			t.Parallel()
			ks := ks
			if arch == "sm_80" { // once is enough for the operations one by one
				ks = append(slices.Clone(ks), ops...)
			}
			said := ptxasOn(t, path, moduleOf(ks), arch)
			if n := len(properties.FindAllString(said, -1)); n != len(ks) {
				t.Errorf("ptxas tells of %d kernels of %d:\n%s", n, len(ks), said)
			}
		})
	}
}

// usage is what ptxas says of a kernel for every architecture.
type usage struct {
	*Kernel
	registers, blocks []int
}

// TestResources compiles a large model in every storage for all architectures: no kernel spills, and the registers,
// shared memory and blocks of a multiprocessor are those of testdata/ptxas.txt, which go test -update writes. With
// another ptxas than that of the file registers may differ, but no kernel may have fewer blocks.
func TestResources(t *testing.T) {
	path, file := ptxas(t), filepath.Join("testdata", "ptxas.txt")
	var out strings.Builder
	version, err := exec.Command(path, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	release := regexp.MustCompile(`V[\d.]+`).FindString(string(version))
	fmt.Fprintf(&out, "ptxas %s: registers/blocks of a multiprocessor\n", release)
	for _, format := range []string{"bf16", "int8", "int4"} {
		fmt.Fprintf(&out, "\n%-52s%8s%8s", format, "threads", "shared")
		for _, a := range architectures {
			fmt.Fprintf(&out, "%8s", a.name)
		}
		out.WriteString("\n")
		for _, u := range usages(t, path, largeModel(t, format)) {
			fmt.Fprintf(&out, "%-52s%8d%8d", u.Name, u.Threads, u.SharedBytes)
			for i, n := range u.registers {
				fmt.Fprintf(&out, "%8s", fmt.Sprintf("%d/%d", n, u.blocks[i]))
			}
			out.WriteString("\n")
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(string(want), "ptxas "+release+":") {
		if d := cmp.Diff(string(want), out.String()); d != "" {
			t.Errorf("%s (go test -update writes it, after a look at lost blocks):\n%s", file, d)
		}
		return
	}
	t.Logf("%s is of another ptxas than %s", file, release)
	blocks := regexp.MustCompile(`\d+/(\d+)`)
	got := strings.Split(out.String(), "\n")
	for i, line := range strings.Split(string(want), "\n") {
		before := blocks.FindAllStringSubmatch(line, -1)
		for j, now := range blocks.FindAllStringSubmatch(got[i], -1) {
			if len(before) == 0 || len(now[1]) < len(before[j][1]) || len(now[1]) == len(before[j][1]) && now[1] < before[j][1] {
				t.Errorf("fewer blocks:\n%s\n%s", line, got[i])
			}
		}
	}
}

// usages compiles kernels for every architecture; spills are errors.
func usages(t *testing.T, path string, ks []*Kernel) []usage {
	t.Helper()
	out, byName := make([]usage, len(ks)), map[string]int{}
	for i, k := range ks {
		out[i] = usage{k, make([]int, len(architectures)), make([]int, len(architectures))}
		byName[k.Name] = i
	}
	text := moduleOf(ks)
	var wait sync.WaitGroup
	for i, a := range architectures {
		wait.Go(func() {
			said := ptxasOn(t, path, text, a.name)
			for _, m := range properties.FindAllStringSubmatch(said, -1) {
				if m[2] != "0" || m[3] != "0" || m[4] != "0" {
					t.Errorf("%s on %s: %s bytes of stack, %s of spill stores, %s of spill loads", m[1], a.name, m[2], m[3], m[4])
				}
			}
			for _, m := range registers.FindAllStringSubmatch(said, -1) {
				u := &out[byName[m[1]]]
				u.registers[i], _ = strconv.Atoi(m[2])
				u.blocks[i] = resident(i, u.Kernel, u.registers[i])
			}
		})
	}
	wait.Wait()
	for _, u := range out {
		if slices.Contains(u.registers, 0) {
			t.Errorf("ptxas does not tell the registers of %s", u.Name)
		}
	}
	return out
}
