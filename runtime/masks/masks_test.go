package masks

import (
	"bytes"
	"fmt"
	"image"
	"image/draw"
	"math/rand/v2"
	"slices"
	"testing"

	"pgc/runtime/safetensors"
)

// cases calls check with the fixtures of a kind, which golden/gen/masks.py made.
func cases(t *testing.T, kind string, check func(t *testing.T, tensor func(name string) safetensors.Tensor)) {
	f, err := safetensors.Open("testdata/masks.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for ; ; n++ {
		prefix := fmt.Sprintf("%s.%d.", kind, n)
		if _, ok := f.Tensor(prefix + "mask"); !ok {
			break
		}
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			check(t, func(name string) safetensors.Tensor {
				tensor, ok := f.Tensor(prefix + name)
				if !ok {
					t.Fatalf("no tensor %s%s", prefix, name)
				}
				return tensor
			})
		})
	}
	if n < 9 {
		t.Fatalf("%d cases of %s, expected 9", n, kind)
	}
}

// alpha returns a mask of a tensor [h, w].
func alpha(m safetensors.Tensor) *image.Alpha {
	return &image.Alpha{Pix: m.Data, Stride: m.Shape[1], Rect: image.Rect(0, 0, m.Shape[1], m.Shape[0])}
}

func TestPasteEqualsPillow(t *testing.T) {
	cases(t, "paste", func(t *testing.T, tensor func(string) safetensors.Tensor) {
		values, err := tensor("values").Float32s()
		if err != nil {
			t.Fatal(err)
		}
		box, err := tensor("box").Int32s()
		if err != nil {
			t.Fatal(err)
		}
		want := alpha(tensor("mask"))
		loc := [4]int{int(box[0]), int(box[1]), int(box[2]), int(box[3])}
		got := Paste(values, tensor("values").Shape[0], loc, want.Rect.Dx(), want.Rect.Dy(), int(box[4]))
		whole := image.NewAlpha(want.Rect)
		draw.Draw(whole, got.Rect, got, got.Rect.Min, draw.Src)
		if !got.Rect.In(want.Rect) || !bytes.Equal(whole.Pix, want.Pix) {
			t.Errorf("%d pixels, expected %d, or others", Area(got), Area(want))
		}
	})
}

func TestRunLengthsEqualPycocotools(t *testing.T) {
	cases(t, "rle", func(t *testing.T, tensor func(string) safetensors.Tensor) {
		m, want := alpha(tensor("mask")), string(tensor("counts").Data)
		w, h := m.Rect.Dx(), m.Rect.Dy()
		if got := RLE(m, w, h); got != want {
			t.Errorf("codes %.40q, expected %.40q", got, want)
		}
		if got := RLE(part(m), w, h); got != want {
			t.Errorf("codes of the part that has pixels %.40q, expected %.40q", got, want)
		}
	})
}

