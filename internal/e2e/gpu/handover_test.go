package gpu

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
	"pgc/runtime/cuda"
	"pgc/runtime/gpu"
)

// TestHandOver runs an executable with code for processors and GPUs: the runtime in front is static, and makes way for
// the other one, from memory, where a GPU is asked for. Without a dynamic loader a sentence says so, and the processor
// still works. The runtime for GPUs also runs code for the processor.
func TestHandOver(t *testing.T) {
	rt := e2e.GPURuntime(t)
	for image, dynamic := range map[*[]byte]bool{&rt: true, ref(e2e.Runtime(t)): false} {
		f, err := elf.NewFile(bytes.NewReader(*image))
		if err != nil {
			t.Fatal(err)
		}
		if libraries, _ := f.ImportedLibraries(); (len(libraries) > 0) != dynamic {
			t.Errorf("a runtime needs the libraries %v", libraries)
		}
	}
	dir := t.TempDir()
	exe, picture := filepath.Join(dir, "exe"), filepath.Join(dir, "picture.png")
	o := build.Options{Target: "cpu,cuda", CPU: "x86-64-v3", MaxTokens: 311, GPURuntime: rt}
	e2e.Build(t, exe, filepath.Join(golden.Dir(), "pg1-odd"), e2e.Runtime(t), o)
	raw, err := os.ReadFile(golden.Picture("noise.png"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(picture, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	answer := func(root, device string) (out, says string, err error) {
		path, image := exe, picture
		if root != "" {
			path, image = "/exe", "/picture.png"
		}
		const cut = "warning: the answer was cut at 3 tokens: a larger max_new_tokens (--max-new-tokens) lets it end\n"
		cmd := exec.Command(path, "--device", device, "--max-new-tokens", "3", image, "caption en")
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if root != "" {
			cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
			cmd.Dir, cmd.Env = "/", []string{"HOME=/"}
		}
		err = cmd.Run()
		return stdout.String(), strings.Replace(stderr.String(), cut, "", 1), err
	}
	want, says, err := answer("", "cpu")
	if err != nil || want == "" || says != "" {
		t.Fatalf("on the processor: %q, %q, %v", want, says, err)
	}
	if _, _, err := gpu.Of(cuda.Driver{}).Find(-1); err != nil { // there is no GPU
		if _, says, failed := answer("", "cuda"); failed == nil || !strings.Contains(says, err.Error()) {
			t.Errorf("on a GPU: %q, %v, expected %q", says, failed, err)
		}
		if got, says, err := answer("", "auto"); err != nil || got != want || !strings.HasPrefix(says, "runs on the processor: ") {
			t.Errorf("on any device: %q, %q, %v, expected %q and a note", got, says, err, want)
		}
	}
	if os.Geteuid() == 0 { // may change the root
		if _, says, err := answer(dir, "cuda"); err == nil || !strings.Contains(says, "needs the system's dynamic loader /lib") {
			t.Errorf("without a loader: %q, %v", says, err)
		}
		if got, _, err := answer(dir, "auto"); err != nil || got != want {
			t.Errorf("without a loader, on any device: %q, %v, expected %q", got, err, want)
		}
	}
	other := filepath.Join(dir, "other")
	o.Target = "cpu"
	e2e.Build(t, other, filepath.Join(golden.Dir(), "pg1-odd"), rt, o)
	exe = other
	if _, says, err := answer("", "auto"); err != nil || says != "" {
		t.Errorf("code for the processor in the runtime for GPUs: %q, %v", says, err)
	}
}

func ref(b []byte) *[]byte { return &b }
