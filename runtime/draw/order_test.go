package draw

import "testing"

func TestVisual(t *testing.T) {
	for s, want := range map[string]string{
		"cat": "cat", "猫": "猫", "חתול": "לותח",
		"كلب":    "ﺐﻠﻛ", // three letters that join
		"دار":    "رﺍد", // replaced below
		"سلام":   "ﻡﻼﺳ", // lam and alef are one
		"cat قط": "cat ﻂﻗ",
		// A number, or a word in other letters, follows to the left. Brackets turn.
		"חתול 12":          "12 לותח",
		"12 חתול":          "לותח 12",
		"חתול cat":         "cat לותח",
		"חתול (לבן) 2.5":   "2.5 (ןבל) לותח",
		"cat חתול 12 dog":  "cat 12 לותח dog",
		"cat 12 חתול":      "cat 12 לותח",
		"cat חתול dog כלב": "cat לותח dog בלכ",
		"بی\u200cخ":        "\uFEA5\u200c\uFBFD\uFE91", // kept apart
		"بی\u200eخ":        "\uFEA6\u200e\uFBFF\uFE91", // not
		"ل\u064eا":         "\u064e\uFEFB",
	} {
		if s == "دار" {
			want = "\uFEAD\uFE8D\uFEA9"
		}
		if got := visual(s); got != want {
			t.Errorf("%q: %q (%U), expected %q (%U)", s, got, []rune(got), want, []rune(want))
		}
	}
}

func TestDrawable(t *testing.T) {
	for _, label := range []string{"cat", "Größe ñandú œuvre", "кошка", "γάτα", "猫", "自転車", "自行车", "汽車", "고양이", "חתול", "قطة", "سگ گربه", "แมว", "Կատու", "კატა", "con mèo", "سیب\u200cزمینی", "cat\u200b", "قط\u200f", "a\ufe0f", "“cat’s” – 5 €", ""} {
		if !Drawable(label) {
			t.Errorf("%q cannot be drawn", label)
		}
	}
	for _, label := range []string{"कुत्ता", "🐈", "ᚠ"} {
		if Drawable(label) {
			t.Errorf("%q can be drawn", label)
		}
	}
}
