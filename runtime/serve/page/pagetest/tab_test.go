package pagetest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// looks is how often a test looks for what the page is to show, a hundredth of a second apart. On a busy machine a look takes
// longer, as does what is looked for.
const looks = 3000

// tab is a tab of the browser, in which errors of the console, violations of the Content-Security-Policy and requests to
// other hosts fail the test.
type tab struct {
	t       *testing.T
	ctx     context.Context
	address string
	files   []string // names of what was saved

	mu       sync.Mutex
	problems []string
	excused  []string
}

// open shows the page of a server in a new tab and waits until it knows the model.
func open(t *testing.T, address string) *tab {
	t.Helper()
	b := blank(t, address)
	b.visit()
	b.wait(`document.body.classList.contains("ready")`)
	return b
}

// blank returns a new tab, that shows nothing yet.
func blank(t *testing.T, address string) *tab {
	t.Helper()
	b := &tab{t: t, address: address}
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext(), chromedp.WithListener(b.listen))
	b.ctx = ctx
	t.Cleanup(func() {
		cancel()
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, p := range b.problems {
			if !slices.ContainsFunc(b.excused, func(e string) bool { return strings.Contains(p, e) }) {
				t.Errorf("the browser reports: %s", p)
			}
		}
	})
	if err := chromedp.Do(ctx); err != nil { // opens the tab, which lives as long as this context
		t.Fatal(err)
	}
	call(b, network.Enable, network.EnableParams{})
	call(b, log.Enable, cdp.Empty{})
	call(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: `document.addEventListener("securitypolicyviolation",
		e => console.error("Content-Security-Policy: " + e.violatedDirective + " " + e.blockedURI + " " + e.sample))`})
	b.size(1280, 900)
	b.scheme("light")
	return b
}

// visit loads the page anew.
func (b *tab) visit() {
	b.t.Helper()
	b.do(chromedp.Navigate(b.address + "/"))
}

// excuse lets the test cause messages of the console that contain a text.
func (b *tab) excuse(part string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.excused = append(b.excused, part)
}

func (b *tab) listen(event any) {
	problem := ""
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		problem = fmt.Sprintf("an exception: %s %s", e.ExceptionDetails.Text, e.ExceptionDetails.Exception.Description)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			problem = "the console: "
			for _, a := range e.Args {
				problem += string(a.Value) + a.Description
			}
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			problem = fmt.Sprintf("the log: %s %s", e.Entry.Text, e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		url := e.Request.URL
		if !strings.HasPrefix(url, b.address+"/") && !strings.HasPrefix(url, "blob:"+b.address) && !strings.HasPrefix(url, "data:") {
			problem = "a request to elsewhere: " + url
		}
	}
	if problem != "" {
		b.mu.Lock()
		b.problems = append(b.problems, problem)
		b.mu.Unlock()
	}
}

// patience ends shortly before the time of all tests does: what the browser is told to do ends, however busy the machine is.
func (b *tab) patience() (context.Context, context.CancelFunc) {
	end, ok := b.t.Deadline()
	if !ok {
		return context.WithCancel(b.ctx)
	}
	return context.WithDeadline(b.ctx, end.Add(-10*time.Second))
}

// receive waits for what a channel brings.
func receive[T any](b *tab, from <-chan T, what string) (v T) {
	b.t.Helper()
	ctx, cancel := b.patience()
	defer cancel()
	select {
	case v = <-from:
	case <-ctx.Done():
		b.t.Fatalf("%s: %v; the page shows: %s", what, ctx.Err(), b.shown())
	}
	return v
}

// do runs an action and fails the test where it does not end in time.
func (b *tab) do(action chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	get(b, action)
}

// get returns what an action yields.
func get[T any](b *tab, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := b.patience()
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		b.t.Fatalf("%v; the page shows: %s", err, b.shown())
	}
	return value
}

