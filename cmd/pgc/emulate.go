package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	library "pgc"
	"pgc/codegen/ptx/emulated"
	"pgc/internal/build"
	"pgc/runtime/app"
	"pgc/runtime/gpu"
	"pgc/runtime/output"
	"pgc/runtime/process"
)

type emulateCmd struct {
	Counts string   `placeholder:"OUT.json" help:"Write what the kernels did: instructions, bytes and widths of accesses to memory, bank conflicts."`
	Shape  string   `placeholder:"SIZE" help:"Count one decoding step of a released size, or of a config.json, with weights of zero, instead of running an executable."`
	Layers int      `placeholder:"N" help:"For --shape: keep only this many layers."`
	Store  string   `name:"weights" default:"bf16" help:"For --shape: storage of the matrices, bf16, int8 or int4."`
	File   string   `arg:"" optional:"" help:"An executable compiled with --target cuda."`
	Args   []string `arg:"" optional:"" passthrough:"" help:"Arguments of the executable."`
}

// Run runs a command of an executable in this process, with the emulator in the place of a GPU.
func (c *emulateCmd) Run(ctx context.Context) error {
	start := time.Now()
	output.Protect(c.File, c.Shape)
	if c.Counts != "" {
		if err := output.Allowed(c.Counts); err != nil {
			return err
		}
	}
	if c.Shape != "" {
		if c.File != "" || c.Counts == "" {
			return usage{errors.New("--shape is given with a file or without --counts, expected --shape SIZE --counts OUT.json alone")}
		}
		r, err := countStep(ctx, c.Shape, c.Layers, build.Options{Target: "cuda", Storage: build.Storage{Weights: c.Store}})
		if err != nil {
			return err
		}
		return r.write(c.Counts)
	}
	if c.Layers != 0 {
		return usage{errors.New("--layers is given without --shape, expected both")}
	}
	if c.File == "" {
		return usage{errors.New("the executable is missing: expected pgc emulate FILE ARGS…, or --shape SIZE --counts OUT.json")}
	}
	e, err := library.OpenExecutable(c.File)
	if err != nil {
		return err
	}
	defer e.Close()
	device, err := library.ParseDevice("cuda")
	if err != nil {
		return err
	}
	if e.Info(library.WithDevice(device, nil)).GPU == nil { // it would run on the processor
		return fmt.Errorf("%s has no code for GPUs: compile it with --target cuda or cpu,cuda", c.File)
	}
	driver, counted := &emulated.Driver{}, &counts{}
	if c.Counts != "" {
		driver.Counts, driver.Launched = true, counted.add
	}
	err = app.Run(ctx, process.Line(filepath.Base(c.File)), e, app.Host{GPUs: gpu.Of(driver)}, c.Args, start)
	if app.Misused(err) {
		return usage{err}
	}
	if err == nil && c.Counts != "" {
		return counted.write(c.Counts)
	}
	return err
}
