package shard

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	slurm := "SLURM_ARRAY_TASK_ID=7 SLURM_ARRAY_TASK_MIN=5 SLURM_ARRAY_TASK_COUNT=4"
	for _, c := range []struct{ text, env, want string }{
		{"3/16", "", "3/16"},
		{"0/1", slurm, "0/1"},
		{"auto", slurm, "2/4"},
		{"auto/8", slurm, "2/8"},
		{"auto", "SLURM_ARRAY_TASK_ID=14 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_STEP=2 SLURM_ARRAY_TASK_COUNT=8", "7/8"},
		{"auto/16", "JOB_COMPLETION_INDEX=11", "11/16"},
		{"16/16", "", "\"16\" is none of 16 shards, expected 0 to 15"},
		{"-1/16", "", "\"-1\" is none of 16 shards"},
		{"1/0", "", "\"0\" is no number of shards"},
		{"1/100000", "", "\"100000\" is no number of shards, expected 1 to 99999"},
		{"1/x", "", "\"x\" is no number of shards"},
		{"1", "", "\"1\" is no shard, expected I/N"},
		{"", "", "\"\" is no shard, expected I/N"},
		{"auto", "", "neither is set, expected I/N"},
		{"auto", "JOB_COMPLETION_INDEX=11", "expected auto/N with N the Job's completions"},
		{"auto/4", "JOB_COMPLETION_INDEX=11", "\"11\" is none of 4 shards"},
		{"auto", "SLURM_ARRAY_TASK_ID=9 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_COUNT=3", "task 9 of this Slurm array: \"8\" is none of 3 shards, expected 0 to 2: write I/N where the array has gaps"},
		{"auto", "SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_STEP=2 SLURM_ARRAY_TASK_COUNT=3", "task 3 is none of the Slurm array that begins at 0 in steps of 2"},
		{"auto", "SLURM_ARRAY_TASK_ID=x SLURM_ARRAY_TASK_COUNT=3", "SLURM_ARRAY_TASK_ID is \"x\", expected a number"},
		{"auto", "SLURM_ARRAY_TASK_ID=0", "SLURM_ARRAY_TASK_COUNT is not set, expected auto/N"},
	} {
		p, err := Parse(c.text, func(name string) (string, bool) {
			for _, v := range strings.Fields(c.env) {
				if value, ok := strings.CutPrefix(v, name+"="); ok {
					return value, true
				}
			}
			return "", false
		})
		if got := p.String(); err == nil && got != c.want || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q with %q: %s, %v, expected %s", c.text, c.env, got, err, c.want)
		}
	}
}

// TestHas: what docs/SCALE.md says of the hash, python -c "import hashlib; print(int.from_bytes(hashlib.sha256(
// b'photos/a.jpg').digest()[:8]) % 16)"; spelling does not matter, and every id is in one shard.
func TestHas(t *testing.T) {
	for id, index := range map[string]int{`"photos/a.jpg"`: 15, `"photos\/a.jpg"`: 15, `"é"`: 3, `"\u00e9"`: 3, `17`: 7, `"17"`: 7} {
		for i := range 16 {
			if got := (Part{i, 16}).Has([]byte(id)); got != (i == index) {
				t.Errorf("shard %d has %s: %v, expected it in %d", i, id, got, index)
			}
		}
		if !(Part{}).Has([]byte(id)) {
			t.Errorf("the whole has no %s", id)
		}
	}
	count := make([]int, 7)
	for id := range 7000 {
		for i := range count {
			if (Part{i, 7}).Has(fmt.Append(nil, 2*id)) {
				count[i]++
			}
		}
	}
	for i, n := range count {
		if n < 850 || n > 1150 {
			t.Errorf("shard %d of 7 has %d of 7000 even numbers", i, n)
		}
	}
}

func TestName(t *testing.T) {
	for out, want := range map[string]string{"out.jsonl": "out-00003-of-00016.jsonl", "out": "out-00003-of-00016.jsonl", "a.b/out": "a.b/out-00003-of-00016.jsonl", "x/.jsonl": "x/.jsonl-00003-of-00016.jsonl", "-": "-"} {
		if got := (Part{3, 16}).Name(out); got != want {
			t.Errorf("%s: %s, expected %s", out, got, want)
		}
	}
	if got := (Part{}).Name("out"); got != "out" {
		t.Errorf("the whole goes to %s", got)
	}
}

// row is a line of a shard.
func row(n int) string { return fmt.Sprintf(`{"id":"%d","row":%d,"text":"<\"row\":9> é"}`+"\n", n, n) }

