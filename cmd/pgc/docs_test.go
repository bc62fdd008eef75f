package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// warned are the lines of standard error about answers.
var warned = regexp.MustCompile(`(?m)^warning: .*\n`)

// TestFromTransformers runs the shell blocks of docs/FROM_TRANSFORMERS.md, one after another in one folder, and holds
// each to the text block that follows before the next code. golden/gen/from_transformers.py does the same with the
// Python.
func TestFromTransformers(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "FROM_TRANSFORMERS.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	putRuntime(t, filepath.Join(dir, "bin"))
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bin", "pgc"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	pictures := map[string]string{"/cat.png": "05-purple.png", "/cow.png": "02-orange.png"}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(root, "models/paligemma/demo/pictures", pictures[r.URL.Path]))
	}))
	defer server.Close()
	blocks := regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$").FindAllStringSubmatch(string(page), -1)
	ran, compiled := 0, false
	for i, b := range blocks {
		if b[1] != "sh" {
			continue
		}
		if _, err := exec.LookPath("python3"); err != nil && strings.Contains(b[2], "python3") {
			t.Logf("left out, for want of python3: %s", b[2])
			continue
		}
		ran++
		script := b[2]
		if strings.Contains(script, "pgc compile ") {
			if compiled { // code for every default set is made once
				script = strings.ReplaceAll(script, "pgc compile ", "pgc compile --cpu native ")
			}
			compiled = true
		}
		cmd := exec.Command("sh", "-e", "-c", script)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PGC="+root, "PICTURES="+server.URL, "XDG_CACHE_HOME="+filepath.Join(dir, "cache"),
			"PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if said := warned.ReplaceAllString(stderr.String(), ""); err != nil || said != "" {
			t.Fatalf("%s%v %s", b[2], err, said)
		}
		want := ""
		if i+1 < len(blocks) && blocks[i+1][1] == "text" {
			want = blocks[i+1][2]
		}
		if string(out) != want {
			t.Errorf("%sprinted %q, the page says %q", b[2], out, want)
		}
	}
	if ran < 8 {
		t.Errorf("%d shell blocks", ran)
	}
}
