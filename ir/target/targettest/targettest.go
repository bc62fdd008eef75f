// Package targettest lists the targets whose code this machine can run, for tests.
package targettest

import (
	"slices"
	"testing"

	"pgc/ir/target"
	"pgc/runtime/cpufeature"
)

// Runnable returns the least and the best of All.
func Runnable(t testing.TB) []target.Target {
	t.Helper()
	all := All(t)
	if len(all) > 2 { // those between differ in products of integers only
		all = []target.Target{all[0], all[len(all)-1]}
	}
	return all
}

// All returns the targets of the default that this machine can run, the least first.
func All(t testing.TB) []target.Target {
	t.Helper()
	var out []target.Target
	all, err := target.FindAll(target.Default)
	if err != nil {
		t.Fatal(err)
	}
	for _, tgt := range slices.Backward(all) {
		if err := cpufeature.Check(tgt.Features); err != nil {
			t.Logf("%s skipped: %v", tgt.Name, err)
			continue
		}
		out = append(out, tgt)
	}
	return out
}
