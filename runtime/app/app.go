// Package app is the command line of a compiled executable.
//
// It works through the library, package pgc, and imports nothing of the compiler.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"pgc"
	"pgc/runtime/cli"
	"pgc/runtime/engine"
	"pgc/runtime/fault"
	"pgc/runtime/fetch"
	"pgc/runtime/native"
	"pgc/runtime/output"
	"pgc/runtime/process"
)

// generating are the commands of a model that generates text.
type generating struct {
	Generate generateCmd `cmd:"" default:"withargs" help:"Answer a prompt about pictures. The word generate may be left out: IMAGE… PROMPT."`
	Detect   detectCmd   `cmd:"" help:"Find objects of some classes in pictures: IMAGE… CLASSES."`
	Batch    batchCmd    `cmd:"" help:"Answer many requests: of a JSON Lines file, a folder, a pattern or tar files."`
	generatingMore
	common
}

// embedding are the commands of a model that makes embeddings.
type embedding struct {
	Embed embedCmd      `cmd:"" help:"Write embeddings of images or of queries to a safetensors file."`
	Rank  rankCmd       `cmd:"" help:"Print how well images answer a query, the best first: SCORE, a tab, IMAGE."`
	Batch embedBatchCmd `cmd:"" help:"Make the embeddings of many images or queries."`
	common
}

// common are the commands of every executable.
type common struct {
	commonMore
	Info infoCmd `cmd:"" help:"Describe this executable."`
	Help helpCmd `cmd:"" help:"Show help about this executable, or about a command."`

	Version bool `help:"Print the model and the compiler that made this executable."`

	NoVerify bool `help:"Do not compare the checksums of the weights, which the first run of a file does beside its work."`

	Device string `default:"auto" placeholder:"NAME" help:"What to run on: cpu, cuda, a GPU by its number such as cuda:1, or auto: a GPU if the file has code for one and the machine has one."`

	Header []string `sep:"none" placeholder:"'NAME: VALUE'" help:"Send this with requests for pictures at http(s) URLs, such as 'Authorization: Bearer …', but not to another host that one redirects to. Repeat for several."`

	ISA string `name:"isa" placeholder:"NAME" help:"Run the code for this instruction set, one of those that info lists, instead of the best."`

	AssumeISA bool `name:"assume-isa" help:"Do not ask the CPU and the system whether they have what --isa names: for emulators of its instructions."`
}

// usage is an error of the command line: the process exits with status 2.
type usage struct{ error }

// App is an opened executable.
type App struct {
	Out, Err   io.Writer
	Executable *pgc.Executable
	isa        string // the instruction set that is asked for
	assumed    bool   // whether the machine has it, without a look
	machine    machine
	header     fetch.Header // sent with requests for pictures
	warned     map[pgc.WarningKind]bool
	unverified bool // whether the weights are not to be checked
	ctx        context.Context
	opened     time.Time
}

// Main runs the executable's command line and returns the exit status: 0 done, 1 the work failed, 2 wrong usage. A runtime
// without GPUs, which are nil then, makes way for one that has some where the executable carries it.
func Main(gpus engine.GPUs) int {
	name, start := process.Name(), time.Now()
	return process.Run(func(ctx context.Context) error {
		if err := process.CheckLimits(); err != nil {
			return err
		}
		if err := native.ExitOnFault(name + ": " + fault.ErrCut.Error()); err != nil {
			return err
		}
		f, err := native.TakenOver()
		if err == nil && f == nil {
			f, err = native.OpenSelf()
		}
		if err != nil {
			return fmt.Errorf("cannot open this executable: %w", err)
		}
		defer f.Close()
		e, err := pgc.OpenExecutableFile(f)
		if err != nil {
			return err
		}
		h := Host{GPUs: gpus}
		if gpus == nil {
			h.self = f
		}
		return Run(ctx, name, e, h, process.Args(), start)
	}, func(err error) int { return report(name, err) })
}

// report prints an error as one line and returns the exit status.
func report(name string, err error) int {
	if err == nil {
		return 0
	}
	text := process.Line(err.Error())
	if errors.Is(err, context.Canceled) {
		text = "interrupted"
	}
	fmt.Fprintf(os.Stderr, "%s: %s\n", name, text)
	if Misused(err) {
		return 2
	}
	return 1
}

