package pagetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
)

// TestFailures has the server fail in every way. The page says what happened in a sentence, and does not go on as if it had not.
func TestFailures(t *testing.T) {
	f := newFake(t)
	b := open(t, f.URL)
	b.excuse("the server responded with a status of")
	b.excuse("net::ERR_")
	b.choose("05-purple.png")
	for _, c := range []struct {
		name, says string
		chat       http.HandlerFunc
	}{
		{"a refusal", "The prompt has 900 tokens, expected 255 at most.", func(w http.ResponseWriter, r *http.Request) {
			fail(w, 400, "the prompt has 900 tokens, expected 255 at most")
		}},
		{"too large", "The picture is larger than this server takes.", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(413) }},
		{"a failure", "The server failed (status 500). Out of memory.", func(w http.ResponseWriter, r *http.Request) { fail(w, 500, "out of memory") }},
		{"a page of a proxy", "The server failed (status 502).", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(502)
			fmt.Fprint(w, "<html>Bad gateway</html>")
		}},
		{"an error in the stream", "two The weights are damaged.", func(w http.ResponseWriter, r *http.Request) {
			event(w, delta(map[string]any{"content": "two"}, nil))
			event(w, map[string]any{"error": map[string]any{"message": "the weights are damaged"}})
		}},
		{"an end without [DONE]", "two The answer broke off: the connection to the server has ended.", func(w http.ResponseWriter, r *http.Request) {
			event(w, delta(map[string]any{"content": "two"}, nil))
		}},
		{"a broken connection", "two The answer broke off: the connection to the server has ended.", func(w http.ResponseWriter, r *http.Request) {
			event(w, delta(map[string]any{"content": "two"}, nil))
			time.Sleep(50 * time.Millisecond)
			panic(http.ErrAbortHandler)
		}},
		{"no JSON", "The answer broke off: the connection to the server has ended.", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "data: {\n\n") }},
	} {
		f.chat = func(w http.ResponseWriter, r *http.Request, _ request) { c.chat(w, r) }
		b.run()
		got := eval[string](b, `[...document.querySelectorAll(".answer > :not(.asked)")].map(e => e.textContent).join(" ")`)
		if got != c.says {
			t.Errorf("%s: the page says %q, expected %q", c.name, got, c.says)
		}
	}
	f.chat = func(w http.ResponseWriter, r *http.Request, _ request) { stream(w, nil, "fine") }
	b.click(`[aria-label="Ask again about 05-purple.png"]`)
	b.wait(`document.querySelector(".card .text")?.textContent === "fine"`)

	f.CloseClientConnections()
	f.Close()
	b.run()
	if got := b.text(".answer .error"); !strings.HasPrefix(got, "The server at 127.0.0.1:") || !strings.HasSuffix(got, "does not answer. Is it still running?") {
		t.Errorf("without a server the page says %q", got)
	}
}

// TestQueue finds the queue full twice, waits as long as it is told, and gets an answer.
func TestQueue(t *testing.T) {
	f := newFake(t)
	var n atomic.Int32
	f.chat = func(w http.ResponseWriter, r *http.Request, body request) {
		if n.Add(1) <= 2 {
			w.Header().Set("Retry-After", "1")
			fail(w, http.StatusTooManyRequests, "the queue is full")
			return
		}
		stream(w, nil, "at last")
	}
	b := open(t, f.URL)
	b.excuse("status of 429")
	b.choose("05-purple.png")
	begin := time.Now()
	b.click("#run")
	b.wait(`document.querySelector(".waiting")?.textContent.startsWith("The server’s queue is full. Trying again in 1 s")`)
	b.answered()
	if got := b.text(".card .text"); got != "at last" || time.Since(begin) < 2*time.Second {
		t.Errorf("%q after %v, expected an answer after two waits of a second", got, time.Since(begin))
	}
}

