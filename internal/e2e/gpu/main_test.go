package gpu

import (
	"os"
	"runtime/debug"
	"testing"

	"pgc/internal/e2e"
)

// TestMain lets the emulator's short-lived notes of accesses pile up: collecting them often takes a tenth of the time.
// Tests close a model before they open the next, so that little is in use.
func TestMain(m *testing.M) {
	debug.SetGCPercent(300)
	os.Exit(e2e.Main(m))
}
