package text

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"pgc/ir"
	"pgc/ir/eval"
)

const (
	opsPath  = "../../docs/OPS.md"
	pgirPath = "../../docs/PGIR.md"
)

// attributeSyntax is how an attribute's value is written.
func attributeSyntax(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[ir.Dim]():
		return "size"
	case reflect.TypeFor[*ir.Expr]():
		return "expression"
	case reflect.TypeFor[ir.Reduction]():
		return "sum(expression) or max(expression)"
	case reflect.TypeFor[ir.Gather]():
		return "[table, index]"
	case reflect.TypeFor[ir.Scatter]():
		return "[state, positions]"
	case reflect.TypeFor[ir.DType]():
		return "type"
	case reflect.TypeFor[ir.Ident]():
		return "name"
	}
	if t.Kind() == reflect.Slice {
		return "list of " + attributeSyntax(t.Elem())
	}
	return t.Kind().String()
}

// section documents one operation from its row of the table.
func section(t *testing.T, def *ir.OpDef) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n%s\n\n", def.Name, def.Doc)
	for i, o := range def.In {
		rest := ""
		if def.Variadic && i == len(def.In)-1 {
			rest = ", any number"
		}
		fmt.Fprintf(&b, "- operand `%s`: %s%s\n", o.Name, o.Types, rest)
	}
	for _, f := range def.Fields() {
		optional := ""
		if f.Optional {
			optional = ", left out where zero"
		}
		fmt.Fprintf(&b, "- attribute `%s`: %s%s\n", f.Name, attributeSyntax(f.Type), optional)
	}
	var kinds []string
	if def.Elementwise() {
		kinds = append(kinds, "elementwise: operands broadcast, and it may stand in the expressions of fused operations")
	}
	if def.Fused() {
		kinds = append(kinds, "fused: passes build it; it expands into plain operations")
	}
	if def.Tol == (ir.Tol{}) {
		kinds = append(kinds, "backends are exact")
	} else {
		kinds = append(kinds, fmt.Sprintf("backends may err by %g units in the last place and %g of the largest result", def.Tol.ULP, def.Tol.Norm))
	}
	fmt.Fprintf(&b, "- %s\n", strings.Join(kinds, "; "))
	cases, err := eval.Cases(def)
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) > 0 {
		text := cases[0].Func.Module.String()
		fmt.Fprintf(&b, "\n```pgir\n%s```\n", text)
	}
	return b.String() + "\n"
}

// TestOpsDocument holds docs/OPS.md to the table of operations; go test -update writes it.
func TestOpsDocument(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Operations\n\nWritten from the table of operations by `go test ./frontend/text -update`; [PGIR.md](PGIR.md) is the language.\n\n")
	for _, group := range []struct {
		title string
		in    func(*ir.OpDef) bool
	}{
		{"Elementwise", (*ir.OpDef).Elementwise},
		{"Other plain operations", func(d *ir.OpDef) bool { return !d.Elementwise() && !d.Fused() }},
		{"Fused", (*ir.OpDef).Fused},
	} {
		fmt.Fprintf(&b, "## %s\n\n", group.title)
		for _, def := range ir.Ops() {
			if def != softsign && group.in(def) { // softsign belongs to a test
				b.WriteString(section(t, def))
			}
		}
	}
	got := strings.TrimSpace(b.String()) + "\n"
	if *update {
		if err := os.WriteFile(opsPath, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(opsPath); err != nil || string(have) != got {
		t.Errorf("docs/OPS.md is not what the table of operations yields (%v); run go test ./frontend/text -update", err)
	}
}

// TestDocumentsExamples parses every example of the language reference and of the list of operations: a pgir block is a
// module in canonical form, one that begins with a comment // ERROR: is rejected with that message.
func TestDocumentsExamples(t *testing.T) {
	for _, path := range []string{pgirPath, opsPath} {
		blocks := strings.Split(read(t, path), "```pgir\n")[1:]
		if len(blocks) < 8 {
			t.Errorf("%s has %d examples", path, len(blocks))
		}
		for _, block := range blocks {
			src, _, _ := strings.Cut(block, "```")
			first, _, _ := strings.Cut(src, "\n")
			message, wrong := strings.CutPrefix(first, "// ERROR: ")
			m, err := Parse("example.pgir", src)
			switch {
			case wrong && (err == nil || err.Error() != message):
				t.Errorf("%s: got error %v, the text says %s", path, err, message)
			case !wrong && err != nil:
				t.Errorf("%s: %v in\n%s", path, err, src)
			case !wrong && m.String() != stripComments(src):
				t.Errorf("%s: not in canonical form:\n%s\nexpected\n%s", path, src, m)
			}
		}
	}
}

// stripComments removes lines that are comments.
func stripComments(src string) string {
	var out []string
	for _, line := range strings.SplitAfter(src, "\n") {
		if !strings.HasPrefix(strings.TrimSpace(line), "//") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}
