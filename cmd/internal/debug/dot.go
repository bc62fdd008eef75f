package debug

import (
	"fmt"
	"strconv"
	"strings"

	"pgc/ir"
	"pgc/runtime/output"
)

// dot draws functions in Graphviz's language, a cluster per function: operations are boxes, parameters and results
// ellipses.
func dot(funcs []*ir.Func) string {
	var b strings.Builder
	b.WriteString("digraph pgc {\n  node [shape=box, fontname=monospace, fontsize=10];\n")
	for n, f := range funcs {
		fmt.Fprintf(&b, "  subgraph cluster_%d {\n    label=%s;\n", n, strconv.Quote("@"+f.Name))
		node := func(v *ir.Value) string { return fmt.Sprintf("v%d_%d", n, v.ID) }
		boxes := map[*ir.Value]string{} // of the operation for each of its results
		for _, p := range f.Params {
			boxes[p] = node(p)
			fmt.Fprintf(&b, "    %s [shape=ellipse, label=%s];\n", node(p), label(p.Kind.String()+" %"+p.Name, p.Type.String()))
		}
		for _, op := range f.Ops {
			box := node(op.Results[0])
			lines := []string{op.Def.Name, shortened(ir.FormatAttrs(op.Def, op.Attrs))}
			for _, v := range op.Results {
				boxes[v] = box
				lines = append(lines, v.Type.String())
			}
			fmt.Fprintf(&b, "    %s [label=%s];\n", box, label(lines...))
			for _, v := range op.In {
				fmt.Fprintf(&b, "    %s -> %s;\n", boxes[v], box)
			}
		}
		for i, r := range f.Results {
			name := "return " + r.Name
			if r.State != nil {
				name = "update %" + r.State.Name
			}
			fmt.Fprintf(&b, "    r%d_%d [shape=ellipse, label=%s];\n    %s -> r%d_%d;\n", n, i, label(name), boxes[r.Value], n, i)
		}
		b.WriteString("  }\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// label returns a quoted label of the lines that are not empty.
func label(lines ...string) string {
	var kept []string
	for _, l := range lines {
		if l != "" {
			kept = append(kept, strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(l))
		}
	}
	return `"` + strings.Join(kept, `\n`) + `"`
}

func shortened(s string) string {
	const limit = 80
	if len(s) > limit {
		return s[:limit] + "…"
	}
	return s
}

// writeDot writes a drawing of the functions after the passes.
func (d *Session) writeDot() error { return output.WriteFile(d.dot, []byte(dot(d.final))) }
