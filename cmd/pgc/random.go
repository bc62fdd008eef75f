package main

import (
	"context"

	"pgc/checkpoint/random"
)

type randomCmd struct {
	Shape  string `arg:"" help:"A released size such as paligemma-3b-224 or paligemma2-10b-448, or a config.json."`
	Output string `short:"o" required:"" placeholder:"DIR" help:"The checkpoint directory to write."`
	Seed   uint64 `help:"The same seed gives the same weights."`
	DType  string `name:"dtype" default:"bf16" help:"Storage of the weights: bf16, f16 or f32."`
}

// Run writes the checkpoint.
func (c *randomCmd) Run(ctx context.Context) error {
	return random.Write(ctx, c.Shape, c.Output, random.Options{Seed: c.Seed, DType: c.DType, Progress: progress()})
}
