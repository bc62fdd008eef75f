package pagetest

import (
	"bytes"
	"encoding/json"
	"image/png"
	"strings"
	"testing"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
)

// TestExport copies and saves an answer with masks in every format.
func TestExport(t *testing.T) {
	f := newFake(t)
	f.chat = locate
	b := open(t, f.URL)
	for _, name := range []string{"clipboard-read", "clipboard-write"} {
		if _, err := chromedp.CallBrowser(b.ctx, cdpbrowser.SetPermission, cdpbrowser.SetPermissionParams{Permission: &cdpbrowser.PermissionDescriptor{Name: name},
			Setting: cdpbrowser.PermissionSettingGranted, Origin: f.URL, BrowserContextID: chromedp.FromContext(b.ctx).BrowserContextID}); err != nil {
			t.Fatal(err)
		}
	}
	b.choose("05-purple.png")
	b.click(`#tasks [value="segment"]`)
	b.fill("#class", "airplane, horse, cat,")
	b.run()
	b.set("#score-least", "0.5") // leaves two of three

	var object struct {
		Image, Task, Prompt string
		Width, Height       int
		Classes             []string
		Boxes               []struct {
			Label string
			Score float64
			Area  int
			Mask  struct{ Counts string }
		}
	}
	saved := b.exported("json")
	if err := json.Unmarshal([]byte(saved), &object); err != nil {
		t.Fatal(err)
	}
	if object.Image != "05-purple.png" || object.Task != "segment" || object.Width != side || len(object.Classes) != 3 || len(object.Boxes) != 2 || object.Boxes[1].Label != "horse" || object.Boxes[1].Mask.Counts == "" {
		t.Errorf("JSON has %s", saved)
	}
	b.click(".tools button:nth-last-child(2)")
	b.wait(`document.querySelector(".tools button:nth-last-child(2)").textContent === "Copied"`)
	if got := eval[string](b, `navigator.clipboard.readText()`); got != saved {
		t.Errorf("other JSON is copied than saved: %s", got)
	}

	var coco struct {
		Images      []struct{ ID, Width, Height int }
		Categories  []struct{ Name string }
		Annotations []struct {
			ImageID    int        `json:"image_id"`
			CategoryID int        `json:"category_id"`
			Box        [4]float64 `json:"bbox"`
			Area       float64
			Score      float64
			Mask       struct{ Counts string } `json:"segmentation"`
		}
	}
	saved = b.exported("coco")
	if err := json.Unmarshal([]byte(saved), &coco); err != nil {
		t.Fatal(err)
	}
	if len(coco.Categories) != 3 || len(coco.Annotations) != 2 || coco.Annotations[1].CategoryID != 2 || coco.Annotations[1].ImageID != 1 || coco.Annotations[1].Score != 0.91 ||
		coco.Annotations[1].Area != float64(object.Boxes[1].Area) || coco.Annotations[1].Mask.Counts != object.Boxes[1].Mask.Counts {
		t.Errorf("COCO has %s", saved)
	}

	drawn, err := png.Decode(strings.NewReader(b.exported("png")))
	if err != nil {
		t.Fatal(err)
	}
	if got := drawn.Bounds().Dx(); got != 2*side {
		t.Errorf("the drawing is %d pixels wide, expected %d: small pictures are enlarged", got, 2*side)
	}
	b.click(".tools button:nth-last-child(2)")
	if !eval[bool](b, `(async () => {
		for (const end = performance.now() + 5000; performance.now() < end; await new Promise(done => setTimeout(done, 20))) {
			const [{types}] = await navigator.clipboard.read();
			if (types.includes("image/png")) return true;
		}
		return false;
	})()`) {
		t.Error("no picture is copied")
	}
	if got := b.exported("text"); !strings.HasPrefix(got, "<loc0136><loc0072><loc0384><loc0320> airplane ; ") {
		t.Errorf("the text is %q", got)
	}
	want := "05-purple.json 05-purple.coco.json 05-purple.drawn.png 05-purple.txt"
	if got := strings.Join(b.files, " "); got != want {
		t.Errorf("files are called %s, expected %s", got, want)
	}

	b.choose("10-blue.png")
	b.run()
	if err := json.NewDecoder(bytes.NewReader(b.saved("#all button:last-child"))).Decode(&coco); err != nil || len(coco.Images) != 2 || coco.Images[1].ID != 2 {
		t.Errorf("COCO of two pictures has %v, %v", coco.Images, err)
	}
}

// TestMasks compares the pixels that the page makes of run-length codes with those that they stand for.
func TestMasks(t *testing.T) {
	b := open(t, newFake(t).URL)
	for _, o := range scene {
		box := o.box(true)
		mask, err := json.Marshal(box["mask"])
		if err != nil {
			t.Fatal(err)
		}
		at, err := json.Marshal(box["box"])
		if err != nil {
			t.Fatal(err)
		}
		got := eval[struct {
			Area int
			Box  [4]float64
		}](b, `import("./page/masks.js").then(({paint}) => {
			const {canvas, x: left, y: top} = paint(`+string(mask)+`, "#102030", 1, `+string(at)+`), {width, height} = canvas;
			const {data} = canvas.getContext("2d").getImageData(0, 0, width, height);
			let area = 0, box = [1e9, 1e9, 0, 0];
			for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
				const [r, g, b, a] = data.slice(4 * (y * width + x), 4 * (y * width + x) + 4);
				if (!a) continue;
				if (r !== 0x10 || g !== 0x20 || b !== 0x30 || a !== 255) throw new Error("another colour");
				area++;
				box = [Math.min(box[0], left + x), Math.min(box[1], top + y), Math.max(box[2], left + x + 1), Math.max(box[3], top + y + 1)];
			}
			return {area, box};
		})`)
		if got.Area != box["area"] {
			t.Errorf("%s: the mask has %d pixels, expected %d", o.label, got.Area, box["area"])
		}
		for i, v := range box["box"].([]float64) {
			if d := got.Box[i] - v; d < -2 || d > 2 {
				t.Errorf("%s: the mask lies at %v, expected within 2 pixels of %v", o.label, got.Box, box["box"])
				break
			}
		}
	}
}
