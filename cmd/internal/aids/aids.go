// Package aids is what -d switches on: looking at the passes, limiting them, and finding the one that is wrong.
package aids

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgc/ir"
	"pgc/passes"
)

// aid is one thing that -d can be given.
type aid struct {
	name, argument, doc string
	set                 func(a *Aids, argument string) error
}

var table = []aid{
	{"check", "", "verify the graph after every pass, try every pass on other orders of operations, and verify the plan of the buffers; a failing pass leaves a file that replays it",
		func(a *Aids, _ string) error { a.Options.Check = true; return nil }},
	{"time", "", "a table of the time and the rewrites of every pass",
		func(a *Aids, _ string) error { a.time = true; return nil }},
	{"after-change", "", "print every function after every pass that changed it",
		func(a *Aids, _ string) error { a.afterChange = true; return nil }},
	{"after", "PASS", "print every function after this pass",
		func(a *Aids, pass string) error {
			if passes.Find(pass) == nil {
				return unknownPass(pass)
			}
			a.after = pass
			return nil
		}},
	{"fuse", "N", "do the first N rewrites only, to find a wrong one by bisection",
		func(a *Aids, n string) error {
			left, err := strconv.Atoi(n)
			if err != nil || left < 0 {
				return fmt.Errorf("-d fuse=%s is not a number of rewrites", n)
			}
			a.Options.Budget = &passes.Budget{Left: left}
			return nil
		}},
	{"html", "FILE", "write a page with a column for every pass, in which values can be followed",
		func(a *Aids, path string) error {
			if path == "" {
				return errors.New("-d html names no file: expected html=FILE")
			}
			a.page = &page{path: path}
			return nil
		}},
	{"dot", "FILE", "write a picture of the functions after the passes in Graphviz's language (dot -Tsvg makes an SVG)",
		func(a *Aids, path string) error {
			if path == "" {
				return errors.New("-d dot names no file: expected dot=FILE")
			}
			a.dot = path
			return nil
		}},
	{"svg", "FILE", "write a picture of the functions after the passes",
		func(a *Aids, path string) error {
			if path == "" {
				return errors.New("-d svg names no file: expected svg=FILE")
			}
			a.svg = path
			return nil
		}},
}

// Aids are the aids of one run.
type Aids struct {
	Options passes.Options

	out         io.Writer
	time        bool
	afterChange bool
	after       string
	page        *page
	dot, svg    string
	final       []*ir.Func // as the last pass left them
	steps       []passes.Step
}

// Parse reads what was given with -d. Output of the aids goes to out.
func Parse(list []string, out io.Writer) (*Aids, error) {
	a := &Aids{out: out, Options: passes.Options{Off: map[string]bool{}}}
	for _, text := range list {
		if pass, ok := strings.CutSuffix(text, "/off"); ok {
			p := passes.Find(pass)
			if p == nil {
				return nil, unknownPass(pass)
			}
			if p.Required {
				return nil, fmt.Errorf("pass %s cannot be switched off: code generation relies on it", pass)
			}
			a.Options.Off[pass] = true
			continue
		}
		name, argument, _ := strings.Cut(text, "=")
		i := slices.IndexFunc(table, func(d aid) bool { return d.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-d %s is not known: expected %s or PASS/off with one of %s", text, strings.Join(names(), ", "), strings.Join(passNames(), ", "))
		}
		if err := table[i].set(a, argument); err != nil {
			return nil, err
		}
	}
	a.Options.Observe = a.observe
	return a, nil
}

func unknownPass(name string) error {
	return fmt.Errorf("no pass is named %q: expected one of %s", name, strings.Join(passNames(), ", "))
}

func names() []string {
	var out []string
	for _, d := range table {
		out = append(out, d.syntax())
	}
	return out
}

func (d aid) syntax() string {
	if d.argument == "" {
		return d.name
	}
	return d.name + "=" + d.argument
}

func passNames() []string {
	var out []string
	for _, p := range passes.Pipeline {
		out = append(out, p.Name)
	}
	return out
}

// Help lists the aids and the passes, a line each.
func Help(w io.Writer) {
	for _, d := range table {
		fmt.Fprintf(w, "%-22s %s\n", d.syntax(), d.doc)
	}
	for _, p := range passes.Pipeline {
		if !p.Required {
			fmt.Fprintf(w, "%-22s leave out: %s\n", p.Name+"/off", p.Doc)
		}
	}
}

func (a *Aids) observe(s passes.Step) {
	if a.page != nil {
		a.page.add(s)
	}
	if s.Pass == "" {
		a.final = append(a.final, s.Func)
		return
	}
	a.steps = append(a.steps, passes.Step{Pass: s.Pass, Rewrites: s.Rewrites, Took: s.Took})
	if a.afterChange && s.Rewrites > 0 || a.after == s.Pass {
		fmt.Fprintf(a.out, "// after %s: %d rewrites\n%s", s.Pass, s.Rewrites, s.Func)
	}
}

// Finish prints and writes what the aids collected.
func (a *Aids) Finish() error {
	if a.time {
		a.table()
	}
	if b := a.Options.Budget; b != nil {
		fmt.Fprintf(a.out, "%d rewrites done", b.Done)
		if b.Done > 0 {
			fmt.Fprintf(a.out, ", the last one of %s", b.Last)
		}
		fmt.Fprintln(a.out)
	}
	if a.dot != "" {
		if err := a.writeDot(); err != nil {
			return err
		}
	}
	if a.svg != "" {
		if err := a.writeSVG(); err != nil {
			return err
		}
	}
	if a.page != nil {
		return a.page.write()
	}
	return nil
}

// table prints the time of every pass over all functions, the slowest first.
func (a *Aids) table() {
	type row struct {
		pass     string
		rewrites int
		took     time.Duration
	}
	var rows []*row
	total := time.Duration(0)
	for _, s := range a.steps {
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
		fmt.Fprintf(a.out, "%-16s %6d rewrites %9.2f ms %5.1f %%\n", r.pass, r.rewrites, r.took.Seconds()*1e3, share)
	}
	fmt.Fprintf(a.out, "%-16s %6s          %9.2f ms\n", "all", "", total.Seconds()*1e3)
}

// Explain leaves a file that replays a failed pass and says so in the error; other errors are returned as they are.
func Explain(err error) error {
	var f *passes.Failure
	if !errors.As(err, &f) || f.Before == "" {
		return err
	}
	path := "pgc-repro-" + f.Pass + ".pgir"
	text := fmt.Sprintf("// pgc opt -p %s -d check %s\n%s", f.Pass, path, f.Before)
	if werr := os.WriteFile(path, []byte(text), 0o644); werr != nil {
		return fmt.Errorf("%w; the file that replays it cannot be written: %w", err, werr)
	}
	return fmt.Errorf("%w; to replay it: pgc opt -p %s -d check %s", err, f.Pass, path)
}
