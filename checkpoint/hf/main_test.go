package hf

import (
	"os"
	"runtime/debug"
	"testing"
)

// TestMain collects garbage seldom: hundreds of broken checkpoints are read, and none is kept.
func TestMain(m *testing.M) {
	debug.SetGCPercent(600)
	os.Exit(m.Run())
}
