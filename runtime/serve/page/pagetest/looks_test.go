package pagetest

import (
	"net/http"
	"testing"
	"time"
)

// TestLooks has axe judge every state of the page in every form, and takes pictures of them.
func TestLooks(t *testing.T) {
	f := newFake(t)
	b := open(t, f.URL)
	b.look("1-empty")

	b.choose("05-purple.png")
	b.look("2-chosen")

	f.chat = func(w http.ResponseWriter, r *http.Request, body request) {
		stream(w, nil, "two", " horses", " and an", " airplane", " on a purple background")
	}
	b.run()
	b.look("3-caption")

	f.chat = locate
	b.click(`#tasks [value="detect"]`)
	b.fill("#class", "airplane, horse, cat,")
	b.run()
	b.look("4-boxes")
	b.click(".objects li:nth-child(2) button")
	b.look("5-picked")

	b.click(`#tasks [value="segment"]`)
	b.run()
	b.look("6-masks")

	held := make(chan bool)
	f.chat = func(w http.ResponseWriter, r *http.Request, body request) {
		event(w, delta(map[string]any{"content": "two horses and"}, nil))
		select {
		case <-held:
		case <-time.After(patience):
		}
		fail(w, http.StatusBadRequest, "")
	}
	b.click(`#tasks [value="ask"]`)
	b.fill("#question", "how many horses are there?")
	b.click("#run")
	b.wait(`document.querySelector(".caret")`)
	b.look("7-streaming")
	b.click("#run")
	b.answered()
	close(held)

	f.chat = func(w http.ResponseWriter, r *http.Request, body request) {
		fail(w, http.StatusBadRequest, "the prompt has 900 tokens, expected 255 at most")
	}
	b.excuse("400 (Bad Request)")
	b.choose("10-blue.png", "03-purple.png")
	b.run()
	b.look("8-failed")
}
