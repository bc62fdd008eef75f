// Command pgc compiles a PaliGemma checkpoint into one executable file.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"

	"pgc/internal/build"
	"pgc/ir/target"
	"pgc/runtime/fault"
	"pgc/runtime/native"
	"pgc/runtime/output"
	"pgc/runtime/process"
)

type cli struct {
	Compile compileCmd `cmd:"" help:"Compile a Hugging Face checkpoint directory to one executable."`
	Run     runCmd     `cmd:"" help:"Compile for this CPU into the cache folder, then run the executable with the other arguments."`
	Random  randomCmd  `cmd:"" help:"Write a checkpoint of random weights."`
	Size    sizeCmd    `cmd:"" help:"Print how large a model is and what memory it takes. Needs no weights."`
	Check   checkCmd   `cmd:"" help:"Test every kernel of a checkpoint against the reference evaluator, and the model against reference activations."`
	Bench   benchCmd   `cmd:"" help:"Time the kernels of an executable against this machine's measured peaks."`
	Emulate emulateCmd `cmd:"" help:"Run a command of an executable for GPUs in an emulator of a GPU."`
	Opt     optCmd     `cmd:"" help:"Parse a .pgir file, run passes over it, verify and print it."`
	Ptx     ptxCmd     `cmd:"" help:"Run a kernel of a PTX file in the emulator of a GPU."`
	Merge   mergeCmd   `cmd:"" help:"Join the shards of a batch, as executables do."`
	Version versionCmd `cmd:"" help:"Print the version."`
	Help    helpCmd    `cmd:"" help:"Show help about pgc, or about a command."`

	VersionFlag kong.VersionFlag `name:"version" help:"Print the version."`
}

// usage is an error of the command line: the process exits with status 2.
type usage struct{ error }

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run() error {
	_, err := fmt.Fprintln(stdout, build.Version)
	return err
}

// stdout is standard output, to which every command prints.
var stdout = output.Stdout()

func main() { os.Exit(process.Run(run, report)) }

// run executes the command line.
func run(ctx context.Context) error {
	if err := process.CheckLimits(); err != nil {
		return err
	}
	if err := native.ExitOnFault("pgc: " + fault.ErrCut.Error()); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stdout.Cancels(cancel)
	var c cli
	exited := false
	parser := kong.Must(&c, kong.Name("pgc"), kong.Description("Compiles a PaliGemma checkpoint into one executable file."),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Vars{"cpu": target.Default, "stored": build.Stored(), "version": build.Version},
		verbatim(), kong.Exit(func(int) { exited = true }), kong.Writers(stdout, os.Stderr), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	args := asHelp(process.Args())
	k, err := parser.Parse(separate(args))
	switch {
	case exited || stdout.Err() != nil:
		err = nil
	case err != nil:
		err = usage{fmt.Errorf("%w (see --help)", err)}
	default:
		err = k.Run()
	}
	return stdout.Finish(err)
}

// separate splits -d=check into two arguments, because kong would read it as -d with the value "=check". It leaves what
// follows -- as it is.
func separate(args []string) []string {
	var out []string
	for i, a := range args {
		if a == "--" {
			return append(out, args[i:]...)
		}
		if len(a) > 2 && a[0] == '-' && strings.IndexByte("dop", a[1]) >= 0 && a[2] == '=' {
			out = append(out, a[:2], a[3:])
			continue
		}
		out = append(out, a)
	}
	return out
}

// report prints an error as one line and returns the exit status.
func report(err error) int {
	if err == nil {
		return 0
	}
	var exit exitStatus
	if errors.As(err, &exit) {
		return int(exit)
	}
	text := err.Error()
	var u usage
	var option build.OptionError
	wrongOption := errors.As(err, &option)
	if wrongOption {
		text = strings.Replace(text, option.Error(), flagOf(option.Field)+" "+option.Problem, 1)
	}
	if errors.Is(err, context.Canceled) {
		text = "interrupted"
	}
	fmt.Fprintln(os.Stderr, "pgc: "+process.Line(text))
	if errors.As(err, &u) || wrongOption && !option.Checkpoint {
		return 2
	}
	return 1
}

// flagOf returns the flag that sets a field of build.Options: --max-tokens for MaxTokens.
func flagOf(field string) string {
	words := regexp.MustCompile("[A-Z][a-z]+|[A-Z]+").FindAllString(field, -1)
	return "--" + strings.ToLower(strings.Join(words, "-"))
}

// exitStatus is the status of a program that pgc ran and that has reported its own error.
type exitStatus int

// Error implements error.
func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }
