package process

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

func TestLine(t *testing.T) {
	long := strings.Repeat("é", 50<<20)
	for text, want := range map[string]string{
		"a/ü/猫.png: no such file":    "a/ü/猫.png: no such file",
		"one\ntwo":                   "one; two",
		"\x1b[31mred\a\r\t":          `\x1b[31mred\a\r\t`,
		"a\xff.st":                   `a\xff.st`,
		"\u009b31m \u202egnp.exe":    `\u009b31m \u202egnp.exe`,
		`C:\x`:                       `C:\x`,
		"begin " + long + " the end": "begin " + strings.Repeat("é", 1533) + " … " + strings.Repeat("é", 508) + " the end",
	} {
		if got := Line(text); got != want {
			t.Errorf("%.80q is shown as %.80q, expected %.80q (%d bytes for %d)", text, got, want, len(got), len(want))
		}
	}
}

func TestVerbatim(t *testing.T) {
	var c struct {
		Text  *string
		List  []string `sep:"none"`
		Words []string `arg:""`
		Plain string
	}
	parser, err := kong.New(&c, Verbatim())
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
