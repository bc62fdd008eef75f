package main

import (
	"context"
	"fmt"

	"pgc/cmd/internal/check"
	"pgc/codegen/ptx/emulated"
	"pgc/runtime/integrity"
	"pgc/runtime/output"
)

type checkCmd struct {
	compileFlags
	Path      string `arg:"" name:"checkpoint|file" help:"A Hugging Face checkpoint directory, or a compiled executable."`
	NoVerify  bool   `help:"Do not compare the checksums of an executable's weights first."`
	Device    string `placeholder:"NAME" help:"Check the code for GPUs instead, on one: cuda, cuda:1, or emulated."`
	Reference string `placeholder:"FILE" help:"Reference activations written by golden/gen/reference.py: compare the model layer by layer."`
}

// Run checks; a mismatch makes the exit status 1.
func (c *checkCmd) Run(ctx context.Context) error {
	c.protect(c.Path)
	output.Protect(c.Reference)
	o, _, err := c.options()
	if err != nil {
		return err
	}
	o.Progress = nil
	if check.IsExecutable(c.Path) && !c.NoVerify {
		if err := integrity.EnsureFile(ctx, c.Path); err != nil {
			return err
		}
	}
	if c.Reference != "" {
		found, err := check.Reference(ctx, stdout, c.Path, c.Reference, o)
		if err == nil && len(found) > 0 {
			err = fmt.Errorf("%d tensors deviate from the reference; the first is %s", len(found), found[0])
		}
		return err
	}
	gpus, done, err := gpusOf(c.Device, &emulated.Driver{})
	if err != nil {
		return err
	}
	defer done()
	mismatches, err := check.Kernels(ctx, stdout, c.Path, o, gpus)
	if err != nil {
		return err
	}
	if mismatches > 0 {
		return fmt.Errorf("%d comparisons are out of tolerance, expected none", mismatches)
	}
	return nil
}
