package compile_test

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"pgc"
	"pgc/compile"
	"pgc/golden"
	"pgc/internal/e2e"
)

// baseline is an instruction set that every machine of the architecture has.
var baseline = map[string]string{"amd64": "x86-64-v3", "arm64": "armv8-a"}[runtime.GOARCH]

// TestCompile takes the runtime from the options and from bin/, which gives the same file, and opens it.
func TestCompile(t *testing.T) {
	folder := golden.Dir()
	t.Chdir(t.TempDir())
	elf := filepath.Join("bin", "pgcrt-"+runtime.GOARCH)
	rt := e2e.Runtime(t)
	o := compile.Options{CPU: baseline, MaxTokens: 311}
	checkpoint := filepath.Join(folder, "pg1-odd")
	if _, err := compile.Compile(t.Context(), checkpoint, "none", o); err == nil || !strings.Contains(err.Error(), "pgcrt-"+runtime.GOARCH) {
		t.Errorf("without a runtime: %v, expected an error that names the file", err)
	}
	if err := os.Mkdir("bin", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(elf, rt, 0o755); err != nil {
		t.Fatal(err)
	}
	report, err := compile.Compile(t.Context(), checkpoint, "one", o)
	if err != nil || report.MaxTokens != 311 || report.Kernels == 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	o.Runtime = rt
	if _, err := compile.Compile(t.Context(), checkpoint, "two", o); err != nil {
		t.Fatal(err)
	}
	one, _ := os.ReadFile("one")
	two, _ := os.ReadFile("two")
	if len(one) == 0 || !bytes.Equal(one, two) {
		t.Errorf("files of %d and %d bytes, expected the same", len(one), len(two))
	}
	m, err := pgc.Open("one")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if i := m.Info(); i.MaxTokens != 311 || i.Model != "pg1-odd" {
		t.Errorf("%+v", i)
	}
	other := map[string]string{"amd64": "armv8-a", "arm64": "x86-64-v3"}[runtime.GOARCH]
	for _, c := range []struct {
		cpu, says string
		runtime   []byte
	}{
		{baseline, "the runtime, 5 bytes, is no ELF file", []byte("hello")},
		{baseline, "the runtime, 0 bytes, is no ELF file", []byte{}},
		{other, "as code for " + other + " needs", rt},
	} {
		_, err := compile.Compile(t.Context(), checkpoint, "three", compile.Options{CPU: c.cpu, Runtime: c.runtime})
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v, expected an error that says %q", err, c.says)
		}
	}
	o.Weights = "int5"
	if _, err := compile.Compile(t.Context(), checkpoint, "three", o); err == nil || !strings.Contains(err.Error(), "int5") {
		t.Errorf("%v, expected an error that names int5", err)
	}
	if _, err := os.Stat("three"); err == nil {
		t.Error("a failed compilation leaves a file")
	}
}

// TestErrorsNameFields gives every field a value that is wrong, and expects an error that names the field and no flag.
func TestErrorsNameFields(t *testing.T) {
	checkpoint, out := filepath.Join(golden.Dir(), "pg1-odd"), filepath.Join(t.TempDir(), "file")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	elf, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	for field, o := range map[string]compile.Options{
		"Weights int5":     {Weights: "int5"},
		"Group 48":         {Weights: "int8", Group: 48},
		"Compute fp8":      {Compute: "fp8"},
		"Keep *":           {Keep: []string{"*"}},
		"Keep nothing=f32": {Keep: []string{"nothing=f32"}},
		"CPU z80":          {CPU: "z80"},
		"Target metal":     {Target: "metal"},
		"KV f16":           {KV: "f16"},
		`Draft "tiny"`:     {Draft: "tiny"},
		"MaxTokens -1":     {MaxTokens: -1},
		"MaxTokens 5":      {MaxTokens: 5},
	} {
		o.Runtime = elf
		if o.CPU == "" {
			o.CPU = baseline
		}
		_, err := compile.Compile(t.Context(), checkpoint, out, o)
		if err == nil || !strings.HasPrefix(err.Error(), field+" ") || strings.Contains(err.Error(), "--") {
			t.Errorf("%+v: %v, expected an error that begins %q and names no flag", o, err, field)
		}
	}
}
