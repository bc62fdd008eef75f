package pagetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// command runs the demo's executable and returns what it prints.
func command(t *testing.T, args ...string) string {
	t.Helper()
	return commandOf(t, *fileFlag, args...)
}

// commandOf runs an executable and returns what it prints.
func commandOf(t *testing.T, file string, args ...string) string {
	t.Helper()
	out, err := exec.Command(file, args...).Output()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return strings.TrimSpace(string(out))
}

// TestTexts asks the demo with each task that answers with a text. The answers are those of the executable's commands.
func TestTexts(t *testing.T) {
	b := open(t, demo)
	b.choose("05-purple.png")
	for _, c := range []struct {
		task, prompt string
		act          func()
	}{
		{"caption", "caption en", func() {}},
		{"ask", "answer en how many horses are there?", func() { b.fill("#question", "how many horses are there?") }},
		{"ocr", "ocr", func() {}},
		{"free", "caption de", func() { b.fill("#prompt", "caption de") }},
	} {
		b.click(fmt.Sprintf(`#tasks [value=%q]`, c.task))
		c.act()
		if got := b.value("#prompt"); got != c.prompt {
			t.Errorf("%s: the prompt is %q, expected %q", c.task, got, c.prompt)
		}
		b.run()
		if got, want := b.text(".card .text"), command(t, picture(t, "05-purple.png"), c.prompt); got != want {
			t.Errorf("%s: %q, expected %q", c.task, got, want)
		}
		if got := b.text(".card .asked"); got != c.prompt {
			t.Errorf("%s: the card says that %q was asked", c.task, got)
		}
		if got := b.text(".timing"); !strings.Contains(got, "First token") || !strings.Contains(got, "Tokens per second") {
			t.Errorf("%s: timings are %q", c.task, got)
		}
		if got := b.text("#status"); !strings.HasPrefix(got, "05-purple.png: ") {
			t.Errorf("%s: screen readers hear %q", c.task, got)
		}
	}
	t.Logf("first token and all of an answer, as the page measures them: %s", b.text(".timing"))
}

// object is an object as the page exports it and as the executable prints it.
type object struct {
	Label string
	Score float64
	Box   [4]float64
	Loc   [4]int
}

// TestObjects asks the demo where objects are. They are those of the command detect, and the same in overlay, list and text.
func TestObjects(t *testing.T) {
	for task, classes := range map[string]string{"detect": "airplane ; horse", "segment": "horse"} {
		b := open(t, demo)
		b.choose("05-purple.png")
		b.click(fmt.Sprintf(`#tasks [value=%q]`, task))
		b.fill("#class", classes)
		b.run()
		b.shoot("demo-" + task)
		b.set("#score-least", "0")
		var want struct{ Boxes []object }
		if err := json.Unmarshal([]byte(command(t, task, picture(t, "05-purple.png"), classes, "--format", "json", "--min-score", "0")), &want); err != nil {
			t.Fatal(err)
		}
		if len(want.Boxes) < 2 {
			t.Fatalf("%s finds %d objects", task, len(want.Boxes))
		}
		var got struct{ Boxes []object }
		if err := json.Unmarshal([]byte(b.exported("json")), &got); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want.Boxes, got.Boxes); d != "" {
			t.Errorf("%s: the page has other objects than the command: %s", task, d)
		}
		var labels []string
		for _, o := range want.Boxes {
			labels = append(labels, fmt.Sprintf("%s %.0f %%", o.Label, o.Score*100))
		}
		for where, shows := range map[string]string{
			"list":    `[...document.querySelectorAll(".objects button")].map(b => b.querySelector(".label").textContent + " " + b.querySelector(".score-of").textContent)`,
			"overlay": `[...document.querySelectorAll(".overlay .tag text")].map(e => e.textContent).sort()`,
			"text":    fmt.Sprintf(`[...document.querySelectorAll(".written mark")].map((m, i) => m.textContent.split("> ").pop() + " " + %s[i].split(" ").slice(1).join(" "))`, list(labels)),
		} {
			shown := eval[[]string](b, shows)
			if d := cmp.Diff(sorted(labels), sorted(shown)); d != "" {
				t.Errorf("%s: the %s shows other objects: %s", task, where, d)
			}
		}
	}
}

