package sched_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"pgc/codegen/internal/sched"
	"pgc/runtime/program"
)

// TestFormat holds the worker loop against the format of files: a runtime runs the code of any file of its format, so a loop
// that expects other things of the runtime needs another one. The loop of format 11 read past the shares of its workers
// where a later runtime gave it spare ones.
func TestFormat(t *testing.T) {
	const format, loop = 20, "45c9ae6578994e19"
	text, err := sched.Source("amd64")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(text))
	if got := hex.EncodeToString(sum[:8]); got != loop || program.FormatVersion != format {
		t.Errorf("the worker loop is %s in format %d, expected %s in format %d: raise program.FormatVersion if it expects other "+
			"things of the runtime, or the runtime of it, than before; then write both here", got, program.FormatVersion, loop, format)
	}
}
