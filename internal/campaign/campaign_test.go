package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgc/codegen/llvm/llctest"
)

// shop is the workshop that the tests share.
var shop *workshop

func TestMain(m *testing.M) {
	becomeLaunched()
	if err := isolate(); err != nil {
		fmt.Fprintln(os.Stderr, "mounts of its own:", err)
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "pgc-campaign-")
		var restore func()
		if err == nil {
			defer os.RemoveAll(dir)
			restore, err = llctest.Lend() // to the pgc that compiles the programs
		}
		if err == nil {
			shop, err = prepare(context.Background(), dir)
			restore()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer shop.close()
		return m.Run()
	}())
}

// TestFound runs what broke a rule once.
func TestFound(t *testing.T) {
	paths, err := filepath.Glob("testdata/found/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no finds (%v)", err)
	}
	for _, path := range paths {
		c, err := readCase(path)
		if err != nil {
			t.Fatal(err)
		}
		if why := shop.cannot(c); why != "" {
			t.Logf("%s: %s", filepath.Base(path), why)
			continue
		}
		expect(t, filepath.Base(path), c)
	}
}

// TestCampaign runs a short campaign.
func TestCampaign(t *testing.T) {
	for seed := range uint64(60) {
		expect(t, fmt.Sprint("seed ", seed), shop.make(seed))
	}
}

// expect runs a case that must break no rule.
func expect(t *testing.T, name string, c *Case) {
	t.Helper()
	found, _, err := shop.judge(t.Context(), c)
	if err != nil {
		t.Errorf("%s: %v: %s", name, err, c)
	}
	for _, f := range found {
		t.Errorf("%s breaks %s: %s: %s", name, f.rule, f.what, c)
	}
}

// TestSameCase: a seed is a case, and its JSON is the case.
func TestSameCase(t *testing.T) {
	kinds := map[string]bool{}
	for seed := range uint64(2000) {
		c := shop.make(seed)
		data, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		again := new(Case)
		if err := json.Unmarshal(data, again); err != nil {
			t.Fatal(err)
		}
		if a, b, d := fmt.Sprintf("%+v", c), fmt.Sprintf("%+v", again), fmt.Sprintf("%+v", shop.make(seed)); a != b || a != d {
			t.Fatalf("seed %d is %s, read %s, again %s", seed, a, b, d)
		}
		kinds[c.Program+" "+string(slices.Concat(c.Args, []text{""})[0])] = true
	}
	if len(kinds) < 20 {
		t.Errorf("only these commands: %v", kinds)
	}
}

// TestRules runs scripts that break one rule each.
func TestRules(t *testing.T) {
	for rule, script := range map[string]string{
		"status":    "exit 3",
		"lines":     "exit 1",
		"words":     `echo x: pan""ic: at the disco >&2; exit 1`,
		"control":   `printf 'x: \033[31m\n' >&2; exit 1`,
		"partial":   "echo half >out/o; echo x: failed >&2; exit 1",
		"left":      "touch tmp/x",
		"inputs":    "echo x >in/script",
		"processes": "sleep 1000 >&- 2>&- &",
	} {
		c := &Case{Program: "file:in/script", Args: []text{"out/o"}, Files: []File{{Name: "in/script", Text: text("#!/bin/sh\n" + script + "\n"), Mode: 0o755}}}
		found, r, err := shop.judge(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(found, func(f finding) bool { return f.rule == rule }) {
			t.Errorf("%s: found %v, it says %q", script, found, r.stderr)
		}
	}
}

// TestAnswers compares results with those of unharmed cases.
func TestAnswers(t *testing.T) {
	out := func(s string) tree { return tree{"out/o": {data: []byte(s)}} }
	for i, c := range []struct {
		c         Case
		got, want result
		breaks    bool
	}{
		{Case{}, result{stdout: []byte("a")}, result{stdout: []byte("b")}, true},
		{Case{}, result{stdout: []byte(`{"peak_rss_bytes":12}`)}, result{stdout: []byte(`{"peak_rss_bytes":345}`)}, false},
		{Case{Args: []text{"-o", "out/o"}}, result{after: out("1")}, result{after: out("2")}, true},
		{Case{Args: []text{"-o", "out/o"}}, result{after: out("1")}, result{after: out("1")}, false},
		{Case{Args: []text{"-o", "out/o"}}, result{}, result{after: out("1")}, true},
		{Case{Stdout: "full"}, result{}, result{stdout: []byte("x")}, true},
		{Case{}, result{}, result{status: 1}, true},
		{Case{}, result{status: 1}, result{stdout: []byte("x")}, false},
	} {
		v := verdict{c: &c.c, r: &c.got, want: &c.want}
		if v.answer(); len(v.found) > 0 != c.breaks {
			t.Errorf("case %d: found %v", i, v.found)
		}
	}
}

// TestInjection makes one system call fail, and a share of them.
func TestInjection(t *testing.T) {
	c := &Case{Program: "answers", Args: []text{"forward", "--image", "in/p0", "--prompt", "", "-o", "out/o"}, Files: []File{{Name: "in/p0", From: "picture/noise.png"}},
		Env:   []text{"HOME="}, // without a cache folder the output is the first file that is written
		Calls: []Call{{"ftruncate", 1, "EIO"}, {"pwrite64", 1, "ENOSPC"}, {"write", 1, "ENOSPC"}}}
	if why := shop.cannot(c); why != "" {
		t.Skip(why)
	}
	_, r, err := shop.judge(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if r.status != 1 || !strings.Contains(string(r.stderr), "cannot write out/o: no space left on device") || len(r.failed) == 0 {
		t.Errorf("status %d, %q, failed %v", r.status, r.stderr, r.failed)
	}
	c.Calls, c.Rate, c.Seed = nil, 0.5, 7
	if _, r, err = shop.judge(t.Context(), c); err != nil || r.status == 0 || len(r.failed) < 2 {
		t.Errorf("%v, status %d, failed %v", err, r.status, r.failed)
	}
}

// TestReduce takes away what a find does not need.
func TestReduce(t *testing.T) {
	c := &Case{Program: "file:in/script", Env: []text{"A=1", "B=2"}, Limits: map[string]uint64{"core": 0}, Signals: []Signal{{"SIGCONT", 1}, {"SIGWINCH", 1}},
		Files: []File{{Name: "in/script", Text: "#!/bin/sh\n[ -z $B ] || exit 3\n", Mode: 0o755}}}
	got := shop.reduce(t.Context(), c, nil, "status")
	if len(got.Env) != 1 || got.Env[0] != "B=2" || got.Limits != nil || len(got.Signals) != 1 {
		t.Errorf("reduced to %s", got)
	}
}

// TestTargets finds the fuzz targets of this module.
func TestTargets(t *testing.T) {
	targets, err := fuzzTargets(shop.root)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"runtime/imageio FuzzDecode", "frontend/text FuzzParse", "runtime/tokenizer FuzzLoad"} {
		if !slices.ContainsFunc(targets, func(f fuzzTarget) bool { return f.dir+" "+f.name == want }) {
			t.Errorf("%s is not among %v", want, targets)
		}
	}
}
