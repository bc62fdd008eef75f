package debug

import (
	"bufio"
	_ "embed"
	"fmt"
	"html/template"
	"strings"

	"pgc/ir"
	"pgc/passes"
	"pgc/runtime/output"
)

// page collects the columns of -d html: every function as built and after every pass that changed it.
type page struct {
	path  string
	funcs []*column
}

// column is the history of one function.
type column struct {
	Func  string
	Steps []stage
}

// stage is a function after a pass.
type stage struct {
	Pass     string
	Rewrites int
	Rows     []line
	lines    map[string]bool
}

// line is one operation: the tokens of its text, with the lineage of values, which the page can highlight.
type line struct {
	Tokens  []token
	Changed bool // not in the stage before
}

type token struct {
	Text  string
	Value int // lineage, or -1 for plain text
}

func (p *page) add(s passes.Step) {
	if s.Pass != "" && s.Rewrites == 0 {
		return
	}
	var c *column
	for _, f := range p.funcs {
		if f.Func == s.Func.Name {
			c = f
		}
	}
	if c == nil {
		c = &column{Func: s.Func.Name}
		p.funcs = append(p.funcs, c)
	}
	st := stage{Pass: s.Pass, Rewrites: s.Rewrites, lines: map[string]bool{}}
	if s.Pass == "" {
		st.Pass = "as built"
	}
	for _, op := range s.Func.Ops {
		l := describe(op)
		text := fmt.Sprint(l.Tokens)
		st.lines[text] = true
		if n := len(c.Steps); n > 0 {
			l.Changed = !c.Steps[n-1].lines[text]
		}
		st.Rows = append(st.Rows, l)
	}
	for _, r := range s.Func.Results {
		name := r.Name
		if r.State != nil {
			name = "update %" + r.State.Name
		}
		st.Rows = append(st.Rows, line{Tokens: []token{{"return " + name + " = ", -1}, value(r.Value)}})
	}
	c.Steps = append(c.Steps, st)
}

// value returns the token of a value.
func value(v *ir.Value) token {
	if v.IsParam() {
		return token{"%" + v.Name, v.ID}
	}
	return token{fmt.Sprintf("%%%d", v.Lineage()), v.Lineage()}
}

func describe(op *ir.Op) line {
	l := line{Tokens: values(op.Results)}
	l.Tokens = append(l.Tokens, token{" = " + op.Def.Name + " ", -1})
	l.Tokens = append(l.Tokens, values(op.In)...)
	if attrs := ir.FormatAttrs(op.Def, op.Attrs); attrs != "" {
		if len(attrs) > 400 {
			attrs = attrs[:400] + "…"
		}
		l.Tokens = append(l.Tokens, token{" " + attrs, -1})
	}
	var types []ir.Type
	for _, v := range op.Results {
		types = append(types, v.Type)
	}
	l.Tokens = append(l.Tokens, token{" : " + ir.FormatTypes(types), -1})
	return l
}

// values lists values, separated by commas.
func values(list []*ir.Value) (tokens []token) {
	for i, v := range list {
		if i > 0 {
			tokens = append(tokens, token{", ", -1})
		}
		tokens = append(tokens, value(v))
	}
	return tokens
}

//go:embed page.html
var pageSource string

var pageTemplate = template.Must(template.New("page").Parse(strings.TrimSpace(pageSource)))

func (p *page) write() error {
	f, err := output.Create(p.path)
	if err != nil {
		return err
	}
	defer f.Abort()
	w := bufio.NewWriter(f)
	if err := pageTemplate.Execute(w, p.funcs); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}
