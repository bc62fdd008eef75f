package attention

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
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
	img := pixels(t, m)
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
	img := pixels(t, m)
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
	heat := func(weights []float32, pictures ...image.Image) image.Image {
		img, err := Heat(pictures, weights, plenty)
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
	img := heat([]float32{0, 0, 0, 0.5, 0, 0, 0, 0}, picture, picture)
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
	heat(make([]float32, 4), picture) // no attention at all
}

// plenty is memory for everything.
func plenty(int64, string) error { return nil }

func pixels(t *testing.T, m *Mask) image.Image {
	t.Helper()
	img, err := m.Image(plenty)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// TestMemory asks for the memory of drawings before it is touched.
func TestMemory(t *testing.T) {
	var asked []string
	none := func(need int64, what string) error {
		asked = append(asked, fmt.Sprintf("%d bytes for %s", need, what))
		return errors.New("there is none")
	}
	wide := image.NewUniform(color.White)
	picture := &sized{wide, image.Rect(0, 0, 20000, 9000)} // which has no memory of its own
	if img, err := Heat([]image.Image{picture, picture}, make([]float32, 8), none); err == nil {
		t.Errorf("a heat map of %v", img.Bounds())
	}
	if img, err := small().Image(none); err == nil {
		t.Errorf("a drawing of %v", img.Bounds())
	}
	if len(asked) != 2 || asked[0] != "1440288000 bytes for a heat map of 40008 × 9000 pixels" || !strings.Contains(asked[1], "a drawing of") {
		t.Errorf("asked for %q", asked)
	}
}

// sized is an image of other bounds.
type sized struct {
	image.Image
	bounds image.Rectangle
}

func (s *sized) Bounds() image.Rectangle { return s.bounds }

// causal is a prompt of a picture, three tokens of text and a suffix of n, with a window in the second kind.
func causal(n int) *Mask {
	const prefix = 7
	n += prefix
	m := &Mask{Tokens: make([]string, n), Images: 1, ImageTokens: 4, Prefix: prefix}
	for _, window := range []int{n, 100} {
		k := Kind{Name: "full_attention", Layers: []int{0}, Window: window, Seen: make([]byte, n*n)}
		for i := range n {
			for j := range max(i+1, prefix) {
				if i < prefix && j < prefix || i >= prefix && j > i-window {
					k.Seen[i*n+j] = 1
				}
			}
		}
		m.Kinds = append(m.Kinds, k)
	}
	return m
}

// TestManyTokens draws masks of thousands of tokens in as many runs, not in millions of cells, which look the same.
func TestManyTokens(t *testing.T) {
	m := causal(4000)
	svg := m.SVG()
	if n := strings.Count(svg, "<rect"); n > 5*2*len(m.Tokens) || !m.Runs() {
		t.Errorf("%d rectangles, expected five a row at most", n)
	}
	for _, want := range []string{"4006  attends to 7  to 4006 ", "4006  attends to 3907  to 4006 ", "4006  does not attend to 0 &lt;image&gt; × 4<"} {
		if !strings.Contains(svg, want) {
			t.Errorf("no hint %q", want)
		}
	}
	if b := pixels(t, m).Bounds(); b.Dx() > 5000 || b.Dy() > 10000 {
		t.Errorf("%v pixels", b)
	}
	if small().Runs() {
		t.Error("cells of few tokens have gaps")
	}
	// The pixels are those of the cells.
	m = causal(300)
	img, cell := pixels(t, m), int(cellOf(len(m.groups())))
	for q, from := range m.groups() {
		for k, to := range m.groups() {
			want := mix(none, m.color(to), m.share(m.Kinds[0], from, to))
			x, y := int(margin)+k*cell, int(margin+titleSize)+14+q*cell
			for _, at := range []image.Point{{x, y}, {x + cell - 1, y + cell - 1}} {
				line := to.first == m.Prefix-1 && at.X != x || from.first == m.Prefix-1 && at.Y != y // in front of the suffix
				if got := img.At(at.X, at.Y); got != color.Color(want) && !line {
					t.Fatalf("cell %d, %d at %v is %v, expected %v", q, k, at, got, want)
				}
			}
		}
	}
}
