package main

import (
	"testing"

	"github.com/alecthomas/kong"
)

func TestVerbatim(t *testing.T) {
	var c struct {
		Text  *string
		List  []string `sep:"none"`
		Words []string `arg:""`
		Plain string
	}
	parser, err := kong.New(&c, verbatim())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"--text=a\xff", "--list", "b\xfe,", "--list=<&>", "--plain", "\xc3", "w\x80"}); err != nil {
		t.Fatal(err)
	}
	if *c.Text != "a\xff" || len(c.List) != 2 || c.List[0] != "b\xfe," || c.List[1] != "<&>" || c.Plain != "\xc3" || len(c.Words) != 1 || c.Words[0] != "w\x80" {
		t.Errorf("read %+v", c)
	}
}
