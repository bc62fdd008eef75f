package commands

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgc/golden"
	"pgc/internal/e2e"
	"pgc/internal/grouptest"
)

// within runs a command in a control group.
func within(procs, name string, args ...string) (int, string, string) {
	return e2e.Status("sh", append([]string{"-c", `echo $$ > "$0" && exec "$@"`, procs, name}, args...)...)
}

// slack is what a batch takes beside its requests, in MiB: their list, and answers that wait for older ones.
const slack = 2

// TestBatchInGroup: requests that fit into a control group one by one fit as a batch, whatever their lengths; the
// pages that earlier ones have touched are not counted again.
func TestBatchInGroup(t *testing.T) {
	exe := e2e.Compiled(t, "pg2-mha")
	dir := t.TempDir()
	in := filepath.Join(dir, "in.jsonl")
	var lines []string
	for i := range 12 {
		lines = append(lines, fmt.Sprintf(`{"id":%d,"images":[%q],"prompt":%q,"max_new_tokens":%d}`, i, golden.Picture("noise.png"), strings.Repeat("cat ", 20*(i%4)), 5+90*(i%3)))
	}
	if err := os.WriteFile(in, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	want := e2e.Replies(t, e2e.MustRun(t, exe, "batch", "--input", in, "--output", "-"))
	tried := 0
	for mib := 8; mib <= 40; mib += 2 {
		procs := grouptest.Memory(t, mib<<20)
		longest := strings.Repeat("cat ", 60)
		code, _, stderr := within(procs, exe, "generate", "--image", golden.Picture("noise.png"), "--prompt", longest, "--max-new-tokens", "185")
		if code != 0 {
			if code != 1 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "of memory, but only") {
				t.Errorf("in %d MiB: status %d, %q, expected a sentence about memory", mib, code, stderr)
			}
			continue
		}
		tried++
		procs = grouptest.Memory(t, (mib+slack)<<20)
		code, stdout, stderr := within(procs, exe, "batch", "--input", in, "--output", "-")
		got := e2e.Replies(t, []byte(stdout))
		if code != 0 || len(got) != len(want) {
			t.Errorf("in %d MiB: status %d, %d answers, %q", mib+slack, code, len(got), stderr)
			continue
		}
		for i := range got {
			if got[i].Text != want[i].Text {
				t.Errorf("in %d MiB: answer %d is %q, expected %q", mib+slack, i, got[i].Text, want[i].Text)
			}
		}
	}
	if tried == 0 {
		t.Error("the longest request fits into no group")
	}
}

// TestPictureInGroup: a picture that is too large for a control group is refused from its header with the numbers, in a
// batch on its own line alone.
func TestPictureInGroup(t *testing.T) {
	exe := e2e.Compiled(t, "pg2-mha")
	dir := t.TempDir()
	large := filepath.Join(dir, "large.png")
	gray := image.NewPaletted(image.Rect(0, 0, 10000, 9000), color.Palette{color.Black, color.White})
	f, err := os.Create(large)
	if err == nil {
		err = errors.Join((&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(f, gray), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	want := "image " + large + ": its size 10000x9000 needs 343.3 MiB of memory, but only "
	procs := grouptest.Memory(t, 64<<20)
	code, _, stderr := within(procs, exe, "generate", "--image", large, "--prompt", "", "--max-new-tokens", "1")
	if code != 1 || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "(the limit of control group /") {
		t.Errorf("status %d, %q, expected %q", code, stderr, want)
	}
	var lines []string
	for i := range 5 {
		lines = append(lines, fmt.Sprintf(`{"id":%d,"images":[%q],"prompt":"","max_new_tokens":4}`, i, map[bool]string{true: large, false: golden.Picture("noise.png")}[i == 2]))
	}
	in := filepath.Join(dir, "in.jsonl")
	if err := os.WriteFile(in, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := within(procs, exe, "batch", "--input", in, "--output", "-")
	got := e2e.Replies(t, []byte(stdout))
	if code != 1 || !strings.Contains(stderr, "1 of 5 requests failed") || len(got) != 5 {
		t.Fatalf("status %d, %d answers, %q", code, len(got), stderr)
	}
	for i, r := range got {
		if (i == 2) != strings.HasPrefix(r.Error, want) || (i == 2) == (len(r.Tokens) > 0) {
			t.Errorf("answer %d is %+v", i, r)
		}
	}
}
