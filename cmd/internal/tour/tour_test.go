package tour

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pgc/codegen/llvm"
	"pgc/ir/target"
)

var update = flag.Bool("update", false, "write the dumps into docs/TOUR.md and docs/tour.svg anew")

var marker = regexp.MustCompile("(?s)<!-- dump ([a-z- ]+?)( LLVM [0-9]+)? -->\n```[a-z]*\n(.*?)```\n")

// TestTour holds every dump of docs/TOUR.md to what the compiler makes today. Assembly is that of one LLVM, and
// compared where that is the one at hand.
func TestTour(t *testing.T) {
	tgt, err := target.Find("x86-64-v3")
	if err != nil {
		t.Fatal(err)
	}
	dumps, svg, err := Dumps(t.Context(), tgt)
	if err != nil {
		t.Fatal(err)
	}
	text := map[string]string{}
	for _, d := range dumps {
		text[d.Name] = d.Text
	}
	path, picture := filepath.Join("..", "..", "..", "docs", "TOUR.md"), filepath.Join("..", "..", "..", "docs", "tour.svg")
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	version := llvmVersion(t)
	shown := map[string]bool{}
	got := marker.ReplaceAllStringFunc(string(src), func(block string) string {
		m := marker.FindStringSubmatch(block)
		name, of := m[1], m[2]
		want, ok := text[name]
		if !ok {
			t.Errorf("there is no dump %s", name)
			return block
		}
		shown[name] = true
		head := strings.SplitN(block, "\n", 3)
		if of != "" {
			if of != version && !*update {
				t.Logf("%s is of%s, this is%s: not compared", name, of, version)
				return block
			}
			head[0] = "<!-- dump " + name + version + " -->"
		}
		return head[0] + "\n" + head[1] + "\n" + want + "```\n"
	})
	for _, d := range dumps {
		if !shown[d.Name] {
			t.Errorf("%s does not show %s", path, d.Name)
		}
	}
	if *update {
		for path, text := range map[string]string{path: got, picture: svg} {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	if diff := cmp.Diff(string(src), got); diff != "" {
		t.Errorf("docs/TOUR.md is not what the compiler makes (go test ./cmd/internal/tour -update writes it):\n%s", diff)
	}
	if have, err := os.ReadFile(picture); err != nil || string(have) != svg {
		t.Errorf("docs/tour.svg is not what the compiler draws (%v): go test ./cmd/internal/tour -update writes it", err)
	}
}

// llvmVersion is " LLVM 14" for the llc at hand.
func llvmVersion(t *testing.T) string {
	path, err := llvm.FindLLC()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(path, "--version").Output()
	m := regexp.MustCompile(`LLVM version ([0-9]+)`).FindSubmatch(out)
	if err != nil || m == nil {
		t.Fatalf("%s --version: %v: %s", path, err, out)
	}
	return " LLVM " + string(m[1])
}
