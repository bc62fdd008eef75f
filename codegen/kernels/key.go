package kernels

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
)

// Key returns a canonical text of a spec: equal keys build equal kernels. It derives from every field, so that no new
// one is left out.
func Key(s Spec) string {
	var out strings.Builder
	out.WriteString(Kind(s))
	writeKey(&out, reflect.ValueOf(s).Elem())
	return out.String()
}

// keyType is how values of a type are written.
type keyType struct {
	text   bool     // by their method String
	fields []string // of a struct: their names, each with a colon
}

var (
	keyTypes sync.Map // reflect.Type to *keyType
	stringer = reflect.TypeFor[fmt.Stringer]()
)

func keyTypeOf(t reflect.Type) *keyType {
	if f, ok := keyTypes.Load(t); ok {
		return f.(*keyType)
	}
	f := &keyType{text: t.Implements(stringer)}
	if t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			f.fields = append(f.fields, t.Field(i).Name+":")
		}
	}
	keyTypes.Store(t, f)
	return f
}

// writeKey writes a value by its structure: a pointer as what it points to, and what has a text of its own, such as an
// expression or a type, as that text. It panics on kinds that have no canonical text.
func writeKey(out *strings.Builder, v reflect.Value) {
	f := keyTypeOf(v.Type())
	switch {
	case v.Kind() == reflect.Pointer && v.IsNil():
		out.WriteString("nil")
	case f.text:
		out.WriteString(v.Interface().(fmt.Stringer).String())
	case v.Kind() == reflect.Pointer:
		writeKey(out, v.Elem())
	case v.Kind() == reflect.Struct:
		writeAll(out, "{}", v.NumField(), func(i int) {
			out.WriteString(f.fields[i])
			writeKey(out, v.Field(i))
		})
	case v.Kind() == reflect.Slice || v.Kind() == reflect.Array:
		writeAll(out, "[]", v.Len(), func(i int) { writeKey(out, v.Index(i)) })
	case v.Kind() == reflect.String:
		fmt.Fprintf(out, "%q", v.String())
	case v.CanInt():
		var digits [20]byte
		out.Write(strconv.AppendInt(digits[:0], v.Int(), 10))
	case v.CanUint() || v.CanFloat() || v.Kind() == reflect.Bool:
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
