package main

import (
	"errors"
	"strings"
)

// helpCmd is in the list of commands. asHelp makes --help of it before it would run.
type helpCmd struct {
	Command []string `arg:"" optional:"" help:"A command."`
}

// Run is reached where flags stand before the word.
func (helpCmd) Run() error {
	return usage{errors.New("help takes no flags, expected help or help COMMAND")}
}

// asHelp turns "help COMMAND" and an empty command line into --help.
func asHelp(args []string) []string {
	if len(args) == 0 {
		return []string{"--help"}
	}
	if args[0] != "help" || len(args) > 1 && strings.HasPrefix(args[1], "-") {
		return args
	}
	return append(args[1:len(args):len(args)], "--help")
}
