// Package grouptest makes control groups for tests.
package grouptest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Processors makes a control group of so many CPUs, 0 for as many as there are, within another one, or in the root group
// where that is "", and returns its folder. It skips the test where this user may not.
func Processors(t *testing.T, within string, cpus float64) string {
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

// Memory makes a control group of so many bytes of memory, without swap, and returns the file that processes join it by.
// It skips the test where this user may not.
func Memory(t *testing.T, bytes int) string {
	t.Helper()
	for _, version := range []struct{ root, memory, swap string }{
		{"/sys/fs/cgroup", "memory.max", "memory.swap.max"},
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"},
	} {
		dir, err := os.MkdirTemp(version.root, "pgc-test-")
		if err != nil {
			continue
		}
		t.Cleanup(func() { os.Remove(dir) })
		limit := filepath.Join(dir, version.memory)
		if _, err := os.Stat(limit); err != nil {
			os.Remove(dir)
			continue
		}
		if err := os.WriteFile(limit, fmt.Append(nil, bytes), 0); err == nil {
			swap := map[bool]string{true: "0", false: fmt.Sprint(bytes)}[version.memory == "memory.max"]
			os.WriteFile(filepath.Join(dir, version.swap), []byte(swap), 0) // where swap is counted
			return filepath.Join(dir, "cgroup.procs")
		}
	}
	t.Skip("no control group of memory can be made here, which takes root and a writable /sys/fs/cgroup")
	return ""
}
