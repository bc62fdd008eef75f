// Package cli reads command lines into structs: one of commands, whose fields' tags are kong's. pflag parses them. Only the
// command that is asked for becomes flags, and no method is found by name, so that the linker can leave out what nothing
// calls: with kong, which pgc uses, an executable's start touched a megabyte more, and its file had two more.
//
// The tags:
//
//	cmd:""               a command, a struct of its own; default:"withargs" makes it the one that may be left out
//	arg:""               what is no flag: a value or, if a slice, all of them; optional:"" if it may be missing
//	name:"n"             the name; without one it is the field's, with dashes
//	short:"o"            another name, of one letter
//	help:"…"             what it is
//	placeholder:"N"      what stands for its value in help
//	default:"v"          the value if none is given
//	enum:"a,b"           the values that a string may have
//	required:""          it must be given
//	negatable:""         of a bool: --no-NAME is --NAME=false
//	sep:"none"           of a slice: a value is one element; without it commas divide values
package cli

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Grammar is what a command line is read by.
type Grammar struct {
	root     []field // flags that every command has
	commands []field
}

// Of makes the grammar of a struct of commands and flags, which root points to. It gives the flags their defaults.
func Of(root any) *Grammar {
	g := &Grammar{}
	for _, f := range fields(reflect.ValueOf(root).Elem()) {
		if f.has("cmd") {
			g.commands = append(g.commands, f)
		} else {
			g.root = append(g.root, f)
		}
	}
	return g
}

// Names lists the commands.
func (g *Grammar) Names() (list []string) {
	for _, c := range g.commands {
		list = append(list, c.name)
	}
	return list
}

// Parsed is a command line that was read.
type Parsed struct {
	Command string // its name; "" if none is asked for and none may be left out
	Value   any    // a pointer to its struct, filled in
	helped         // whether help is asked for: then nothing was checked that may be missing

	own []field // the command's
}

// Parse reads a command line. Its errors are about the arguments. The first word is the command's name, unless it is an
// argument of the command that may be left out; flags may stand anywhere.
func (g *Grammar) Parse(args []string) (*Parsed, error) {
	p := &Parsed{}
	own := g.enter(p, g.implied())
	own.SetInterspersed(false)
	words, err := read(own, args)
	if err != nil {
		return nil, err
	}
	if len(words) == 0 && p.Help {
		return &Parsed{helped: p.helped}, nil // about all commands
	}
	if own.ArgsLenAtDash() != 0 && len(words) > 0 { // else no flags follow, nor a command's name
		i := slices.IndexFunc(g.commands, func(c field) bool { return c.name == words[0] })
		switch {
		case i < 0 && p.Value == nil:
			return nil, suggest(ErrUnexpected.Error()+" "+words[0], words[0], g.Names())
		case i >= 0 && p.Command != g.commands[i].name:
			for _, f := range p.own {
				if flag := own.Lookup(f.name); flag != nil && flag.Changed {
					return nil, fmt.Errorf("--%s is read before the command %s: expected it behind, if %s has such a flag", f.name, words[0], words[0])
				}
			}
			own = g.enter(p, &g.commands[i])
			fallthrough
		case i >= 0:
			words = words[1:]
		}
		own.SetInterspersed(true)
		if words, err = read(own, words); err != nil {
			return nil, err
		}
	}
	if err := p.take(words); err != nil || p.Help {
		return p, err
	}
	return p, p.check(own)
}

// implied is the command that may be left out, or nil.
func (g *Grammar) implied() *field {
	i := slices.IndexFunc(g.commands, func(c field) bool { return c.tag.Get("default") == "withargs" })
	if i < 0 {
		return nil
	}
	return &g.commands[i]
}

// enter makes a command, unless it is nil, the one to fill in, and returns the flags that it may have.
func (g *Grammar) enter(p *Parsed, command *field) *pflag.FlagSet {
	if command != nil {
		p.Command, p.Value, p.own = command.name, command.value.Addr().Interface(), fields(command.value)
	}
	return flagSet(help(&p.helped), g.root, p.own)
}

