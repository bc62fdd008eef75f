package arm64

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
	"pgc/runtime/safetensors"
)

// TestArm64 compiles a checkpoint for arm64 and compares the executable, run by qemu, with transformers. Embeddings in
// every instruction set are compared with each other, and with those that this machine computes.
func TestArm64(t *testing.T) {
	qemu, err := exec.LookPath("qemu-aarch64")
	if err != nil {
		qemu, err = exec.LookPath("qemu-aarch64-static")
	}
	if err != nil && runtime.GOARCH != "arm64" {
		t.Skip("qemu-aarch64 is not installed (apt-get install qemu-user, or make qemu): code for arm64 is not run")
	}
	rt, err := e2e.Command("pgcrt-arm64", "pgcrt", "", "GOARCH=arm64")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	emulator := func(name, cpu string) string { // runs the model of a name on a CPU of qemu's
		exe := filepath.Join(dir, name+".sh")
		if err := os.WriteFile(exe, fmt.Appendf(nil, "#!/bin/sh\nexec %s -cpu %s %s \"$@\"\n", qemu, cpu, filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		return exe
	}
	emulated := func(checkpoint, name, cpu string, o build.Options) string {
		o.CPU, o.MaxTokens = cpu, 311
		e2e.Build(t, filepath.Join(dir, name), checkpoint, rt, o)
		return emulator(name, "max")
	}
	checkpoint := filepath.Join(golden.Dir(), "pg2-odd")
	exe := emulated(checkpoint, "floats", "armv8-a", build.Options{})
	for _, c := range golden.Cases() {
		if c.Checkpoint == checkpoint && c.Name != "empty" { // which is about the prompt
			t.Run(c.Name, func(t *testing.T) { e2e.CompareCase(t, exe, c.Path) })
		}
	}
	checkpoint = filepath.Join(golden.Dir(), "colpali-odd") // whose kernels are those of encoding and a forward pass
	embedding := func(name string, args ...string) []float32 {
		out := filepath.Join(dir, "embedding.safetensors")
		e2e.MustRun(t, name, append(args, "embed", golden.Picture("noise.png"), "-o", out)...)
		f, err := safetensors.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		return golden.Floats(f, "embeddings.0")
	}
	// Products of integers have the same bits on every set of the file, whatever the vector length of SVE, and give what this
	// machine does, but for activations that round otherwise. Those of bfloat16 have bits of their own on the best set.
	for _, c := range []struct {
		name    string
		o       build.Options
		sets    int
		differs bool // the best set from the others
	}{
		{"int4", build.Options{Storage: build.Storage{Weights: "int4"}}, 3, false},
		{"bf16", build.Options{Storage: build.Storage{Weights: "bf16", Compute: "bf16"}}, 2, true},
	} {
		exe := emulated(checkpoint, c.name, "armv8-a,neoverse-n1,neoverse-n2", c.o)
		best, want := embedding(exe), []float32(nil)
		on := map[string][]float32{} // by instruction set
		if c.differs {
			want = embedding(exe, "--isa", "armv8-a")
			on["armv8-a"] = want
		} else {
			native := filepath.Join(dir, "native")
			c.o.CPU, c.o.MaxTokens = "native", 311
			e2e.Build(t, native, checkpoint, e2e.Runtime(t), c.o)
			want = embedding(native)
		}
		var info struct{ Sets []struct{ CPU string } }
		if err := json.Unmarshal(e2e.MustRun(t, exe, "info", "--json"), &info); err != nil || len(info.Sets) != c.sets {
			t.Errorf("%s: info lists the instruction sets %v (%v), expected %d", c.name, info.Sets, err, c.sets)
		}
		for _, set := range info.Sets {
			got := on[set.CPU]
			if got == nil {
				got = embedding(exe, "--isa", set.CPU)
			}
			e, at := golden.Error(got, want)
			t.Logf("%s on %s: embeddings within %.2g of the largest", c.name, set.CPU, e)
			if !(e <= 3e-2) {
				t.Errorf("%s on %s: number %d is off by %g of the largest", c.name, set.CPU, at, e)
			}
			if same := slices.Equal(got, best); same != (set.CPU == info.Sets[0].CPU || !c.differs) {
				t.Errorf("%s: the bits of %s and of %s are the same: %v", c.name, set.CPU, info.Sets[0].CPU, same)
			}
		}
		if got := embedding(emulator(c.name, "max,sve256=on,sve512=off")); !slices.Equal(got, best) {
			t.Errorf("%s: other bits where vectors of SVE have 256 bits", c.name)
		}
	}
}