// Misused reports whether an error of Run is about the command line.
func Misused(err error) bool {
	var u usage
	return errors.As(err, &u)
}

// Run executes one command of an opened executable.
func Run(ctx context.Context, name string, e *pgc.Executable, h Host, args []string, start time.Time) error {
	out := output.Stdout()
	a := &App{Out: out, Err: os.Stderr, Executable: e, ctx: ctx, opened: start, warned: map[pgc.WarningKind]bool{}}
	var generates generating
	var embeds embedding
	own, foreign, c := any(&generates), any(&embeds), &generates.common
	if e.Embeds() {
		own, foreign, c = foreign, own, &embeds.common
	}
	var freezes frozen
	kind := "a " + e.Kind() + " model"
	if len(e.Frozen()) > 0 {
		own, foreign, c, kind = &freezes, &generates, &freezes.common, "an executable with prompts of its own"
	}
	if len(args) == 0 || len(args) == 1 && args[0] == "help" {
		args = []string{"--help"}
	} else if len(args) == 1 && args[0] == "version" {
		args = []string{"--version"}
	}
	k, err := commandLine{own, foreign, kind, name, describe(e), out}.parse(bareShard(args))
	if out.Err() != nil {
		return out.Err()
	}
	if err != nil || k.run == nil {
		return err
	}
	if c.Version {
		return out.Finish(a.version())
	}
	a.unverified = c.NoVerify
	if a.header, err = fetch.ParseHeader(c.Header); err != nil {
		return usage{fmt.Errorf("--header %w", err)}
	}
	if a.machine.device, err = pgc.ParseDevice(c.Device); err != nil {
		return usage{err}
	}
	if a.machine.gpus = h.GPUs; h.self != nil && needsDevice(k.name) {
		if a.machine.gpus, err = h.handOver(e, a.machine.device); err != nil {
			return err
		}
	}
	if a.isa = c.ISA; a.isa != "" && !slices.Contains(e.ISAs(), a.isa) {
		return usage{fmt.Errorf("--isa %s is not in this executable: expected %s", a.isa, strings.Join(e.ISAs(), " or "))}
	}
	if a.assumed = c.AssumeISA; a.assumed && a.isa == "" {
		return usage{errors.New("--assume-isa is given without --isa: expected --isa NAME beside it, one of those that info lists")}
	}
	if a.isa != "" && !a.assumed && needsDevice(k.name) { // before anything else, as it does not depend on what is asked
		if err := e.CheckISA(a.isa); err != nil {
			return err
		}
	}
	return out.Finish(k.run(a))
}

// describe says in --help what the executable is.
func describe(e *pgc.Executable) string {
	return fmt.Sprintf("The model %s, %s, compiled.", process.Line(e.Name()), e.Kind())
}

// hinted adds the next step to an error about a command line.
func hinted(err error, args []string) error {
	hint := "see --help"
	if args[0] == "batch" && errors.Is(err, cli.ErrUnexpected) {
		hint = "for several pictures quote a pattern, such as --input 'photos/*.jpg', or name their folder"
	} else if len(args) > 1 && !strings.HasPrefix(args[0], "-") {
		if _, statErr := os.Stat(args[0]); statErr == nil {
			hint = fmt.Sprintf("for a picture of that name write generate --image ./%s --prompt TEXT", args[0])
		}
	}
	return usage{fmt.Errorf("%w (%s)", err, hint)}
}

// load loads the model to run on so many threads; 0 means as many as native.DefaultThreads says.
func (a *App) load(threads int) (*pgc.Model, error) {
	options := a.options()
	if threads < 0 {
		return nil, usage{fmt.Errorf("--threads is %d, expected 0 (the default) or more", threads)}
	}
	if threads > 0 {
		options = append(options, pgc.WithThreads(threads))
	}
	m, err := a.Executable.Load(options...)
	if err == nil && m.NoGPU() != nil {
		fmt.Fprintf(a.Err, "runs on the processor: %s\n", process.Line(m.NoGPU().Error()))
	}
	return m, err
}

// options are what the flags of all commands ask for.
func (a *App) options() []pgc.Option {
	options := append(a.machine.options(), pgc.WithISA(a.isa))
	if a.assumed {
		options = append(options, pgc.WithAssumedISA(a.isa))
	}
	if a.unverified {
		options = append(options, pgc.WithoutVerification())
	}
	return options
}
