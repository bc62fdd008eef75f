package ptx

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
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
	"pgc/codegen/llvm/llctest"
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

// ptxasOn returns what ptxas says of a module for an architecture; -v reports registers and spills. What a ptxas said of a text
// that it accepted is kept for later runs.
func ptxasOn(t *testing.T, ptxas, text, arch string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "module.ptx")
	args := []string{"-v", "-arch", arch}
	said, err := llctest.KeptOf(ptxas, fmt.Appendf(nil, "%q %s", args, text), func() ([]byte, error) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return nil, err
		}
		said, err := exec.Command(ptxas, append(args, "-o", path+".cubin", path)...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%s rejected the text for %s: %w\n%s", ptxas, arch, err, said)
		}
		return said, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(said)
}

var (
	properties = regexp.MustCompile(`Function properties for (\S+)\s+(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads`)
	registers  = regexp.MustCompile(`Compiling entry function '(\S+)'[^U]*Used (\d+) registers`)
)

// architectures are those that every kernel is for, with what a multiprocessor of them has: threads, and shared memory, of
// which a block takes 1 KiB more than it asks for. All have 65,536 registers.
var architectures = [...]struct {
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
		paligemma.Options{MaxTokens: 1024, DType: stored, KV: ir.BF16, FreshKeys: true, Likeliest: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := passes.Optimize(m, passes.Options{Off: passesOff(), With: Backend().With}); err != nil {
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
	for _, c := range scatteredCases() {
		ks = append(ks, launchable(t, "scattered_"+c.name(), scattered(c))...)
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
type usage [len(architectures)]struct{ registers, blocks int }

// text identifies what a kernel is, whatever its name.
func (r resource) text() string { return strings.ReplaceAll(r.Text, r.Name, "kernel") }

// resource is a kernel of a large model in a storage.
type resource struct {
	*Kernel
	format, hash string
}

// TestResources compiles a large model in every storage for all architectures: no kernel spills, and the registers,
// shared memory and blocks of a multiprocessor are those of testdata/ptxas.txt, which go test -update writes. A line of
// the file ends with a hash of the kernel's text. What ptxas of the same release said of a text it says again, so only
// the oldest architecture hears of texts that the file knows; new ones are compiled for all. With another ptxas than that of the file
// registers may differ, but no kernel may have fewer blocks.
func TestResources(t *testing.T) {
	path, file := ptxas(t), filepath.Join("testdata", "ptxas.txt")
	version, err := exec.Command(path, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	first := fmt.Sprintf("ptxas %s: registers/blocks of a multiprocessor\n", regexp.MustCompile(`V[\d.]+`).FindString(string(version)))
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	same := strings.HasPrefix(string(want), first)
	known := map[string]usage{}
	if same {
		known = tabled(t, string(want))
	}
	var ks []resource
	for _, format := range []string{"bf16", "int8", "int4"} {
		for _, k := range largeModel(t, format) {
			r := resource{Kernel: k, format: format}
			sum := sha256.Sum256([]byte(r.text()))
			r.hash = hex.EncodeToString(sum[:6])
			ks = append(ks, r)
		}
	}
	got := table(first, ks, usages(t, path, ks, known))
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		want, same = []byte(got), true
	}
	if same {
		if d := cmp.Diff(string(want), got); d != "" {
			t.Errorf("%s (go test -update writes it, after a look at lost blocks):\n%s", file, d)
		}
		return
	}
	t.Logf("%s is of another ptxas than %s", file, path)
	lines := strings.Split(got, "\n")
	for i, line := range strings.Split(string(want), "\n") {
		before, now := cells.FindAllStringSubmatch(line, -1), cells.FindAllStringSubmatch(lines[min(i, len(lines)-1)], -1)
		if len(before) != len(now) {
			t.Fatalf("%s lists other kernels (go test -update writes it):\n%s\n%s", file, line, lines[min(i, len(lines)-1)])
		}
		for j := range now {
			was, _ := strconv.Atoi(before[j][2])
			if is, _ := strconv.Atoi(now[j][2]); is < was {
				t.Errorf("fewer blocks:\n%s\n%s", line, lines[i])
			}
		}
	}
}

// cells finds registers and blocks in a line of the table.
var cells = regexp.MustCompile(`(\d+)/(\d+)`)

// tabled is what the table says of kernels, by their hashes.
func tabled(t *testing.T, table string) map[string]usage {
	t.Helper()
	known := map[string]usage{}
	for _, line := range strings.Split(table, "\n") {
		found := cells.FindAllStringSubmatch(line, -1)
		if len(found) != len(architectures) {
			continue
		}
		var u usage
		for i, c := range found {
			u[i].registers, _ = strconv.Atoi(c[1])
			u[i].blocks, _ = strconv.Atoi(c[2])
		}
		known[line[strings.LastIndexByte(line, ' ')+1:]] = u
	}
	return known
}

// table prints what ptxas says of kernels.
func table(first string, ks []resource, use map[string]usage) string {
	var out strings.Builder
	out.WriteString(first)
	format := ""
	for _, k := range ks {
		if k.format != format {
			format = k.format
			fmt.Fprintf(&out, "\n%-52s%8s%8s", format, "threads", "shared")
			for _, a := range architectures {
				fmt.Fprintf(&out, "%8s", a.name)
			}
			out.WriteString("  text\n")
		}
		fmt.Fprintf(&out, "%-52s%8d%8d", k.Name, k.Threads, k.SharedBytes)
		for _, on := range use[k.hash] {
			fmt.Fprintf(&out, "%8s", fmt.Sprintf("%d/%d", on.registers, on.blocks))
		}
		fmt.Fprintf(&out, "  %s\n", k.hash)
	}
	return out.String()
}

// usages compiles kernels of different texts: for the first architecture all, for the others those that are not known.
// Spills are errors.
func usages(t *testing.T, path string, ks []resource, known map[string]usage) map[string]usage {
	t.Helper()
	kernels, use := map[string]*Kernel{}, maps.Clone(known)
	var all, unknown []*Kernel
	for _, r := range ks {
		if kernels[r.hash] != nil {
			continue
		}
		k := *r.Kernel
		k.Name = "text_" + r.hash
		k.Text = strings.ReplaceAll(r.Text, r.Name, k.Name)
		kernels[r.hash] = &k
		all = append(all, &k)
		if _, ok := known[r.hash]; !ok {
			unknown = append(unknown, &k)
		}
	}
	said := make([]string, len(architectures))
	var wait sync.WaitGroup
	for i, a := range architectures {
		list := unknown
		if i == 0 {
			list = all
		}
		if len(list) > 0 {
			wait.Go(func() { said[i] = ptxasOn(t, path, moduleOf(list), a.name) })
		}
	}
	wait.Wait()
	for i, a := range architectures {
		for _, m := range properties.FindAllStringSubmatch(said[i], -1) {
			if m[2] != "0" || m[3] != "0" || m[4] != "0" {
				t.Errorf("%s on %s: %s bytes of stack, %s of spill stores, %s of spill loads", m[1], a.name, m[2], m[3], m[4])
			}
		}
		for _, m := range registers.FindAllStringSubmatch(said[i], -1) {
			hash := strings.TrimPrefix(m[1], "text_")
			u := use[hash]
			u[i].registers, _ = strconv.Atoi(m[2])
			u[i].blocks = resident(i, kernels[hash], u[i].registers)
			use[hash] = u
		}
	}
	for _, r := range ks {
		for i, on := range use[r.hash] {
			if on.registers == 0 {
				t.Errorf("ptxas does not tell the registers of %s (%s) on %s", r.Name, r.format, architectures[i].name)
			}
		}
	}
	return use
}
