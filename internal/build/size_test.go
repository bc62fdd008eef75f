package build

import (
	"path/filepath"
	"strings"
	"testing"

	"pgc/golden"
	"pgc/runtime/entry"
)

// TestMeasure adds up models whose weights are not there.
func TestMeasure(t *testing.T) {
	for name, want := range map[string]struct {
		parameters int64 // and the padding of panels at most
		kv         int64
	}{"paligemma-3b-224": {2923466480, 36864}, "paligemma2-28b-896": {0, 753664}} {
		s, err := Measure(name, Options{CPU: "x86-64-v3"})
		if err != nil {
			t.Fatal(err)
		}
		if want.parameters != 0 && s.Parameters != want.parameters || s.KVPerToken != want.kv || s.WeightBytes < 2*s.Parameters || s.WeightBytes > 2*s.Parameters*1001/1000 ||
			s.Full.Total() <= s.One.Total() || s.One.Total() <= s.WeightBytes {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// TestMeasureMasks counts the decoder of masks: that of a checkpoint, and one given with a released size.
func TestMeasureMasks(t *testing.T) {
	masks := filepath.Join(golden.Dir(), "masks", "vae-oid.npz")
	for _, path := range []string{filepath.Join(golden.Dir(), "pg1-bf16"), "paligemma-3b-224"} {
		without, err := Measure(path, Options{CPU: "x86-64-v3"})
		if err != nil {
			t.Fatal(err)
		}
		with, err := Measure(path, Options{CPU: "x86-64-v3", Masks: masks})
		if err != nil {
			t.Fatal(err)
		}
		parameters, bytes := with.Parameters-without.Parameters, with.WeightBytes-without.WeightBytes
		if parameters < 5000 || bytes < 4*parameters || with.ArenaBytes[entry.DecodeMask] == 0 || with.Kernels <= without.Kernels || with.One.Weights-without.One.Weights != bytes {
			t.Errorf("%s: the decoder of masks adds %d parameters in %d bytes: %+v", path, parameters, bytes, with)
		}
	}
	for path, want := range map[string]string{"paligemma-3b-224": "no such file", filepath.Join(golden.Dir(), "colpali-odd", "config.json"): "expected a model that generates text"} {
		if _, err := Measure(path, Options{CPU: "x86-64-v3", Masks: "missing.npz"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s with a missing file: %v", path, err)
		}
	}
}
