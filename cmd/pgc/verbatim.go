package main

import (
	"fmt"
	"reflect"

	"github.com/alecthomas/kong"
)

// verbatim takes arguments as the bytes that they are. kong itself would replace those that are no UTF-8, so that two
// names of files could become one.
func verbatim() kong.Option {
	return kong.KindMapper(reflect.String, kong.MapperFunc(func(ctx *kong.DecodeContext, target reflect.Value) error {
		token, err := ctx.Scan.PopValue("string")
		if err != nil {
			return err
		}
		target.SetString(fmt.Sprint(token.Value))
		return nil
	}))
}
