package jsonerr

import (
	"encoding/json"
	"strings"
	"testing"
)

type inner struct {
	Limit *int    `json:"limit"`
	Share float64 `json:"share"`
	Seed  uint64  `json:"seed"`
}

func TestExplain(t *testing.T) {
	for text, want := range map[string]string{
		`[]`:                           "it holds an array, expected an object",
		`{"names": 3}`:                 "names holds a number, expected a list",
		`{"names": [3]}`:               "names holds a number, expected a string",
		`{"limit": "x"}`:               "limit holds a string, expected a whole number",
		`{"limit": 1.5}`:               "limit holds the number 1.5, expected a whole number",
		`{"limit": 1e99}`:              "limit holds the number 1e99, expected a whole number",
		`{"share": true}`:              "share holds true or false, expected a number",
		`{"share": 1e999}`:             "share holds the number 1e999, expected a number",
		`{"seed": -1}`:                 "seed holds the number -1, expected a whole number from 0 to 18446744073709551615",
		`{"colour": 1}`:                `unknown field "colour"`,
		`{"seed": `:                    "it ends too early",
		``:                             "it ends too early",
		`{"sub": {"flag": {"a": []}}}`: "sub.flag holds an object, expected true or false",
		`{"seed": x}`:                  "it has 'x' at byte 10, where a value is expected",
		`{"seed": NaN}`:                "it has 'N' at byte 10, where a value is expected: JSON has null, true and false, and neither NaN nor Infinity",
		`{"share": -Infinity}`:         "it has 'I' at byte 12, in numeric literal: JSON has null, true and false, and neither NaN nor Infinity",
		`{'seed': 1}`:                  "it has '\\'' at byte 2, where a name in double quotes is expected",
		`{"seed" 1}`:                   "it has '1' at byte 9, where a colon is expected",
		`{"seed": 1 "limit": 2}`:       "it has '\"' at byte 12, where a comma or } is expected",
		`{"names": ["a" "b"]}`:         "it has '\"' at byte 16, where a comma or ] is expected",
		`{"seed": 1, }`:                "it has '}' at byte 13, where a name in double quotes is expected",
		`{"seed": trve}`:               "it has 'v' at byte 12, in literal true",
		"{\"names\": [\"a\nb\"]}":      `it has '\n' at byte 14, in a string, which has it only as an escape`,
		`{"names": ["\x"]}`:            "it has 'x' at byte 14, in an escape, which it is not",
	} {
		var v struct {
			inner
			Names []string `json:"names"`
			Sub   struct {
				Flag bool `json:"flag"`
			} `json:"sub"`
		}
		d := json.NewDecoder(strings.NewReader(text))
		d.DisallowUnknownFields()
		if err := Explain(d.Decode(&v), "inner"); err == nil || err.Error() != want {
			t.Errorf("%s: %v, expected %s", text, err, want)
		}
	}
	for text, want := range map[string]string{
		`{"seed": 1} x`:                   "it has 'x' at byte 13, behind its end",
		`{"seed": `:                       "it ends too early",
		strings.Repeat(`{"seed":`, 20000): "it has '{' at byte 80001, at a depth beyond 10000",
	} {
		var v any
		if err := Explain(json.Unmarshal([]byte(text), &v)); err == nil || err.Error() != want {
			t.Errorf("%.40s: %v, expected %s", text, err, want)
		}
	}
	if Explain(nil) != nil {
		t.Error("no error is one")
	}
}
