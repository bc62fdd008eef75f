package peft

import (
	"testing"

	"github.com/dlclark/regexp2"
)

// TestPatterns matches names as Python's re.fullmatch does.
func TestPatterns(t *testing.T) {
	a := &Adapter{compiled: map[string]*regexp2.Regexp{}}
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{`.*\.(q|v)_proj`, "layers.0.q_proj", true},
		{`.*(?<!o)_proj`, "layers.0.o_proj", false},
		{`(?P<tower>.*language).*\.(?P<p>[qv])_proj`, "language.0.v_proj", true},
		{`(?P<p>[qv])_(?P=p)`, "v_v", true},
		{`(?P<p>[qv])_(?P=p)`, "v_q", false},
		{`layers\.\d{,2}\.mlp`, "layers.17.mlp", true},
		{`layers\.\d{,2}\.mlp`, "layers.117.mlp", false},
		{`layers\.\d{,}`, "layers.117", true},
		{`a\{,2}`, "a{,2}", true},
		{`x[{,2}]`, "x,", true},
		{`[a-z-[aeiou]+`, "q[-a", true},
		{`[a-z-[aeiou]]`, "q]", true},
		{`[]x]+`, "]x", true},
		{`[^]x]+`, "ab", true},
		{`[^]x]+`, "a]", false},
		{`[\]\\]+`, `]\`, true},
		{`fc1|fc11`, "fc11", true},
		{`(?i)Q_PROJ`, "q_proj", true},
		{`\w+\Z`, "fc1", true},
	} {
		got, err := a.match("target_modules", c.pattern, c.name)
		if got != c.want || err != nil {
			t.Errorf("%s matches %s: %v, expected %v, error %v", c.pattern, c.name, got, c.want, err)
		}
	}
}