// part returns a mask without the rows and columns around its pixels.
func part(m *image.Alpha) *image.Alpha {
	var box image.Rectangle
	for y := range m.Rect.Dy() {
		for x := range m.Rect.Dx() {
			if m.Pix[y*m.Stride+x] != 0 {
				box = box.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	return m.SubImage(box).(*image.Alpha)
}

// TestParts: of a mask with smaller bounds everything is the same.
func TestParts(t *testing.T) {
	m := picture(
		"......",
		"..##..",
		"..#.#.",
		"......")
	p := part(m)
	if p.Rect != image.Rect(2, 1, 5, 3) {
		t.Fatal(p.Rect)
	}
	if got, want := Polygons(p), Polygons(m); !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("polygons %v, expected %v", got, want)
	}
	a, err := Index([]*image.Alpha{m}, 6, 4)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := Index([]*image.Alpha{p}, 6, 4); err != nil || !bytes.Equal(a.Pix, b.Pix) {
		t.Errorf("%v, %v", b, err)
	}
	if got, want := RLE(image.NewAlpha(image.Rectangle{}), 2, 3), RLE(image.NewAlpha(image.Rect(0, 0, 2, 3)), 2, 3); got != want {
		t.Errorf("an empty mask has the codes %q, expected %q", got, want)
	}
}

// picture returns a mask of rows of text, '#' where the object is.
func picture(rows ...string) *image.Alpha {
	m := image.NewAlpha(image.Rect(0, 0, len(rows[0]), len(rows)))
	for y, row := range rows {
		for x, c := range row {
			if c == '#' {
				m.Pix[y*m.Stride+x] = 255
			}
		}
	}
	return m
}

func TestPolygons(t *testing.T) {
	got := Polygons(picture(
		".##...#",
		".##..#.",
		".......",
		"#####..",
		"#...#..",
		"#.#.#..",
		"#...#..",
		"#####.."))
	want := [][]float64{{1, 0, 3, 0, 3, 2, 1, 2}, {6, 0, 7, 0, 7, 1, 6, 1}, {5, 1, 6, 1, 6, 2, 5, 2}, {0, 3, 5, 3, 5, 8, 0, 8}, {2, 5, 3, 5, 3, 6, 2, 6}}
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("%v, expected %v", got, want)
	}
	if got := Polygons(picture("...")); len(got) != 0 {
		t.Errorf("an empty mask has %v", got)
	}
}

// TestPolygonsFillTheMask fills the contours of random masks by the rule of crossings and expects the mask, with its holes filled.
func TestPolygonsFillTheMask(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		w, h := 1+r.IntN(20), 1+r.IntN(20)
		m := image.NewAlpha(image.Rect(0, 0, w, h))
		for i := range m.Pix {
			if r.IntN(3) > 0 {
				m.Pix[i] = 255
			}
		}
		filled := image.NewAlpha(m.Rect)
		for _, p := range Polygons(m) {
			for y := range h {
				for x := range w {
					crossings := 0
					for i := 0; i < len(p); i += 2 {
						x0, y0, x1, y1 := p[i], p[i+1], p[(i+2)%len(p)], p[(i+3)%len(p)]
						if x0 == x1 && x0 > float64(x) && min(y0, y1) <= float64(y) && float64(y) < max(y0, y1) {
							crossings++
						}
					}
					if crossings%2 == 1 {
						filled.Pix[y*w+x] = 255
					}
				}
			}
		}
		outside := outside(m)
		for i, v := range filled.Pix {
			if (v == 0) != outside[i] {
				t.Fatalf("pixel %d,%d of %dx%d: filled %v, outside %v", i%w, i/w, w, h, v != 0, outside[i])
			}
		}
	}
}

// outside says which pixels no object surrounds: those reached from the edge, also diagonally.
func outside(m *image.Alpha) []bool {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	reached := make([]bool, w*h)
	var visit func(x, y int)
	visit = func(x, y int) {
		if x < 0 || y < 0 || x >= w || y >= h || reached[y*w+x] || m.Pix[y*w+x] != 0 {
			return
		}
		reached[y*w+x] = true
		for d := range 9 {
			visit(x+d%3-1, y+d/3-1)
		}
	}
	for x := range w {
		visit(x, 0)
		visit(x, h-1)
	}
	for y := range h {
		visit(0, y)
		visit(w-1, y)
	}
	return reached
}

func TestIndex(t *testing.T) {
	p, err := Index([]*image.Alpha{picture("##.."), picture(".##.")}, 4, 1)
	if err != nil || !bytes.Equal(p.Pix, []byte{1, 2, 2, 0}) {
		t.Errorf("%v %v, expected 1 2 2 0", p, err)
	}
	if r, g, b, _ := p.Palette[3].RGBA(); r>>8 != 128 || g>>8 != 128 || b != 0 {
		t.Errorf("the third color is %d %d %d, expected 128 128 0", r>>8, g>>8, b>>8)
	}
	if _, err := Index(make([]*image.Alpha, 256), 4, 1); err == nil {
		t.Error("256 objects fit into a picture of indices")
	}
}
