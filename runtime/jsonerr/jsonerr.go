// Package jsonerr turns errors of encoding/json, which speak of Go's types, into sentences about the text.
package jsonerr

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// Explain returns err about fields and values of the text. Names of embedded structs, which the text lacks, are left out
// of fields.
func Explain(err error, embedded ...string) error {
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind):
		field := kind.Field
		for _, name := range embedded {
			field = strings.ReplaceAll("."+field, "."+name+".", ".")[1:]
		}
		if field == "" {
			field = "it"
		}
		return fmt.Errorf("%s holds %s, expected %s", field, phrase(kind.Value), expected(kind.Type))
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return errors.New("it ends too early")
	case err != nil && strings.HasPrefix(err.Error(), "json: "): // an unknown field has no type of its own
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	return err
}

// phrase rewrites encoding/json's description of a value.
func phrase(value string) string {
	switch value {
	case "array", "object":
		return "an " + value
	case "bool":
		return "true or false"
	case "string", "number":
		return "a " + value
	}
	return "the " + value // "number 1.5"
}

// expected describes the values that a type takes.
func expected(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return expected(t.Elem())
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Uint32:
		return "a whole number from 0 to 4294967295"
	case reflect.Uint64:
		return "a whole number from 0 to 18446744073709551615"
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list"
	}
	return "an object"
}
