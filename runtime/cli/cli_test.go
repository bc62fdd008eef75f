package cli

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

type commands struct {
	Ask   ask   `cmd:"" default:"withargs" help:"Ask."`
	Count count `cmd:"" help:"Count."`
	Quiet bool  `help:"Say less."`
	Where string
}

type shared struct {
	TopK *int `placeholder:"K"`
}

type ask struct {
	Words []string `arg:"" optional:""`
	Stop  []string `sep:"none"`
	Names []string
	Out   string `short:"o"`
	Fast  bool   `short:"f" default:"true" negatable:""`
	Kind  string `enum:"a,b" default:"a"`
	Wait  time.Duration
	shared
	hidden int
}

type count struct {
	Number uint64   `arg:""`
	Into   string   `required:"" placeholder:"FILE"`
	By     *float64 `required:""`
	Names  []string
}

// TestParse reads command lines; what it reads for the executable's own commands is compared with kong in runtime/app.
func TestParse(t *testing.T) {
	five, half := 5, 0.5
	for _, c := range []struct {
		line string
		want any // the command's struct, or the error
	}{
		{"", ask{Fast: true, Kind: "a", hidden: 0}},
		{"a - --top-k 5 b", ask{Words: []string{"a", "-", "b"}, shared: shared{&five}, Fast: true, Kind: "a"}},
		{"--where x a", ask{Words: []string{"a"}, Fast: true, Kind: "a"}},
		{"-fo=x -- --fast -o", ask{Words: []string{"--fast", "-o"}, Out: "x", Fast: true, Kind: "a"}},
		{"--no-fast -o x --kind=b --wait 90s", ask{Out: "x", Kind: "b", Wait: 90 * time.Second}},
		{"--no-fast=no --stop a,b --stop= --names a\\,b,c\\d,", ask{Fast: true, Kind: "a", Stop: []string{"a,b", ""}, Names: []string{"a,b", `c\d`}}},
		{"ask count", ask{Words: []string{"count"}, Fast: true, Kind: "a"}},
		{"--quiet count 0x10 --into f --by=.5", count{Number: 16, Into: "f", By: &half}},
		{"count", `expected <number>`},
		{"count 1", `missing flags: --by=BY, --into=FILE`},
		{"count 1 2", `unexpected argument 2`},
		{"count -1", `unknown flag -1, did you mean "-h"?`},
		{"count -- -1", `<number>: expected an integer of 0 or more but got "-1"`},
		{"count 18446744073709551616", `<number>: expected an integer of 0 or more of 64 bits but got "18446744073709551616"`},
		{"count 1 --by x", `--by: expected a number but got "x"`},
		{"--names a count 1", `--names is read before the command count: expected it behind, if count has such a flag`},
		{"--kind c", `--kind: expected one of a, b but got "c"`},
		{"--fast=maybe", `--fast: expected true or false but got "maybe"`},
		{"--wait 90", `--wait: expected a time such as 90s but got "90"`},
		{"--top-k 1.5", `--top-k: expected an integer but got "1.5"`},
		{"--out", `--out: expected a value behind it`},
		{"-o --fast", `--out: expected a value behind it but got the flag --fast: write --out=--fast if that is the value`},
		{"--fost", `unknown flag --fost, did you mean one of "--out", "--fast"?`},
		{"-é", `unknown flag -é, did you mean one of "-h", "-o", "-f"?`},
		{"--hidden=1", `unknown flag --hidden`},
	} {
		parsed, err := Of(&commands{}).Parse(strings.Fields(c.line))
		if err != nil {
			if err.Error() != c.want {
				t.Errorf("%s: error %v, expected %v", c.line, err, c.want)
			}
			continue
		}
		if got := reflect.ValueOf(parsed.Value).Elem().Interface(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: read %+v, expected %+v", c.line, got, c.want)
		}
	}
}

// TestWithoutImplied: where no command may be left out, none is chosen.
func TestWithoutImplied(t *testing.T) {
	var root struct {
		Count count `cmd:""`
		Quiet bool
	}
	g := Of(&root)
	parsed, err := g.Parse([]string{"--quiet"})
	if err != nil || parsed.Value != nil || parsed.Help || !root.Quiet {
		t.Errorf("%+v, %v", parsed, err)
	}
	if parsed, err = g.Parse([]string{"coun"}); err == nil || err.Error() != `unexpected argument coun, did you mean "count"?` {
		t.Errorf("%+v, %v", parsed, err)
	}
}

func TestDistance(t *testing.T) {
	for pair, want := range map[[2]string]int{{"", ""}: 0, {"", "ab"}: 2, {"kitten", "sitting"}: 3, {"ü", "u"}: 1, {"abc", "abc"}: 0, {"flaw", "lawn"}: 2} {
		if a, b := distance(pair[0], pair[1]), distance(pair[1], pair[0]); a != want || b != want {
			t.Errorf("%q: %d and %d, expected %d", pair, a, b, want)
		}
	}
}

func TestWrap(t *testing.T) {
	if got, want := wrap("one twö threeandfour  five", 7), []string{"one twö", "threeandfour", "five"}; !slices.Equal(got, want) {
		t.Errorf("%q, expected %q", got, want)
	}
}

// TestHelpWidth: lines are as long as the environment says.
func TestHelpWidth(t *testing.T) {
	g := Of(&commands{})
	for columns, want := range map[string]int{"": 80, "x": 80, "2": 80, "50": 50, "200": 200} {
		t.Setenv("COLUMNS", columns)
		var b strings.Builder
		g.Help(&b, "exe", strings.Repeat("word ", 100), &Parsed{})
		longest := 0
		text, _, _ := strings.Cut(b.String(), "\nRun ")
		for line := range strings.Lines(text) {
			longest = max(longest, len(strings.TrimSuffix(line, "\n")))
		}
		if longest > want || longest < want-4 {
			t.Errorf("COLUMNS=%s: the longest line has %d columns, expected %d:\n%s", columns, longest, want, b.String())
		}
	}
}
