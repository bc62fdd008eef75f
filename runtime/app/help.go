package app

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"pgc/runtime/process"
)

// helpCmd is in the list of commands. asHelp makes --help of it before it would run.
type helpCmd struct {
	Command string `arg:"" optional:"" help:"A command."`
}

// asHelp turns "help COMMAND" and an empty command line into --help, and the word version alone into --version.
func asHelp(parser *kong.Kong, args []string) ([]string, error) {
	switch {
	case len(args) == 0 || len(args) == 1 && args[0] == "help":
		return []string{"--help"}, nil
	case len(args) == 1 && args[0] == "version":
		return []string{"--version"}, nil
	case args[0] != "help" || len(args) != 2 || strings.HasPrefix(args[1], "-"):
		return args, nil
	}
	var own []string
	for _, n := range parser.Model.Children {
		own = append(own, n.Name)
	}
	if !slices.Contains(own, args[1]) {
		return nil, usage{fmt.Errorf("help is asked for %s, expected one of %s", args[1], strings.Join(own, ", "))}
	}
	return []string{args[1], "--help"}, nil
}

// Run is reached where flags stand before the word.
func (helpCmd) Run() error {
	return usage{errors.New("help takes no flags, expected help or help COMMAND")}
}

// version prints the model and the compiler.
func (a *App) version() error {
	e := a.Executable
	_, err := fmt.Fprintf(a.Out, "%s, %s, compiled by %s\n", process.Line(e.Name()), e.Kind(), e.Generator())
	return err
}
