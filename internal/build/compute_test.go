package build

import (
	"testing"
)

// TestCompute lists what --compute may say.
func TestCompute(t *testing.T) {
	for text, want := range map[string]arithmetic{"": {integers: true}, "int8": {integers: true}, "f32": {}, "bf16": {bfloats: true},
		"int8,bf16": {true, true}, "bf16,int8": {true, true}} {
		if got, err := (Storage{Compute: text}).arithmetic(); err != nil || got != want {
			t.Errorf("--compute %q: %+v, %v; expected %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"f16", "f32,int8", "bf16,", "bf16,bf16", ","} {
		if a, err := (Storage{Compute: text}).arithmetic(); err == nil {
			t.Errorf("--compute %q: %+v, expected an error", text, a)
		}
	}
}
