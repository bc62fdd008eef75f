package boxes

import (
	"encoding/json"
	"slices"
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
		{one + "<loc0001> cat", []Box{box("", nil)}, []string{"1 location token, expected 4"}},
		{one + " cat ; <loc0001>", []Box{box("cat", nil)}, []string{"1 location token, expected 4"}},
		{"<loc0000> <loc0000>\t<loc0512>\n<loc0512> cat", []Box{box("cat", nil)}, nil},
		{"<loc0000><loc0000><loc1024><loc0512> cat", nil, []string{"location 1024, expected at most 1023"}},
		{one + "<seg001> cat", nil, []string{"1 segment token, expected none or 16"}},
		{one + seg + "<seg001> cat", nil, []string{"17 segment tokens, expected none or 16"}},
		{one + seg[:len(seg)-8] + "<seg128> cat", nil, []string{"segment code 128, expected at most 127"}},
		{seg + " cat", nil, []string{"0 location tokens, expected 4"}},
		{"cat " + one + " dog ; bird ; " + one + " cat", []Box{box("dog", nil), box("cat", nil)},
			[]string{"no location tokens beside it", "no location tokens beside it"}},
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

// TestOddAnswers parses what models, or their fine-tunings, write besides the form that is asked of them. A want is the
// labels of the objects, in order, and the number of malformed parts.
func TestOddAnswers(t *testing.T) {
	const a, b = "<loc0000><loc0000><loc0512><loc0512>", "<loc0100><loc0100><loc0200><loc0300>"
	const upsideDown, sideways, flat = "<loc0512><loc0000><loc0000><loc0512>", "<loc0000><loc0512><loc0512><loc0000>", "<loc0007><loc0000><loc0007><loc0512>"
	seg := strings.Repeat("<seg001>", 16)
	for _, c := range []struct {
		text      string
		labels    []string
		malformed int
	}{
		// Spaces, or none.
		{a + "cat;" + b + "dog", []string{"cat", "dog"}, 0},
		{a + "  cat  ;  " + b + "\tdog\n", []string{"cat", "dog"}, 0},
		{a + "cat" + b + "dog", []string{"cat", "dog"}, 0},
		{" " + a + " cat", []string{"cat"}, 0},
		{"<loc0000> <loc0000> <loc0512> <loc0512> cat", []string{"cat"}, 0},
		{a + " " + seg + " cat", []string{"cat"}, 0},
		{a + "\n" + b + "\n", []string{"", ""}, 0},
		{a + " cat\n" + b + " dog\n", []string{"cat", "dog"}, 0},
		{a + "\u00a0cat\u00a0;\u00a0" + b + "\u3000犬\u3000", []string{"cat", "犬"}, 0},
		{a + "\vcat\f; " + b, []string{"cat", ""}, 0},
		{"<loc0000>\u00a0<loc0000>\v<loc0512>\u2009<loc0512>\u00a0cat", []string{"cat"}, 0},
		// Separators.
		{a + " cat, " + b + " dog", []string{"cat", "dog"}, 0},
		{a + " cat , " + b + " dog ,", []string{"cat", "dog"}, 0},
		{a + ": cat; " + b + ": dog", []string{"cat", "dog"}, 0},
		{a + " cat ;; ; " + b + " dog ; ", []string{"cat", "dog"}, 0},
		{"; " + a + " cat", []string{"cat"}, 0},
		{a + " cat ; ", []string{"cat"}, 0},
		{a + " 猫；" + b + " 犬；", []string{"猫", "犬"}, 0},
		{"猫：" + a + "、犬：" + b, []string{"猫", "犬"}, 0},
		{"猫 " + a + "；" + b + " 犬", []string{"猫", "犬"}, 0},
		{a + " 猫；犬；" + b + " 鳥", []string{"猫", "鳥"}, 1},
		{a + " قطة، " + b + " كلب،", []string{"قطة", "كلب"}, 0},
		{"قطة " + a + "؛ " + b + " كلب؛", []string{"قطة", "كلب"}, 0},
		{a + "、猫､" + b + "﹕犬﹔", []string{"猫", "犬"}, 0},
		{a + " ድመት፣ " + b + " ውሻ፤", []string{"ድመት", "ውሻ"}, 0},
		{a + " γάτα\u037e " + b + " σκύλος", []string{"γάτα", "σκύλος"}, 0},
		{"\ufeff" + a + "\u200bcat\u200b;" + b + "\u2060", []string{"cat", ""}, 0},
		{"<loc0000>\u200b<loc0000>\u200b<loc0512>\u200b<loc0512> cat", []string{"cat"}, 0},
		{a + "\u2028cat\u0085;\u2003" + b + "\u202fdog", []string{"cat", "dog"}, 0},
		{a + " red, round cup ; " + b + " dog", []string{"red, round cup", "dog"}, 0},
		// Labels first.
		{"cat " + a, []string{"cat"}, 0},
		{"cat" + a + " ; dog" + b, []string{"cat", "dog"}, 0},
		{"cat: " + a + ", dog: " + b, []string{"cat", "dog"}, 0},
		{"cat " + a + " dog " + b, []string{"cat", "dog"}, 0},
		{"cat " + a + seg + " ; dog " + b + seg, []string{"cat", "dog"}, 0},
		{"cat " + a + b, []string{"cat", ""}, 0},
		{"cat " + a + " dog", []string{"dog"}, 1},
		{"cat " + a + " ; " + b + " dog", []string{"cat", "dog"}, 0},
		{"The cat is at " + a + ".", []string{"The cat is at"}, 0},
		{"cat " + a + ". ; dog (" + b + ")!", []string{"cat", "dog ("}, 0},
		// Special tokens.
		{"<bos>" + a + " cat ; " + b + " dog<eos><pad><pad>", []string{"cat", "dog"}, 0},
		{a + seg + "<eos>", []string{""}, 0},
		{"<bos>cat " + a + "<eos>", []string{"cat"}, 0},
		// Without labels, as for RefCOCO.
		{a + ".", []string{""}, 0},
		{"(" + a + ") ; “" + b + "”…", []string{"", ""}, 0},
		{a + " - " + b + "。", []string{"", ""}, 0},
		{a, []string{""}, 0},
		{a + seg, []string{""}, 0},
		{a + " ; " + b, []string{"", ""}, 0},
		{a + seg + " ; " + b + seg, []string{"", ""}, 0},
		{a + b, []string{"", ""}, 0},
		{a + b + " cat", []string{"", "cat"}, 0},
		// Labels of all kinds.
		{a + " children's toy", []string{"children's toy"}, 0},
		{a + " T-shirt (blue)", []string{"T-shirt (blue)"}, 0},
		{a + " 猫 ; " + b + " собака", []string{"猫", "собака"}, 0},
		{a + " a < b", []string{"a < b"}, 0},
		{a + " e\u0301le\u0301phant", []string{"e\u0301le\u0301phant"}, 0},
		{a + " חתול לבן", []string{"חתול לבן"}, 0},
		{a + " می\u200cخواهم", []string{"می\u200cخواهم"}, 0},
		{a + " 👩‍🌾", []string{"👩‍🌾"}, 0},
		{a + " <b>cat</b>", []string{"<b>cat</b>"}, 0},
		{a + " location", []string{"location"}, 0},
		{a + " .NET ; " + b + " C++?", []string{".NET", "C++?"}, 0},
		{a + " + ; " + b + " ☺", []string{"+", "☺"}, 0},
		{a + " 12", []string{"12"}, 0},
		{a + " 7 <loc12> cats", []string{"7 <loc12> cats"}, 0},
		{a + " <loc cat", []string{"<loc cat"}, 0},
		{a + " 0512<seg> ; " + b + " loc0512", []string{"0512<seg>", "loc0512"}, 0},
		// Twice the same.
		{a + " cat ; " + a + " cat", []string{"cat", "cat"}, 0},
		{a + " cat ; " + a + " dog", []string{"cat", "dog"}, 0},
		{strings.Repeat(a+" cat ; ", 50), slices.Repeat([]string{"cat"}, 50), 0},
		// Corners the wrong way round, or equal.
		{upsideDown + " cat", nil, 1},
		{sideways + " cat ; " + b + " dog", []string{"dog"}, 1},
		{flat + " cat", nil, 1},
		{strings.Repeat("<loc0512>", 4) + " cat", nil, 1},
		// Too little, too much, out of range.
		{"<loc0001> cat", nil, 1},
		{"<loc0001><loc0001><loc0002> cat ; " + b + " dog", []string{"dog"}, 1},
		{a + "<loc0001> cat", []string{""}, 1},
		{a + " cat <loc0003> ; " + b + " dog", []string{"cat", "dog"}, 1},
		{a + strings.Repeat("<seg001>", 15) + " cat", nil, 1},
		{a + strings.Repeat("<seg001>", 17) + " cat", nil, 1},
		{seg + " cat", nil, 1},
		{seg + a + " cat", []string{"cat"}, 1},
		{"<loc0000><loc0000><loc2000><loc0512> cat", nil, 1},
		{a + strings.Repeat("<seg999>", 16) + " cat", nil, 1},
		// Unfinished, or damaged.
		{a + " cat ; <loc0001><loc0002>", []string{"cat"}, 1},
		{a + " cat ; <loc0001><lo", []string{"cat"}, 1},
		{a + " cat ; " + b + "<seg001><seg002>", []string{"cat"}, 1},
		{a + " cat ; " + b + " do", []string{"cat", "do"}, 0}, // which only the reason of the end tells
		{a + " cat ; dog", []string{"cat"}, 1},
		{"<loc000><loc00000><LOC0001>", nil, 0},
		{"no cat", nil, 0},
		{";;;", nil, 0},
	} {
		found, malformed := Parse(c.text, 1024, 1024)
		var labels []string
		for _, b := range found {
			labels = append(labels, b.Label)
			if len(b.Seg) != 0 && len(b.Seg) != 16 {
				t.Errorf("%q: %d codes", c.text, len(b.Seg))
			}
		}
		if !slices.Equal(labels, c.labels) || len(malformed) != c.malformed {
			t.Errorf("%q: %q and %v, expected %q and %d malformed", c.text, labels, malformed, c.labels, c.malformed)
		}
	}
}

// TestScale places a box as published scores of segmentation do.
func TestScale(t *testing.T) {
	b := Box{Loc: [4]int{0, 341, 1023, 1023}}
	b.Place(300, 200, 1023)
	if b.Box != [4]float64{100, 0, 300, 200} {
		t.Error(b.Box)
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
