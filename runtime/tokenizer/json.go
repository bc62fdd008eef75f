package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"
)

// unmarshal is json.Unmarshal with errors that name fields of the file, not of Go types.
func unmarshal(text []byte, into any) error {
	if !utf8.Valid(text) {
		return errors.New("is not UTF-8 text")
	}
	err := json.Unmarshal(text, into)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("is not JSON at byte %d: %w", syntax.Offset, err)
	case errors.As(err, &kind) && kind.Field == "":
		return fmt.Errorf("holds %s, expected an object", phrase(kind.Value))
	case errors.As(err, &kind):
		return fmt.Errorf("%s holds %s, expected %s", strings.ReplaceAll(kind.Field, "AddedToken.", ""), phrase(kind.Value), expected(kind.Type.Kind()))
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

// expected describes the values that a field of a kind takes.
func expected(k reflect.Kind) string {
	switch k {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Uint32:
		return "a whole number from 0 to 4294967295"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list"
	}
	return "an object"
}
