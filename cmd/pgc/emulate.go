package main

import (
	"context"
	"path/filepath"
	"time"

	library "pgc"
	"pgc/codegen/ptx/emulated"
	"pgc/runtime/app"
	"pgc/runtime/gpu"
	"pgc/runtime/process"
)

type emulateCmd struct {
	File string   `arg:"" help:"An executable compiled with --target cuda."`
	Args []string `arg:"" optional:"" passthrough:"" help:"Arguments of the executable."`
}

// Run runs a command of an executable in this process, with the emulator in the place of a GPU.
func (c *emulateCmd) Run(ctx context.Context) error {
	start := time.Now()
	e, err := library.OpenExecutable(c.File)
	if err != nil {
		return err
	}
	defer e.Close()
	err = app.Run(ctx, process.Line(filepath.Base(c.File)), e, app.Host{GPUs: gpu.Of(&emulated.Driver{})}, c.Args, start)
	if app.Misused(err) {
		return usage{err}
	}
	return err
}
