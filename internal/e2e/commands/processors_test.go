package commands

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgc/golden"
	"pgc/internal/e2e"
	"pgc/runtime/native"
)

// quotaGroup makes a control group of so many CPUs, 0 for as many as there are, within another one, or in the root group
// where that is "", and returns its folder. It skips the test where this user may not.
func quotaGroup(t *testing.T, within string, cpus float64) string {
	t.Helper()
	quota := fmt.Sprint(int(cpus * 100_000))
	for _, version := range []struct{ root, file, text string }{
		{"/sys/fs/cgroup", "cpu.max", quota + " 100000"},
		{"/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", quota},
	} {
		if within != "" {
			version.root = within
		}
		dir, err := os.MkdirTemp(version.root, "pgc-test-")
		if err != nil {
			continue
		}
		t.Cleanup(func() {
			for i := 0; i < 100 && os.Remove(dir) != nil; i++ { // busy until its processes are gone
				time.Sleep(10 * time.Millisecond)
			}
		})
		file := filepath.Join(dir, version.file)
		if _, err := os.Stat(file); err != nil {
			continue
		}
		if cpus == 0 || os.WriteFile(file, []byte(version.text), 0) == nil {
			return dir
		}
	}
	t.Skip("no control group of processors can be made here, which takes root and a writable /sys/fs/cgroup")
	return ""
}

// TestProcessorsOfGroup: the threads that an executable uses by default are no more than its control groups grant, rounded
// up, nor than its affinity allows; info says so, and answers have the same bits.
func TestProcessorsOfGroup(t *testing.T) {
	exe := e2e.Compiled(t, "pg2-mha")
	here := native.CountProcessors()
	generate := []string{"generate", "--image", golden.Picture("noise.png"), "--prompt", "cat", "--max-new-tokens", "8"}
	want := e2e.MustRun(t, exe, generate...)
	for _, c := range []struct {
		outer, inner float64
		want         int
		quota        float64
	}{{0, 0.5, 1, 0.5}, {0, 1.5, 2, 1.5}, {1, 0, 1, 1}, {8, 0.25, 1, 0.25}, {0, 1000, here.Threads, 1000}} {
		procs := filepath.Join(quotaGroup(t, quotaGroup(t, "", c.outer), c.inner), "cgroup.procs")
		name := fmt.Sprintf("%g CPUs, in them %g", c.outer, c.inner)
		code, stdout, stderr := within(procs, exe, "info", "--json")
		var info struct{ Processors native.Processors }
		if err := json.Unmarshal([]byte(stdout), &info); code != 0 || err != nil {
			t.Fatalf("%s: status %d, %v, %s", name, code, err, stderr)
		}
		p := info.Processors
		if p.Threads != min(c.want, here.Threads) || p.Quota != c.quota || p.Group == "" || p.Allowed != here.Allowed {
			t.Errorf("%s: %+v, expected %d threads", name, p, min(c.want, here.Threads))
		}
		_, text, _ := within(procs, exe, "info")
		line := fmt.Sprintf("threads      %d by default: %s", p.Threads, p)
		if !strings.Contains(text, line+"\n") || !strings.Contains(line, fmt.Sprintf("a quota of %g CPUs in /sys/fs/cgroup/", c.quota)) {
			t.Errorf("%s: info has not the line %q: %s", name, line, text)
		}
		if code, got, stderr := within(procs, exe, generate...); code != 0 || got != string(want) {
			t.Errorf("%s: status %d, answer %q, expected %q; %s", name, code, got, want, stderr)
		}
	}
	if _, err := exec.LookPath("taskset"); err != nil || here.Allowed < 2 {
		return
	}
	out, err := exec.Command("taskset", "-c", "0", exe, "info").Output()
	if err == nil && !bytes.Contains(out, []byte("threads      1 by default: affinity (1 of ")) {
		t.Errorf("on one processor info says %s", out)
	}
}
