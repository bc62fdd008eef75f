package main

import (
	"errors"
	"fmt"
	"runtime"

	library "pgc"
	"pgc/codegen/ptx/emulated"
	"pgc/runtime/engine"
	"pgc/runtime/gpu"
	"pgc/runtime/gpu/remote"
	"pgc/runtime/process"
)

// emulatedDevice is the name of the emulator as a device.
const emulatedDevice = "emulated"

// gpusOf returns the GPUs that --device names: those of this machine, which another process drives, or the emulated one.
// They are nil for the processor, which "" stands for, too. Close ends the process.
func gpusOf(name string, emulator *emulated.Driver) (gpus engine.GPUs, closing func() error, err error) {
	nothing := func() error { return nil }
	if name == emulatedDevice {
		return gpu.Of(emulator), nothing, nil
	}
	if name == "" {
		return nil, nothing, nil
	}
	d, err := library.ParseDevice(name)
	if err != nil || d.IsAuto() {
		return nil, nothing, usage{fmt.Errorf("--device %s is not known: expected cpu, cuda, a GPU by its number such as cuda:1, or %s", name, emulatedDevice)}
	}
	if d.IsCPU() {
		return nil, nothing, nil
	}
	image, err := runtimeOf("pgcrt-cuda-" + runtime.GOARCH)
	if err != nil {
		return nil, nothing, err
	}
	dir, remove, err := process.TempDir("pgc-gpu-")
	if err != nil {
		return nil, nothing, err
	}
	p, err := remote.Start(image, dir)
	if err != nil {
		remove()
		return nil, nothing, err
	}
	closing = func() error {
		err := p.Close()
		remove()
		return err
	}
	system := numbered{gpu.Of(p), d.Number()}
	if _, _, err := system.Find(-1); err != nil {
		return nil, nothing, errors.Join(fmt.Errorf("--device %s: %w", name, err), closing())
	}
	return system, closing, nil
}

// numbered is GPUs of which one was chosen, by its number, or by -1 the first that runs programs.
type numbered struct {
	engine.GPUs
	number int
}

// Find implements engine.GPUs.
func (n numbered) Find(int) (int, string, error) { return n.GPUs.Find(n.number) }
