package main

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of a case: processor time of a program and memory that it keeps resident.
var bounds = map[string]struct {
	cpu    time.Duration
	memory int64
}{
	"pgc":     {90 * time.Second, 1 << 30},
	"answers": {10 * time.Second, 256 << 20},
	"embeds":  {10 * time.Second, 256 << 20},
}

// words are what no user should read: Go's dumps, its types, its packages.
var words = regexp.MustCompile(`goroutine|panic|runtime error|fatal error|SIGSEGV|0xc0|\*\w+\.[A-Z]|\breflect\b|json: (cannot unmarshal|unknown field|invalid use|unsupported)|strconv\.|%!|\bGo (struct|value)|<nil>|\bnil\b|unmarshal|interface \{|\[\]uint8|\[\]string|map\[|os\.File|kong\.`)

// beside are lines of standard error that may stand beside an error.
var beside = []*regexp.Regexp{
	regexp.MustCompile(`^warning: `),
	regexp.MustCompile(`^image .*: `), // of generate --each
	regexp.MustCompile(`^\d+ of \d+ requests were answered in .* before$`),
	regexp.MustCompile(`^pgc: .*compiling again`),
	regexp.MustCompile(`^pgc: the executable in the cache`),
	regexp.MustCompile(`^@\w+: arena of`),
}

// finding is a rule that a program broke.
type finding struct{ rule, what string }

// judge runs a case and returns what rules it broke, and its result.
func (w *workshop) judge(ctx context.Context, c *Case) ([]finding, *result, error) {
	r, err := w.run(ctx, c)
	if err != nil || ctx.Err() != nil {
		return nil, r, err
	}
	v := verdict{c: c, r: r}
	v.ending()
	v.sentence()
	v.time()
	if u := c.unharmed(); u != nil {
		key := u.String()
		if w.answers[key] == nil {
			if w.answers[key], err = w.run(ctx, u); err != nil {
				return nil, r, err
			}
		}
		v.want = w.answers[key]
	}
	v.files()
	v.answer()
	return v.found, r, nil
}

type verdict struct {
	c     *Case
	r     *result
	want  *result // of the unharmed case, nil where there is none
	found []finding
}

func (v *verdict) add(rule, format string, args ...any) {
	v.found = append(v.found, finding{rule, fmt.Sprintf(format, args...)})
}

// beforeUs reports whether a limit is so low that Go's runtime may end before code of ours runs (docs/RELIABILITY.md).
func (v *verdict) beforeUs() bool {
	l := v.c.Limits
	low := func(name string, least uint64) bool { n, ok := l[name]; return ok && n < least }
	return low("as", 1400<<20) || low("data", 400<<20) || low("nproc", 30) || low("stack", 256<<10)
}

// ending judges how the program ended.
func (v *verdict) ending() {
	switch {
	case v.r.stopped:
		v.add("time", "it was killed after %v with %d MiB resident, expected its end before: %s", v.r.wall.Round(time.Second), v.r.memory>>20, strings.Join(v.r.stack, "; "))
	case v.r.signal != "":
		sent := slices.ContainsFunc(v.c.Signals, func(s Signal) bool { return s.Name == v.r.signal })
		broken := v.r.signal == "SIGPIPE" && (v.c.Stdout == "broken" || v.c.Stderr == "broken")
		if !sent && !broken && !v.beforeUs() {
			v.add("status", "%s ended it", v.r.signal)
		}
	case v.r.status > 2:
		v.add("status", "exit status %d, expected 0, 1 or 2", v.r.status)
	}
	if v.r.left != nil {
		v.add("processes", "left running: %s", strings.Join(v.r.left, ", "))
	}
}

