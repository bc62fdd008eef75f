// Package cli reads command lines into structs: one of commands, whose fields' tags are kong's. It looks only at the
// command that is asked for, and finds no methods by name, so that the linker can leave out what nothing calls: with kong
// an executable's start touched a megabyte more, and its file had two more.
//
// It imports nothing of pgc. The tags:
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
	"unicode"
	"unicode/utf8"
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
	Help    bool   // whether help is asked for: then nothing was checked that may be missing

	own []field // the command's
}

// Parse reads a command line. Its errors are about the arguments.
func (g *Grammar) Parse(args []string) (*Parsed, error) {
	p := &parser{Grammar: g, args: args}
	for {
		arg, more := p.next()
		if !more {
			break
		}
		var err error
		switch {
		case p.ended || arg == "-" || !strings.HasPrefix(arg, "-"):
			err = p.word(arg)
		case arg == "--":
			p.ended = true
		case strings.HasPrefix(arg, "--"):
			name, value, has := strings.Cut(arg, "=")
			err = p.flag(name, value, has)
		default:
			err = p.letters(arg[1:])
		}
		if err != nil {
			return nil, err
		}
	}
	if p.help {
		return p.parsed(), nil
	}
	if p.of == nil {
		if p.of = p.implied(); p.of == nil {
			return p.parsed(), nil
		}
		p.choose(p.of)
	}
	return p.parsed(), p.check()
}

// parser reads one command line.
type parser struct {
	*Grammar
	args    []string // what is left of them
	ended   bool     // whether -- was read: no flags follow
	help    bool     // whether --help was
	of      *field   // the command, once it is known
	own     []field  // its fields
	guessed *field   // a flag of the implied command that was read before any command was
}

func (p *parser) parsed() *Parsed {
	if p.of == nil {
		return &Parsed{Help: p.help}
	}
	return &Parsed{p.of.name, p.of.value.Addr().Interface(), p.help, p.own}
}

func (p *parser) next() (string, bool) {
	if len(p.args) == 0 {
		return "", false
	}
	arg := p.args[0]
	p.args = p.args[1:]
	return arg, true
}

// implied is the command that may be left out, or nil.
func (g *Grammar) implied() *field {
	for i := range g.commands {
		if g.commands[i].tag.Get("default") == "withargs" {
			return &g.commands[i]
		}
	}
	return nil
}

// choose makes a command the one to fill in. Its flags may have been read before its name.
func (p *parser) choose(of *field) {
	if p.of = of; p.own == nil || of != p.implied() {
		p.own = fields(of.value)
	}
}

// word reads what is no flag: the command's name, or an argument of it.
func (p *parser) word(arg string) error {
	if p.of == nil {
		if i := slices.IndexFunc(p.commands, func(c field) bool { return c.name == arg }); i >= 0 {
			of := &p.commands[i]
			if p.guessed != nil && of != p.implied() {
				return fmt.Errorf("--%s is read before the command %s: expected it behind, if %s has such a flag", p.guessed.name, arg, arg)
			}
			p.choose(of)
			return nil
		}
		if of := p.implied(); of != nil {
			p.choose(of)
		} else {
			return suggest("unexpected argument "+arg, arg, p.Names())
		}
	}
	for i := range p.own {
		if f := &p.own[i]; f.has("arg") && (!f.given || f.value.Kind() == reflect.Slice) {
			return f.set(arg)
		}
	}
	return fmt.Errorf("unexpected argument %s", arg)
}

// letters reads flags of one letter each, of which the last may have a value, right behind it or as the next argument.
func (p *parser) letters(text string) error {
	for text != "" {
		_, n := utf8.DecodeRuneInString(text)
		letter, rest := text[:n], text[n:]
		f, _ := p.find("-" + letter)
		if f == nil || f.isBool() {
			if err := p.flag("-"+letter, "", false); err != nil {
				return err
			}
			text = rest
			continue
		}
		return p.flag("-"+letter, rest, rest != "")
	}
	return nil
}

