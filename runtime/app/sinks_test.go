package app

import (
	"strings"
	"testing"

	"pgc"
	"pgc/runtime/annotate"
)

// TestTables: of several pictures each table stands below the picture's name.
func TestTables(t *testing.T) {
	for pictures, want := range map[int]string{1: "no cat\n", 2: "a.png\nno cat\n\nb.png\nno cat\n"} {
		var out strings.Builder
		s, err := newStream(&App{Out: &out}, "table", "", pictures)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a.png", "b.png"}[:pictures] {
			if err := s.add(annotate.Picture{Name: name, Detection: &pgc.Detection{Classes: []string{"cat"}}}, pgc.Image{}); err != nil {
				t.Fatal(err)
			}
		}
		if out.String() != want {
			t.Errorf("%d pictures are %q, expected %q", pictures, &out, want)
		}
	}
}
