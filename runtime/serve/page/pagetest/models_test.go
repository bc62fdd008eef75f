package pagetest

import (
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// visible are the tasks that the page offers.
func (b *tab) visible() []string {
	b.t.Helper()
	return eval[[]string](b, `[...document.querySelectorAll("#tasks label")].filter(l => l.checkVisibility()).map(l => l.textContent)`)
}

// TestFrozen shows a file that answers only what is built in.
func TestFrozen(t *testing.T) {
	f := newFake(t)
	f.model["frozen"], f.model["tasks"] = []string{"caption en", "detect airplane ; horse"}, []string{}
	f.chat = locate
	b := open(t, f.URL)
	if got := b.visible(); len(got) > 0 {
		t.Errorf("the page offers %q", got)
	}
	b.choose("05-purple.png")
	b.click("#frozen label:nth-of-type(2)")
	if !eval[bool](b, `!document.querySelector("#prompt").checkVisibility() && document.querySelector("#frozen :checked").value === "detect airplane ; horse"`) {
		t.Error("a prompt can be typed, or what was clicked is not chosen")
	}
	b.run()
	if got := b.text(".count"); got != "3 objects" {
		t.Errorf("the page shows %q", got)
	}
	b.look("11-frozen")
}

// TestLess shows a model that knows fewer tasks.
func TestLess(t *testing.T) {
	f := newFake(t)
	f.model["tasks"], f.model["masks"] = []string{"detect"}, false
	b := open(t, f.URL)
	if got := b.visible(); !cmp.Equal(got, []string{"Detect", "Free"}) {
		t.Errorf("the page offers %q", got)
	}
}

// TestAdapters chooses an adapter and the settings of sampling.
func TestAdapters(t *testing.T) {
	f := newFake(t)
	f.model["adapters"] = []string{"documents", "charts"}
	asked := make(chan request, 9)
	f.chat = func(w http.ResponseWriter, r *http.Request, body request) { asked <- body; stream(w, nil, "fine") }
	b := open(t, f.URL)
	b.choose("05-purple.png")
	b.click("#options summary")
	b.set("#adapter", "charts")
	b.fill("#most", "12")
	b.look("12-options")
	b.run()
	if body := <-asked; body.Adapter != "charts" || body.MaxTokens != 12 {
		t.Errorf("the adapter sent is %q, the most tokens %d", body.Adapter, body.MaxTokens)
	}
	if got := b.text("#code-text"); !strings.Contains(got, `"adapter": "charts"`) || !strings.Contains(got, `"max_tokens": 12`) {
		t.Errorf("the example has other settings: %s", got)
	}
}

// TestPages ranks pages with a model that makes embeddings.
func TestPages(t *testing.T) {
	f := newFake(t)
	f.model["embeds"], f.model["tasks"] = true, []string{}
	f.embed = func(item json.RawMessage) [][]float64 {
		var text string
		if json.Unmarshal(item, &text) == nil { // the query: two tokens
			return [][]float64{{1, 0}, {0, 1}}
		}
		n := float64(len(item)) // of a page: its size stands for what is on it
		return [][]float64{{math.Sin(n), 0.1}, {0, math.Cos(n)}, {-1, -1}}
	}
	b := open(t, f.URL)
	names := []string{"05-purple.png", "10-blue.png", "03-purple.png"}
	b.choose(names...)
	b.fill("#query", "how many horses are there?")
	b.run()
	scores := eval[[]float64](b, `[...document.querySelectorAll(".card .text .figures")].map(e => Number(e.textContent))`)
	if len(scores) != 3 || scores[0] < scores[1] || scores[1] < scores[2] {
		t.Errorf("the scores are %v, expected three, the best first", scores)
	}
	if got := eval[[]string](b, `[...document.querySelectorAll(".rank")].map(e => e.textContent)`); !cmp.Equal(got, []string{"1", "2", "3"}) {
		t.Errorf("the places are %q", got)
	}
	if got, want := b.text("#status"), "Best page: "+b.text(".card h3"); got != want {
		t.Errorf("screen readers hear %q, expected %q", got, want)
	}
	b.look("13-pages")
}
