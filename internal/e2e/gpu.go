package e2e

import (
	"testing"

	"pgc"
	"pgc/codegen/ptx/emulated"
	"pgc/internal/gputest"
)

// OnGPU opens an executable on a GPU, which is emulated unless PGC_CUDA is set.
func OnGPU(t *testing.T, exe string) *pgc.Model {
	t.Helper()
	return OnGPUOf(t, exe, &emulated.Driver{})
}

// OnGPUOf is OnGPU with an emulator's driver.
func OnGPUOf(t *testing.T, exe string, emulator *emulated.Driver) *pgc.Model {
	t.Helper()
	device, err := pgc.ParseDevice("cuda")
	if err != nil {
		t.Fatal(err)
	}
	m, err := pgc.Open(exe, pgc.WithDevice(device, gputest.GPUs(emulator)), pgc.WithoutVerification())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}
