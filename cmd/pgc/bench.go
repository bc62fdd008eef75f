package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"pgc/cmd/internal/bench"
	"pgc/cmd/internal/debug"
	"pgc/codegen/ptx/emulated"
	"pgc/internal/build"
	"pgc/ir/target"
	"pgc/runtime/integrity"
	"pgc/runtime/native"
	"pgc/runtime/process"
	"pgc/runtime/program"
)

type benchCmd struct {
	compileFlags
	Model   string `arg:"" optional:"" name:"checkpoint|file" help:"An executable, or a checkpoint directory, which is compiled first. With --device cuda a released size or a config.json is enough: its kernels are timed without weights."`
	ISA     string `name:"isa" placeholder:"NAME" help:"Time the code for this instruction set, one of those in the executable, instead of the best."`
	Device  string `placeholder:"NAME" help:"What to time it on: cpu, cuda, a GPU by its number such as cuda:1, or emulated, whose times mean nothing (default: cpu where the executable has code for it, otherwise cuda)."`
	Threads int    `help:"Threads to compute on (default: as FILE info says)."`
	Text    int    `default:"10" help:"Tokens of text after the picture."`
	New     int    `default:"32" help:"Tokens to generate for the end-to-end figures."`
	JSON    bool   `name:"json" help:"Print one JSON object."`

	Roofline string `placeholder:"FILE.svg|.png" help:"Draw every kernel's speed in a roofline chart of this machine."`
	Trace    string `placeholder:"FILE.json" help:"Write a trace of all threads for Perfetto or chrome://tracing."`
	NoVerify bool   `help:"Do not compare the checksums of the weights first."`
	With     string `placeholder:"NAME" help:"Time functions with this adapter, of those that the executable keeps, and without, by turns, and show by kernel what it costs."`
	Rounds   int    `default:"90" help:"For --with: how often."`
	Ablate   bool   `help:"Compile and time the model without each pass in turn, to show what every pass buys. Needs no weights: a released size such as paligemma-3b-224 or a config.json is enough."`
	Counts   bool   `help:"For --ablate: only count kernels, bytes and the arena, for what --target and --cpu name. Nothing is compiled or run."`
	Layers   int    `placeholder:"N" help:"For --ablate or a released size: keep only this many layers of the encoder and of the decoder."`

	Tune    bool     `help:"Search the schedules of kernels for the CPU that --cpu names (default: native) on this one, without a checkpoint, and print the rows of codegen/schedule/table.go that are better."`
	Shape   string   `placeholder:"K×N" help:"For --tune: products of rows of K numbers with N columns (default: 2048x16384, a 3B model's)."`
	Classes []string `placeholder:"NAME,…" help:"For --tune: only these classes of the table, such as U8,Attention."`
	Seconds float64  `placeholder:"N" help:"For --tune: seconds of measuring, besides compiling (default: 120)."`
}

// Run times the kernels.
func (c *benchCmd) Run(ctx context.Context) error {
	c.protect(c.Model)
	threads := c.Threads
	if threads <= 0 {
		threads = native.DefaultThreads()
	}
	if c.Tune {
		return c.tune(ctx)
	}
	if c.Shape != "" || c.Seconds != 0 || len(c.Classes) > 0 {
		return usage{errors.New("--shape, --classes and --seconds say what --tune searches: expected it, or none of them")}
	}
	if c.Model == "" {
		return usage{errors.New("bench has no checkpoint or file: expected one, or --tune")}
	}
	if ext := filepath.Ext(c.Roofline); c.Roofline != "" && ext != ".svg" && ext != ".png" {
		return usage{fmt.Errorf("--roofline %s: expected a name that ends in .svg or .png", c.Roofline)}
	}
	if c.Counts && !c.Ablate {
		return usage{errors.New("--counts is given without --ablate: expected both")}
	}
	if c.Ablate {
		return c.ablate(ctx, threads)
	}
	_, err := os.Stat(c.Model)
	shape := c.Device != "" && c.Device != "cpu" && (err != nil || filepath.Ext(c.Model) == ".json")
	if c.Layers != 0 && !shape {
		return usage{errors.New("--layers is given without --ablate, or --device cuda and a released size: expected either")}
	}
	if shape {
		return c.shape(ctx)
	}
	path := c.Model
	if err != nil && build.HasModel(path) {
		return usage{fmt.Errorf("%s has no weights: expected --device cuda, which times its kernels without, or --ablate", path)}
	}
	if build.IsCheckpoint(path) {
		o, a, err := c.options()
		if err != nil {
			return err
		}
		rt, err := o.WithRuntimes(nil, runtimeOf)
		if err != nil {
			return err
		}
		dir, remove, err := process.TempDir("pgc-bench-")
		if err != nil {
			return err
		}
		defer remove()
		path = filepath.Join(dir, "model")
		if _, err := build.Compile(ctx, c.Model, path, rt, o); err != nil {
			return debug.Explain(err)
		}
		if err := a.Finish(); err != nil {
			return err
		}
	}
	if !c.NoVerify {
		if err := integrity.EnsureFile(ctx, path); err != nil {
			return err
		}
	}
	device, err := c.device(path)
	if err != nil {
		return err
	}
	if c.With != "" {
		return c.compare(ctx, path, device, threads)
	}
	gpus, done, err := gpusOf(device, &emulated.Driver{Zeroed: true}) // what is timed reads memory that nothing has filled
	if err != nil {
		return err
	}
	defer done()
	if gpus != nil && c.Roofline != "" {
		return usage{fmt.Errorf("--roofline %s: the limits of a GPU are not measured, expected --device cpu", c.Roofline)}
	}
	r, err := bench.Run(ctx, path, bench.Options{ISA: c.ISA, Threads: threads, Text: c.Text, New: c.New, GPUs: gpus, Alone: device == emulatedDevice})
	if err != nil {
		return err
	}
	return c.report(r)
}

