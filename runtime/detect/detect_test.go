package detect

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgc/runtime/boxes"
)

func TestClasses(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"cat", []string{"cat"}}, {"cat ; dog", []string{"cat", "dog"}}, {"cat;dog", []string{"cat", "dog"}},
		{"cat, dog ,bird", []string{"cat", "dog", "bird"}}, {" cat ;; dog ; ", []string{"cat", "dog"}},
		{"cat ; cat ; dog", []string{"cat", "dog"}}, {"traffic  light ; 猫", []string{"traffic light", "猫"}},
		{"猫、犬，鳥；馬", []string{"猫", "犬", "鳥", "馬"}}, {"قطة، كلب؛ طائر", []string{"قطة", "كلب", "طائر"}},
	} {
		if got, err := Classes(c.text); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, %v", c.text, got, err)
		}
	}
	for _, c := range []struct {
		classes []string
		want    string
	}{
		{nil, "no class is named"}, {[]string{" ", ""}, "no class is named"}, {[]string{"cat;dog"}, `holds ';'`}, {[]string{"cat, dog"}, `holds ','`}, {[]string{"猫；犬"}, `holds '；'`},
		{[]string{"<loc0001>"}, `holds '<'`}, {[]string{"a>b"}, `holds '>'`}, {[]string{"a\x00"}, "control characters"}, {[]string{"\xff"}, "no UTF-8"},
	} {
		if got, err := Check(c.classes); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %q, %v, expected %s", c.classes, got, err, c.want)
		}
	}
	for _, text := range []string{"", ";", " , ; "} {
		if _, err := Classes(text); err == nil {
			t.Errorf("%q names a class", text)
		}
	}
}

func TestPrompts(t *testing.T) {
	classes := []string{"cat", "dog"}
	joint, each := Prompts(classes, false), Prompts(classes, true)
	if len(joint) != 1 || Prompt("detect", joint[0]) != "detect cat ; dog" {
		t.Error(joint)
	}
	if len(each) != 2 || Prompt("segment", each[1]) != "segment dog" {
		t.Error(each)
	}
}

func TestSuppress(t *testing.T) {
	box := func(label string, loc ...int) boxes.Box { return boxes.Box{Label: label, Loc: [4]int(loc)} }
	found := []boxes.Box{
		box("cat", 0, 0, 100, 100), box("dog", 0, 0, 100, 100), box("cat", 0, 0, 100, 90), box("cat", 0, 0, 100, 60), box("cat", 0, 0, 100, 100),
	}
	for _, c := range []struct {
		scores []float64
		most   float64
		want   []bool
	}{
		{nil, .7, []bool{true, true, false, true, false}},
		{[]float64{.5, .1, .9, .8, .7}, .7, []bool{false, true, true, true, false}},
		{nil, 1, []bool{true, true, true, true, true}},
		{nil, 0, []bool{true, true, false, false, false}},
	} {
		if got := Suppress(found, c.scores, c.most); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v", c, got)
		}
	}
	if got := Best(3, []float64{.1, .9, .9}, 1); !slices.Equal(got, []bool{false, true, false}) {
		t.Error(got)
	}
	if got := IoU([4]int{0, 0, 10, 10}, [4]int{5, 5, 15, 15}); math.Abs(got-25.0/175) > 1e-15 {
		t.Error(got)
	}
}
