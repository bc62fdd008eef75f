package kernels

import (
	"fmt"
	"reflect"
	"strings"
)

// Key returns a canonical text of a spec: equal keys build equal kernels. It derives from every field, so that no new
// one is left out.
func Key(s Spec) string {
	var out strings.Builder
	out.WriteString(Kind(s))
	writeKey(&out, reflect.ValueOf(s).Elem())
	return out.String()
}

// writeKey writes a value by its structure: a pointer as what it points to, and what has a text of its own, such as an
// expression or a type, as that text. It panics on kinds that have no canonical text.
func writeKey(out *strings.Builder, v reflect.Value) {
	switch text, ok := v.Interface().(fmt.Stringer); {
	case v.Kind() == reflect.Pointer && v.IsNil():
		out.WriteString("nil")
	case ok:
		out.WriteString(text.String())
	case v.Kind() == reflect.Pointer:
		writeKey(out, v.Elem())
	case v.Kind() == reflect.Struct:
		writeAll(out, "{}", v.NumField(), func(i int) {
			out.WriteString(v.Type().Field(i).Name + ":")
			writeKey(out, v.Field(i))
		})
	case v.Kind() == reflect.Slice || v.Kind() == reflect.Array:
		writeAll(out, "[]", v.Len(), func(i int) { writeKey(out, v.Index(i)) })
	case v.Kind() == reflect.String:
		fmt.Fprintf(out, "%q", v.String())
	case v.CanInt() || v.CanUint() || v.CanFloat() || v.Kind() == reflect.Bool:
		fmt.Fprint(out, v.Interface())
	default:
		panic(fmt.Sprintf("kernels: a spec has a field of type %s, expected numbers, texts, structs, slices and pointers", v.Type()))
	}
}

func writeAll(out *strings.Builder, brackets string, n int, write func(i int)) {
	out.WriteByte(brackets[0])
	for i := range n {
		if i > 0 {
			out.WriteByte(' ')
		}
		write(i)
	}
	out.WriteByte(brackets[1])
}