// TestSelection clicks on boxes, items of the list and parts of the text, and moves the slider.
func TestSelection(t *testing.T) {
	f := newFake(t)
	f.chat = locate
	b := open(t, f.URL)
	b.choose("05-purple.png")
	b.click(`#tasks [value="detect"]`)
	b.fill("#class", "airplane, horse,")
	b.run()
	selected := func() [3]int {
		return eval[[3]int](b, `[".objects li.picked", ".written mark.picked", ".overlay .tag.picked"].map(s => {
			const all = [...document.querySelectorAll(s.replace(".picked", ""))];
			return all.findIndex(e => e.matches(".picked"));
		})`)
	}
	for i, at := range []string{".objects li:nth-child(2) button", ".written mark:nth-of-type(3)", ".overlay .object:nth-of-type(3) .touch"} {
		b.click(at)
		got := selected()
		if got[0] < 0 || got[0] != got[1] || got[2] < 0 {
			t.Errorf("after a click on %s, %v are selected in list, text and overlay", at, got)
		}
		if i < 2 && got[0] != i+1 {
			t.Errorf("after a click on %s, object %d is selected", at, got[0])
		}
	}
	b.set("#score-least", "0.5")
	if n := eval[int](b, `document.querySelectorAll(".objects li:not([hidden])").length`); n != 2 {
		t.Errorf("with a least score of 0.5, %d objects are listed, expected 2", n)
	}
	if n := eval[int](b, `document.querySelectorAll(".overlay .object:not(.gone)").length`); n != 2 {
		t.Errorf("with a least score of 0.5, %d objects are drawn, expected 2", n)
	}
	if got := b.text(".count"); got != "2 of 3 objects: the others have lower scores" {
		t.Errorf("the count says %q", got)
	}
	if got := b.text("#code-text"); !strings.Contains(got, `"min_score": 0.5`) {
		t.Errorf("the example has another score: %s", got)
	}
}

// TestPrompt types prompts: task and parts follow, and the other way round.
func TestPrompt(t *testing.T) {
	f := newFake(t)
	asked := make(chan request, 9)
	f.chat = func(w http.ResponseWriter, r *http.Request, body request) { asked <- body; stream(w, nil, "yes") }
	b := open(t, f.URL)
	b.choose("05-purple.png")
	for _, c := range []struct{ prompt, task, shows string }{
		{"answer fr combien?", "ask", "combien?"},
		{"detect cat ; traffic light", "detect", ""},
		{"segment dog", "segment", ""},
		{"caption de", "caption", ""},
		{"ocr", "ocr", ""},
		{"describe en", "free", ""},
		{"answer xx what?", "free", ""},
		{"detect <loc0001>", "free", ""},
	} {
		b.fill("#prompt", c.prompt)
		if got := b.value("#tasks :checked"); got != c.task {
			t.Errorf("%q: the task is %s, expected %s", c.prompt, got, c.task)
		}
		if c.shows != "" && b.value("#question") != c.shows {
			t.Errorf("%q: the question is %q, expected %q", c.prompt, b.value("#question"), c.shows)
		}
		b.run()
		body := <-asked
		if got := body.prompt(); got != c.prompt {
			t.Errorf("%q was typed, and %q sent", c.prompt, got)
		}
		if want := map[string]string{"detect": "detect", "segment": "segment"}[c.task]; body.Task != want {
			t.Errorf("%q: the task %q was sent, expected %q", c.prompt, body.Task, want)
		}
	}
	b.click(`#tasks [value="detect"]`)
	b.fill("#prompt", "detect cat ; traffic light")
	if got := eval[[]string](b, `[...document.querySelectorAll("#classes li")].map(l => l.firstChild.textContent)`); len(got) != 2 || got[1] != "traffic light" {
		t.Errorf("the classes are %q", got)
	}
	b.click("#classes li:first-child button")
	if got := b.value("#prompt"); got != "detect traffic light" {
		t.Errorf("without cat the prompt is %q", got)
	}
}

// TestSeveral asks about several pictures: each by itself, or all in one prompt.
func TestSeveral(t *testing.T) {
	b := open(t, demo)
	names := []string{"05-purple.png", "10-blue.png", "03-purple.png", "09-green.png", "06-green.png", "00-white.png"}
	b.choose(names...)
	b.run()
	got := eval[[]string](b, `[...document.querySelectorAll(".card .text")].map(e => e.textContent)`)
	for i, name := range names {
		if want := command(t, picture(t, name), "caption en"); i >= len(got) || got[i] != want {
			t.Errorf("%s: %q, expected %q", name, got[i], want)
		}
	}

	f := newFake(t)
	asked := make(chan request, 9)
	f.chat = func(w http.ResponseWriter, r *http.Request, body request) { asked <- body; stream(w, nil, "both") }
	b = open(t, f.URL)
	b.choose(names[:2]...)
	b.click("#options summary")
	b.click("#together")
	b.click("#run")
	b.wait(`document.querySelector(".card .text")?.textContent === "both"`)
	if body := <-asked; len(body.Messages[0].Content) != 3 || len(asked) > 0 {
		t.Errorf("%d parts in the first of %d requests, expected two pictures and a text in one", len(body.Messages[0].Content), len(asked)+1)
	}
}

// TestNarrow: the title of several answers stays a line beside all of its buttons, on screens of telephones of any width.
func TestNarrow(t *testing.T) {
	b := open(t, demo)
	b.choose("05-purple.png", "03-purple.png")
	b.click(`#tasks [value="detect"]`)
	b.fill("#class", "horse ; house")
	b.run()
	for width := int64(320); width <= 480; width += 20 {
		b.size(width, 720)
		if h := eval[int64](b, `document.querySelector("#answers-title").offsetHeight`); h > 30 {
			t.Errorf("the title is %d pixels high on a page of %d, expected one line", h, width)
		}
	}
}

// list writes texts as a list of JavaScript.
func list(texts []string) string {
	out, err := json.Marshal(texts)
	if err != nil {
		panic(err)
	}
	return string(out)
}

func sorted(texts []string) []string {
	return slices.Sorted(slices.Values(texts))
}
