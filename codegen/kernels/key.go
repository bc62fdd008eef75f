package kernels

import (
	"fmt"
	"reflect"
	"strconv"
	"sync"
)

// Key returns a canonical text of a spec: equal keys build equal kernels. It derives from every field, so that no new
// one is left out.
func Key(s Spec) string {
	return string(appendKey([]byte(Kind(s)), reflect.ValueOf(s).Elem()))
}

// keyType is how values of a type are written.
type keyType struct {
	text   bool     // by their method String
	fields []string // of a struct: what stands before each
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
			f.fields = append(f.fields, " "+t.Field(i).Name+":")
		}
	}
	if len(f.fields) > 0 {
		f.fields[0] = f.fields[0][1:]
	}
	keyTypes.Store(t, f)
	return f
}

// appendKey appends a value by its structure: a pointer as what it points to, and what has a text of its own, such as an
// expression or a type, as that text. It panics on kinds that have no canonical text.
func appendKey(out []byte, v reflect.Value) []byte {
	f := keyTypeOf(v.Type())
	switch kind := v.Kind(); {
	case kind == reflect.Pointer && v.IsNil():
		return append(out, "nil"...)
	case f.text:
		return append(out, v.Interface().(fmt.Stringer).String()...)
	case kind == reflect.Pointer:
		return appendKey(out, v.Elem())
	case kind == reflect.Struct:
		out = append(out, '{')
		for i, name := range f.fields {
			out = appendKey(append(out, name...), v.Field(i))
		}
		return append(out, '}')
	case kind == reflect.Slice || kind == reflect.Array:
		out = append(out, '[')
		for i := range v.Len() {
			if i > 0 {
				out = append(out, ' ')
			}
			out = appendKey(out, v.Index(i))
		}
		return append(out, ']')
	case kind == reflect.String:
		return strconv.AppendQuote(out, v.String())
	case kind == reflect.Bool:
		return strconv.AppendBool(out, v.Bool())
	case v.CanInt():
		return strconv.AppendInt(out, v.Int(), 10)
	case v.CanUint():
		return strconv.AppendUint(out, v.Uint(), 10)
	case v.CanFloat():
		return fmt.Append(out, v.Interface())
	}
	panic(fmt.Sprintf("kernels: a spec has a field of type %s, expected numbers, texts, structs, slices and pointers", v.Type()))
}
