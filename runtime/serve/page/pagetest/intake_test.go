package pagetest

import (
	"encoding/base64"
	"fmt"
	"image"
	"image/jpeg"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
)

// cards waits until there are n pictures, and returns their names.
func (b *tab) cards(n int) []string {
	b.t.Helper()
	b.wait(fmt.Sprintf(`document.querySelectorAll(".card").length === %d`, n))
	return eval[[]string](b, `[...document.querySelectorAll(".card h3")].map(e => e.textContent)`)
}

// drop drops files, or a text as other windows drag it.
func (b *tab) drop(data input.DragData) {
	b.t.Helper()
	data.DragOperationsMask = 1
	for _, kind := range []input.DispatchDragEventType{input.DispatchDragEventTypeDragEnter, input.DispatchDragEventTypeDragOver, input.DispatchDragEventTypeDrop} {
		call(b, input.DispatchDragEvent, input.DispatchDragEventParams{Type: kind, X: 300, Y: 300, Data: &data})
		if kind == input.DispatchDragEventTypeDragOver && !eval[bool](b, `document.body.classList.contains("dropping")`) {
			b.t.Error("the page does not show that something can be dropped")
		}
	}
}

// paste pastes into an element what a script puts on a clipboard c.
func (b *tab) paste(selector, script string) {
	b.t.Helper()
	eval[bool](b, fmt.Sprintf(`(() => {
		const c = new DataTransfer();
		%s;
		return document.querySelector(%s).dispatchEvent(new ClipboardEvent("paste", {clipboardData: c, bubbles: true, cancelable: true}));
	})()`, script, quote(selector))+" || true")
}

// TestIntake drops, pastes and chooses pictures and what is none.
func TestIntake(t *testing.T) {
	f := newFake(t)
	sent := make(chan string, 9)
	f.chat = func(w http.ResponseWriter, r *http.Request, body request) {
		sent <- body.Messages[0].Content[0].ImageURL.URL
		stream(w, nil, "fine")
	}
	b := open(t, f.URL)
	file := picture(t, "05-purple.png")
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	coded := base64.StdEncoding.EncodeToString(content)
	pixels := fmt.Sprintf(`new File([Uint8Array.from(atob(%q), c => c.charCodeAt(0))], "image.png", {type: "image/png"})`, coded)
	note := filepath.Join(t.TempDir(), "note.txt")
	if err := os.WriteFile(note, []byte("no picture"), 0o600); err != nil {
		t.Fatal(err)
	}

	b.drop(input.DragData{Items: []*input.DragDataItem{}, Files: []string{file, note, picture(t, "10-blue.png")}})
	b.cards(2)
	if got := b.text("#drop-error"); got != "note.txt is no picture." {
		t.Errorf("of a text the page says %q", got)
	}
	b.paste("body", "c.items.add("+pixels+")")
	if names := b.cards(3); names[2] != "pasted-1.png" {
		t.Errorf("what is pasted is called %q", names[2])
	}
	b.paste("body", fmt.Sprintf(`c.setData("text/plain", "data:image/png;base64,%s")`, coded))
	b.cards(4)
	b.click(`[aria-label="Remove 10-blue.png"]`)
	b.cards(3)
	b.run()
	for range 3 {
		if got := <-sent; got != "data:image/png;base64,"+coded {
			t.Errorf("other bytes are sent than those of the file: %.60s…", got)
		}
	}

	b.paste("#prompt", `c.setData("text/plain", "https://example.org/cat.jpg")`)
	b.paste("body", `c.setData("text/plain", "https://example.org/cat.jpg")`)
	b.wait(`document.querySelector("#drop-error").textContent.startsWith("This server fetches no pictures from addresses")`)
	b.drop(input.DragData{Items: []*input.DragDataItem{{MimeType: "text/plain", Data: "a text"}}})
	b.wait(`document.querySelector("#drop-error").textContent === "That is no picture."`)
	b.paste("body", `c.setData("text/plain", "data:image/png;base64,A")`)
	b.wait(`document.querySelector("#drop-error").textContent === "What was pasted is no base64."`)
	b.cards(3)
	b.click("#clear")
	b.cards(0)
}

