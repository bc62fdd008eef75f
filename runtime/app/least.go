//go:build least

package app

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"pgc/runtime/parts"
)

// The least runtime has no further commands.
type (
	generatingMore struct{}
	commonMore     struct{}
)

// missing are the commands that it leaves out.
var missing = []string{"segment", "mask", "attend", "forward", "serve", "merge", "tokenize", "embed", "rank"}

// parse reads a command line by the same tags of structs as kong, which the full runtime has. kong finds methods by
// names that it makes, so that the linker must keep those of every type: two megabytes.
func (l commandLine) parse(args []string) (c command, err error) {
	root := reflect.ValueOf(l.own).Elem()
	var commands, flags []field
	for _, f := range fields(root) {
		if _, is := f.tag.Lookup("cmd"); is {
			commands = append(commands, f)
		} else {
			flags = append(flags, f)
		}
	}
	named := func(word string) int { return slices.IndexFunc(commands, func(f field) bool { return f.name == word }) }
	if args[0] == "help" && len(args) == 2 && !strings.HasPrefix(args[1], "-") {
		if named(args[1]) < 0 {
			return c, usage{fmt.Errorf("help is asked for %s, expected one of %s", args[1], nameList(commands))}
		}
		args = []string{args[1], "--help"}
	}
	if slices.Contains(missing, args[0]) {
		return c, usage{parts.Missing(args[0] + " is")}
	}
	word := 0 // of the command
	for word < len(args) && strings.HasPrefix(args[word], "-") {
		f, _, value := find(flags, args[word])
		if word++; f != nil && !value && !f.isBool() {
			word++
		}
	}
	if word < len(args) && named(args[word]) >= 0 {
		c.name = args[word]
		args = slices.Delete(slices.Clone(args), word, word+1)
	} else if slices.Contains(args, "--help") || slices.Contains(args, "-h") {
		help(l.out, fmt.Sprintf("%s <command> [flags]\n\n%s", l.name, l.about), commands, flags)
		return c, nil
	} else {
		c.name = commands[0].name
	}
	of := commands[named(c.name)]
	own := fields(of.value)
	if slices.Contains(args, "--help") || slices.Contains(args, "-h") {
		help(l.out, fmt.Sprintf("%s %s [flags]\n\n%s", l.name, c.name, of.tag.Get("help")), nil, append(own, flags...))
		return c, nil
	}
	if err := fill(append(own, flags...), args); err != nil {
		return c, hinted(err, append([]string{c.name}, args...))
	}
	switch cmd := of.value.Addr().Interface().(type) {
	case interface{ Run(a *App) error }:
		c.run = cmd.Run
	case interface{ Run() error }:
		c.run = func(*App) error { return cmd.Run() }
	}
	return c, nil
}

// field is a field of a struct of commands, or of a command: a flag, or the arguments.
type field struct {
	name  string
	tag   reflect.StructTag
	value reflect.Value
}

