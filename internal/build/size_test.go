package build

import (
	"testing"
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
