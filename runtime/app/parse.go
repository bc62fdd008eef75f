//go:build !least

package app

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"pgc/runtime/process"
)

// parse reads a command line. Help goes to the output.
func (l commandLine) parse(args []string) (c command, err error) {
	exited := false
	parser, err := kong.New(l.own, kong.Name(l.name), kong.Description(strings.ReplaceAll(l.about, "$", "$$")), process.Verbatim(), // kong reads $
		kong.Exit(func(int) { exited = true }), kong.Writers(l.out, os.Stderr), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		return c, err
	}
	if args, err = asHelp(parser, args); err != nil {
		return c, err
	}
	if err := l.refuse(parser, args[0]); err != nil {
		return c, err
	}
	k, err := parser.Parse(args)
	switch {
	case exited:
		return c, nil
	case err != nil:
		return c, hinted(err, args)
	}
	return command{k.Command(), func(a *App) error { return k.Run(a) }}, nil
}

// asHelp turns "help COMMAND" into --help.
func asHelp(parser *kong.Kong, args []string) ([]string, error) {
	if args[0] != "help" || len(args) != 2 || strings.HasPrefix(args[1], "-") {
		return args, nil
	}
	own := names(parser)
	if !slices.Contains(own, args[1]) {
		return nil, usage{fmt.Errorf("help is asked for %s, expected one of %s", args[1], strings.Join(own, ", "))}
	}
	return []string{args[1], "--help"}, nil
}

// names lists the commands.
func names(parser *kong.Kong) (list []string) {
	for _, n := range parser.Model.Children {
		list = append(list, n.Name)
	}
	return list
}

// refuse says that a word is a command of other models only, or returns nil.
func (l commandLine) refuse(parser *kong.Kong, word string) error {
	own := names(parser)
	if slices.Contains(own, word) {
		return nil
	}
	other, err := kong.New(l.foreign)
	if err != nil || !slices.Contains(names(other), word) {
		return err
	}
	return usage{fmt.Errorf("%s is not a command of %s, expected %s", word, l.kind, strings.Join(own, ", "))}
}
