package emu

import (
	"os"
	"runtime/debug"
	"testing"
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(600) // modules that are parsed and launches leave much garbage
	os.Exit(m.Run())
}
