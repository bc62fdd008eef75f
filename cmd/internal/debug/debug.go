// Package debug implements the debugging aids of -d: they show what passes do, limit them, and help to find a wrong
// one.
package debug

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgc/ir"
	"pgc/passes"
	"pgc/runtime/output"
	"pgc/runtime/plural"
)

// option is an argument that -d takes.
type option struct {
	name, argument, doc string
	set                 func(d *Session, argument string) error
}

var options = []option{
	{"check", "", "verify the graph after every pass, run every pass on shuffled operations, and verify the plan of the buffers; a failing pass leaves a file that replays it",
		func(d *Session, _ string) error { d.Options.Check = true; return nil }},
	{"time", "", "print a table of the time and the rewrites of every pass",
		func(d *Session, _ string) error { d.time = true; return nil }},
	{"after-change", "", "print every function after every pass that changed it",
		func(d *Session, _ string) error { d.afterChange = true; return nil }},
	{"after", "PASS", "print every function after this pass",
		func(d *Session, pass string) error {
			if passes.Find(pass) == nil {
				return unknownPass(pass)
			}
			d.after = pass
			return nil
		}},
	{"fuse", "N", "do only the first N rewrites, to find a wrong one by bisection",
		func(d *Session, n string) error {
			left, err := strconv.Atoi(n)
			if err != nil || left < 0 {
				return fmt.Errorf("-d fuse=%s: expected a number of rewrites", n)
			}
			d.Options.Budget = &passes.Budget{Left: left}
			return nil
		}},
	{"html", "FILE", "write a page with a column per pass; clicking on a value shows where it goes",
		func(d *Session, path string) error {
			if path == "" {
				return errors.New("-d html names no file: expected html=FILE")
			}
			d.page = &page{path: path}
			return nil
		}},
	{"dot", "FILE", "write a picture of the functions after the passes in Graphviz's language (dot -Tsvg makes an SVG)",
		func(d *Session, path string) error {
			if path == "" {
				return errors.New("-d dot names no file: expected dot=FILE")
			}
			d.dot = path
			return nil
		}},
	{"svg", "FILE", "write a picture of the functions after the passes",
		func(d *Session, path string) error {
			if path == "" {
				return errors.New("-d svg names no file: expected svg=FILE")
			}
			d.svg = path
			return nil
		}},
}

// Session is one run with debugging aids.
type Session struct {
	Options passes.Options

	out         io.Writer
	time        bool
	afterChange bool
	after       string
	page        *page
	dot, svg    string
	final       []*ir.Func // after the last pass
	steps       []passes.Step
}

// Parse reads the arguments of -d. The aids print to out.
func Parse(list []string, out io.Writer) (*Session, error) {
	d := &Session{out: out, Options: passes.Options{Off: map[string]bool{}}}
	for _, text := range list {
		if pass, ok := strings.CutSuffix(text, "/off"); ok {
			p := passes.Find(pass)
			if p == nil {
				return nil, unknownPass(pass)
			}
			if p.Required {
				return nil, fmt.Errorf("pass %s cannot be switched off: code generation relies on it", pass)
			}
			d.Options.Off[pass] = true
			continue
		}
		name, argument, _ := strings.Cut(text, "=")
		i := slices.IndexFunc(options, func(o option) bool { return o.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-d %s is not known: expected %s or PASS/off with one of %s", text, strings.Join(names(), ", "), strings.Join(passNames(), ", "))
		}
		if err := options[i].set(d, argument); err != nil {
			return nil, err
		}
	}
	d.Options.Observe = d.observe
	return d, nil
}

func unknownPass(name string) error {
	return fmt.Errorf("no pass is named %q: expected one of %s", name, strings.Join(passNames(), ", "))
}

func names() []string {
	var out []string
	for _, o := range options {
		out = append(out, o.syntax())
	}
	return out
}

func (o option) syntax() string {
	if o.argument == "" {
		return o.name
	}
	return o.name + "=" + o.argument
}

func passNames() []string {
	var out []string
	for _, p := range passes.Pipeline {
		out = append(out, p.Name)
	}
	return out
}

// Help lists the arguments of -d, a line each.
func Help(w io.Writer) {
	for _, o := range options {
		fmt.Fprintf(w, "%-22s %s\n", o.syntax(), o.doc)
	}
	for _, p := range passes.Pipeline {
		if !p.Required {
			fmt.Fprintf(w, "%-22s skip the pass that %s\n", p.Name+"/off", p.Doc)
		}
	}
}

func (d *Session) observe(s passes.Step) {
	if d.page != nil {
		d.page.add(s)
	}
	if s.Pass == "" {
		d.final = append(d.final, s.Func)
		return
	}
	d.steps = append(d.steps, passes.Step{Pass: s.Pass, Rewrites: s.Rewrites, Took: s.Took})
	if d.afterChange && s.Rewrites > 0 || d.after == s.Pass {
		fmt.Fprintf(d.out, "// after %s: %s\n%s", s.Pass, plural.Of(s.Rewrites, "rewrite"), s.Func)
	}
}

// Finish prints and writes what the aids collected.
func (d *Session) Finish() error {
	if d.time {
		d.table()
	}
	if b := d.Options.Budget; b != nil {
		fmt.Fprintf(d.out, "%s done", plural.Of(b.Done, "rewrite"))
		if b.Done > 0 {
			fmt.Fprintf(d.out, ", the last one of %s", b.Last)
		}
		fmt.Fprintln(d.out)
	}
	if d.dot != "" {
		if err := d.writeDot(); err != nil {
			return err
		}
	}
	if d.svg != "" {
		if err := d.writeSVG(); err != nil {
			return err
		}
	}
	if d.page != nil {
		return d.page.write()
	}
	return nil
}

// table prints the time of every pass over all functions, the slowest first.
func (d *Session) table() {
	type row struct {
		pass     string
		rewrites int
		took     time.Duration
	}
	var rows []*row
	total := time.Duration(0)
	for _, s := range d.steps {
		i := slices.IndexFunc(rows, func(r *row) bool { return r.pass == s.Pass })
		if i < 0 {
			i = len(rows)
			rows = append(rows, &row{pass: s.Pass})
		}
		rows[i].rewrites += s.Rewrites
		rows[i].took += s.Took
		total += s.Took
	}
	slices.SortStableFunc(rows, func(x, y *row) int { return cmp.Compare(y.took, x.took) })
	for _, r := range rows {
		share := 100 * r.took.Seconds() / math.Max(1e-9, total.Seconds())
		fmt.Fprintf(d.out, "%-16s %6d rewrites %9.2f ms %5.1f %%\n", r.pass, r.rewrites, r.took.Seconds()*1e3, share)
	}
	fmt.Fprintf(d.out, "%-16s %6s          %9.2f ms\n", "all", "", total.Seconds()*1e3)
}

// Explain writes a file that replays a failed pass and names it in the error. It returns other errors as they are.
func Explain(err error) error {
	var f *passes.Failure
	if !errors.As(err, &f) || f.Before == "" {
		return err
	}
	path := "pgc-repro-" + f.Pass + ".pgir"
	text := fmt.Sprintf("// pgc opt -p %s -d check %s\n%s", f.Pass, path, f.Before)
	if werr := output.WriteFile(path, []byte(text)); werr != nil {
		return fmt.Errorf("%w; the file that replays it cannot be written: %w", err, werr)
	}
	return fmt.Errorf("%w; to replay it: pgc opt -p %s -d check %s", err, f.Pass, path)
}
