package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"pgc/cmd/internal/cache"
	"pgc/cmd/internal/debug"
	"pgc/internal/build"
	"pgc/ir/target"
	"pgc/runtime/process"
)

type runCmd struct {
	compileFlags
	frozenFlags
	Checkpoint string   `arg:"" help:"A Hugging Face checkpoint directory or its name in the Hugging Face cache (org/name), those of a PEFT adapter whose base is on this machine, or an .npz file of big_vision (with --tokenizer)."`
	Args       []string `arg:"" optional:"" passthrough:"" help:"Arguments of the executable."`
}

// Run compiles unless the cache holds this checkpoint with these flags, then runs the executable.
func (c *runCmd) Run(ctx context.Context) error {
	c.protect(c.Checkpoint)
	if c.CPU == target.Default {
		c.CPU = "native"
	}
	o, a, err := c.options()
	if err != nil {
		return err
	}
	o.Frozen = c.frozen()
	rt, err := o.WithRuntimes(nil, runtimeOf)
	if err != nil {
		return err
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return fmt.Errorf("no cache folder: %w", err)
	}
	folder, err := cache.Open(filepath.Join(dir, "pgc"))
	if err != nil {
		return err
	}
	folder.Log = os.Stderr
	name, err := c.name(ctx, folder, rt, o)
	if err != nil {
		return err
	}
	path, err := folder.Get(ctx, name, func(path string) error {
		if _, err := build.Compile(ctx, c.Checkpoint, path, rt, o); err != nil {
			return debug.Explain(err)
		}
		return a.Finish()
	})
	if err != nil {
		return err
	}
	return execute(ctx, path, c.Args)
}

// name is what the executable is called in the cache: it depends on all that it is made of, among it the code that
// native stands for on this CPU.
func (c *runCmd) name(ctx context.Context, folder *cache.Folder, rt []byte, o build.Options) (string, error) {
	targets, err := build.Targets(c.CPU)
	if err != nil {
		return "", err
	}
	var cpus []string
	for _, t := range targets {
		cpus = append(cpus, fmt.Sprint(t.Name, t.Features))
	}
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("cannot find this program's own file: %w", err)
	}
	return folder.Name(ctx, c.Checkpoint, o.Loading(), []string{self}, build.Version, fmt.Sprintf("%x", sha256.Sum256(rt)), cpus,
		fmt.Sprintf("%#v %#v", c.compileFlags, c.frozenFlags))
}

// execute runs an executable with this process's standard files. It hands on an interrupt, and the exit status.
func execute(ctx context.Context, path string, args []string) error {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	process.AwaitChild()
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	if state, ok := exit.Sys().(syscall.WaitStatus); ok && state.Signaled() && ctx.Err() == nil {
		return fmt.Errorf("%s was ended by %s (%s), expected it to exit", path, unix.SignalName(state.Signal()), state.Signal())
	}
	return exitStatus(max(1, exit.ExitCode()))
}
