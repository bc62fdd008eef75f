package cpufeature

import (
	"errors"
	"strings"
	"testing"
)

// TestTilesAreAskedFor goes through what a system may answer.
func TestTilesAreAskedFor(t *testing.T) {
	asked := 0
	system := func(palettes uint32, saved, mask uint64, known, granted error) tileSystem {
		return tileSystem{palettes, saved, func() (uint64, error) { return mask, known }, func() error { asked++; return granted }}
	}
	const all = 0x602e7
	for want, s := range map[string]tileSystem{
		"":                                    system(1, all, all, nil, nil),
		"no palette":                          system(0, all, all, nil, nil),
		"does not save":                       system(1, 0x202e7, all, nil, nil),
		"mask is 0x2e7":                       system(1, all, 0x2e7, nil, nil),
		"5.16 on: no":                         system(1, all, 0, errors.New("no"), nil),
		"refuses AMX's tile registers: never": system(1, all, all, nil, errors.New("never")),
	} {
		if err := s.ask(); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("got %v, expected %q", err, want)
		}
	}
	if asked != 2 {
		t.Errorf("registers were asked for %d times, expected 2: where nothing else was missing", asked)
	}
	if !usesTiles([]string{"fma", "amx-int8"}) || usesTiles([]string{"avx512f"}) {
		t.Error("features of tiles are not told from others")
	}
}

// TestThisSystem asks this machine, which answers without a fault.
func TestThisSystem(t *testing.T) {
	err := Check([]string{"amx-bf16", "amx-int8", "amx-tile"})
	t.Logf("tile registers: %v; the system: %v", err, thisSystem().ask())
	if again := Check([]string{"amx-bf16", "amx-int8", "amx-tile"}); (again == nil) != (err == nil) {
		t.Errorf("asked again: %v", again)
	}
}
