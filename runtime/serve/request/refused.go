package request

import (
	"encoding/json"
	"reflect"
	"strings"

	"pgc/runtime/serve/openai"
)

// refusal is a field that is taken only with values that change nothing.
type refusal struct {
	name    string
	allowed func(raw json.RawMessage) bool
	reason  string
}

// Values that change nothing.
var (
	empty = func(raw json.RawMessage) bool {
		return string(raw) == "[]" || string(raw) == "{}" || string(raw) == `""`
	}
	zero = func(raw json.RawMessage) bool {
		var v float64
		return json.Unmarshal(raw, &v) == nil && v == 0
	}
	no     = func(raw json.RawMessage) bool { return string(raw) == "false" }
	never  = func(json.RawMessage) bool { return false }
	text   = func(raw json.RawMessage) bool { return string(raw) == `["text"]` }
	biases = func(raw json.RawMessage) bool {
		var v map[string]float64
		if json.Unmarshal(raw, &v) != nil {
			return string(raw) == "[]"
		}
		for _, b := range v {
			if b != 0 {
				return false
			}
		}
		return true
	}
)

// freely is why an answer is not held to a form of the client's own.
const freely = "answers are held to no grammar but that of the published schema, see response_format"

// Fields that are refused, by endpoint. Those of other servers that hold an answer to a form are among them: without it
// the answer would not be what was asked for.
var (
	bothRefused = []refusal{
		{"grammar", empty, freely}, {"json_schema", empty, freely}, {"structured_outputs", empty, freely},
		{"guided_json", empty, freely}, {"guided_regex", empty, freely}, {"guided_choice", empty, freely}, {"guided_grammar", empty, freely},
		{"logit_bias", biases, "logits are not biased"},
		{"presence_penalty", zero, "expected 0: repetition_penalty makes repetition less likely"},
		{"frequency_penalty", zero, "expected 0: repetition_penalty makes repetition less likely"},
	}
	chatRefused = append([]refusal{
		{"tools", empty, "the model calls no tools"},
		{"functions", empty, "the model calls no functions"},
		{"audio", never, "the model speaks text only"},
		{"modalities", text, "expected [\"text\"]"},
	}, bothRefused...)
	completionRefused = append([]refusal{
		{"suffix", empty, "text is not inserted"},
		{"echo", no, "the prompt is not repeated"},
	}, bothRefused...)
)

// refuse returns an error about the first field whose value cannot be honored.
func (d *Document) refuse(list []refusal) error {
	for _, f := range list {
		if raw := d.raw(f.name); raw != nil {
			if !f.allowed(compact(raw)) {
				return openai.Invalid(f.name, "%s is %.40s, which is not supported: %s", f.name, raw, f.reason)
			}
			d.read[f.name] = false // it is ignored
		}
	}
	return nil
}

// compact leaves out spaces of short values.
func compact(raw json.RawMessage) json.RawMessage {
	if len(raw) > 64 {
		return raw
	}
	return json.RawMessage(strings.Join(strings.Fields(string(raw)), ""))
}

// format reads response_format.
func (d *Document) format(r *Request) error {
	var f struct {
		Type   string `json:"type"`
		Schema struct {
			Schema any `json:"schema"`
		} `json:"json_schema"`
	}
	found, err := d.get("response_format", &f)
	switch {
	case !found || err != nil:
		return err
	case f.Type == "text":
		d.read["response_format"] = false
		return nil
	case f.Type == "json_schema":
		var published any
		if err := json.Unmarshal(DetectionSchema, &published); err != nil {
			return err
		}
		if !reflect.DeepEqual(f.Schema.Schema, published) {
			return openai.Invalid("response_format", "response_format holds a schema of your own, expected the published one of detections, that of GET /v1/detection.schema.json")
		}
		r.Schema = true
		return nil
	}
	return openai.Invalid("response_format", "response_format.type is %.40q, expected text, or json_schema with the published schema of detections", f.Type)
}
