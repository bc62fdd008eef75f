package frontend

import (
	"flag"
	"fmt"
	"go/format"
	"os"
	"strings"
	"testing"

	"pgc/ir"
)

var update = flag.Bool("update", false, "rewrite generated files")

// generate writes a function for every elementwise operation and every reduction of the table.
func generate() string {
	var b strings.Builder
	b.WriteString("// Code generated from the table of operations by go test ./frontend -update. DO NOT EDIT.\n\npackage frontend\n\nimport \"pgc/ir\"\n")
	for _, def := range ir.Ops() {
		if !def.Elementwise() && !def.Reduces() {
			continue
		}
		name := ""
		for part := range strings.SplitSeq(def.Name, "_") {
			name += strings.ToUpper(part[:1]) + part[1:]
		}
		var params []string
		for _, o := range def.In {
			params = append(params, o.Name)
		}
		list := strings.Join(params, ", ")
		kind := "Operand"
		if len(params) == 1 {
			kind = "*Value"
		}
		fmt.Fprintf(&b, "\n// %s is %s: %s.\nfunc %s(%s %s) *Value { return Apply(ir.Op%s, %s) }\n",
			name, map[bool]string{true: "a reduction", false: "elementwise"}[def.Reduces()], def.Doc, name, list, kind, name, list)
	}
	text, err := format.Source([]byte(b.String()))
	if err != nil {
		panic(err)
	}
	return string(text)
}

func TestFunctionsAreCurrent(t *testing.T) {
	if *update {
		if err := os.WriteFile("operations.go", []byte(generate()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile("operations.go")
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != generate() {
		t.Error("operations.go is not what the table of operations yields; run go test ./frontend -update")
	}
}
