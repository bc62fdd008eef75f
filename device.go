package pgc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"pgc/runtime/engine"
	"pgc/runtime/manifest"
	"pgc/runtime/program"
)

// Device says what to run on: the processor, or a GPU by its number. The zero Device leaves the choice to the machine: a
// GPU where the executable has code for one, there is a driver and it finds one, otherwise the processor.
type Device struct {
	kind   string // "auto" or "", "cpu", "cuda"
	number int    // of the GPU, or -1 for the first that runs the code
}

// ParseDevice reads cpu, cuda, cuda:N or auto.
func ParseDevice(text string) (Device, error) {
	kind, number, numbered := strings.Cut(text, ":")
	d := Device{kind, -1}
	if numbered {
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil || kind != "cuda" {
			return Device{}, unknownDevice(text)
		}
		d.number = int(n)
	}
	if kind != "auto" && kind != "cpu" && kind != "cuda" {
		return Device{}, unknownDevice(text)
	}
	return d, nil
}

func unknownDevice(text string) error {
	return fmt.Errorf("device %q is not known: expected cpu, cuda, a GPU by its number such as cuda:1, or auto", text)
}

// IsAuto reports whether any device is welcome.
func (d Device) IsAuto() bool { return d.kind == "" || d.kind == "auto" }

// IsCPU reports whether it is the processor.
func (d Device) IsCPU() bool { return d.kind == "cpu" }

// Number returns the number of the GPU that is asked for, or -1 where none is.
func (d Device) Number() int { return d.number }

// WithDevice runs the model on a device, one of the processor and some GPUs: those of package pgc/runtime/cuda, or nil for
// none.
func WithDevice(d Device, gpus engine.GPUs) Option {
	return func(o *options) { o.device, o.gpus = d, gpus }
}

// WithProgress tells what is loaded onto a GPU, and how far.
func WithProgress(progress func(what string, done, total int64)) Option {
	return func(o *options) { o.progress = progress }
}

// chosen is the program that runs and what it runs on.
type chosen struct {
	program *program.Program
	gpu     string // describes the GPU; "" for the processor
	number  int    // of the GPU
	missed  error  // why it is not a GPU, where one was wished for
}

// String describes the device.
func (c chosen) String() string {
	if c.gpu == "" {
		return "cpu"
	}
	return fmt.Sprintf("cuda:%d, %s", c.number, c.gpu)
}

// programOf returns the first program of a kind, or nil.
func (e *Executable) programOf(kind program.TargetKind) *program.Program {
	for _, p := range e.file.Programs {
		if p.Target.Kind == kind {
			return p
		}
	}
	return nil
}

// choose finds the program and the device that options ask for.
func (e *Executable) choose(o options) (c chosen, err error) {
	onGPU := e.programOf(program.PTX)
	if o.isa != "" && o.device.kind != "cuda" { // code for the processor
		o.device.kind = "cpu"
	}
	if o.device.kind == "cpu" || onGPU == nil && o.device.kind != "cuda" {
		return e.processor(o)
	}
	c = chosen{program: onGPU}
	switch {
	case onGPU == nil:
		return c, fmt.Errorf("%s has no code for GPUs: compile it with --target cuda or cpu,cuda", e.file.Path())
	case o.gpus == nil:
		err = errors.New("this program has no driver for them: expected the executable itself, or WithDevice with the GPUs of package pgc/runtime/cuda")
	default:
		if c.number, c.gpu, err = o.gpus.Find(o.device.number); err == nil {
			return c, nil
		}
		c.gpu = ""
	}
	if o.device.kind == "cuda" || e.programOf(program.CPU) == nil {
		return c, fmt.Errorf("no GPU can run this: %w", err)
	}
	c, other := e.processor(o)
	c.missed = err
	return c, other
}

// processor chooses a program for the processor.
func (e *Executable) processor(o options) (c chosen, err error) {
	if e.programOf(program.CPU) == nil {
		return c, fmt.Errorf("%s has no code for the processor: compile it with --target cpu or cpu,cuda", e.file.Path())
	}
	lacks := engine.CheckSupport
	if o.assumed {
		lacks = engine.CheckPlatform
	}
	if c.program, err = e.file.Choose(o.isa, lacks); err == nil {
		return c, nil
	}
	if other, none := e.file.Choose("", lacks); none == nil {
		return c, fmt.Errorf("%w; its code for %s runs, which is taken where no set is named", err, other.Target.CPU)
	}
	return c, fmt.Errorf("%w: compile with --cpu for this machine", err)
}

// modelOf reads the description of the model as a program has it.
func (e *Executable) modelOf(p *program.Program) (*manifest.Model, error) {
	m, err := manifest.Decode(p.Model)
	if err != nil {
		return nil, fmt.Errorf("%s: the model description is damaged: %w", e.file.Path(), err)
	}
	return m, nil
}

// start makes the engine of a program.
func (e *Executable) start(c chosen, o options) (*engine.Engine, error) {
	code, err := e.file.Code(c.program)
	if err != nil {
		return nil, err
	}
	if c.gpu == "" {
		n, err := engine.New(c.program, code, e.file.Weights, o.threads)
		if err == nil && !o.exact {
			n.Reinforce()
		}
		return n, err
	}
	x, err := o.gpus.Load(context.Background(), c.program, code, e.file.Weights, c.number,
		engine.LoadOptions{Cache: codeCache(), Progress: o.progress})
	if err != nil {
		return nil, err
	}
	return engine.On(x, c.program, o.threads), nil
}

// codeCache is the folder that keeps code compiled for GPUs, or "" where the user has no cache folder.
func codeCache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "pgc", "cuda")
}