// helpFlag is a flag of every command line.
var helpFlag = field{name: "help", tag: `short:"h" help:"Show context-sensitive help."`}

// flags calls yield with each flag that may be given now, until it returns false.
func (p *parser) flags(yield func(f *field) bool) {
	if !yield(&helpFlag) {
		return
	}
	if p.of == nil && p.own == nil {
		if of := p.implied(); of != nil {
			p.own = fields(of.value)
		}
	}
	for _, list := range [][]field{p.root, p.own} {
		for i := range list {
			if !list[i].has("arg") && !yield(&list[i]) {
				return
			}
		}
	}
}

// find returns the flag of a name with its dashes, and whether the name negates it, or nil.
func (p *parser) find(name string) (found *field, negated bool) {
	p.flags(func(f *field) bool {
		switch {
		case name == "--"+f.name, f.short() != "" && name == "-"+f.short():
			found = f
		case f.has("negatable") && name == "--no-"+f.name:
			found, negated = f, true
		}
		return found == nil
	})
	return found, negated
}

// flag reads a flag whose value may stand in the same argument.
func (p *parser) flag(name, value string, has bool) error {
	f, negated := p.find(name)
	if f == nil {
		var known []string
		p.flags(func(f *field) bool {
			known = append(known, "--"+f.name)
			if f.short() != "" {
				known = append(known, "-"+f.short())
			}
			return true
		})
		return suggest("unknown flag "+name, name, known)
	}
	if f == &helpFlag {
		p.help = true
		return nil
	}
	switch {
	case f.isBool() && has:
		b, err := boolean(value)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		value = fmt.Sprint(b != negated)
	case f.isBool():
		value = fmt.Sprint(!negated)
	case !has:
		switch value, has = p.next(); {
		case !has:
			return fmt.Errorf("--%s: expected a value behind it", f.name)
		case strings.HasPrefix(value, "-") && value != "-":
			return fmt.Errorf("--%s: expected a value behind it but got the flag %s: write --%s=%s if that is the value", f.name, value, f.name, value)
		}
	}
	if p.of == nil && slices.ContainsFunc(p.own, func(o field) bool { return o.name == f.name }) {
		p.guessed = f
	}
	return f.set(value)
}

// check is the error about what the command needs and was not given, or was given another value than there are.
func (p *parser) check() error {
	var flags []string
	for _, f := range p.own {
		enum := f.tag.Get("enum")
		switch {
		case enum != "" && !slices.Contains(strings.Split(enum, ","), f.value.String()):
			return fmt.Errorf("--%s: expected one of %s but got %q", f.name, strings.ReplaceAll(enum, ",", ", "), f.value)
		case f.given:
		case f.has("arg") && !f.has("optional"):
			return fmt.Errorf("expected %s", f.summary())
		case !f.has("arg") && f.has("required"):
			flags = append(flags, f.summary())
		}
	}
	if len(flags) == 0 {
		return nil
	}
	slices.Sort(flags)
	return errors.New("missing flags: " + strings.Join(flags, ", "))
}

// suggest adds what may be meant to an error about a word.
func suggest(text, word string, known []string) error {
	var close []string
	for _, k := range known {
		if strings.HasPrefix(k, word) || distance(k, word) <= 2 {
			close = append(close, fmt.Sprintf("%q", k))
		}
	}
	switch len(close) {
	case 0:
		return errors.New(text)
	case 1:
		return fmt.Errorf("%s, did you mean %s?", text, close[0])
	}
	return fmt.Errorf("%s, did you mean one of %s?", text, strings.Join(close, ", "))
}

// distance is the number of characters to insert, remove or change to make one text of another.
func distance(a, b string) int {
	to := []rune(b)
	row := make([]int, len(to)+1) // row[j] is the distance of what was read of a to the first j characters of b
	for j := range row {
		row[j] = j
	}
	for _, c := range a {
		diagonal := row[0]
		row[0]++
		for j, d := range to {
			change := diagonal
			if c != d {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(to)]
}

// dashed is the flag of a field's name: max-new-tokens of MaxNewTokens.
func dashed(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
