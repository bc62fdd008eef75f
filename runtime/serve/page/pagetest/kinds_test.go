package pagetest

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// openKind serves an executable of another kind than the demo and shows its page.
func openKind(t *testing.T, name string) (b *tab, file string) {
	t.Helper()
	file = filepath.Join(*kinds, name)
	p, err := serve(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	return open(t, p.address), file
}

// TestNoMasks says what an executable lacks that segments without a decoder of masks.
func TestNoMasks(t *testing.T) {
	b, _ := openKind(t, "codes")
	b.choose("05-purple.png")
	b.click(`#tasks [value="segment"]`)
	if !strings.Contains(b.text("#limits"), "no decoder of masks") {
		t.Error("the page does not say that there is no decoder of masks")
	}
}

// TestServedMasks shows what an executable with a decoder of masks segments: the masks of the command segment, painted pixel by pixel.
func TestServedMasks(t *testing.T) {
	b, file := openKind(t, "masks")
	b.choose("05-purple.png")
	b.click(`#tasks [value="segment"]`)
	b.fill("#class", "horse, cat,")
	b.run()
	b.set("#score-least", "0")
	type segmented struct {
		Label    string
		Area     int
		Mask     struct{ Counts string }
		Polygons [][]float64
	}
	var got, want struct{ Boxes []segmented }
	for to, text := range map[any]string{&got: b.exported("json"),
		&want: commandOf(t, file, "segment", picture(t, "05-purple.png"), "horse ; cat", "--format", "json", "--min-score", "0")} {
		if err := json.Unmarshal([]byte(text), to); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the page has other masks than the command: %s", d)
	}
	var masked []segmented // the decoder does not know all codes
	for _, o := range want.Boxes {
		if o.Area > 0 {
			masked = append(masked, o)
		}
	}
	if len(masked) == 0 {
		t.Fatal("the command segments nothing")
	}
	b.wait(fmt.Sprintf(`document.querySelectorAll(".overlay image[href]").length === %d`, len(masked)))
	areas := eval[[]int](b, `import("./page/masks.js").then(({paint}) => (`+b.exported("json")+`).boxes.filter(o => o.area).map(({mask, box}) => {
		const {canvas} = paint(mask, "#000000", 1, box);
		return canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.filter((v, i) => i % 4 === 3 && v).length;
	}))`)
	for i, o := range masked {
		if areas[i] != o.Area {
			t.Errorf("%s: %d pixels are painted, expected %d", o.Label, areas[i], o.Area)
		}
	}
	b.look("14-served-masks")
}

// TestServedPages ranks pages as the command rank does.
func TestServedPages(t *testing.T) {
	b, file := openKind(t, "pages")
	args := []string{"rank", "--query", "three horses"}
	for _, name := range []string{"10-blue.png", "05-purple.png", "03-purple.png"} {
		b.choose(name)
		args = append(args, picture(t, name))
	}
	b.fill("#query", "three horses")
	b.run()
	var want []string
	for line := range strings.Lines(commandOf(t, file, args...)) {
		score, path, _ := strings.Cut(strings.TrimSpace(line), "\t")
		want = append(want, filepath.Base(path)+" "+score[:strings.Index(score, ".")+2])
	}
	got := eval[[]string](b, `[...document.querySelectorAll(".card")].map(c => c.querySelector("h3").textContent + " " + c.querySelector(".text .figures").textContent.slice(0, -1))`)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the page ranks otherwise than the command: %s", d)
	}
}

// TestServedFrozen asks what is built in.
func TestServedFrozen(t *testing.T) {
	b, file := openKind(t, "frozen")
	b.choose("05-purple.png")
	printed := commandOf(t, file, "--json", picture(t, "05-purple.png")) // a line for every question
	for i, question := range []string{"detect airplane ; horse", "caption en"} {
		b.click(fmt.Sprintf("#frozen label:nth-of-type(%d)", i+1))
		b.run()
		if got := b.text(".asked"); got != question {
			t.Errorf("%q was asked, expected %q", got, question)
		}
		var answer struct{ Text string }
		if err := json.Unmarshal([]byte(strings.Split(printed, "\n")[i]), &answer); err != nil {
			t.Fatal(err)
		}
		if got := b.text(".written, .text"); got != answer.Text {
			t.Errorf("%s: %q, expected %q", question, got, answer.Text)
		}
	}
}
