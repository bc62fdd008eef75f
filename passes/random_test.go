package passes_test

import (
	"testing"

	"pgc/ir/fuzz"
	"pgc/passes"
)

// The plans of random functions, with all passes and without the optional ones, stand the independent check. That what they compute is
// right is for code generation's tests.
func TestPlansOfRandomFunctions(t *testing.T) {
	off := map[string]bool{}
	for _, p := range passes.Pipeline {
		if !p.Required {
			off[p.Name] = true
		}
	}
	for seed := range uint64(512) {
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
