// Package gputest gives tests a GPU: an emulated one, or where PGC_CUDA is set the first of this machine.
package gputest

import (
	"os"

	"pgc/codegen/ptx/emulated"
	"pgc/runtime/cuda"
	"pgc/runtime/engine"
	"pgc/runtime/gpu"
)

// GPUs returns the emulator's GPU, or this machine's.
func GPUs(emulator *emulated.Driver) engine.GPUs {
	if os.Getenv("PGC_CUDA") != "" {
		return cuda.GPUs()
	}
	return gpu.Of(emulator)
}
