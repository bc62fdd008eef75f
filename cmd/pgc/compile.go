package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"pgc/cmd/internal/debug"
	"pgc/cmd/internal/quality"
	"pgc/internal/build"
	"pgc/ir/target"
)

// compileFlags are the flags that compile and run share.
type compileFlags struct {
	Weights   string   `default:"auto" help:"Storage of the matrices: auto (as in the checkpoint), ${stored}. Formats of 4 bits are the decoder's; all else is int8 then."`
	Group     int      `default:"128" help:"Group size of int8 and int4, the values of a row that share a scale: 32, 64 or 128."`
	Compute   string   `default:"int8" help:"Arithmetic of matrix products besides f32: int8 (quantizes activations where matrices are int8 or int4), bf16 (rounds activations to bf16 where matrices are bf16), int8,bf16 (both), or f32 (neither)."`
	Keep      []string `sep:"none" placeholder:"PATTERN=TYPE" help:"Store matrices whose names match PATTERN as TYPE, as in 'vision_tower.*=bf16'. Repeat for several."`
	Search    bool     `help:"Search for the int4 scales with the smallest error."`
	CPU       string   `name:"cpu" default:"${cpu}" help:"LLVM -mcpu names, separated by commas, or native. The file has code for each and runs the best that the CPU supports. The default runs on any x86-64 with AVX2 and FMA."`
	KV        string   `name:"kv" default:"f32" help:"Storage of the KV cache: f32 or bf16."`
	MaxTokens int      `help:"Capacity of the KV cache in tokens, image tokens included (default: max(1024, 4 pictures + 512))."`
	Debug     []string `short:"d" placeholder:"AID" help:"Debugging aids; -d help lists them."`
}

// options reads the flags. The caller finishes the session when the passes have run.
func (f *compileFlags) options() (build.Options, *debug.Session, error) {
	a, err := debug.Parse(f.Debug, os.Stderr)
	if err != nil {
		return build.Options{}, nil, usage{err}
	}
	o := build.Options{Storage: build.Storage{Weights: f.Weights, Group: f.Group, Compute: f.Compute, Keep: f.Keep, Search: f.Search}, CPU: f.CPU, KV: f.KV, MaxTokens: f.MaxTokens, Passes: a.Options, Progress: progress()}
	return o, a, nil
}

type compileCmd struct {
	compileFlags
	Checkpoint string   `arg:"" help:"A Hugging Face checkpoint directory."`
	Output     string   `short:"o" required:"" placeholder:"FILE" help:"The executable to write."`
	Emit       []string `placeholder:"STAGE" help:"Also write graph (before and after the passes), tile, llvm, asm or ptx: a file per kernel, in a folder per instruction set if there are several. Attention has no PTX."`
	EmitDir    string   `placeholder:"DIR" help:"Where --emit writes (default: the current folder)."`
	Calibrate  string   `placeholder:"DIR" help:"Round int4 for the smallest error on the pictures of this folder, with the prompts of its prompts.txt or requests.jsonl."`
	Report     bool     `help:"Compare the executable with the checkpoint as it is stored: error of every layer, KL divergence and agreement of logits."`
	Pictures   string   `placeholder:"DIR" help:"The pictures and prompts of --report (default: those of --calibrate, else generated ones)."`
	JSON       bool     `name:"json" help:"Print a report on standard output."`
}

// Run compiles.
func (c *compileCmd) Run(ctx context.Context) error {
	if c.Debug != nil && c.Debug[0] == "help" {
		debug.Help(stdout)
		return nil
	}
	o, a, err := c.options()
	if err != nil {
		return err
	}
	rt, err := runtimeFor(o.CPU)
	if err != nil {
		return err
	}
	o.Emit, o.EmitDir = c.Emit, c.EmitDir
	q, err := c.quality(ctx, &o)
	if err != nil {
		return debug.Explain(err)
	}
	defer q.close()
	r, err := build.Compile(ctx, c.Checkpoint, c.Output, rt, o)
	if err != nil {
		return debug.Explain(err)
	}
	if err := a.Finish(); err != nil {
		return err
	}
	measured, err := q.report(ctx, c.Output)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(stdout).Encode(struct {
			*build.Report
			Quality *quality.Report `json:"quality,omitempty"`
		}{r, measured})
	}
	if measured != nil {
		measured.Print(stdout)
	}
	return nil
}

type runCmd struct {
	compileFlags
	Checkpoint string   `arg:"" help:"A Hugging Face checkpoint directory."`
	Args       []string `arg:"" optional:"" passthrough:"" help:"Arguments of the executable."`
}

// Run compiles unless the cache holds this checkpoint with these flags, then runs the executable.
func (c *runCmd) Run(ctx context.Context) error {
	if c.CPU == target.Default {
		c.CPU = "native"
	}
	o, a, err := c.options()
	if err != nil {
		return err
	}
	path, err := c.cached()
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		rt, err := runtimeFor(o.CPU)
		if err != nil {
			return err
		}
		if _, err := build.Compile(ctx, c.Checkpoint, path, rt, o); err != nil {
			return debug.Explain(err)
		}
		if err := a.Finish(); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, path, c.Args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exitStatus(max(1, exit.ExitCode()))
	}
	return err
}

// cached returns the path of the executable in the user's cache folder. It depends on the flags, on this compiler, and
// on name, size and time of every file of the checkpoint.
func (c *runCmd) cached() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder: %w", err)
	}
	abs, err := filepath.Abs(c.Checkpoint)
	if err != nil {
		return "", err
	}
	entries, err := os.ReadDir(abs)
	if err != nil {
		return "", fmt.Errorf("no checkpoint at %s: %w", c.Checkpoint, errors.Unwrap(err))
	}
	h := sha256.New()
	fmt.Fprintln(h, build.Version, abs, c.Weights, c.Group, c.Compute, c.Keep, c.Search, c.CPU, c.KV, c.MaxTokens, c.Debug)
	if self, err := os.Executable(); err == nil {
		if info, err := os.Stat(self); err == nil {
			fmt.Fprintln(h, info.Size(), info.ModTime().UnixNano())
		}
	}
	for _, e := range entries {
		if info, err := os.Stat(filepath.Join(abs, e.Name())); err == nil {
			fmt.Fprintln(h, e.Name(), info.Size(), info.ModTime().UnixNano())
		}
	}
	dir = filepath.Join(dir, "pgc")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return filepath.Join(dir, filepath.Base(abs)+"-"+hex.EncodeToString(h.Sum(nil))[:16]), nil
}
