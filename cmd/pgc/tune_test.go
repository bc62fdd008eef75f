package main

import (
	"context"
	"strings"
	"testing"

	"pgc/ir/target"
)

// TestTuneRefuses says in a sentence what --tune cannot do.
func TestTuneRefuses(t *testing.T) {
	foreign := map[string]string{"amd64": "neoverse-n1", "arm64": "x86-64-v3"}
	own, err := target.FindHere()
	if err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]benchCmd{
		"--cpu pentium is not known: expected native, ":                         {compileFlags: compileFlags{CPU: "pentium"}},
		"--cpu " + foreign[own.Arch] + " cannot be tuned here: this CPU lacks ": {compileFlags: compileFlags{CPU: foreign[own.Arch]}},
		"--shape 12: expected K×N such as 2048x16384":                           {Shape: "12"},
		"--shape 100x64: expected K×N":                                          {Shape: "100x64"},
		"--shape 128x64x2: expected K×N":                                        {Shape: "128x64x2"},
		"--seconds -1: expected some":                                           {Seconds: -1},
		"expected no flags beside --cpu, ":                                      {JSON: true},
		"and x is given: expected no checkpoint or file":                        {Model: "x"},
		"is of class U9: expected one of ":                                      {Classes: []string{"U9"}, Shape: "128x32"},
	} {
		c.Tune = true
		if c.CPU == "" {
			c.CPU = target.Default
		}
		if err := c.Run(context.Background()); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, expected %s", err, want)
		}
	}
	for want, c := range map[string]benchCmd{"bench has no checkpoint or file: expected one, or --tune": {},
		"--shape, --classes and --seconds say what --tune searches: expected it, or none of them": {Model: "x", Seconds: 1}} {
		if err := c.Run(context.Background()); err == nil || err.Error() != want {
			t.Errorf("got %v, expected %s", err, want)
		}
	}
}
