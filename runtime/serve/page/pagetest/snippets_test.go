package pagetest

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// TestExamples runs what the page shows as the same request in a shell, in Python and in Go. The answers are those of the page.
func TestExamples(t *testing.T) {
	dir := t.TempDir()
	keys := filepath.Join(dir, "keys")
	if err := os.WriteFile(keys, []byte("open-sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	locked, err := serve(*fileFlag, "--api-keys", keys)
	if err != nil {
		t.Fatal(err)
	}
	defer locked.stop()
	const odd = "it's a $HOME `picture` \\ 1.png"
	for _, name := range []string{"05-purple.png", odd} {
		copyFile(t, picture(t, "05-purple.png"), filepath.Join(dir, name))
	}
	for _, c := range []struct {
		name, file, address string
		ask                 func(b *tab)
		answer              string // an expression: what the page shows
	}{
		{"text", "05-purple.png", demo, func(b *tab) {}, `document.querySelector(".card .text").textContent`},
		{"objects", "05-purple.png", demo, func(b *tab) {
			b.click(`#tasks [value="detect"]`)
			b.fill("#class", "airplane, horse,")
		}, `document.querySelector(".written").textContent`},
		{"odd names", odd, demo, func(b *tab) { b.fill("#prompt", "answer en what's \"this\" \\n $HOME `id` %s <loc?") },
			`(document.querySelector(".card .text") ?? document.querySelector(".written")).textContent`}, // the model may see objects
		{"with a key", "05-purple.png", locked.address, func(b *tab) {}, `document.querySelector(".card .text").textContent`},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := blank(t, c.address)
			b.excuse("status of 401")
			b.visit()
			if c.address != demo {
				b.wait(`!document.querySelector("#key").hidden`)
				b.fill("#key-value", "open-sesame"+kb.Enter)
			}
			b.wait(`document.body.classList.contains("ready")`)
			b.choose(filepath.Join(dir, c.file))
			c.ask(b)
			b.run()
			want := eval[string](b, c.answer)
			for _, p := range []struct {
				tab, file string
				command   []string
			}{{"#code-curl", "ask.sh", []string{"sh", "ask.sh"}}, {"#code-python", "ask.py", []string{"python3", "ask.py"}}, {"#code-go", "ask.go", []string{"go", "run", "ask.go"}}} {
				b.click(p.tab)
				if err := os.WriteFile(filepath.Join(dir, p.file), []byte(b.text("#code-text")+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				cmd := exec.Command(p.command[0], p.command[1:]...)
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "PGC_API_KEY=open-sesame")
				out, err := cmd.CombinedOutput()
				if err != nil || !strings.Contains(string(out), want) {
					t.Errorf("%s: %v\n%s\nprints %s, expected %s", p.file, err, b.text("#code-text"), out, want)
				}
				if n := strings.Count(string(out), "horse"); c.name == "objects" && n < 4 {
					t.Errorf("%s: prints %s, expected the text and the boxes", p.file, out)
				}
			}
		})
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
}
