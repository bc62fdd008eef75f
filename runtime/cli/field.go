package cli

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// field is a field of a struct: a command, a flag or an argument.
type field struct {
	name  string
	tag   reflect.StructTag
	value reflect.Value
	given bool
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
			if err := f.assign(text); err != nil {
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
	if f == &helpFlag {
		return true
	}
	t := f.value.Type()
	return t.Kind() == reflect.Bool || t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Bool
}

// set sets what an argument gives.
func (f *field) set(text string) error {
	if err := f.assign(text); err != nil {
		if f.has("arg") {
			return fmt.Errorf("%s: %w", f.summary(), err)
		}
		return fmt.Errorf("--%s: %w", f.name, err)
	}
	f.given = true
	return nil
}

// assign sets a value, or adds to a list. Strings are taken as the bytes that they are.
func (f *field) assign(text string) error {
	v := f.value
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
