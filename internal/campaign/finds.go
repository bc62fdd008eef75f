package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// mark is what finds of one kind share: the rule, the command, and the words around what differs from case to case.
func mark(c *Case, f finding) string {
	command := ""
	if len(c.Args) > 0 {
		command = regexp.MustCompile(`[^a-z]`).ReplaceAllString(string(c.Args[0]), "")
	}
	what := regexp.MustCompile(`\d+|"[^"]*"|0x[0-9a-f]+|[0-9a-f]{8,}`).ReplaceAllString(f.what, "#")
	h := fnv.New32a()
	fmt.Fprint(h, what)
	return fmt.Sprintf("%s-%s-%.12s-%08x", f.rule, strings.TrimPrefix(c.Program, "file:in/"), command, h.Sum32())
}

// reduce returns a case without what is not needed for it to break the rule.
func (w *workshop) reduce(ctx context.Context, c *Case, r *result, rule string) *Case {
	if c.Rate > 0 { // which calls fail by chance becomes which calls fail
		exact := c.clone()
		exact.Rate, exact.Calls = 0, r.failed
		if w.breaks(ctx, exact, rule) {
			c = exact
		}
	}
	for again, tries := true, 0; again && tries < 60; {
		again = false
		for _, next := range simpler(c) {
			if tries++; w.breaks(ctx, next, rule) {
				c, again = next, true
				break
			}
		}
	}
	return c
}

// breaks reports whether a case breaks a rule.
func (w *workshop) breaks(ctx context.Context, c *Case, rule string) bool {
	found, _, err := w.judge(ctx, c)
	return err == nil && slices.ContainsFunc(found, func(f finding) bool { return f.rule == rule })
}

// simpler returns cases that lack one thing of c.
func simpler(c *Case) (list []*Case) {
	try := func(change func(*Case)) {
		next := c.clone()
		change(next)
		if next.String() != c.String() {
			list = append(list, next)
		}
	}
	try(func(c *Case) { c.Via = "" })
	try(func(c *Case) { c.User = false })
	try(func(c *Case) { c.Place = "" })
	try(func(c *Case) { c.Gone = false })
	try(func(c *Case) { c.Memory = 0 })
	try(func(c *Case) { c.Limits = nil })
	try(func(c *Case) { c.Stdout = "" })
	try(func(c *Case) { c.Stderr = "" })
	try(func(c *Case) { c.Rate = 0 })
	for i := range c.Calls {
		try(func(c *Case) { c.Calls = slices.Delete(c.Calls, i, i+1) })
	}
	for i := range c.Signals {
		if i == len(c.Signals)-1 {
			break // the last one ends a program that waits
		}
		try(func(c *Case) { c.Signals = slices.Delete(c.Signals, i, i+1) })
	}
	for i := range c.Env {
		try(func(c *Case) { c.Env = slices.Delete(c.Env, i, i+1) })
	}
	for i, f := range c.Files {
		for j := range f.Damage {
			try(func(c *Case) { c.Files[i].Damage = slices.Delete(c.Files[i].Damage, j, j+1) })
		}
	}
	return list
}

// keep writes the replay file of a find, unless there is one of its kind.
func keep(dir, mark string, c *Case) error {
	path := filepath.Join(dir, mark+".json")
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(c); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}
