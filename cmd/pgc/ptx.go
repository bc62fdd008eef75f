package main

import (
	"errors"
	"fmt"
	"os"

	"pgc/cmd/internal/ptxrun"
	"pgc/codegen/ptx/emu"
	"pgc/runtime/process"
)

type ptxCmd struct {
	Run ptxRunCmd `cmd:"" help:"Run a kernel on tensors and write what it computes. What is wrong with it is printed as FILE:LINE:COL: KIND: sentence, with exit status 1."`
}

type ptxRunCmd struct {
	File   string   `arg:"" help:"A PTX file for sm_80 or an earlier target, from any compiler."`
	Kernel string   `placeholder:"NAME" help:"The kernel; may be left out where the file has one."`
	Grid   []int    `sep:"," default:"1" placeholder:"X,Y,Z" help:"Blocks of the grid."`
	Block  []int    `sep:"," placeholder:"X,Y,Z" help:"Threads of a block; may be left out where the file demands them."`
	Shared int      `placeholder:"BYTES" help:"Bytes of dynamic shared memory."`
	Arg    []string `sep:"none" placeholder:"ARG" help:"An argument, repeated in the order of the parameters: i32:7, i64:N, u32:N, u64:N, f32:0.5, f64:X, in:FILE:NAME, inout:FILE:NAME, out:NAME:f32[64,128], which starts unwritten, bytes:HEX for a structure, or null."`
	Most   int64    `name:"max-instructions" default:"32000000" placeholder:"N" help:"Instructions that a block may execute, all its warps together, before it counts as endless; 0 is no bound."`
	Output string   `short:"o" required:"" placeholder:"OUT.safetensors" help:"The file for every out and inout buffer."`
}

// Run runs the kernel.
func (c *ptxRunCmd) Run() error {
	err := ptxrun.Run(ptxrun.Request{File: c.File, Kernel: c.Kernel, Grid: c.Grid, Block: c.Block, Shared: c.Shared, Args: c.Arg, Out: c.Output, Most: c.Most, Progress: steps(), Note: note()})
	var misuse ptxrun.Misuse
	var finding *emu.Finding
	switch {
	case errors.As(err, &misuse):
		return usage{misuse}
	case errors.As(err, &finding):
		fmt.Fprintln(os.Stderr, process.Line(finding.Error()))
		return exitStatus(1)
	}
	return err
}