// compare times the functions of an executable with an adapter and without.
func (c *benchCmd) compare(ctx context.Context, path, device string, threads int) error {
	if device != "cpu" || c.Roofline != "" || c.Trace != "" {
		return usage{errors.New("--with times a processor by turns and draws nothing: expected --device cpu, and neither --roofline nor --trace")}
	}
	if c.Rounds < 1 {
		return usage{fmt.Errorf("--rounds %d: expected 1 or more", c.Rounds)}
	}
	r, err := bench.Compare(ctx, path, c.With, c.Rounds, bench.Options{ISA: c.ISA, Threads: threads, Text: c.Text})
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(stdout).Encode(r)
	}
	r.Print(stdout)
	return nil
}

// shape times the functions of a released size on a GPU, whose weights are whatever its memory holds.
func (c *benchCmd) shape(ctx context.Context) error {
	o, _, err := c.options()
	if err != nil {
		return err
	}
	o.Target = "cuda"
	gpus, done, err := gpusOf(c.Device, &emulated.Driver{Zeroed: true})
	if err != nil {
		return err
	}
	defer done()
	m, err := loadShape(ctx, c.Model, c.Layers, o, gpus)
	if err != nil {
		return err
	}
	defer m.Close()
	r, err := bench.Functions(ctx, m.Engine, m.Name, m.gpu, m.ImageTokens, c.Text)
	if err != nil {
		return err
	}
	return c.report(r)
}

// report writes what was measured.
func (c *benchCmd) report(r *bench.Report) error {
	for path, write := range map[string]func(string) error{c.Roofline: r.Roofline, c.Trace: r.Trace} {
		if path == "" {
			continue
		}
		if err := write(path); err != nil {
			return err
		}
	}
	if c.JSON {
		return json.NewEncoder(stdout).Encode(r)
	}
	r.Print(stdout)
	return nil
}

// device returns what to time an executable on: what is asked for, or a GPU where there is only code for those.
func (c *benchCmd) device(path string) (string, error) {
	if c.Device != "" {
		return c.Device, nil
	}
	image, err := program.OpenFile(path)
	if err != nil {
		return "", err
	}
	defer image.Close()
	if slices.ContainsFunc(image.Programs, func(p *program.Program) bool { return p.Target.Kind == program.CPU }) {
		return "cpu", nil
	}
	return "cuda", nil
}

// ablate times the model without each pass in turn, or only counts what it does.
func (c *benchCmd) ablate(ctx context.Context, threads int) error {
	o, _, err := c.options()
	if err != nil {
		return err
	}
	m, err := build.Plain(c.Model, c.Layers, o)
	if err != nil {
		return err
	}
	subject := bench.Ablated{Module: m.Module, Name: m.Name, Layers: m.Layers, ImageTokens: m.ImageTokens, Text: c.Text}
	printed := func(a *bench.Ablation) {
		if !c.JSON {
			a.PrintRow(stdout)
		}
	}
	var a *bench.Ablation
	if c.Counts {
		first, how, found := o.FirstBackend(m.Module)
		if found != nil {
			return found
		}
		subject.Passes = how
		a, err = subject.Count(first, printed)
	} else {
		cpu := o.CPU
		if cpu == target.Default {
			cpu = "native"
		}
		t, found := target.Find(cpu)
		if found != nil {
			return usage{fmt.Errorf("--cpu %w", found)}
		}
		a, err = subject.Time(ctx, t, threads, printed)
	}
	if err == nil && c.JSON {
		err = json.NewEncoder(stdout).Encode(a)
	}
	return err
}
