package draw

import "testing"

func TestVisual(t *testing.T) {
	for s, want := range map[string]string{
		"cat": "cat", "猫": "猫", "חתול": "לותח",
		"كلب":    "ﺐﻠﻛ", // three letters that join
		"دار":    "رﺍد", // replaced below
		"سلام":   "ﻡﻼﺳ", // lam and alef are one
		"cat قط": "cat ﻂﻗ",
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
	for _, label := range []string{"cat", "Größe ñandú œuvre", "кошка", "γάτα", "猫", "自転車", "自行车", "汽車", "고양이", "חתול", "قطة", "سگ گربه", "แมว", "Կատու", "კატა", "con mèo", "“cat’s” – 5 €", ""} {
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
