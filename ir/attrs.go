package ir

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Ident is a string attribute printed as a bare word.
type Ident string

// Field is one attribute of an operation, from the struct tag of its attribute type: `ir:"name"`, or `ir:"name,opt"`
// for a field that the text omits when it is zero.
type Field struct {
	Name     string
	Optional bool
	Index    int          // of the struct field
	Type     reflect.Type // int, float64, bool, string, Ident, DType, Dim, *Expr, Reduction or a slice of these
}

// Fields lists the attributes of def in the order of the text.
func (def *OpDef) Fields() []Field {
	if def.Attrs == nil {
		return nil
	}
	t := reflect.TypeOf(def.Attrs)
	fields := make([]Field, 0, t.NumField())
	for i := range t.NumField() {
		name, opt, _ := strings.Cut(t.Field(i).Tag.Get("ir"), ",")
		fields = append(fields, Field{Name: name, Optional: opt == "opt", Index: i, Type: t.Field(i).Type})
	}
	return fields
}

// FormatAttrs returns the attributes of an operation as {axis=0, start=0, limit=S}, or the empty string if there are
// none.
func FormatAttrs(def *OpDef, attrs any) string {
	if attrs == nil {
		return ""
	}
	v := reflect.ValueOf(attrs)
	var parts []string
	for _, f := range def.fields() {
		if fv := v.Field(f.Index); !f.Optional || !isZero(fv) {
			parts = append(parts, f.Name+"="+formatAttr(fv.Interface()))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func isZero(v reflect.Value) bool {
	if v.Kind() == reflect.Slice {
		return v.Len() == 0
	}
	return v.IsZero()
}

func formatAttr(v any) string {
	switch v := v.(type) {
	case int:
		return strconv.Itoa(v)
	case float64:
		return formatFloat(v)
	case bool:
		return strconv.FormatBool(v)
	case string:
		return strconv.Quote(v)
	case Ident:
		return string(v)
	case []Dim:
		return FormatDims(v)
	case fmt.Stringer: // DType, Dim, *Expr, Reduction
		return v.String()
	}
	list := reflect.ValueOf(v)
	parts := make([]string, list.Len())
	for i := range parts {
		parts[i] = formatAttr(list.Index(i).Interface())
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// AttrsEqual reports whether two operations of def have the same attributes.
func AttrsEqual(def *OpDef, a, b any) bool { return FormatAttrs(def, a) == FormatAttrs(def, b) }