// call runs a command of the browser's protocol.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	ctx, cancel := b.patience()
	defer cancel()
	value, err := chromedp.Call(ctx, command, params)
	if err != nil {
		b.t.Fatal(err)
	}
	return value
}

// shown is the text of the page, for messages.
func (b *tab) shown() string {
	ctx, cancel := context.WithTimeout(b.ctx, time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
	if err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(text), " ")
}

// eval returns the value of an expression, which may be a promise.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	return get(b, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// wait waits until an expression is true.
func (b *tab) wait(expression string) {
	b.t.Helper()
	for range looks {
		if eval[bool](b, "Boolean("+expression+")") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.t.Fatalf("%s does not become true; the page shows: %s", expression, b.shown())
}

// click clicks where an element is, which must be in the window and not below another one.
func (b *tab) click(selector string) {
	b.t.Helper()
	at := eval[struct {
		X, Y float64
		Hit  string
	}](b, fmt.Sprintf(`(() => {
		const e = document.querySelector(%s);
		e.scrollIntoView({block: "center", behavior: "instant"});
		const {x, y, width, height} = e.getClientRects()[0]; // of a text, its first line
		const at = {x: x + width / 2, y: y + height / 2};
		const top = document.elementFromPoint(at.x, at.y);
		return {...at, hit: top && (e === top || e.contains(top) || top.contains(e)) ? "" : top ? top.outerHTML.slice(0, 200) : "nothing"};
	})()`, quote(selector)))
	if at.Hit != "" {
		b.t.Fatalf("a click on %s meets %s", selector, at.Hit)
	}
	b.do(chromedp.MouseClickXY(at.X, at.Y))
}

// quote returns a text as JavaScript writes it.
func quote(text string) string {
	out, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(out)
}

// text returns the text of an element.
func (b *tab) text(selector string) string {
	b.t.Helper()
	return eval[string](b, fmt.Sprintf("document.querySelector(%s).textContent.trim()", quote(selector)))
}

// value returns what is typed or chosen in a control.
func (b *tab) value(selector string) string {
	b.t.Helper()
	return eval[string](b, fmt.Sprintf("document.querySelector(%s).value", quote(selector)))
}

// fill types a text into a control in place of what it holds.
func (b *tab) fill(selector, text string) {
	b.t.Helper()
	b.click(selector)
	eval[bool](b, fmt.Sprintf("(document.querySelector(%s).select(), true)", quote(selector)))
	b.press(text)
}

// press presses keys where the focus is.
func (b *tab) press(keys string, options ...chromedp.KeyOption) {
	b.t.Helper()
	b.do(chromedp.KeyEvent(keys, options...))
}

// choose gives pictures to the page as if they were chosen in the browser's dialog.
func (b *tab) choose(names ...string) {
	b.t.Helper()
	var paths []string
	for _, n := range names {
		if !filepath.IsAbs(n) {
			n = picture(b.t, n)
		}
		paths = append(paths, n)
	}
	before := eval[int](b, `document.querySelectorAll(".card").length`)
	b.do(chromedp.SetUploadFiles(chromedp.CSS("#files"), paths))
	b.wait(fmt.Sprintf(`document.querySelectorAll(".card").length === %d`, before+len(paths)))
}

// run presses Run and waits until every picture has an answer.
func (b *tab) run() {
	b.t.Helper()
	b.click("#run")
	b.answered()
}

func (b *tab) answered() {
	b.t.Helper()
	b.wait(`!document.querySelector("#run").classList.contains("stop") && document.querySelectorAll(".card").length > 0 &&
		[...document.querySelectorAll(".card .answer")].every(a => !a.hidden && a.getAttribute("aria-busy") === "false")`)
}

func (b *tab) size(width, height int64) {
	b.t.Helper()
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1})
}

// scheme is light or dark; colors change at once.
func (b *tab) scheme(name string) {
	b.t.Helper()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: name}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
}

