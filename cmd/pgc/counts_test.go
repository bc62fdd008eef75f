package main

import (
	"path/filepath"
	"testing"

	"pgc/golden"
	"pgc/internal/build"
)

// TestCountStep counts a decoding step: each weight is read once, 16 bytes a thread.
func TestCountStep(t *testing.T) {
	for _, stored := range []string{"bf16", "int8", "int4"} {
		c, err := countStep(t.Context(), filepath.Join(golden.Dir(), "pg1-odd", "config.json"), 2, build.Options{Target: "cuda", MaxTokens: 40, Storage: build.Storage{Weights: stored}})
		if err != nil {
			t.Fatal(err)
		}
		if c.Launches == 0 || len(c.Kernels) == 0 || c.Narrowest != 16 {
			t.Errorf("%s: %d kernels, streams of %d bytes a thread, expected some and 16", stored, c.Launches, c.Narrowest)
		}
		if c.StreamBytes > c.WeightBytes*102/100 || c.StreamBytes < c.WeightBytes/2 || c.GlobalBytes < c.StreamBytes {
			t.Errorf("%s: %d bytes are streamed and %d moved, for %d of weights", stored, c.StreamBytes, c.GlobalBytes, c.WeightBytes)
		}
	}
}
