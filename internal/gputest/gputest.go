// Package gputest gives tests a GPU: an emulated one, or where PGC_CUDA is set the first of this machine.
package gputest

import (
	"os"

	"pgc/codegen/ptx/emulated"
	"pgc/runtime/cuda"
	"pgc/runtime/engine"
	"pgc/runtime/gpu"
)

// GPUs returns the emulator's GPU, or this machine's. What the emulated one did in earlier runs it does not emulate again (memo.go).
func GPUs(emulator *emulated.Driver) engine.GPUs {
	if os.Getenv("PGC_CUDA") != "" {
		return cuda.GPUs()
	}
	if emulator.Remember == nil {
		emulator.Remember = remember
	}
	return gpu.Of(emulator)
}