// TestStop stops an answer with the button and with Escape. The server sees that nobody listens.
func TestStop(t *testing.T) {
	f := newFake(t)
	left := make(chan bool, 1)
	f.chat = func(w http.ResponseWriter, r *http.Request, body request) {
		event(w, delta(map[string]any{"content": "two horses"}, nil))
		<-r.Context().Done()
		left <- true
	}
	b := open(t, f.URL)
	b.choose("05-purple.png")
	for _, how := range []string{"button", "Escape"} {
		b.click("#run")
		b.wait(`document.querySelector(".card .text")?.textContent.startsWith("two horses")`)
		if got := b.text("#run-text"); got != "Stop" {
			t.Errorf("while an answer comes the button says %q", got)
		}
		if how == "button" {
			b.click("#run")
		} else {
			b.press(kb.Escape)
		}
		b.answered()
		receive(b, left, how+": the server does not see that the answer was stopped")
		if got := b.text(".card .text") + "/" + b.text(".card .note"); got != "two horses/Stopped." {
			t.Errorf("%s: the page shows %q", how, got)
		}
	}
}

// TestRemoved removes one of two pictures while both are asked about: its request ends, the other's goes on.
func TestRemoved(t *testing.T) {
	f := newFake(t)
	left, begun, hold := make(chan bool, 1), make(chan bool, 2), make(chan bool)
	f.chat = func(w http.ResponseWriter, r *http.Request, body request) {
		begun <- true
		select {
		case <-r.Context().Done():
			left <- true
		case <-hold:
			stream(w, nil, "fine")
		}
	}
	b := open(t, f.URL)
	b.choose("05-purple.png", "10-blue.png")
	b.click("#run")
	for range 2 {
		receive(b, begun, "the page asks less than two questions at once")
	}
	b.click(`[aria-label="Remove 05-purple.png"]`)
	receive(b, left, "the request about a picture that is removed goes on")
	close(hold)
	b.answered()
	if got := b.text(".card h3") + ": " + b.text(".card .text"); got != "10-blue.png: fine" {
		t.Errorf("the page shows %q", got)
	}
}

// TestStarting opens the page before the model is there.
func TestStarting(t *testing.T) {
	f := newFake(t)
	models := f.models
	var n atomic.Int32
	f.models = func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 1 {
			fail(w, http.StatusServiceUnavailable, "the model is loading")
			return
		}
		models(w, r)
	}
	b := blank(t, f.URL)
	b.excuse("status of 503")
	b.visit()
	b.wait(`document.querySelector("#notice").textContent.startsWith("The server is not ready")`)
	b.wait(`document.body.classList.contains("ready") && document.querySelector("#notice").hidden`)
}

// TestKey asks for a key, keeps it in the tab, and asks again when it is no longer taken.
func TestKey(t *testing.T) {
	f := newFake(t)
	var want atomic.Value
	want.Store("secret-1")
	checked := func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer "+want.Load().(string) {
				fail(w, http.StatusUnauthorized, "no key")
				return
			}
			next(w, r)
		}
	}
	f.models = checked(f.models)
	f.chat = func(w http.ResponseWriter, r *http.Request, body request) {
		checked(func(w http.ResponseWriter, r *http.Request) { stream(w, nil, "fine") })(w, r)
	}
	b := blank(t, f.URL)
	b.excuse("status of 401")
	b.visit()
	b.wait(`!document.querySelector("#key").hidden`)
	b.look("9-key")
	b.fill("#key-value", "wrong"+kb.Enter)
	b.wait(`document.querySelector("#notice").textContent === "The server does not take this API key."`)
	b.fill("#key-value", "secret-1"+kb.Enter)
	b.wait(`document.body.classList.contains("ready") && document.querySelector("#key").hidden`)
	b.choose("05-purple.png")
	b.run()
	if got := b.text(".card .text"); got != "fine" {
		t.Errorf("with the key the answer is %q", got)
	}
	if got := b.text("#code-text"); !strings.Contains(got, `-H "Authorization: Bearer $PGC_API_KEY"`) || strings.Contains(got, "secret") {
		t.Errorf("the example has no place for the key, or has the key itself: %s", got)
	}
	b.visit()
	b.wait(`document.body.classList.contains("ready")`)
	kept := eval[map[string]json.RawMessage](b, `({local: localStorage.length, cookie: document.cookie, fields: document.querySelector("#key-value").value})`)
	if got := string(kept["local"]) + string(kept["cookie"]) + string(kept["fields"]); got != `0""""` {
		t.Errorf("the key is kept beyond the tab: %s", got)
	}
	want.Store("secret-2")
	b.choose("05-purple.png")
	b.run()
	b.wait(`!document.querySelector("#key").hidden`)
}
