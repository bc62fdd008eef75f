package ptxrun

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgc/codegen/ptx/emu"
)

// all makes TestWrongAddresses take every kernel, not only those that are run in no time.
var all = flag.Bool("all", false, "move the addresses of every kernel of testdata by an element")

// quick is the kernels that TestWrongAddresses takes otherwise.
var quick = []string{"triton_norm", "triton_softmax_scan", "nvrtc_scan", "nvrtc_transpose", "clang_norms", "llvm_frame"}

// idle are addresses that do not matter for these inputs: file, lines, why.
var idle = map[string]string{
	"nvrtc.ptx:260":                  "nothing reads these bytes of the structure's copy",
	"nvrtc.ptx:990-1020":             "reduces arguments of the sine larger than those of x",
	"nvrtc.ptx:1817-1834":            "copies 0 bytes: the pipeline has run out",
	"nvrtc.ptx:1905-1919":            "likewise",
	"triton_matmul_tf32.ptx:230-253": "likewise",
	"clang.ptx:212-250":              "unrolled for blocks of more warps",
}

// idleAt is the row of idle for a place.
func idleAt(file string, line int) string {
	for place := range idle {
		name, lines, _ := strings.Cut(place, ":")
		first, last, ok := strings.Cut(lines, "-")
		if !ok {
			last = first
		}
		a, _ := strconv.Atoi(first)
		b, _ := strconv.Atoi(last)
		if name == file && a <= line && line <= b {
			return place
		}
	}
	return ""
}

var (
	touching = regexp.MustCompile(`^\s*(@\S+ )?(ld|st|atom|red|cp|ldmatrix)\.[a-z_A-Z0-9.:]+\s`)
	brackets = regexp.MustCompile(`\[[^\]]+\]`)
	element  = regexp.MustCompile(`(?:\.v([24]))?\.[bfsu](8|16|32|64)\s`)
)

// width is the bytes that a thread touches.
func width(line string) int {
	m := element.FindStringSubmatch(line)
	if m == nil || strings.Contains(line, "matrix") {
		return 16
	}
	n, _ := strconv.Atoi(m[2])
	if m[1] != "" {
		k, _ := strconv.Atoi(m[1])
		n *= k
	}
	return n / 8
}

// An address one element off is found, or it changes the results: what lies within a buffer is another element of it, which
// only who knows the results can tell.
func TestWrongAddresses(t *testing.T) {
	counts, met := map[string]int{}, map[string]bool{}
	for _, c := range runCases(t) {
		if !*all && !slices.Contains(quick, c.Name) {
			continue
		}
		text, err := os.ReadFile(filepath.Join("testdata", c.Ptx))
		if err != nil {
			t.Fatal(err)
		}
		want := c.results(t, "")
		lines, within := strings.SplitAfter(string(text), "\n"), false
		for i, line := range lines {
			if strings.Contains(line, ".entry ") || strings.HasPrefix(line, ".func") {
				within = strings.Contains(line, ".entry "+c.Kernel+"(")
			}
			if !within || !touching.MatchString(line) || strings.Contains(line, ".param") {
				continue
			}
			for _, at := range brackets.FindAllStringIndex(line, -1) {
				base, offset, _ := strings.Cut(line[at[0]+1:at[1]-1], "+")
				off, _ := strconv.Atoi(strings.TrimSpace(offset))
				for _, d := range []int{width(line), -width(line)} {
					lines[i] = fmt.Sprintf("%s[%s+%d]%s", line[:at[0]], base, off+d, line[at[1]:])
					got := c.results(t, strings.Join(lines, ""))
					place := idleAt(c.Ptx, i+1)
					met[place] = true
					switch {
					case got != want:
						counts[strings.SplitN(got, "\x00", 2)[0]]++
					case place == "":
						t.Errorf("%s:%d: %s instead of %s: nothing found, and the same results", c.Ptx, i+1, strings.TrimSpace(lines[i]), strings.TrimSpace(line))
					default:
						counts["idle"]++
					}
				}
			}
			lines[i] = line
		}
	}
	t.Logf("%v", counts)
	for place := range idle {
		if *all && !met[place] {
			t.Errorf("%s: no such address", place)
		}
	}
	if counts["other results"] == 0 || counts[string(emu.OutOfBounds)] < 50 || counts[string(emu.Uninitialized)] < 10 {
		t.Errorf("%v: too few are found", counts)
	}
}

// results is what a text of the kernel computes, or the kind of what is found.
func (c runCase) results(t *testing.T, text string) string {
	t.Helper()
	r := c.request(t, text)
	r.Most = 3_000_000
	err := Run(r)
	var f *emu.Finding
	if errors.As(err, &f) {
		return string(f.Kind)
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(r.Out)
	if err != nil {
		t.Fatal(err)
	}
	return "other results\x00" + string(b)
}