func help(h *helped) []field { return fields(reflect.ValueOf(h).Elem()) }

// helped holds the flag that every command line may have.
type helped struct {
	Help bool `short:"h" help:"Show help: about the command, if one is named."`
}

// flagSet makes the flags of some lists of fields.
func flagSet(lists ...[]field) *pflag.FlagSet {
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	set.SortFlags = false
	set.Usage = func() {}
	for _, list := range lists {
		for i := range list {
			if f := &list[i]; !f.has("arg") {
				f.addTo(set)
			}
		}
	}
	return set
}

// read parses arguments and returns those that are no flags. Its errors are pflag's in the words of pgc's commands.
func read(set *pflag.FlagSet, args []string) ([]string, error) {
	err := set.Parse(args)
	if err == nil {
		return set.Args(), swallowed(set, args)
	}
	if bad := swallowed(set, args); bad != nil {
		return nil, bad
	}
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		name := "--" + unknown.GetSpecifiedName()
		if letters := unknown.GetSpecifiedShortnames(); letters != "" {
			name = "-" + string([]rune(letters)[:1])
		}
		var known []string
		set.VisitAll(func(f *pflag.Flag) {
			known = append(known, "--"+f.Name)
			if f.Shorthand != "" {
				known = append(known, "-"+f.Shorthand)
			}
		})
		return nil, suggest("unknown flag "+name, name, known)
	case errors.As(err, &missing):
		return nil, fmt.Errorf("--%s: expected a value behind it", missing.GetFlag().Name)
	case errors.As(err, &invalid):
		return nil, fmt.Errorf("--%s: %w", invalid.GetFlag().Name, errors.Unwrap(err))
	}
	return nil, err
}

// swallowed is the error about a flag whose value would be the next flag, as pflag takes it: people forget values. A value
// in the same argument may begin with a dash.
func swallowed(set *pflag.FlagSet, args []string) error {
	for len(args) > 1 && args[0] != "--" {
		flag := (*pflag.Flag)(nil)
		switch name := args[0]; {
		case strings.HasPrefix(name, "--"):
			flag = set.Lookup(name[2:])
		case len(name) == 2 && name[0] == '-':
			flag = set.ShorthandLookup(name[1:])
		}
		if args = args[1:]; flag == nil || flag.NoOptDefVal != "" {
			continue
		}
		if strings.HasPrefix(args[0], "-") && args[0] != "-" {
			return fmt.Errorf("--%s: expected a value behind it but got the flag %s: write --%s=%s if that is the value", flag.Name, args[0], flag.Name, args[0])
		}
		args = args[1:]
	}
	return nil
}

// ErrUnexpected is in errors about a word that a command has no argument for.
var ErrUnexpected = errors.New("unexpected argument")

// take reads the words that are no flags.
func (p *Parsed) take(words []string) error {
	for _, word := range words {
		i := slices.IndexFunc(p.own, func(f field) bool { return f.has("arg") && (!f.given || f.value.Kind() == reflect.Slice) })
		if i < 0 {
			return fmt.Errorf("%w %s", ErrUnexpected, word)
		}
		f := &p.own[i]
		if err := f.Set(word); err != nil {
			return fmt.Errorf("%s: %w", f.summary(), err)
		}
		f.given = true
	}
	return nil
}

// check is the error about what the command needs and was not given, or was given another value than there are.
func (p *Parsed) check(set *pflag.FlagSet) error {
	var flags []string
	for _, f := range p.own {
		enum := f.tag.Get("enum")
		switch {
		case enum != "" && !slices.Contains(strings.Split(enum, ","), f.value.String()):
			return fmt.Errorf("--%s: expected one of %s but got %q", f.name, strings.ReplaceAll(enum, ",", ", "), f.value)
		case f.has("arg"):
			if !f.given && !f.has("optional") {
				return fmt.Errorf("expected %s", f.summary())
			}
		case f.has("required") && !set.Changed(f.name):
			flags = append(flags, f.summary())
		}
	}
	if len(flags) == 0 {
		return nil
	}
	slices.Sort(flags)
	return errors.New("missing flags: " + strings.Join(flags, ", "))
}
