package main

import (
	"encoding/json"

	"pgc/internal/build"
)

type sizeCmd struct {
	compileFlags
	Model string `arg:"" name:"checkpoint|size" help:"A checkpoint directory, a released size such as paligemma2-28b-448, or a config.json."`
	JSON  bool   `name:"json" help:"Print one JSON object."`
}

// Run prints the sizes.
func (c *sizeCmd) Run() error {
	o, _, err := c.options()
	if err != nil {
		return err
	}
	s, err := build.Measure(c.Model, o)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(stdout).Encode(s)
	}
	s.Print(stdout)
	return nil
}
