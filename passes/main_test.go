package passes

import (
	"os"
	"runtime/debug"
	"testing"
)

// TestMain collects garbage seldom: passes leave much and keep little.
func TestMain(m *testing.M) {
	debug.SetGCPercent(600)
	os.Exit(m.Run())
}
