package compile_test

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"pgc"
	"pgc/codegen/ptx/emulated"
	"pgc/compile"
	"pgc/golden"
	"pgc/internal/gputest"
)

// TestTargets compiles for GPUs, and for both: runtimes are found under their names, or taken from the options, which
// gives the same file. A file for both answers on the processor and on an emulated GPU, one for GPUs alone there.
func TestTargets(t *testing.T) {
	checkpoint, picture := filepath.Join(golden.Dir(), "pg1-odd"), filepath.Join(golden.Dir(), "pictures", "noise.png")
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile(path) // an ELF file for this machine: what is compiled is opened, not executed
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	cpu, gpu := "pgcrt-"+runtime.GOARCH, "pgcrt-cuda-"+runtime.GOARCH
	if err := os.Mkdir("bin", 0o755); err != nil {
		t.Fatal(err)
	}
	put := func(name string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join("bin", name), append(bytes.Clone(self), name...), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(o compile.Options, says string) {
		t.Helper()
		if _, err := compile.Compile(t.Context(), checkpoint, "refused", o); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, expected an error that says %q", err, says)
		}
		if _, err := os.Stat("refused"); err == nil {
			t.Error("a refused compilation leaves a file")
		}
	}
	both, alone := compile.Options{CPU: baseline, Target: "cpu,cuda", MaxTokens: 311}, compile.Options{CPU: baseline, Target: "cuda", MaxTokens: 311}
	refused(both, "the runtime "+cpu+" is neither")
	put(cpu)
	refused(both, "the runtime "+gpu+" is neither")
	refused(alone, "the runtime "+gpu+" is neither")
	put(gpu)
	wrong := both
	wrong.GPURuntime = []byte("hello")
	refused(wrong, "the runtime, 5 bytes, is no ELF file")
	wrong = alone
	wrong.Compute = "f32"
	refused(wrong, "Compute f32 is not possible for cuda")

	for name, o := range map[string]compile.Options{"both": both, "alone": alone} {
		report, err := compile.Compile(t.Context(), checkpoint, name, o)
		if err != nil {
			t.Fatal(err)
		}
		if len(report.Notes) != 1 || !strings.Contains(report.Notes[0], "those of --target "+o.Target+" are bf16") {
			t.Errorf("%s: notes %q, expected one about bf16", name, report.Notes)
		}
		first, last := gpu, cpu
		if name == "both" {
			first, last = cpu, gpu
			o.GPURuntime = append(bytes.Clone(self), last...)
		}
		o.Runtime = append(bytes.Clone(self), first...)
		if _, err := compile.Compile(t.Context(), checkpoint, name+" again", o); err != nil {
			t.Fatal(err)
		}
		found, _ := os.ReadFile(name)
		given, _ := os.ReadFile(name + " again")
		if !bytes.HasPrefix(found, o.Runtime) || !bytes.Equal(found, given) {
			t.Errorf("%s: files of %d and %d bytes, expected the same, behind %s", name, len(found), len(given), first)
		}
	}

	answer := func(file, device string) (tokens []int32) {
		t.Helper()
		d, err := pgc.ParseDevice(device)
		if err != nil {
			t.Fatal(err)
		}
		m, err := pgc.Open(file, pgc.WithDevice(d, gputest.GPUs(&emulated.Driver{})))
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if i := m.Info(); i.Target != device || i.GPU == nil {
			t.Errorf("%s on %s: info says %+v", file, device, i)
		}
		a, err := m.Generate(t.Context(), pgc.Request{Images: []pgc.Image{pgc.File(picture)}, Prompt: "caption en", Settings: pgc.Settings{MaxNewTokens: new(3), IgnoreEOS: true}})
		if err != nil {
			t.Fatal(err)
		}
		return a.Tokens
	}
	a, b, c := answer("both", "cpu"), answer("both", "cuda"), answer("alone", "cuda")
	for i := range 3 {
		if a[i] != b[i] || b[i] != c[i] {
			t.Fatalf("tokens %v on the processor, %v and %v on a GPU", a, b, c)
		}
	}
	d, err := pgc.ParseDevice("cpu")
	if err != nil {
		t.Fatal(err)
	}
	if m, err := pgc.Open("alone", pgc.WithDevice(d, nil)); err == nil {
		m.Close()
		t.Error("a file for GPUs alone opens on the processor")
	}
}
