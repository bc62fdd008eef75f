package ir

import (
	"fmt"
	"strconv"
	"strings"
)

// String returns the canonical text of the module: equal modules have equal text. frontend/text parses it.
func (m *Module) String() string {
	var b strings.Builder
	for _, s := range m.Symbols {
		fmt.Fprintf(&b, "symbol %s <= %d\n", s.Name, s.Max)
	}
	for i, f := range m.Funcs {
		if i > 0 || len(m.Symbols) > 0 {
			b.WriteByte('\n')
		}
		f.print(&b)
	}
	return b.String()
}

// String returns the text of the function.
func (f *Func) String() string {
	var b strings.Builder
	f.print(&b)
	return b.String()
}

// valueNames names the values: parameters by name, results of operations %0, %1, … in order.
func (f *Func) valueNames() map[*Value]string {
	names := make(map[*Value]string, len(f.Params)+len(f.Ops))
	for _, p := range f.Params {
		names[p] = "%" + p.Name
	}
	n := 0
	for _, op := range f.Ops {
		for _, v := range op.Results {
			names[v] = "%" + strconv.Itoa(n)
			n++
		}
	}
	return names
}

// Names lists values as the text of f names them: %0, %1.
func (f *Func) Names(values []*Value) string {
	names := f.valueNames()
	return list(values, func(v *Value) string { return names[v] })
}

func (f *Func) print(b *strings.Builder) {
	names := f.valueNames()
	fmt.Fprintf(b, "func @%s(", f.Name)
	for i, p := range f.Params {
		b.WriteString([]string{",\n    ", "\n    "}[btoi(i == 0)])
		fmt.Fprintf(b, "%%%s: %s ", p.Name, p.keyword())
		if p.Kind == Weight {
			fmt.Fprintf(b, "%s ", strconv.Quote(p.Key))
		}
		b.WriteString(p.Type.String())
		if p.Buf != nil {
			fmt.Fprintf(b, " /* %s */", p.Buf.text(names))
		}
	}
	b.WriteString(") {\n")
	for _, op := range f.Ops {
		b.WriteString("  " + op.text(func(v *Value) string { return names[v] }))
		for i, v := range op.Results {
			if v.Buf != nil {
				b.WriteString([]string{", ", " // "}[btoi(i == 0)] + v.Buf.text(names))
			}
		}
		b.WriteByte('\n')
	}
	b.WriteString("  return")
	for i, r := range f.Results {
		b.WriteString([]string{", ", " "}[btoi(i == 0)])
		if r.State != nil {
			fmt.Fprintf(b, "update %s=%s", names[r.State], names[r.Value])
		} else {
			fmt.Fprintf(b, "%s=%s : %s", r.Name, names[r.Value], r.Value.Type)
		}
	}
	b.WriteString("\n}\n")
}

// keyword returns the keyword for the kind of a parameter.
func (p *Value) keyword() string {
	if p.PerSlot {
		return "slots"
	}
	return p.Kind.String()
}

// text describes a buffer in the comments of a planned function: arena+4096, state %k0+S*1024.
func (buf *Buffer) text(names map[*Value]string) string {
	var b strings.Builder
	b.WriteString(buf.Space.String())
	if buf.Param != nil {
		b.WriteString(" " + names[buf.Param])
	}
	if buf.Space != Folded {
		fmt.Fprintf(&b, "+%d", buf.Offset)
	}
	for _, t := range buf.Terms {
		fmt.Fprintf(&b, "+%s*%d", t.Sym, t.Stride)
	}
	if buf.Strides != nil {
		fmt.Fprintf(&b, " strides %v", buf.Strides)
	}
	return b.String()
}

// String returns the text of the operation with values numbered by ID, for messages.
func (op *Op) String() string {
	return op.text(func(v *Value) string {
		if v.IsParam() {
			return "%" + v.Name
		}
		return "%" + strconv.Itoa(v.ID)
	})
}

// text returns the text of the operation: %2, %3 = name %0, %1 {attr=…} : f32[8], f32[4].
func (op *Op) text(name func(*Value) string) string {
	var b strings.Builder
	b.WriteString(list(op.Results, name) + " = " + op.Def.Name)
	if len(op.In) > 0 {
		b.WriteString(" " + list(op.In, name))
	}
	if attrs := FormatAttrs(op.Def, op.Attrs); attrs != "" {
		b.WriteString(" " + attrs)
	}
	return b.String() + " : " + list(op.Results, func(v *Value) string { return v.Type.String() })
}

// list joins the texts of values by commas.
func list(values []*Value, text func(*Value) string) string {
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = text(v)
	}
	return strings.Join(parts, ", ")
}
