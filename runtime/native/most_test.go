package native

import (
	"os"
	"testing"
)

// TestMostThreads: spare threads are as many as the workers, where the system tells how threads are scheduled and the
// process has no quota.
func TestMostThreads(t *testing.T) {
	_, err := os.Stat("/proc/self/schedstat")
	spares := err == nil && CountProcessors().Quota == 0
	for _, workers := range []int{1, 2, MaxThreads - 1, MaxThreads} {
		want := workers
		if spares {
			want = min(2*workers, MaxThreads)
		}
		if n := MostThreads(workers); n != want {
			t.Errorf("%d workers: at most %d threads, expected %d", workers, n, want)
		}
	}
}
