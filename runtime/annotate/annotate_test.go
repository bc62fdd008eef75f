package annotate

import (
	"bytes"
	"encoding/json"
	"flag"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"pgc"
)

var update = flag.Bool("update", false, "write testdata anew: then run testdata/check.py")

// ring is a mask with a hole and a part of its own.
func ring(cx, cy, outer, inner int) *image.Alpha {
	m := image.NewAlpha(image.Rect(cx-outer, cy-outer, cx+outer, cy+outer))
	for y := -outer; y < outer; y++ {
		for x := -outer; x < outer; x++ {
			if d := math.Hypot(float64(x), float64(y)); d < float64(outer) && d >= float64(inner) || x < 3-outer && y < 3-outer {
				m.SetAlpha(cx+x, cy+y, color.Alpha{255})
			}
		}
	}
	return m
}

// object has its box from locations.
func object(label string, score *pgc.ObjectScore, mask *image.Alpha, w, h int, loc ...int) pgc.Object {
	o := pgc.Object{Box: pgc.Box{Label: label, Loc: [4]int(loc)}, Score: score, Mask: mask}
	o.Place(w, h, 1024)
	return o
}

// pictures are two of each kind: with boxes, without scores, with none, with labels of all kinds; or with masks. The third of
// those that were asked about could not be read.
func pictures(masks bool) []Picture {
	classes := []string{"cat", "traffic \"light\" & more", "猫"}
	score := &pgc.ObjectScore{Label: 0.9, Begin: 0.99, Loc: 0.875}
	first := &pgc.Detection{Width: 96, Height: 64, Task: "detect", Classes: classes, FinishReason: pgc.Stop, Prompts: 1, Text: "<loc…",
		Suppressed: 2, Objects: []pgc.Object{
			object("cat", score, nil, 96, 64, 100, 200, 612, 700),
			object(classes[1], &pgc.ObjectScore{Label: 0.5, Begin: 1, Loc: 1}, nil, 96, 64, 0, 0, 1023, 1023),
			object("猫", score, nil, 96, 64, 512, 512, 513, 514),
		}}
	second := &pgc.Detection{Width: 40, Height: 80, Task: "detect", Classes: classes, FinishReason: pgc.Stop, Prompts: 1}
	third := &pgc.Detection{Width: 40, Height: 80, Task: "detect", Classes: classes, FinishReason: pgc.Length, Prompts: 1,
		Objects: []pgc.Object{object("cat", score, nil, 40, 80, 1, 2, 300, 400), object("a free label", score, nil, 40, 80, 1, 2, 300, 401)}}
	if masks {
		first.Task, second.Task, third.Task = "segment", "segment", "segment"
		first.Objects = []pgc.Object{
			object("cat", score, ring(30, 30, 20, 8), 96, 64, 160, 107, 800, 533),
			object("猫", score, ring(70, 40, 16, 0), 96, 64, 384, 576, 896, 917),
			object("cat", score, image.NewAlpha(image.Rect(4, 6, 10, 20)), 96, 64, 96, 43, 320, 107), // a mask without a pixel
		}
		first.Objects[0].Seg = []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 127}
		third.Objects = []pgc.Object{object("a free label", score, ring(20, 40, 19, 5), 40, 80, 269, 26, 755, 998)}
	}
	return []Picture{{"first.png", 1, first}, {"second.png", 2, second}, {"third.png", 4, third}}
}

// TestIndexMemory draws the boxes of a large picture, whose indices are all that takes memory.
func TestIndexMemory(t *testing.T) {
	const w, h = 4000, 3000
	d := &pgc.Detection{Width: w, Height: h}
	for range 100 {
		d.Objects = append(d.Objects, object("cat", nil, nil, w, h, 0, 0, 1023, 1023))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	m, err := Index(Picture{"large.png", 1, d})
	runtime.ReadMemStats(&after)
	if taken := after.TotalAlloc - before.TotalAlloc; err != nil || taken > 3*w*h/2 || m.Pix[w+1] != 100 {
		t.Errorf("%d bytes for %d × %d pixels, index %d, %v", taken, w, h, m.Pix[w+1], err)
	}
}

// files are the results about pictures by their names.
func files(t *testing.T, list []Picture) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	set := func(name string, write func(w io.Writer) error) {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		out[name] = append(out[name], b.Bytes()...)
	}
	encode := func(v any) func(w io.Writer) error {
		return func(w io.Writer) error {
			e := json.NewEncoder(w)
			e.SetEscapeHTML(false)
			return e.Encode(v)
		}
	}
	coco, yolo, studio := NewCOCO(), &YOLO{}, LabelStudio{}
	for _, p := range list {
		stem := Stem(p.Name)
		coco.Add(p)
		studio.Add(p, "model")
		out["yolo/labels/"+stem+".txt"] = yolo.Labels(p)
		set("out.json", encode(JSON(p)))
		set("out.tsv", func(w io.Writer) error { return TSV(w, p) })
		set("out.txt", func(w io.Writer) error { return Table(w, p) })
		set(stem+".svg", func(w io.Writer) error { return SVG(w, p, nil) })
		set("labelme/"+stem+".json", encode(NewLabelMe(p, "../"+p.Name, nil)))
		m, err := Index(p)
		if err != nil {
			t.Fatal(err)
		}
		set("index-"+p.Name, func(w io.Writer) error { return png.Encode(w, m) })
		set(p.Name, func(w io.Writer) error { return png.Encode(w, image.NewGray(image.Rect(0, 0, p.Width, p.Height))) })
	}
	out["yolo/data.yaml"] = yolo.Data()
	set("coco.json", encode(coco))
	set("labelstudio.json", encode(studio))
	return out
}

