package main

import (
	"errors"
	"fmt"
	"os"

	"pgc/cmd/internal/debug"
	"pgc/cmd/internal/evaluate"
	"pgc/frontend/text"
	"pgc/internal/build"
	"pgc/ir"
	"pgc/passes"
	"pgc/runtime/input"
	"pgc/runtime/output"
)

type optCmd struct {
	File   string         `arg:"" help:"A .pgir file, or - for standard input; or a model: an executable, a checkpoint directory, a config.json, or a released size such as paligemma-3b-224."`
	Passes []string       `short:"p" sep:"," placeholder:"PASS,PASS" help:"Passes to run, in this order; all stands for the whole pipeline. Without it the file is only parsed and printed."`
	Debug  []string       `short:"d" placeholder:"AID" help:"Debugging aids; -d help lists them. They print to standard error."`
	Plan   bool           `help:"Also plan buffers and print them. Needs legalize among the passes."`
	Eval   string         `placeholder:"IN.safetensors" help:"Evaluate the result on these tensors instead of printing it."`
	Output string         `short:"o" placeholder:"OUT.safetensors" help:"Where --eval writes the results."`
	Func   string         `placeholder:"NAME" help:"The function that --eval evaluates."`
	Sym    map[string]int `placeholder:"NAME=N" help:"For --eval: the value of a symbol that is not a dimension of an input."`
}

// Run parses, runs the passes, verifies after each of them, and prints or evaluates.
func (c *optCmd) Run() error {
	if len(c.Debug) > 0 && c.Debug[0] == "help" {
		debug.Help(stdout)
		return nil
	}
	if (c.Eval == "") != (c.Output == "") {
		return usage{errors.New("--eval or -o is missing, expected both")}
	}
	output.Protect(c.File, c.Eval)
	if c.Output != "" {
		if err := output.Allowed(c.Output); err != nil {
			return err
		}
	}
	a, err := debug.Parse(c.Debug, os.Stderr)
	if err != nil {
		return usage{err}
	}
	var list []passes.Pass
	for _, name := range c.Passes {
		if name == "all" {
			list = append(list, passes.Pipeline...)
			continue
		}
		pass := passes.Find(name)
		if pass == nil {
			return usage{fmt.Errorf("no pass is named %q, expected one that -d help lists", name)}
		}
		list, a.Options.With = append(list, *pass), append(a.Options.With, name)
	}
	m, err := c.read()
	if err != nil {
		return err
	}
	a.Options.Check = true
	if err := passes.Run(m, list, a.Options); err != nil {
		return debug.Explain(err)
	}
	if c.Plan {
		for _, f := range m.Funcs {
			if err := passes.Plan(f); err != nil {
				return err
			}
			if err := passes.CheckPlan(f); err != nil {
				return err
			}
			arena := passes.ArenaOf(f)
			fmt.Fprintf(os.Stderr, "@%s: arena of %d bytes, at least %d are alive at once\n", f.Name, arena.Bytes, arena.LowerBound)
		}
	}
	if err := a.Finish(); err != nil {
		return err
	}
	if c.Eval != "" {
		return evaluate.Run(m, evaluate.Request{Func: c.Func, Syms: c.Sym, In: c.Eval, Out: c.Output})
	}
	_, err = fmt.Fprint(stdout, m)
	return err
}

// maxGraph bounds a .pgir file, in bytes: the text of the largest models has one or two million.
const maxGraph = 64 << 20

// read returns the module that the argument names.
func (c *optCmd) read() (*ir.Module, error) {
	if build.HasModel(c.File) {
		m, err := build.Plain(c.File, 0, build.Options{})
		if err != nil {
			return nil, err
		}
		return m.Module, nil
	}
	name, in := c.File, os.Stdin
	if c.File == "-" {
		name = "standard input"
	} else {
		f, err := os.Open(c.File)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	src, err := input.Read(in, name, maxGraph)
	if err != nil {
		return nil, err
	}
	return text.Parse(name, string(src))
}
