package kernels

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgc/ir/scalar"
)

// specs has one of every kind of spec.
var specs = []Spec{&Map{}, &Row{}, &Matmul{}, &Argmax{}, &Top{}, &Epilogue{}, &Rows{}, &Attention{}, &Einsum{}}

// TestKeyHasEveryField changes every field of every kind of spec, one at a time, and expects another key each time.
func TestKeyHasEveryField(t *testing.T) {
	for _, s := range specs {
		v := reflect.ValueOf(s).Elem()
		fillSpec(t, v)
		original, keys := Key(s), map[string]string{}
		keys[original] = "unchanged"
		changes := 0
		eachChange(v, Kind(s), func(where string) {
			changes++
			key := Key(s)
			if was, ok := keys[key]; ok {
				t.Errorf("%s: the key is that of %s", where, was)
			}
			keys[key] = where
		})
		if Key(s) != original {
			t.Fatalf("%s: the changes were not undone", Kind(s))
		}
		t.Logf("%s: %d changes", Kind(s), changes)
	}
}

// TestKeySamples finds the kinds of specs in the source and expects each of them among those that the test of keys
// changes.
func TestKeySamples(t *testing.T) {
	var declared, sampled []string
	for _, s := range specs {
		sampled = append(sampled, reflect.TypeOf(s).Elem().Name())
	}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil && f.Name.Name == "build" && len(f.Type.Params.List) == 1 {
				declared = append(declared, f.Recv.List[0].Type.(*ast.StarExpr).X.(*ast.Ident).Name)
			}
		}
	}
	slices.Sort(declared)
	slices.Sort(sampled)
	if !slices.Equal(declared, sampled) {
		t.Errorf("the specs are %v, the samples %v: expected a sample of each", declared, sampled)
	}
}

// fillSpec gives every slice an element and every pointer something to point to, so that no field is out of reach.
func fillSpec(t *testing.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.Type() == reflect.TypeFor[*scalar.Expr]() {
			v.Set(reflect.ValueOf(scalar.X(0, scalar.F32)))
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		fillSpec(t, v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if !v.Type().Field(i).IsExported() {
				t.Fatalf("%s.%s is not exported: expected plain data", v.Type(), v.Type().Field(i).Name)
			}
			fillSpec(t, v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fillSpec(t, v.Index(0))
	}
}

// eachChange changes v and everything in it, one at a time, and calls f while the change lasts.
func eachChange(v reflect.Value, where string, f func(where string)) {
	old := reflect.ValueOf(v.Interface())
	change := func(to reflect.Value) {
		v.Set(to)
		f(where)
		v.Set(old)
	}
	number := func(n int) { change(reflect.ValueOf(n).Convert(v.Type())) }
	switch v.Kind() {
	case reflect.Pointer:
		change(reflect.Zero(v.Type()))
		if v.Type() == reflect.TypeFor[*scalar.Expr]() {
			change(reflect.ValueOf(scalar.X(1, scalar.F32)))
			return
		}
		eachChange(v.Elem(), where, f)
	case reflect.Struct:
		for i := range v.NumField() {
			eachChange(v.Field(i), where+"."+v.Type().Field(i).Name, f)
		}
	case reflect.Slice:
		change(v.Slice(0, 0))
		change(reflect.Append(v.Slice(0, 1), v.Index(0)))
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			eachChange(v.Index(i), fmt.Sprintf("%s[%d]", where, i), f)
		}
	case reflect.Bool:
		change(reflect.ValueOf(!v.Bool()))
	case reflect.String:
		change(reflect.ValueOf(v.String() + " x:1}").Convert(v.Type()))
	case reflect.Float32, reflect.Float64:
		change(reflect.ValueOf(v.Float() + 1e-12).Convert(v.Type()))
	default:
		number(1)
		number(2)
	}
}
