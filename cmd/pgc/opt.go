package main

import (
	"fmt"
	"os"

	"pgc/frontend/text"
	"pgc/passes"
)

type optCmd struct {
	File   string   `arg:"" help:"A .pgir file, or - for standard input."`
	Passes []string `short:"p" sep:"," placeholder:"PASS,PASS" help:"Passes to run, in this order; none only parses and prints."`
}

// Run parses, runs the passes, verifies after each, and prints.
func (c *optCmd) Run() error {
	name, in := c.File, c.File
	if c.File == "-" {
		name, in = "standard input", "/dev/stdin"
	}
	src, err := os.ReadFile(in)
	if err != nil {
		return err
	}
	m, err := text.Parse(name, string(src))
	if err != nil {
		return err
	}
	for _, p := range c.Passes {
		pass := passes.Find(p)
		if pass == nil {
			return usage{fmt.Errorf("no pass is named %q", p)}
		}
		for _, f := range m.Funcs {
			if err := passes.RunOne(*pass, f); err != nil {
				return err
			}
		}
	}
	fmt.Print(m)
	return nil
}
