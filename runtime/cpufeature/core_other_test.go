//go:build !amd64

package cpufeature

import "testing"

func TestMIDR(t *testing.T) {
	for text, want := range map[string]Core{"0x00000000413fd0c1\n": {Vendor: "41", Model: 0xd0c}, "nothing": {}} {
		if got := ofMIDR(text); got != want {
			t.Errorf("%q: got %+v, expected %+v", text, got, want)
		}
	}
}
