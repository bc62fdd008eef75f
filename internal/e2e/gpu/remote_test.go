package gpu

import (
	"strings"
	"testing"

	"pgc/internal/e2e"
	"pgc/runtime/gpu"
	"pgc/runtime/gpu/remote"
)

// The runtime for GPUs serves its driver to pgc, which is linked to none: where no GPU will do, one sentence says so.
func TestServeGPU(t *testing.T) {
	p, err := remote.Start(e2e.GPURuntime(t), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = gpu.Of(p).Find(1 << 20)
	if err == nil {
		t.Fatal("there are a million GPUs")
	}
	t.Log(err)
	if s := err.Error(); !strings.HasPrefix(s, "no NVIDIA driver is installed: ") && !strings.HasPrefix(s, "there is no GPU 1048576") || strings.Contains(s, "\n") {
		t.Errorf("got %q", s)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := remote.Start([]byte("no ELF file"), t.TempDir()); err == nil || !strings.HasPrefix(err.Error(), "the runtime for GPUs does not start: ") {
		t.Errorf("%v", err)
	}
}
