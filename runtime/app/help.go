package app

import (
	"errors"
	"fmt"

	"pgc/runtime/process"
)

// helpCmd is in the list of commands. parse makes --help of it before it would run.
type helpCmd struct {
	Command string `arg:"" optional:"" help:"A command."`
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
