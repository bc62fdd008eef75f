package build

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"pgc/golden"
)

// TestArm64 compiles a checkpoint for arm64 and compares the executable, run by qemu, with transformers and its pixels with
// those that this machine computes.
func TestArm64(t *testing.T) {
	qemu, err := exec.LookPath("qemu-aarch64")
	if err != nil {
		qemu, err = exec.LookPath("qemu-aarch64-static")
	}
	if err != nil && runtime.GOARCH != "arm64" {
		t.Skip("qemu-aarch64 is not installed (apt-get install qemu-user, or make qemu): code for arm64 is not run")
	}
	dir := t.TempDir()
	elf := filepath.Join(dir, "pgcrt") // the flags of scripts/build.sh, so that Go has it in its cache
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-tags", "nethttpomithttp2", "-o", elf, "pgc/cmd/pgcrt")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=arm64")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, msg)
	}
	rt, err := os.ReadFile(elf)
	if err != nil {
		t.Fatal(err)
	}
	checkpoint, model, exe := filepath.Join(golden.Dir(), "pg2-odd"), filepath.Join(dir, "model"), filepath.Join(dir, "captioner")
	if _, err := Compile(t.Context(), checkpoint, model, rt, Options{CPU: "armv8-a,neoverse-n1", MaxTokens: 311}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(exe, fmt.Appendf(nil, "#!/bin/sh\nexec %s %s \"$@\"\n", qemu, model), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range golden.Cases() {
		if c.Checkpoint == checkpoint {
			t.Run(c.Name, func(t *testing.T) { compareCase(t, exe, c.Path) })
		}
	}
	var info struct{ CPU string }
	if err := json.Unmarshal(output(t, exe, "info", "--json"), &info); err != nil || info.CPU == "" {
		t.Errorf("info names the instruction set %q (%v)", info.CPU, err)
	}
}