// TestFiles compares the files of every format with those that testdata/check.py read with the programs they are for.
func TestFiles(t *testing.T) {
	for kind, masks := range map[string]bool{"boxes": false, "masks": true} {
		for name, got := range files(t, pictures(masks)) {
			path := filepath.Join("testdata", kind, name)
			if *update {
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s differs (%v): -update writes it\n%.2000s", path, err, got)
			}
		}
	}
}

// TestMixed: beside a mask a box is a polygon, too, where readers take all shapes of a picture for the same kind.
func TestMixed(t *testing.T) {
	p := Picture{"x.png", 1, &pgc.Detection{Width: 96, Height: 64, Classes: []string{"cat"}, Objects: []pgc.Object{
		object("cat", nil, ring(30, 30, 8, 0), 96, 64, 160, 107, 800, 533), object("cat", nil, nil, 96, 64, 512, 256, 768, 512)}}}
	lines := strings.Split(string((&YOLO{}).Labels(p)), "\n")
	if want := "0 0.25 0.5 0.5 0.5 0.5 0.75 0.25 0.75"; lines[len(lines)-2] != want {
		t.Errorf("YOLO has %q, expected %q at the end", lines, want)
	}
	list := LabelStudio{}
	list.Add(p, "model")
	for _, r := range list[0].Predictions[0].Result {
		if r.Type != "polygonlabels" {
			t.Errorf("Label Studio has %+v", r)
		}
	}
}

// TestEmptyMasks: an object whose mask has no pixel is in every format, with its box where others have outlines.
func TestEmptyMasks(t *testing.T) {
	o := object("cat", nil, image.NewAlpha(image.Rect(48, 16, 72, 32)), 96, 64, 256, 512, 512, 768)
	p := Picture{"x.png", 1, &pgc.Detection{Width: 96, Height: 64, Classes: []string{"cat"}, Objects: []pgc.Object{o}}}
	if got, want := string((&YOLO{}).Labels(p)), "0 0.625 0.375 0.25 0.25\n"; got != want {
		t.Errorf("YOLO has %q, expected %q", got, want)
	}
	list, set := LabelStudio{}, NewCOCO()
	list.Add(p, "model")
	set.Add(p)
	me, json := NewLabelMe(p, "x.png", nil), JSON(p).Boxes
	var svg bytes.Buffer
	if err := SVG(&svg, p, nil); err != nil || !strings.Contains(svg.String(), `<rect x="48" y="16" width="24" height="16"`) {
		t.Errorf("SVG has %s, %v", &svg, err)
	}
	if r := list[0].Predictions[0].Result; len(r) != 1 || r[0].Type != "rectanglelabels" {
		t.Errorf("Label Studio has %+v", r)
	}
	if len(me.Shapes) != 1 || me.Shapes[0].Type != "rectangle" {
		t.Errorf("LabelMe has %+v", me.Shapes)
	}
	if a := set.Annotations; len(a) != 1 || a[0].Area != 0 || a[0].Mask.(*runLengths).Counts != json[0].Mask.Counts {
		t.Errorf("COCO has %+v", a)
	}
	if b := json[0]; *b.Area != 0 || b.Polygons == nil || len(b.Polygons) != 0 {
		t.Errorf("JSON has %+v", b)
	}
}

// TestColumns: columns of a table stand below each other whatever a label's script.
func TestColumns(t *testing.T) {
	for text, want := range map[string]int{"cat": 3, "猫": 2, "น้ำผึ้ง": 4, "e\u0301": 1, "می\u200cخ": 3} {
		if got := columns(text); got != want {
			t.Errorf("%q takes %d columns, expected %d", text, got, want)
		}
	}
}

// TestNone: no pictures are an empty data set, never null.
func TestNone(t *testing.T) {
	for _, v := range []any{NewCOCO(), LabelStudio{}, JSON(Picture{"x", 1, &pgc.Detection{Classes: []string{"cat"}}}), NewLabelMe(Picture{"x", 1, &pgc.Detection{}}, "x", []byte{1})} {
		text, err := json.Marshal(v)
		if err != nil || strings.Contains(string(text), "null") {
			t.Errorf("%s, %v", text, err)
		}
	}
}

func TestStem(t *testing.T) {
	for name, want := range map[string]string{
		"a/b.c/photo.tar.jpg": "photo.tar", "-": "stdin", "data:image/png;base64,AAAA": "data", "https://host/a/b.png?x=1/2#f": "b",
		"/x/.hidden": ".hidden", "noextension": "noextension", "http://host/": "host", "\n Data:image/png;base64,a/bc": "data",
	} {
		if got := Stem(name); got != want {
			t.Errorf("%s: %s, expected %s", name, got, want)
		}
	}
}

// TestTSVFields: a name or label with tabs or newlines stays in its field.
func TestTSVFields(t *testing.T) {
	var b bytes.Buffer
	d := &pgc.Detection{Objects: []pgc.Object{object("a\tb", nil, nil, 10, 10, 0, 0, 512, 512)}}
	if err := TSV(&b, Picture{"x\ny.png", 1, d}); err != nil || b.String() != `x\ny.png`+"\t"+`a\tb`+"\t-\t0\t0\t5\t5\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
}
