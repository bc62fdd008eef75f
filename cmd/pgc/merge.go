package main

import (
	"os"

	"pgc/runtime/app"
)

// mergeCmd is the command of executables, for who has none at hand.
type mergeCmd struct{ app.MergeCmd }

// Run joins the shards of a batch.
func (c *mergeCmd) Run() error { return c.Merge(os.Stderr) }
