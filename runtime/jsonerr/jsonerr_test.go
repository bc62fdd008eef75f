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
		`{"seed": x}`:                  "invalid character 'x' looking for beginning of value",
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
	if Explain(nil) != nil {
		t.Error("no error is one")
	}
}
