package commands

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgc/golden"
	"pgc/internal/e2e"
	"pgc/internal/grouptest"
	"pgc/runtime/native"
)

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
		procs := filepath.Join(grouptest.Processors(t, grouptest.Processors(t, "", c.outer), c.inner), "cgroup.procs")
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
		if !strings.Contains(text, line+"\n") || !strings.Contains(strings.ReplaceAll(line, "CPUs", "CPU"), fmt.Sprintf("a quota of %g CPU in /sys/fs/cgroup/", c.quota)) {
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
