package arm64

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
	"pgc/runtime/safetensors"
)

// TestArm64 compiles a checkpoint for arm64 and compares the executable, run by qemu, with transformers and its pixels
// with those that this machine computes.
func TestArm64(t *testing.T) {
	qemu, err := exec.LookPath("qemu-aarch64")
	if err != nil {
		qemu, err = exec.LookPath("qemu-aarch64-static")
	}
	if err != nil && runtime.GOARCH != "arm64" {
		t.Skip("qemu-aarch64 is not installed (apt-get install qemu-user, or make qemu): code for arm64 is not run")
	}
	elf := filepath.Join(t.TempDir(), "pgcrt") // the flags of scripts/build.sh, so that Go has it in its cache
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-tags", "nethttpomithttp2", "-o", elf, "pgc/cmd/pgcrt")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=arm64")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, msg)
	}
	rt, err := os.ReadFile(elf)
	if err != nil {
		t.Fatal(err)
	}
	checkpoint, dir := filepath.Join(golden.Dir(), "pg2-odd"), t.TempDir()
	emulated := func(name, cpu string, o build.Options) string {
		model, exe := filepath.Join(dir, name), filepath.Join(dir, name+".sh")
		o.CPU, o.MaxTokens = cpu, 311
		if _, err := build.Compile(t.Context(), checkpoint, model, rt, o); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(exe, fmt.Appendf(nil, "#!/bin/sh\nexec %s %s \"$@\"\n", qemu, model), 0o755); err != nil {
			t.Fatal(err)
		}
		return exe
	}
	exe := emulated("floats", "armv8-a", build.Options{})
	for _, c := range golden.Cases() {
		if c.Checkpoint == checkpoint {
			t.Run(c.Name, func(t *testing.T) { e2e.CompareCase(t, exe, c.Path) })
		}
	}
	// With integer products, the best of the file's sets and the other one give what this machine does, but for
	// activations that round otherwise.
	o := build.Options{Storage: build.Storage{Weights: "int4"}}
	exe = emulated("integers", "armv8-a,neoverse-n1", o)
	native := filepath.Join(dir, "native")
	o.CPU, o.MaxTokens = "native", 311
	if _, err := build.Compile(t.Context(), checkpoint, native, e2e.Runtime(t), o); err != nil {
		t.Fatal(err)
	}
	logits := func(name string, args ...string) []float32 {
		out := filepath.Join(dir, "logits.safetensors")
		e2e.MustRun(t, name, append(args, "forward", "--image", filepath.Join(golden.Dir(), "pictures", "noise.png"), "--prompt", "caption en", "-o", out)...)
		f, err := safetensors.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		return golden.Floats(f, "logits")
	}
	want := logits(native)
	var info struct{ Sets []struct{ CPU string } }
	if err := json.Unmarshal(e2e.MustRun(t, exe, "info", "--json"), &info); err != nil || len(info.Sets) != 2 {
		t.Errorf("info lists the instruction sets %v (%v)", info.Sets, err)
	}
	for _, set := range info.Sets {
		e, at := golden.Error(logits(exe, "--isa", set.CPU), want)
		t.Logf("int4 on %s: logits within %.2g of the largest", set.CPU, e)
		if !(e <= 1e-2) {
			t.Errorf("%s: logit %d is off by %g of the largest", set.CPU, at, e)
		}
	}
}
