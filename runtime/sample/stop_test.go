package sample

import (
	"strings"
	"testing"
)

func TestStopper(t *testing.T) {
	for _, c := range []struct {
		stops      []string
		parts      string // separated by |
		text, stop string
	}{
		{nil, "a| b|c", "a bc", ""},
		{[]string{""}, "a|b", "ab", ""},
		{[]string{"END"}, "a |EN|D|x", "a ", "END"},
		{[]string{"END"}, "a EN|T", "a ENT", ""},
		{[]string{"END"}, "a EN", "a EN", ""},
		{[]string{"END"}, "aENEND", "aEN", "END"},
		{[]string{"aab"}, "a|a|a|b", "a", "aab"},
		{[]string{"\n", " ;"}, "cat| |; dog", "cat", " ;"},
		{[]string{"abcdef", "cd"}, "abcdef", "ab", "cd"},
		{[]string{"abcdef", "cd"}, "a|b|c|d|e|f", "ab", "cd"},
		{[]string{"d", "abcd", "bcd"}, "x|abc|d", "x", "abcd"},
		{[]string{"猫"}, "犬\xe7|\x8c|\xab", "犬", "猫"},
		{[]string{"xyz"}, "", "", ""},
	} {
		s := NewStopper(c.stops)
		text, stopped := "", false
		for _, part := range strings.Split(c.parts, "|") {
			out, stop := s.Push(part)
			if stopped && (out != "" || !stop) {
				t.Errorf("%q, %q: text %q behind a stop text", c.stops, c.parts, out)
			}
			text, stopped = text+out, stop
		}
		text += s.Flush()
		if text != c.text || s.matched != c.stop || stopped != (c.stop != "") {
			t.Errorf("%q, %q: text %q and stop text %q, expected %q and %q", c.stops, c.parts, text, s.matched, c.text, c.stop)
		}
	}
}

// FuzzStopper cuts a text at two places: the result does not depend on them, and stands in front of a stop text.
func FuzzStopper(f *testing.F) {
	f.Add("some text END", "END", "tex", 3, 11)
	f.Add("aaab", "aab", "ab", 1, 2)
	f.Fuzz(func(t *testing.T, text, one, two string, i, j int) {
		run := func(parts ...string) (string, string) {
			s, out := NewStopper([]string{one, two}), ""
			for _, p := range parts {
				part, stopped := s.Push(p)
				if out += part; stopped {
					return out, s.matched
				}
			}
			return out + s.Flush(), s.matched
		}
		want, stop := run(text)
		if !strings.HasPrefix(text, want+stop) || stop == "" && want != text {
			t.Errorf("%q with %q, %q gives %q and %q", text, one, two, want, stop)
		}
		i = max(0, min(i, len(text)))
		j = max(i, min(j, len(text)))
		if got, found := run(text[:i], text[i:j], text[j:]); got != want || found != stop {
			t.Errorf("%q with %q, %q cut at %d and %d gives %q and %q, else %q and %q", text, one, two, i, j, got, found, want, stop)
		}
	})
}
