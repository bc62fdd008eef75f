package gpu

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
)

// TestDriver runs an executable for GPUs on testdata/driver.c, a driver that pretends: the calls are those that a driver
// expects, whose code is that of this machine's C compiler, and what it says goes wrong is one sentence, before the work
// where that is possible.
func TestDriver(t *testing.T) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("there is no C compiler, cc: package runtime/cuda meets no driver")
	}
	dir := t.TempDir()
	compile := func(to string, options ...string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(dir, to), 0o755); err != nil {
			t.Fatal(err)
		}
		args := append(options, "-shared", "-fPIC", "-o", filepath.Join(dir, to, "libcuda.so.1"), "testdata/driver.c")
		if out, err := exec.Command(cc, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", cc, err, out)
		}
	}
	compile("driver")
	compile("old", "-DOLD")
	compile("none")
	if err := os.WriteFile(filepath.Join(dir, "none", "libcuda.so.1"), []byte("no library"), 0o644); err != nil { // in front of the system's
		t.Fatal(err)
	}
	exe := filepath.Join(dir, "exe")
	e2e.Build(t, exe, filepath.Join(golden.Dir(), "pg1-odd"), e2e.GPURuntime(t), build.Options{Target: "cuda", MaxTokens: 311})
	const mebi = " MiB on Pretended GPU 0, which has "
	for _, c := range []struct {
		library, pretend, device string
		opened, says             string // what the driver says was opened; the error, "" for an answer
	}{
		{"driver", "", "auto", "opened 0\n", ""},
		{"driver", "", "cuda:1", "opened 1\n", ""},
		{"driver", "old first", "cuda", "opened 1\n", ""},
		{"driver", "", "cuda:2", "", "there is no GPU 2: this machine has 2, numbered from 0"},
		{"driver", "old first", "cuda:0", "", "Pretended GPU 0 has compute capability 7.5, expected 8.0 or later"},
		{"none", "", "cuda", "", "no NVIDIA driver is installed: "},
		{"old", "", "cuda", "", "the NVIDIA driver is too old: libcuda.so.1 has no cuGraphAddEventRecordNode, expected a driver for CUDA 11.4 or later"},
		{"driver", "nothing", "cuda", "", "the NVIDIA driver does not start: cuInit: pretended, CUDA_ERROR_PRETENDED (100)"},
		{"driver", "none", "cuda", "", "the NVIDIA driver finds no GPU on this machine"},
		{"driver", "old driver", "cuda", "", "the driver of Pretended GPU 0 is for CUDA 11.2, expected 11.4 or later: update the NVIDIA driver"},
		{"driver", "old device", "cuda", "", "Pretended GPU 0 has compute capability 7.5, expected 8.0 or later"},
		{"driver", "no context", "cuda", "opened 0\n", "Pretended GPU 0 does not open: cuDevicePrimaryCtxRetain: "},
		{"driver", "small", "cuda", "opened 0\n", mebi + "1.0 MiB free of 1.0 MiB"},
		{"driver", "busy", "cuda", "opened 0\n", mebi + "0.5 MiB free of 8.0 GiB"},
		{"driver", "taken", "cuda", "opened 0\n", "Pretended GPU 0 has too little free memory: others took what was free at the start"},
		{"driver", "bad PTX", "cuda", "opened 0\n", "the driver's compiler refuses the code for Pretended GPU 0: update the NVIDIA driver (cuLinkAddData: pretended, CUDA_ERROR_PRETENDED: ptxas application ptx input, line 9; fatal : no such instruction (218))"},
		{"driver", "no room", "cuda", "opened 0\n", "Pretended GPU 0 holds no block of kernel "},
		{"driver", "lost 0", "cuda", "opened 0\n", "Pretended GPU 0 was lost or a kernel failed on it: start again; dmesg may tell more (cu"},
		{"driver", "lost 9", "cuda", "opened 0\n", "Pretended GPU 0 was lost or a kernel failed on it: start again; dmesg may tell more (cu"},
	} {
		t.Run(strings.TrimSpace(c.library+" "+c.pretend+" "+c.device), func(t *testing.T) {
			cmd := exec.Command(exe, "--device", c.device, "--max-new-tokens", "3", golden.Picture("noise.png"), "caption en")
			cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+filepath.Join(dir, c.library), "PRETEND="+c.pretend, "XDG_CACHE_HOME="+t.TempDir())
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			says, opened := strings.CutPrefix(stderr.String(), c.opened)
			switch {
			case !opened:
				t.Errorf("%q, expected %q first", says, c.opened)
			case c.says == "" && (err != nil || says != ""):
				t.Errorf("%v: %s", err, says)
			case c.says != "" && (err == nil || !strings.Contains(says, c.says) || strings.Count(says, "\n") != 1):
				t.Errorf("%v: %q, expected a line with %q", err, says, c.says)
			}
		})
	}
}
