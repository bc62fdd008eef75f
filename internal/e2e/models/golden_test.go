package models

import (
	"path/filepath"
	"testing"

	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
	"pgc/passes"
)

// TestGolden compiles every golden checkpoint and compares the executables with transformers.
func TestGolden(t *testing.T) {
	elf := e2e.Runtime(t)
	dir := t.TempDir()
	built := map[string]string{}
	for _, c := range golden.Cases() {
		exe := built[c.Checkpoint]
		if exe == "" {
			exe = filepath.Join(dir, filepath.Base(c.Checkpoint))
			e2e.Build(t, exe, c.Checkpoint, elf, build.Options{CPU: "x86-64-v3", MaxTokens: 311, Passes: passes.Options{Check: true}})
			built[c.Checkpoint] = exe
		}
		t.Run(filepath.Base(c.Checkpoint)+"/"+c.Name, func(t *testing.T) { e2e.CompareCase(t, exe, c.Path) })
	}
	if len(built) < 4 {
		t.Errorf("only %d golden checkpoints", len(built))
	}
}
