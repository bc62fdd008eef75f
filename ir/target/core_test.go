package target

import (
	"testing"

	"pgc/runtime/cpufeature"
)

// TestCoresAreKnown expects of every core of the table the name of a CPU, and of some cores their names.
func TestCoresAreKnown(t *testing.T) {
	for _, c := range cores {
		if _, err := Find(c.name); err != nil || c.first > c.last {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for _, c := range []struct {
		core cpufeature.Core
		want string
	}{
		{cpufeature.Core{Vendor: amd, Family: 0x19, Model: 0x01}, "znver3"}, {cpufeature.Core{Vendor: amd, Family: 0x19, Model: 0x11}, "znver4"},
		{cpufeature.Core{Vendor: amd, Family: 0x19, Model: 0x61}, "znver4"}, {cpufeature.Core{Vendor: amd, Family: 0x1a, Model: 2}, "znver5"},
		{cpufeature.Core{Vendor: intel, Family: 6, Model: 0xcf}, "emeraldrapids"}, {cpufeature.Core{Vendor: arm, Model: 0xd0c}, "neoverse-n1"},
		{cpufeature.Core{Vendor: intel, Family: 6, Model: 1}, ""}, {cpufeature.Core{}, ""},
	} {
		if got := named(c.core); got != c.want {
			t.Errorf("%+v is %q, expected %q", c.core, got, c.want)
		}
	}
}

// TestFamilyOfHiddenInstructions has the schedules of a CPU whose machine hides some of its instructions, where they are
// for vectors of the same length.
func TestFamilyOfHiddenInstructions(t *testing.T) {
	if Default != defaults["amd64"] {
		t.Skip("the default of this machine is not for x86-64")
	}
	for _, c := range []struct {
		core, name, family string
		missing            []string
	}{
		{"emeraldrapids", "emeraldrapids", "sapphirerapids", nil},
		{"emeraldrapids", "cascadelake", "sapphirerapids", []string{"amx-tile", "sse4a", "clzero", "avxvnni"}},
		{"emeraldrapids", "x86-64-v3", "", []string{"amx-tile", "sse4a", "clzero", "avxvnni", "avx512f"}},
		{"znver3", "znver3", "znver3", nil}, {"", "x86-64-v3", "", []string{"avx512f", "avxvnni", "clzero"}},
	} {
		got, err := here(c.core, lacks(c.missing...))
		if err != nil || got.Name != c.name || got.Family != c.family {
			t.Errorf("%s without %v: %s of family %q (%v), expected %s of %q", c.core, c.missing, got.Name, got.Family, err, c.name, c.family)
		}
	}
}
