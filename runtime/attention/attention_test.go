package attention

import (
	"bytes"
	"encoding/xml"
	"image"
	"image/color"
	"strings"
	"testing"
)

// small is a prompt of two pictures of two tokens, two tokens of text and a suffix of two, with a window in the second kind.
func small() *Mask {
	m := &Mask{Tokens: []string{"<image>", "<image>", "<image>", "<image>", "<bos>", "\n", "▁a<&", "<eos>"}, Images: 2, ImageTokens: 2, Prefix: 6}
	for _, window := range []int{0, 5} {
		k := Kind{Name: "full_attention", Layers: []int{1, 3}, Window: window, Seen: make([]byte, 64)}
		for i := range 8 {
			for j := range 8 {
				if j <= i && (window == 0 || j > i-window) || i < 6 && j < 6 {
					k.Seen[8*i+j] = 1
				}
			}
		}
		m.Kinds = append(m.Kinds, k)
	}
	m.Kinds[1].Name = "sliding_attention"
	return m
}

func TestText(t *testing.T) {
	var b strings.Builder
	if err := small().WriteText(&b); err != nil {
		t.Fatal(err)
	}
	const want = `
full attention, layers 1, 3
     0  <image 1> × 2  ■ ■ ■ ■ · ·
     2  <image 2> × 2  ■ ■ ■ ■ · ·
     4  <bos>          ■ ■ ■ ■ · ·
     5  \n             ■ ■ ■ ■ · ·
  suffix
     6  _a<&           ■ ■ ■ ■ ■ ·
     7  <eos>          ■ ■ ■ ■ ■ ■

sliding attention (window of 5), layers 1, 3
     0  <image 1> × 2  ■ ■ ■ ■ · ·
     2  <image 2> × 2  ■ ■ ■ ■ · ·
     4  <bos>          ■ ■ ■ ■ · ·
     5  \n             ■ ■ ■ ■ · ·
  suffix
     6  _a<&           · ■ ■ ■ ■ ·
     7  <eos>          · ◧ ■ ■ ■ ■
`
	if _, got, _ := strings.Cut(b.String(), "\n"); got != want {
		t.Errorf("%s, expected %s", got, want)
	}
}

func TestLayers(t *testing.T) {
	for want, list := range map[string][]int{"layer 3": {3}, "layers 0 to 17": sequence(0, 1, 18), "layers 1, 3, …, 25": sequence(1, 2, 13), "layers 0, 2": {0, 2}, "layers 0, 2, 3, 9": {0, 2, 3, 9}} {
		if got := layers(list); got != want {
			t.Errorf("%v is %q, expected %q", list, got, want)
		}
	}
}

// TestDrawings draws the same cells as pixels and as SVG, which must be well formed.
func TestDrawings(t *testing.T) {
	m := small()
	d := xml.NewDecoder(strings.NewReader(m.SVG()))
	rects := 0
	for {
		token, err := d.Token()
		if token == nil {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
			rects++
		}
	}
	if rects < 2*36 {
		t.Errorf("%d rectangles, expected a cell for each of 6×6 groups, twice", rects)
	}
	seen := map[color.Color]int{}
	img := m.Image()
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			seen[img.At(x, y)]++
		}
	}
	for _, c := range []color.RGBA{none, ofImage, ofText, ofSuffix, mix(none, ofImage, 0.5)} {
		if seen[c] < 100 {
			t.Errorf("%d pixels of the color %v", seen[c], c)
		}
	}
	if !strings.Contains(m.HTML(), "7 &lt;eos&gt; attends to 50 % of 2 &lt;image 2&gt; × 2") {
		t.Error("the page has no hint about a block that is seen in part")
	}
}

// TestSmallCells fills the whole mask where it has many tokens: cells that are all seen leave no gaps.
func TestSmallCells(t *testing.T) {
	n := 600
	m := &Mask{Tokens: make([]string, n), Prefix: n, Kinds: []Kind{{Name: "full_attention", Layers: []int{0}, Seen: bytes.Repeat([]byte{1}, n*n)}}}
	img := m.Image()
	green := 0
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			if img.At(x, y) == color.Color(ofText) {
				green++
			}
		}
	}
	if want := int(leastCell * leastCell * float64(n*n)); green < want {
		t.Errorf("%d pixels are of the color of what is seen, expected %d", green, want)
	}
}

func TestHeat(t *testing.T) {
	picture := image.NewRGBA(image.Rect(0, 0, 500, 460))
	for i := range picture.Pix {
		picture.Pix[i] = 100
	}
	img := Heat([]image.Image{picture, picture}, []float32{0, 0, 0, 0.5, 0, 0, 0, 0})
	if b := img.Bounds(); b.Dx() != 1008 || b.Dy() != 460 {
		t.Fatalf("size %v, expected 1008×460", b)
	}
	bright := func(x, y int) int {
		r, g, b, _ := img.At(x, y).RGBA()
		return int(r+g+b) >> 8
	}
	if hot, cold, other := bright(490, 450), bright(5, 5), bright(1000, 450); hot < 2*cold || other != bright(510, 5) {
		t.Errorf("brightness %d where it looked, %d elsewhere, %d in the other picture", hot, cold, other)
	}
	Heat([]image.Image{picture}, make([]float32, 4)) // no attention at all
}