// fields lists the fields of a struct and of those that are embedded in it, and gives them their defaults.
func fields(of reflect.Value) (list []field) {
	for i := range of.NumField() {
		t := of.Type().Field(i)
		switch {
		case t.Anonymous:
			list = append(list, fields(of.Field(i))...)
			continue
		case !t.IsExported():
			continue
		}
		f := field{t.Tag.Get("name"), t.Tag, of.Field(i)}
		if f.name == "" {
			f.name = dashed(t.Name)
		}
		if text, has := f.tag.Lookup("default"); has && of.Field(i).Kind() != reflect.Struct {
			f.set(text)
		}
		list = append(list, f)
	}
	return list
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

// find returns the flag that an argument names, whether it negates it, and whether a value follows in the argument.
func find(flags []field, arg string) (f *field, negated, value bool) {
	name, _, value := strings.Cut(arg, "=")
	for i := range flags {
		f := &flags[i]
		_, negatable := f.tag.Lookup("negatable")
		_, positional := f.tag.Lookup("arg")
		switch {
		case positional:
		case name == "--"+f.name, f.tag.Get("short") != "" && name == "-"+f.tag.Get("short"):
			return f, false, value
		case negatable && name == "--no-"+f.name:
			return f, true, value
		}
	}
	return nil, false, value
}

// fill sets what the arguments of a command give.
func fill(all []field, args []string) error {
	given := map[string]bool{}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		rest := arg == "--"
		if rest || arg == "-" || !strings.HasPrefix(arg, "-") {
			at := slices.IndexFunc(all, func(f field) bool { _, is := f.tag.Lookup("arg"); return is })
			words := args[i : i+1]
			if rest {
				words, i = args[i+1:], len(args)
			}
			for _, word := range words {
				if at < 0 {
					return fmt.Errorf("unexpected argument %s", word)
				}
				if err := all[at].set(word); err != nil {
					return err
				}
			}
			continue
		}
		f, negated, value := find(all, arg)
		if f == nil {
			return fmt.Errorf("unknown flag %s", arg)
		}
		_, text, _ := strings.Cut(arg, "=")
		switch {
		case value:
		case f.isBool():
			text = strconv.FormatBool(!negated)
		case i+1 == len(args):
			return fmt.Errorf("%s: expected a value behind it", arg)
		default:
			i++
			text = args[i]
		}
		if err := f.set(text); err != nil {
			return fmt.Errorf("--%s: %w", f.name, err)
		}
		given[f.name] = true
	}
	for _, f := range all {
		if _, required := f.tag.Lookup("required"); required && !given[f.name] {
			return fmt.Errorf("missing flags: --%s=%s", f.name, f.tag.Get("placeholder"))
		}
	}
	return nil
}

func (f field) isBool() bool {
	t := f.value.Type()
	return t.Kind() == reflect.Bool || t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Bool
}

// set sets a value, or adds one to a list.
func (f field) set(text string) error {
	if enum := f.tag.Get("enum"); enum != "" && !slices.Contains(strings.Split(enum, ","), text) {
		return fmt.Errorf("must be one of %s but got %q", enum, text)
	}
	v := f.value
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if v.Kind() == reflect.Slice {
		v.Set(reflect.Append(v, reflect.ValueOf(text)))
		return nil
	}
	var err error
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		var b bool
		b, err = strconv.ParseBool(text)
		v.SetBool(b)
	case reflect.Int:
		var n int64
		n, err = strconv.ParseInt(text, 10, 64)
		v.SetInt(n)
	case reflect.Uint64:
		var n uint64
		n, err = strconv.ParseUint(text, 10, 64)
		v.SetUint(n)
	case reflect.Float64:
		var x float64
		x, err = strconv.ParseFloat(text, 64)
		v.SetFloat(x)
	}
	if err != nil {
		return fmt.Errorf("expected a %s but got %q", v.Kind(), text)
	}
	return nil
}

// help prints what there is.
func help(out io.Writer, usage string, commands, flags []field) {
	fmt.Fprintf(out, "Usage: %s\n", usage)
	for _, list := range []struct {
		title, prefix string
		of            []field
	}{{"Commands", "", commands}, {"Flags", "--", flags}} {
		if len(list.of) > 0 {
			fmt.Fprintf(out, "\n%s:\n", list.title)
		}
		for _, f := range list.of {
			name := list.prefix + f.name
			if _, is := f.tag.Lookup("arg"); is {
				name = "<" + f.name + ">"
			} else if text := f.tag.Get("placeholder"); text != "" {
				name += "=" + text
			}
			fmt.Fprintf(out, "  %s\n      %s\n", name, f.tag.Get("help"))
		}
	}
	fmt.Fprintf(out, "\nThis executable has the least runtime. pgc compile --runtime full adds %s, other pictures than PNG and JPEG, drawing and http(s) addresses.\n", strings.Join(missing, ", "))
}

func nameList(commands []field) string {
	var names []string
	for _, f := range commands {
		names = append(names, f.name)
	}
	return strings.Join(names, ", ")
}
