package passes_test

import (
	"testing"

	"pgc/ir/fuzz"
	"pgc/passes"
)

// Plans of random functions, with all passes and without the optional ones, pass the independent check. Tests of code
// generation check what the functions compute.
func TestPlansOfRandomFunctions(t *testing.T) {
	off := map[string]bool{}
	for _, p := range passes.Pipeline {
		if !p.Required {
			off[p.Name] = true
		}
	}
	for seed := range uint64(256) {
		m := fuzz.NewModule()
		fuzz.Func(m, seed)
		plain := m.Clone()
		if err := passes.Optimize(m, passes.Options{Check: true}); err != nil {
			t.Errorf("seed %d: %v\n%s", seed, err, plain)
		}
		if err := passes.Optimize(plain, passes.Options{Check: true, Off: off}); err != nil {
			t.Errorf("seed %d without optional passes: %v\n%s", seed, err, plain)
		}
	}
}
