package process

import (
	"strings"
	"testing"
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