// look takes screenshots of a state in every form of the page, and has axe judge each of them.
func (b *tab) look(state string) {
	b.t.Helper()
	for _, form := range []struct {
		name, scheme  string
		width, height int64
	}{{"light", "light", 1280, 900}, {"dark", "dark", 1280, 900}, {"narrow", "light", 320, 720}} {
		b.size(form.width, form.height)
		b.scheme(form.scheme)
		eval[bool](b, `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`)
		b.axe(state + " " + form.name)
		if w := eval[int64](b, `document.documentElement.scrollWidth`); w > form.width {
			b.t.Errorf("%s %s: the page is %d pixels wide, expected %d", state, form.name, w, form.width)
		}
		b.shoot(state + "-" + form.name)
	}
	b.size(1280, 900)
	b.scheme("light")
}

// shoot writes a screenshot of the whole page.
func (b *tab) shoot(name string) {
	b.t.Helper()
	b.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, 1, 1))
	eval[bool](b, `(scrollTo(0, 0), true)`)
	png := get(b, chromedp.FullScreenshot(100))
	if err := os.WriteFile(filepath.Join(*outFlag, name+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// violation is a rule of accessibility that the page breaks.
type violation struct {
	Rule, Help string
	Nodes      []string
}

// violations are what axe-core finds.
func (b *tab) violations() []violation {
	b.t.Helper()
	if !eval[bool](b, `"axe" in window`) {
		source, err := os.ReadFile(*axeFlag)
		if err != nil {
			b.t.Fatal(err)
		}
		b.do(chromedp.Evaluate[chromedp.Void](string(source)))
	}
	return eval[[]violation](b, `axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations.map(v =>
		({rule: v.id, help: v.help, nodes: v.nodes.map(n => n.html + " " + n.failureSummary)})))`)
}

// axe fails the test for every violation.
func (b *tab) axe(state string) {
	b.t.Helper()
	for _, v := range b.violations() {
		b.t.Errorf("%s: axe: %s: %s\n\t%s", state, v.Rule, v.Help, strings.Join(v.Nodes, "\n\t"))
	}
}

// set sets a control to a value as a person who moves it does.
func (b *tab) set(selector, value string) {
	b.t.Helper()
	eval[bool](b, fmt.Sprintf(`(() => {
		const e = document.querySelector(%s);
		e.value = %s;
		return e.dispatchEvent(new Event("input", {bubbles: true}));
	})()`, quote(selector), quote(value)))
}

// saved is the content of the file that a button saves.
func (b *tab) saved(button string) []byte {
	b.t.Helper()
	dir := b.t.TempDir()
	ctx, cancel := b.patience()
	defer cancel()
	_, err := chromedp.CallBrowser(ctx, cdpbrowser.SetDownloadBehavior, cdpbrowser.SetDownloadBehaviorParams{Behavior: cdpbrowser.SetDownloadBehaviorBehaviorAllow,
		BrowserContextID: chromedp.FromContext(b.ctx).BrowserContextID, DownloadPath: dir})
	if err != nil {
		b.t.Fatal(err)
	}
	b.click(button)
	for range looks {
		time.Sleep(10 * time.Millisecond)
		list, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			b.t.Fatal(err)
		}
		if len(list) == 1 && filepath.Ext(list[0]) != ".crdownload" && !strings.Contains(filepath.Base(list[0]), "org.chromium") {
			content, err := os.ReadFile(list[0])
			if err != nil {
				b.t.Fatal(err)
			}
			if len(content) > 0 {
				b.files = append(b.files, filepath.Base(list[0]))
				return content
			}
		}
	}
	b.t.Fatalf("%s saves no file; the page shows: %s", button, b.shown())
	return nil
}

// exported is what the first card saves in a format.
func (b *tab) exported(format string) string {
	b.t.Helper()
	eval[bool](b, fmt.Sprintf(`(document.querySelector(".tools select").value = %s, true)`, quote(format)))
	return string(b.saved(".tools button:last-child"))
}
