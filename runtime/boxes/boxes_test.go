package boxes

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	seg, five := strings.Repeat("<seg005>", 16), make([]int, 16)
	for i := range five {
		five[i] = 5
	}
	const one = "<loc0000><loc0000><loc0512><loc0512>"
	box := func(label string, seg []int) Box {
		return Box{Label: label, Box: [4]float64{0, 0, 100, 50}, Loc: [4]int{0, 0, 512, 512}, Seg: seg}
	}
	for _, c := range []struct {
		text   string
		want   []Box
		reason []string // of what is malformed, in order
	}{
		{"a cat on a mat; a dog", nil, nil},
		{"", nil, nil},
		{"<loc", nil, nil},
		{"<loc12><loc00001>", nil, nil},
		{"<loc0000><loc0256><loc0512><loc1023> cat", []Box{{Label: "cat", Box: [4]float64{50, 0, 199.8046875, 50}, Loc: [4]int{0, 256, 512, 1023}}}, nil},
		{one + " cat ; <loc0001><loc0001><loc0002><loc0002> big dog", []Box{box("cat", nil),
			{Label: "big dog", Box: [4]float64{200.0 / 1024, 100.0 / 1024, 400.0 / 1024, 200.0 / 1024}, Loc: [4]int{1, 1, 2, 2}}}, nil},
		{one + "cat;" + one + "dog;", []Box{box("cat", nil), box("dog", nil)}, nil},
		{one + " cat" + one + " dog", []Box{box("cat", nil), box("dog", nil)}, nil},
		{one + " a < b > c\n", []Box{box("a < b > c", nil)}, nil},
		{one, []Box{box("", nil)}, nil},
		{one + one + " cat", []Box{box("", nil), box("cat", nil)}, nil},
		{one + seg + " cat ; " + one + seg + " 猫", []Box{box("cat", five), box("猫", five)}, nil},
		{one + seg + one + seg, []Box{box("", five), box("", five)}, nil},
		{"<loc0512><loc0000><loc0000><loc0512> cat", nil, []string{"the box from y 512, x 0 to y 0, x 512 is empty"}},
		{"<loc0000><loc0512><loc0512><loc0512> cat", nil, []string{"the box from y 0, x 512 to y 512, x 512 is empty"}},
		{"<loc0512><loc0000><loc0000> cat", nil, []string{"3 location tokens, expected 4"}},
		{one + "<loc0001> cat", []Box{box("", nil)}, []string{"1 location tokens, expected 4"}},
		{one + " cat ; <loc0001>", []Box{box("cat", nil)}, []string{"1 location tokens, expected 4"}},
		{"<loc0000> <loc0000><loc0512><loc0512> cat", nil, []string{"1 location tokens, expected 4", "3 location tokens, expected 4"}},
		{"<loc0000><loc0000><loc1024><loc0512> cat", nil, []string{"location 1024, expected at most 1023"}},
		{one + "<seg001> cat", nil, []string{"1 segment tokens, expected none or 16"}},
		{one + seg + "<seg001> cat", nil, []string{"17 segment tokens, expected none or 16"}},
		{one + seg[:len(seg)-8] + "<seg128> cat", nil, []string{"segment code 128, expected at most 127"}},
		{seg + " cat", nil, []string{"0 location tokens, expected 4"}},
		{"cat " + one + " dog ; bird ; " + one + " cat", []Box{box("dog", nil), box("cat", nil)},
			[]string{"no location tokens before it", "no location tokens before it"}},
	} {
		got, malformed := Parse(c.text, 200, 100)
		var reasons []string
		for _, m := range malformed {
			reasons = append(reasons, m.Reason)
			if m.Text == "" || !strings.Contains(c.text, m.Text) {
				t.Errorf("%q: reports %q, which it does not hold", c.text, m.Text)
			}
		}
		if diff := cmp.Diff(c.want, got) + cmp.Diff(c.reason, reasons); diff != "" {
			t.Errorf("%q:\n%s", c.text, diff)
		}
	}
}

// TestJSON pins the names that generate --json prints.
func TestJSON(t *testing.T) {
	found, _ := Parse("<loc0256><loc0000><loc0512><loc0512> cat", 200, 100)
	got, err := json.Marshal(found)
	if err != nil {
		t.Fatal(err)
	}
	if want := `[{"label":"cat","box":[0,25,100,50],"loc":[256,0,512,512]}]`; string(got) != want {
		t.Errorf("%s, expected %s", got, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("<loc0000><loc0256><loc0512><loc1023> cat ; <loc0000>", 100, 100)
	f.Add("x <loc0001><loc0001><loc0002><loc0002>"+strings.Repeat("<seg127>", 16)+" cat", 1, 4000)
	f.Fuzz(func(t *testing.T, s string, w, h int) {
		w, h = 1+w&0xffff, 1+h&0xffff
		found, malformed := Parse(s, w, h)
		for _, b := range found {
			if !(b.Box[0] >= 0 && b.Box[0] < b.Box[2] && b.Box[2] < float64(w) && b.Box[1] >= 0 && b.Box[1] < b.Box[3] && b.Box[3] < float64(h)) {
				t.Errorf("%q gives %v in %d×%d", s, b, w, h)
			}
			if n := len(b.Seg); n != 0 && n != 16 || b.Label != strings.TrimSpace(b.Label) || strings.Contains(b.Label, ";") {
				t.Errorf("%q gives %+v", s, b)
			}
		}
		for _, m := range malformed {
			if m.Reason == "" || m.Text == "" || !strings.Contains(s, m.Text) {
				t.Errorf("%q reports %+v", s, m)
			}
		}
	})
}