// last is a last line.
func last(n, index, of, rows int) string {
	return strings.TrimSuffix(row(n), "}\n") + fmt.Sprintf(`,"shard":{"index":%d,"of":%d,"rows":%d,"input":"ab"}}`+"\n", index, of, rows)
}

// TestComplete orders lines, and moves the record to the last one.
func TestComplete(t *testing.T) {
	in := row(4) + last(7, 0, 3, 7) + row(2)
	var out bytes.Buffer
	if err := Complete(&out, io.NewSectionReader(strings.NewReader(in), 0, int64(len(in))), Record{1, 3, 9, "ab"}); err != nil {
		t.Fatal(err)
	}
	moved := `{"id":"7","text":"<\"row\":9> é","row":7,"shard":{"index":1,"of":3,"rows":9,"input":"ab"}}` + "\n"
	if want := row(2) + row(4) + moved; out.String() != want {
		t.Errorf("%s, expected %s", out.String(), want)
	}
	if err := Complete(&out, io.NewSectionReader(strings.NewReader("{}\n"), 0, 3), Record{}); err == nil || !strings.Contains(err.Error(), "line 1 has no row") {
		t.Errorf("a line without a row: %v", err)
	}
}

// TestMerge joins shards, and names what is missing or double; then nothing is written.
func TestMerge(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	a, b, c := row(1)+last(3, 0, 3, 5), row(0)+row(2)+last(4, 1, 3, 5), ""
	failed := strings.Replace(b, `"text"`, `"error":"x","text"`, 1)
	for name, x := range map[string]struct {
		shards []string
		want   string // of the error
		errors int
	}{
		"all":              {[]string{b, c, a}, "", 0},
		"an error":         {[]string{a, failed}, "", 1},
		"a missing shard":  {[]string{b}, "the answer to request 1 of 5, counted from 0, is missing (there is no line of shard 0, 2)", 0},
		"a missing end":    {[]string{a}, "the answer to request 0 of 5", 0},
		"a missing line":   {[]string{a, strings.Replace(b, row(2), "", 1)}, "the answer to request 2 of 5", 0},
		"a double line":    {[]string{a, row(0) + b}, "line 2 is a second answer to request 0", 0},
		"a foreign line":   {[]string{row(0) + a, b}, "is a second answer to request 0", 0},
		"a double shard":   {[]string{a, b, a}, "are both shard 0 of 3, expected each once", 0},
		"no last line":     {[]string{row(1), b}, "its last line has no record", 0},
		"a cut line":       {[]string{a[:len(a)-5], b}, "its last line is cut off", 0},
		"more lines":       {[]string{a + last(9, 0, 3, 5), b}, "line 3 comes behind the last one", 0},
		"another number":   {[]string{last(1, 0, 2, 5), b}, "is one of 3 shards and", 0},
		"another input":    {[]string{strings.ReplaceAll(a, `"ab"`, `"cd"`), b}, "is of another input than", 0},
		"another length":   {[]string{row(1) + last(3, 0, 3, 6), b}, "is of another input than", 0},
		"no shard of ours": {[]string{`{"id":1,"text":""}` + "\n"}, "its last line has no row, expected one that batch --shard wrote", 0},
	} {
		os.Remove(out)
		var names []string
		for i, text := range x.shards {
			names = append(names, filepath.Join(dir, fmt.Sprintf("s%d", i)))
			if err := os.WriteFile(names[i], []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		m, err := Merge(out, names)
		got, missing := os.ReadFile(out)
		switch {
		case x.want != "":
			if err == nil || !strings.Contains(err.Error(), x.want) || missing == nil {
				t.Errorf("%s: %v, expected %s; an output: %v", name, err, x.want, missing == nil)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case m != (Merged{len(names), 5, x.errors}):
			t.Errorf("%s: %+v", name, m)
		case x.errors == 0:
			for n, line := range strings.SplitAfter(strings.TrimSuffix(string(got), "\n"), "\n") {
				if want := fmt.Sprintf(`{"id":"%d","text":"<\"row\":9> é"}`, n); strings.TrimSuffix(line, "\n") != want {
					t.Errorf("%s: %s, expected %s", name, line, want)
				}
			}
		}
	}
	if _, err := Merge(filepath.Join(dir, "s0"), []string{filepath.Join(dir, "s0")}); err == nil {
		t.Error("a shard has been replaced")
	}
	if _, err := Merge(out, []string{dir}); err == nil || !strings.Contains(err.Error(), "is no regular file") {
		t.Errorf("a folder: %v", err)
	}
}
