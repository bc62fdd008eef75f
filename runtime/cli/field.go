package cli

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/pflag"
)

// field is a field of a struct: a command, a flag, of which it is the pflag.Value, or an argument.
type field struct {
	name  string
	tag   reflect.StructTag
	value reflect.Value
	given bool // of an argument: whether it was given

	negates bool // whether it is --no-NAME of a bool
}

// fields lists the fields of a struct and of those that are embedded in it, and sets their defaults.
func fields(of reflect.Value) []field {
	list := make([]field, 0, 2*of.NumField())
	return appendFields(list, of)
}

func appendFields(list []field, of reflect.Value) []field {
	for i := range of.NumField() {
		t := of.Type().Field(i)
		if t.Anonymous {
			list = appendFields(list, of.Field(i))
			continue
		}
		if !t.IsExported() {
			continue
		}
		f := field{name: t.Tag.Get("name"), tag: t.Tag, value: of.Field(i)}
		if f.name == "" {
			f.name = dashed(t.Name)
		}
		if text, has := f.tag.Lookup("default"); has && !f.has("cmd") {
			if err := f.Set(text); err != nil {
				panic(fmt.Sprintf("the default of --%s: %v", f.name, err))
			}
		}
		list = append(list, f)
	}
	return list
}

func (f *field) has(key string) bool { _, has := f.tag.Lookup(key); return has }

func (f *field) short() string { return f.tag.Get("short") }

// isBool reports whether it takes no value.
func (f *field) isBool() bool {
	t := f.value.Type()
	return t.Kind() == reflect.Bool || t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Bool
}

// addTo makes it a flag.
func (f *field) addTo(set *pflag.FlagSet) {
	flag := set.VarPF(f, f.name, f.short(), f.tag.Get("help"))
	flag.DefValue = "" // help tells it where it matters
	if !f.isBool() {
		return
	}
	flag.NoOptDefVal = "true"
	if f.has("negatable") {
		no := *f
		no.negates = true
		set.VarPF(&no, "no-"+f.name, "", "The opposite of --"+f.name+".").NoOptDefVal = "true"
	}
}

// Type is what stands for a value in help: nothing where there is none.
func (f *field) Type() string {
	if f.isBool() {
		return "bool"
	}
	value := f.tag.Get("placeholder")
	if value == "" {
		if value = f.value.Type().Name(); value == "" {
			value = f.name
		}
		value = strings.ToUpper(value)
	}
	if f.value.Kind() == reflect.Slice && f.divided() {
		value += ",..."
	}
	return value
}

// String is a value as pflag would show it, which nothing asks for.
func (f *field) String() string { return "" }

// Set sets a value, or adds to a list. Strings are taken as the bytes that they are.
func (f *field) Set(text string) error {
	v := f.value
	if f.negates {
		b, err := boolean(text)
		if err != nil {
			return err
		}
		text = strconv.FormatBool(!b)
	}
	if v.Kind() == reflect.Slice {
		words := []string{text}
		if f.divided() {
			words = split(text)
		}
		for _, word := range words {
			v.Set(reflect.Append(v, reflect.ValueOf(word)))
		}
		return nil
	}
	if v.Kind() == reflect.Pointer {
		to := reflect.New(v.Type().Elem())
		if err := assign(to.Elem(), text); err != nil {
			return err
		}
		v.Set(to)
		return nil
	}
	return assign(v, text)
}

// summary is an argument, or a flag with what stands for its value.
func (f *field) summary() string {
	if !f.has("arg") {
		return "--" + f.name + "=" + f.Type()
	}
	text := "<" + f.name + ">"
	if f.value.Kind() == reflect.Slice {
		text += " ..."
	}
	if f.has("optional") {
		text = "[" + text + "]"
	}
	return text
}

// divided reports whether commas divide its values.
func (f *field) divided() bool { return f.tag.Get("sep") != "none" && !f.has("arg") }

// assign sets a value that is no list.
func assign(v reflect.Value, text string) error {
	if d, is := v.Addr().Interface().(*time.Duration); is {
		n, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("expected a time such as 90s but got %q", text)
		}
		*d = n
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, err := boolean(text)
		if err != nil {
			return err
		}
		v.SetBool(b)
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 0, v.Type().Bits())
		if err != nil {
			return fmt.Errorf("expected an integer%s but got %q", bounds(err, v.Type()), text)
		}
		v.SetInt(n)
	case reflect.Uint64:
		n, err := strconv.ParseUint(text, 0, 64)
		if err != nil {
			return fmt.Errorf("expected an integer of 0 or more%s but got %q", bounds(err, v.Type()), text)
		}
		v.SetUint(n)
	case reflect.Float64:
		x, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("expected a number but got %q", text)
		}
		v.SetFloat(x)
	default:
		panic(fmt.Sprintf("cli: a field of type %s", v.Type()))
	}
	return nil
}

// bounds says of a number that is out of range how many bits it may have.
func bounds(err error, t reflect.Type) string {
	if errors.Is(err, strconv.ErrRange) {
		return fmt.Sprintf(" of %d bits", t.Bits())
	}
	return ""
}

func boolean(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "1", "yes":
		return true, nil
	case "false", "0", "no":
		return false, nil
	}
	return false, fmt.Errorf("expected true or false but got %q", text)
}

// split divides a text at its commas, but not at those behind a backslash. An empty end is left out.
func split(text string) (words []string) {
	var word strings.Builder
	escaped := false
	for i := range len(text) {
		switch c := text[i]; {
		case escaped && c != ',': // the backslash is a part of the text
			word.WriteByte('\\')
			word.WriteByte(c)
			escaped = false
		case escaped:
			word.WriteByte(c)
			escaped = false
		case c == '\\':
			escaped = true
		case c == ',':
			words = append(words, word.String())
			word.Reset()
		default:
			word.WriteByte(c)
		}
	}
	if escaped {
		word.WriteByte('\\')
	}
	if word.Len() > 0 {
		words = append(words, word.String())
	}
	return words
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
