package app

import (
	"fmt"
	"slices"
	"strings"

	"pgc/runtime/cli"
	"pgc/runtime/output"
	"pgc/runtime/parts"
)

// commandLine says what command lines are parsed by: own and foreign point at structs of commands, those of the
// executable, which is of a kind, and those of others.
type commandLine struct {
	own, foreign      any
	kind, name, about string
	out               *output.Checked
}

// command is what a command line asks for; run is nil where all of it was help.
type command struct {
	name string
	run  func(a *App) error
}

// parse reads a command line. Help goes to the output.
func (l commandLine) parse(args []string) (c command, err error) {
	g := cli.Of(l.own)
	if args[0] == "help" && len(args) == 2 && !strings.HasPrefix(args[1], "-") {
		if !slices.Contains(g.Names(), args[1]) {
			return c, usage{fmt.Errorf("help is asked for %s, expected one of %s", args[1], strings.Join(g.Names(), ", "))}
		}
		args = []string{args[1], "--help"}
	}
	if err := l.refuse(g, args[0]); err != nil {
		return c, err
	}
	parsed, err := g.Parse(args)
	if err != nil {
		return c, hinted(err, args)
	}
	if parsed.Help {
		g.Help(l.out, l.name, l.about, parsed)
		if !parts.Full {
			fmt.Fprintf(l.out, "\nThis executable has the least runtime. pgc compile --runtime full adds %s, other pictures than PNG and JPEG, drawing and http(s) addresses.\n", strings.Join(missing, ", "))
		}
		return c, nil
	}
	c.name = parsed.Command
	switch cmd := parsed.Value.(type) {
	case interface{ Run(a *App) error }:
		c.run = cmd.Run
	case interface{ Run() error }:
		c.run = func(*App) error { return cmd.Run() }
	default:
		c.run = func(*App) error {
			return usage{fmt.Errorf("a command is missing, expected one of %s (see --help)", strings.Join(g.Names(), ", "))}
		}
	}
	return c, nil
}

// refuse says that a word is a command that this executable lacks, or returns nil.
func (l commandLine) refuse(g *cli.Grammar, word string) error {
	switch own := g.Names(); {
	case slices.Contains(own, word):
		return nil
	case slices.Contains(missing, word):
		return usage{parts.Missing(word + " is")}
	case slices.Contains(cli.Of(l.foreign).Names(), word):
		return usage{fmt.Errorf("%s is not a command of %s, expected %s", word, l.kind, strings.Join(own, ", "))}
	}
	return nil
}
