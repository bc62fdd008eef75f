// Package targettest lists the targets whose code this machine can run, for tests.
package targettest

import (
	"testing"

	"pgc/ir/target"
	"pgc/runtime/cpufeature"
)

// Runnable returns the AVX2 and the AVX-512 target, without those this machine cannot run.
func Runnable(t testing.TB) []target.Target {
	t.Helper()
	var out []target.Target
	for _, name := range []string{"x86-64-v3", "x86-64-v4"} {
		tgt, err := target.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := cpufeature.Check(tgt.Features); err != nil {
			t.Logf("%s skipped: %v", name, err)
			continue
		}
		out = append(out, tgt)
	}
	return out
}
