package gpu

import (
	"os"
	"runtime/debug"
	"testing"

	"pgc/internal/e2e"
)

// TestMain lets the emulator's short-lived notes of accesses pile up: collecting them often takes a tenth of the time.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(1 << 30)
	os.Exit(e2e.Main(m))
}
