package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"pgc/cmd/internal/bench"
	"pgc/ir/target"
	"pgc/runtime/cpufeature"
)

// tune searches schedules of kernels and prints the rows to commit.
func (c *benchCmd) tune(ctx context.Context) error {
	if c.Model != "" {
		return usage{fmt.Errorf("--tune makes its kernels up, and %s is given: expected no checkpoint or file", c.Model)}
	}
	if c.ISA != "" || c.Device != "" || c.Threads != 0 || c.JSON || c.Roofline != "" || c.Trace != "" || c.Ablate || c.Counts || c.Layers != 0 {
		return usage{errors.New("--tune times single kernels on one thread and prints Go: expected no flags beside --cpu, --shape, --classes and --seconds")}
	}
	find := target.FindHere
	if c.CPU != target.Default && c.CPU != "native" {
		find = func() (target.Target, error) { return target.Find(c.CPU) }
	}
	t, err := find()
	if err != nil {
		return usage{fmt.Errorf("--cpu %w", err)}
	}
	if err := cpufeature.Check(t.Features); err != nil {
		return usage{fmt.Errorf("--cpu %s cannot be tuned here: %w; expected a CPU whose code runs on this one, such as native", c.CPU, err)}
	}
	if c.Seconds < 0 {
		return usage{fmt.Errorf("--seconds %g: expected some, such as 120", c.Seconds)}
	}
	o := bench.TuneOptions{Target: t, Only: c.Classes, Seconds: cmp.Or(c.Seconds, 120), Log: os.Stderr}
	shape := cmp.Or(c.Shape, "2048x16384")
	if _, err := fmt.Sscanf(shape, "%dx%d", &o.K, &o.N); err != nil || o.K < 128 || o.N < 32 || o.K%128 != 0 || fmt.Sprintf("%dx%d", o.K, o.N) != shape {
		return usage{fmt.Errorf("--shape %s: expected K×N such as 2048x16384, K a multiple of 128 and N 32 or more", shape)}
	}
	found, err := bench.Tune(ctx, o)
	if err != nil {
		return err
	}
	return bench.PrintTuned(stdout, t, processor(), found)
}

// processor returns what Linux calls this processor.
func processor() string {
	info, _ := os.ReadFile("/proc/cpuinfo") // without it, it has no name
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "a processor without a name"
}
