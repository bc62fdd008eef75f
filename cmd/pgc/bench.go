package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"

	"pgc/cmd/internal/aids"
	"pgc/cmd/internal/bench"
	"pgc/cmd/internal/build"
)

type benchCmd struct {
	compileFlags
	Model   string `arg:"" name:"checkpoint|file" help:"An executable, or a checkpoint directory to compile for it."`
	ISA     string `name:"isa" placeholder:"NAME" help:"Time the code for this instruction set, one of the executable's, instead of the best."`
	Threads int    `help:"Threads to compute on (default: all processors)."`
	Text    int    `default:"10" help:"Tokens of text behind the picture."`
	JSON    bool   `name:"json" help:"Print one JSON object."`
}

// Run times the kernels.
func (c *benchCmd) Run(ctx context.Context) error {
	threads := c.Threads
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	path := c.Model
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		o, a, err := c.options()
		if err != nil {
			return err
		}
		rt, err := runtimeBinary()
		if err != nil {
			return err
		}
		dir, err := os.MkdirTemp("", "pgc-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		path = filepath.Join(dir, "model")
		if _, err := build.Compile(ctx, c.Model, path, rt, o); err != nil {
			return aids.Explain(err)
		}
		if err := a.Finish(); err != nil {
			return err
		}
	}
	r, err := bench.Run(ctx, path, c.ISA, threads, c.Text)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	r.Print(os.Stdout)
	return nil
}
