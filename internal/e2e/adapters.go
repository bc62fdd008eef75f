package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"pgc/checkpoint/hf"
	"pgc/golden"
	"pgc/internal/build"
)

// Adapters are those of golden that have the base pg2-odd, by the names of their folders, and louder, which is linear at
// another strength.
func Adapters(t *testing.T) []hf.Kept {
	t.Helper()
	dir := filepath.Join(golden.Dir(), "adapters")
	linear, louder := filepath.Join(dir, "linear"), filepath.Join(t.TempDir(), "louder")
	if err := os.CopyFS(louder, os.DirFS(linear)); err != nil {
		t.Fatal(err)
	}
	golden.Edit(t, filepath.Join(louder, "adapter_config.json"), `"lora_alpha": 8`, `"lora_alpha": 31`)
	list := []hf.Kept{{Name: "louder", Dir: louder}}
	for _, name := range []string{"beside", "head", "linear", "tokens"} { // what is beside sums before what is added to them
		list = append(list, hf.Kept{Name: name, Dir: filepath.Join(dir, name)})
	}
	return list
}

// WithAdapters is the executable of pg2-odd with Adapters.
func WithAdapters(t *testing.T) string {
	t.Helper()
	return Once(t, "pg2-odd-adapters", func(exe string) {
		compile(t, exe, filepath.Join(golden.Dir(), "pg2-odd"), build.Options{Adapters: Adapters(t)})
	})
}
