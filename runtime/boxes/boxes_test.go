package boxes

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	seg := ""
	var codes []int
	for range 16 {
		seg += "<seg005>"
		codes = append(codes, 5)
	}
	for _, c := range []struct {
		text      string
		want      []Box
		malformed int
	}{
		{"a cat on a mat", nil, 0},
		{"", nil, 0},
		{"<loc0000><loc0256><loc0512><loc1023> cat", []Box{{Label: "cat", Box: [4]float64{50, 0, 199.8046875, 50}, Loc: [4]int{0, 256, 512, 1023}}}, 0},
		{"<loc0000><loc0000><loc0512><loc0512> cat ; <loc0001><loc0001><loc0002><loc0002> big dog", []Box{
			{Label: "cat", Box: [4]float64{0, 0, 100, 50}, Loc: [4]int{0, 0, 512, 512}},
			{Label: "big dog", Box: [4]float64{200.0 / 1024, 100.0 / 1024, 400.0 / 1024, 200.0 / 1024}, Loc: [4]int{1, 1, 2, 2}}}, 0},
		{"<loc0512><loc0000><loc0000><loc0512> cat", nil, 1},
		{"<loc0512><loc0000><loc0000> cat", nil, 1},
		{"<loc0000><loc0000><loc9999><loc0512> cat", nil, 1},
		{"<loc0000><loc0000><loc0512><loc0512>" + seg + " cat", []Box{{Label: "cat", Box: [4]float64{0, 0, 100, 50}, Loc: [4]int{0, 0, 512, 512}, Seg: codes}}, 0},
		{"<loc0000><loc0000><loc0512><loc0512><seg001> cat", nil, 1},
	} {
		got, malformed := Parse(c.text, 200, 100)
		if diff := cmp.Diff(c.want, got); diff != "" || malformed != c.malformed {
			t.Errorf("%q: %d malformed, want %d; %s", c.text, malformed, c.malformed, diff)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("<loc0000><loc0256><loc0512><loc1023> cat ; <loc0000>")
	f.Fuzz(func(t *testing.T, s string) {
		boxes, _ := Parse(s, 100, 100)
		for _, b := range boxes {
			if b.Box[2] <= b.Box[0] || b.Box[3] <= b.Box[1] {
				t.Errorf("%q gives %v", s, b)
			}
		}
	})
}