// TestAddress gives the page the address of a picture where the server fetches them. The page itself does not.
func TestAddress(t *testing.T) {
	f := newFake(t)
	f.model["image_urls"] = true
	f.chat = func(w http.ResponseWriter, r *http.Request, body request) {
		if got := body.Messages[0].Content[0].ImageURL.URL; got != "https://example.org/a%20cat.jpg" {
			t.Errorf("the address sent is %s", got)
		}
		stream(w, map[string]any{"boxes": []any{scene[0].box(false)}}, scene[0].text())
	}
	f.picture = func(w http.ResponseWriter, url string) {
		if url != "https://example.org/a%20cat.jpg" {
			t.Errorf("the page asks for %s", url)
		}
		w.Header().Set("Content-Type", "image/jpeg")
		jpeg.Encode(w, image.NewGray(image.Rect(0, 0, side, side)), nil)
	}
	b := open(t, f.URL)
	b.fill("#address-value", "https://example.org/a%20cat.jpg\r")
	b.wait(`document.querySelector(".card img")?.naturalWidth > 0 && document.querySelectorAll(".stage.blank").length === 0`)
	if names := b.cards(1); names[0] != "a cat.jpg" {
		t.Errorf("the picture is called %q", names[0])
	}
	b.click(`#tasks [value="detect"]`)
	b.fill("#class", "airplane,")
	b.run()
	if got := eval[[]float64](b, `document.querySelector(".overlay").getAttribute("viewBox").split(" ").map(Number)`); got[2] != side || got[3] != side {
		t.Errorf("the overlay's size is %v, expected that of the picture, %d", got[2:], side)
	}
	b.excused = append(b.excused, "status of 400")
	f.picture = func(w http.ResponseWriter, url string) { fail(w, 400, "picture 1: it cannot be fetched") }
	b.fill("#address-value", "https://example.org/none.jpg\r")
	b.wait(`document.querySelectorAll(".stage.blank").length === 1 && document.querySelector(".stage.blank p").textContent === "Picture 1: it cannot be fetched."`)
	b.paste("body", `c.setData("text/plain", "https://%")`)
	b.wait(`document.querySelector("#drop-error").textContent === "That is no address."`)
	b.look("10-address")
	if got := b.text("#code-text"); !strings.Contains(got, `"url": "https://example.org/a%20cat.jpg"`) {
		t.Errorf("the example does not have the address: %s", got)
	}
}

// TestUnshowable asks about a picture that the browser cannot show.
func TestUnshowable(t *testing.T) {
	f := newFake(t)
	b := open(t, f.URL)
	file := filepath.Join(t.TempDir(), "scan.tif")
	if err := os.WriteFile(file, []byte("II*\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.chat = func(w http.ResponseWriter, r *http.Request, body request) {
		if got := body.Messages[0].Content[0].ImageURL.URL; got != "data:image/tiff;base64,SUkqAA==" {
			t.Errorf("%q is sent", got)
		}
		stream(w, nil, "a scan")
	}
	b.choose(file)
	b.run()
	if got := b.text(".stage") + "/" + b.text(".card .text"); got != "This browser cannot show the picture. The model may read it all the same./a scan" {
		t.Errorf("the page shows %q", got)
	}
}

// TestTouch finds the button that takes a photograph where there are fingers.
func TestTouch(t *testing.T) {
	b := blank(t, newFake(t).URL)
	call(b, emulation.SetTouchEmulationEnabled, emulation.SetTouchEmulationEnabledParams{Enabled: true, MaxTouchPoints: 1})
	b.visit()
	b.wait(`document.body.classList.contains("ready")`)
	if !eval[bool](b, `document.querySelector("#photograph").checkVisibility() && document.querySelector("#camera").getAttribute("capture") === "environment"`) {
		t.Error("there is no button that takes a photograph")
	}
}