// sentence judges standard error.
func (v *verdict) sentence() {
	text := v.r.stderr
	if v.c.Stderr != "" || v.beforeUs() {
		return
	}
	for n := 0; n < len(text); {
		r, size := utf8.DecodeRune(text[n:])
		if r == utf8.RuneError && size == 1 || r != '\n' && !unicode.IsPrint(r) {
			v.add("control", "standard error holds %q", text[n:n+size])
			break
		}
		n += size
	}
	if w := words.Find(text); w != nil && !quoted(v.c, w) {
		v.add("words", "standard error holds %q", w)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	last := lines[len(lines)-1]
	switch quiet := v.r.signal != "" || len(v.c.Signals) > 1; {
	case v.r.status == 0 || v.r.stopped:
		return
	case len(text) == 0 && !quiet && !slices.ContainsFunc(v.r.failed, func(c Call) bool { return c.Name == "write" }):
		v.add("lines", "exit status %d without a word", v.r.status)
	case len(text) > 0 && (!strings.Contains(last, ": ") || text[len(text)-1] != '\n'):
		v.add("lines", "the last line is no sentence: %q", last)
	}
	for _, line := range lines[:len(lines)-1] {
		if !slices.ContainsFunc(beside, func(r *regexp.Regexp) bool { return r.MatchString(line) }) {
			v.add("lines", "more than one line: %q", line)
			break
		}
	}
}

// quoted reports whether a word is the user's own.
func quoted(c *Case, word []byte) bool {
	return strings.Contains(fmt.Sprint(c.Args, c.Env, c.Files), string(word))
}

// time judges what the program took.
func (v *verdict) time() {
	b, ok := bounds[v.c.Program]
	if !ok {
		b = bounds["answers"]
	}
	if v.r.cpu > b.cpu {
		v.add("time", "it computed for %v, expected at most %v", v.r.cpu, b.cpu)
	}
	if v.r.memory > b.memory {
		v.add("memory", "%d MiB resident, expected at most %d", v.r.memory>>20, b.memory>>20)
	}
}

// files judges what the folder holds afterwards.
func (v *verdict) files() {
	if v.c.Gone {
		return
	}
	double := len(v.c.Signals) > 1 || v.r.signal != ""
	for name, e := range v.r.after {
		was, existed := v.r.before[name]
		switch {
		case existed && was.what == e.what:
		case existed && strings.HasPrefix(name, "in/"):
			v.add("inputs", "%s is %s, was %s", name, e.what, was.what)
		case v.c.writes(name):
			if v.r.status != 0 && !v.c.appends(name) && (v.want == nil || !same(e.data, v.want.after[name].data)) {
				v.add("partial", "status %d %s, and %s is %s", v.r.status, v.r.signal, name, e.what)
			}
		case strings.HasPrefix(name, "home/.cache") && len(v.c.Args) > 0 && v.c.Args[0] == "run":
		case strings.HasPrefix("home/.cache/pgc-verified", name), strings.HasPrefix(name, "home/.cache/pgc-verified/"): // a record that weights are whole
		case existed && strings.HasPrefix(name, "home/"): // the program, replaced
		case !existed && double && strings.Contains(name, "/.pgc-"), !existed && double && strings.HasPrefix(name, "tmp/"):
		default:
			v.add("left", "%s is %s, was %q", name, e.what, was.what)
		}
	}
	for name, e := range v.r.before {
		if _, ok := v.r.after[name]; !ok && !strings.HasPrefix(name, "home/") {
			v.add("left", "%s is gone, was %s", name, e.what)
		}
	}
}

// writes reports whether an argument of the case names a file, a folder above it, or a link to it.
func (c *Case) writes(name string) bool {
	for _, f := range c.Files {
		if f.Kind == "link" && path.Join(path.Dir(string(f.Name)), string(f.To)) == name && slices.Contains(c.Args, f.Name) {
			return true
		}
	}
	return slices.ContainsFunc(c.Args, func(a text) bool {
		_, value, ok := strings.Cut(string(a), "=")
		if !ok {
			value = string(a)
		}
		return name == value || strings.HasPrefix(name, value+"/")
	})
}

// appends reports whether an output grows as the program works.
func (c *Case) appends(name string) bool {
	return slices.Contains(c.Args, "batch") || slices.Contains(c.Args, "--emit-dir")
}

// volatile is what differs from run to run.
var volatile = regexp.MustCompile(`"timings":\{[^}]*\}|"peak_rss_bytes":\d+|"seconds":\{[^}]*\}|"verifies":(true|false)|\(available: [^)]*\)|\d+(\.\d+)?(ms|µs| s)\b`)

// same reports whether two outputs are equal but for what differs from run to run.
func same(a, b []byte) bool {
	return bytes.Equal(volatile.ReplaceAll(a, nil), volatile.ReplaceAll(b, nil))
}

// answer compares with the result of the unharmed case.
func (v *verdict) answer() {
	if v.want == nil || v.r.status != 0 {
		return
	}
	if v.want.status != 0 {
		v.add("answer", "exit status 0, but %d unharmed: %s", v.want.status, v.want.stderr)
		return
	}
	if v.c.Stdout == "" && !same(v.r.stdout, v.want.stdout) {
		v.add("answer", "standard output is %.3000q, but %.3000q unharmed", v.r.stdout, v.want.stdout)
	}
	if (v.c.Stdout == "full" || v.c.Stdout == "broken") && len(v.want.stdout) > 0 {
		v.add("answer", "exit status 0, and standard output is lost")
	}
	if v.c.Gone {
		return
	}
	for name, e := range v.want.after {
		if got := v.r.after[name]; v.c.writes(name) && !same(got.data, e.data) {
			v.add("answer", "%s is %s, but %s unharmed", name, got.what, e.what)
		}
	}
}
