package pagetest

import (
	"net/http"
	"slices"
	"strings"
	"testing"
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
		case <-r.Context().Done():
		}
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

// TestJudges spoils the page, and expects the tests' own means to notice.
func TestJudges(t *testing.T) {
	b := open(t, newFake(t).URL)
	for _, expected := range []string{"a word to the console", "an exception", "Content-Security-Policy: style-src-attr", "Content-Security-Policy: connect-src", "Content-Security-Policy: require-trusted-types-for"} {
		b.excuse(expected)
	}
	b.excuse("https://example.org/")
	b.excuse("violates the following")
	b.excuse("requires 'Trusted")
	eval[bool](b, `(() => {
		console.error("a word to the console");
		setTimeout(() => { throw new Error("an exception"); });
		document.body.setAttribute("style", "color: #999");
		fetch("https://example.org/").catch(() => {});
		try { document.body.innerHTML += "<b>"; } catch {}
		document.querySelector("main").append(document.createElement("img"));
		document.querySelector("#model").style.color = "#bbb";
		return true;
	})()`)
	eval[bool](b, `new Promise(done => setTimeout(() => done(true), 200))`)
	b.mu.Lock()
	noticed := strings.Join(b.problems, "\n")
	b.mu.Unlock()
	for _, want := range b.excused[:5] {
		if !strings.Contains(noticed, want) {
			t.Errorf("the tests do not notice %s in: %s", want, noticed)
		}
	}
	rules := []string{}
	for _, v := range b.violations() {
		rules = append(rules, v.Rule)
	}
	for _, want := range []string{"image-alt", "color-contrast"} {
		if !slices.Contains(rules, want) {
			t.Errorf("axe finds %q, expected %s among it", rules, want)
		}
	}
}
