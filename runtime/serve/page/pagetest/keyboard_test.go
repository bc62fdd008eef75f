package pagetest

import (
	"fmt"
	"testing"

	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// tabTo presses Tab until the focus is on an element. Wherever it stops on the way it must be seen.
func (b *tab) tabTo(selector string) {
	b.t.Helper()
	for range 80 {
		b.press(kb.Tab)
		at := eval[struct {
			There, Seen bool
			What        string
		}](b, fmt.Sprintf(`(() => {
			const e = document.activeElement;
			const outlined = [e, e.closest("label, .chips")].some(x => x && getComputedStyle(x).outlineStyle !== "none");
			return {there: e.matches(%s), seen: outlined || e === document.body, what: e.outerHTML.slice(0, 120)};
		})()`, quote(selector)))
		if !at.Seen {
			b.t.Errorf("the focus on %s is not seen", at.What)
		}
		if at.There {
			return
		}
	}
	b.t.Fatalf("80 presses of Tab do not reach %s: the focus is on %s", selector, eval[string](b, `document.activeElement.outerHTML.slice(0, 120)`))
}

// TestKeyboard does without a mouse: chooses a picture, asks for objects, selects one, moves the slider, saves, removes.
func TestKeyboard(t *testing.T) {
	b := open(t, demo)
	call(b, page.SetInterceptFileChooserDialog, page.SetInterceptFileChooserDialogParams{Enabled: true})
	b.tabTo("#choose")
	opened := get(b, chromedp.WaitEvent(page.FileChooserOpened, nil, chromedp.KeyEvent(kb.Enter)))
	call(b, dom.SetFileInputFiles, dom.SetFileInputFilesParams{Files: []string{picture(t, "05-purple.png")}, BackendNodeID: opened.BackendNodeID})
	b.wait(`document.querySelector(".card")`)

	b.tabTo("#tasks input")
	b.press(kb.ArrowRight + kb.ArrowRight + kb.ArrowRight)
	if got := b.value("#tasks :checked"); got != "detect" {
		t.Fatalf("three arrows from Caption lead to %s, expected detect", got)
	}
	b.tabTo("#class")
	b.press("airplane" + kb.Enter + "cow" + kb.Enter + kb.Backspace + "horse" + kb.Enter)
	if got := b.value("#prompt"); got != "detect airplane ; horse" {
		t.Fatalf("the prompt is %q", got)
	}
	b.press(kb.Enter, chromedp.KeyModifiers(kb.ModifierCtrl))
	b.answered()

	b.wait(`!document.querySelector("#score").hidden`)
	b.tabTo("#score-least")
	b.press(kb.End)
	b.wait(`document.querySelectorAll(".objects li:not([hidden])").length === 0`)
	b.press(kb.Home)
	b.tabTo(".objects button")
	b.press(kb.Enter)
	b.wait(`document.querySelector(".overlay .picked") && document.activeElement.getAttribute("aria-pressed") === "true"`)
	b.tabTo(".tools button:last-child")
	b.tabTo("[role=tab][aria-selected=true]")
	b.press(kb.ArrowRight)
	if got := b.text("[role=tab][aria-selected=true]"); got != "Python" {
		t.Errorf("an arrow from curl leads to %s, expected Python", got)
	}
	b.tabTo(`[aria-label="Remove 05-purple.png"]`)
	b.press(kb.Enter)
	b.wait(`document.querySelectorAll(".card").length === 0 && document.activeElement.id === "choose"`)
}

// TestNothingToAsk runs without what a question needs, and is told what is missing and where.
func TestNothingToAsk(t *testing.T) {
	b := open(t, newFake(t).URL)
	expect := func(sentence, at string) {
		t.Helper()
		b.click("#run")
		if got := b.text("#ask-error"); got != sentence {
			t.Errorf("the page says %q, expected %q", got, sentence)
		}
		if got := eval[string](b, `document.activeElement.id`); got != at {
			t.Errorf("%s: the focus is on %s, expected %s", sentence, got, at)
		}
	}
	expect("Add a picture first.", "choose")
	b.choose("05-purple.png")
	b.click(`#tasks [value="ask"]`)
	expect("Type a question first.", "question")
	b.click(`#tasks [value="detect"]`)
	expect("Name at least one class, such as cat.", "class")
	b.click(`#tasks [value="free"]`)
	expect("Type a prompt first.", "prompt")
	b.click(`#tasks [value="caption"]`)
	b.click("#options summary")
	b.fill("#most", "0")
	expect("Most tokens is a whole number from 1 on.", "most")
	b.fill("#most", "7")
	b.fill("#temperature", "9")
	expect("Temperature is 0 to 5.", "temperature")
}
