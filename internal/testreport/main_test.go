package main

import (
	"strings"
	"testing"
)

const events = `{"Action":"start","Package":"a"}
{"Action":"run","Package":"a","Test":"TestGood"}
{"Action":"output","Package":"a","Test":"TestGood","Output":"=== RUN   TestGood\n"}
{"Action":"output","Package":"a","Test":"TestGood","Output":"    a_test.go:3: a detail\n"}
{"Action":"pass","Package":"a","Test":"TestGood"}
{"Action":"output","Package":"a","Test":"TestRare","Output":"=== RUN   TestRare\n"}
{"Action":"output","Package":"a","Test":"TestRare","Output":"    a_test.go:9: no emulator\n"}
{"Action":"output","Package":"a","Test":"TestRare","Output":"--- SKIP: TestRare (0.00s)\n"}
{"Action":"skip","Package":"a","Test":"TestRare"}
{"Action":"output","Package":"a","Output":"PASS\n"}
{"Action":"output","Package":"a","Output":"ok  \ta\t0.1s\n"}
{"Action":"pass","Package":"a"}
`

func TestReport(t *testing.T) {
	bad := `{"Action":"output","Package":"b","Test":"TestBad","Output":"    b_test.go:5: wrong\n"}
{"Action":"output","Package":"b","Test":"TestBad","Output":"--- FAIL: TestBad (0.00s)\n"}
{"Action":"fail","Package":"b","Test":"TestBad"}
{"Action":"output","Package":"b","Test":"TestEndless","Output":"panic: test timed out\n"}
{"Action":"output","Package":"b","Output":"FAIL\tb\t0.1s\n"}
{"Action":"fail","Package":"b"}
`
	const good = "ok  \ta\t0.1s\n"
	const skips = "skipped tests, 1:\n\ta TestRare: a_test.go:9: no emulator\n"
	for name, c := range map[string]struct {
		in, must, out, err string
	}{
		"good":           {in: events, out: good + skips},
		"a must":         {in: events, must: "TestGood", out: good + skips},
		"a skipped must": {in: events, must: "TestGood,TestRare", out: good + skips, err: "TestRare did not run and pass, expected it to"},
		"an absent must": {in: events, must: "TestGone", out: good + skips, err: "TestGone did not run and pass, expected it to"},
		"failures": {in: events + bad, out: good + "    b_test.go:5: wrong\n--- FAIL: TestBad (0.00s)\nFAIL\tb\t0.1s\npanic: test timed out\n" + skips,
			err: "1 packages failed, 1 passed"},
		"not built": {in: `{"Action":"build-output","Output":"a.go:1: oh\n"}` + "\n" + `{"Action":"fail","Package":"a"}`, out: "a.go:1: oh\n",
			err: "1 packages failed, 0 passed"},
		"nothing": {err: "0 packages failed, 0 passed"},
	} {
		var out strings.Builder
		var must []string
		if c.must != "" {
			must = strings.Split(c.must, ",")
		}
		err := report(strings.NewReader(c.in), &out, must)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if out.String() != c.out || got != c.err {
			t.Errorf("%s: printed %q and failed with %q, expected %q and %q", name, &out, got, c.out, c.err)
		}
	}
	if err := report(strings.NewReader("FAIL"), &strings.Builder{}, nil); err == nil {
		t.Error("what is no event passes")
	}
}
