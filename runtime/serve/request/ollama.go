package request

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"

	"pgc/runtime/jsonerr"
	"pgc/runtime/serve/openai"
)

// ollamaRefused are fields of ollama's API that are taken only with values that change nothing.
var ollamaRefused = []refusal{
	{"tools", empty, "the model calls no tools"},
	{"suffix", empty, "text is not inserted"},
}

// ParseOllamaChat reads the body of /api/chat. A nil request is one without messages, which asks for the model to be
// loaded.
func ParseOllamaChat(body []byte) (*Request, error) {
	d, err := Parse(body)
	if err != nil {
		return nil, err
	}
	r := &Request{Chat: true, Field: "messages"}
	if raw := d.raw("messages"); raw == nil || string(compact(raw)) == "[]" {
		return nil, nil
	}
	text, images, ignored, err := d.conversation()
	if err != nil {
		return nil, err
	}
	r.Images, r.Ignored = images, ignored
	return r, d.ollama(r, text)
}

// ParseOllamaGenerate reads the body of /api/generate. A nil request is one without a prompt and pictures.
func ParseOllamaGenerate(body []byte) (*Request, error) {
	d, err := Parse(body)
	if err != nil {
		return nil, err
	}
	r := &Request{Field: "images"}
	var prompt string
	if _, err := d.get("prompt", &prompt); err != nil {
		return nil, err
	}
	if r.Images, err = d.pictures("images"); err != nil {
		return nil, err
	}
	prompt = lastTurn(d.text(prompt))
	if prompt == "" && len(r.Images) == 0 {
		return nil, nil
	}
	return r, d.ollama(r, prompt)
}

// CheckShow checks the body of /api/show. The model's name is in one of two fields, and any is taken.
func CheckShow(body []byte) error {
	d, err := Parse(body)
	if err != nil {
		return err
	}
	for _, field := range []string{"model", "name"} {
		if _, err := optional[string](d, field); err != nil {
			return err
		}
	}
	return nil
}

// lastTurn returns what the user says last in a conversation that LiteLLM has written as one prompt; any other prompt is
// returned as it is.
func lastTurn(prompt string) string {
	const user = "### User:\n"
	at := strings.LastIndex(prompt, user)
	if at < 0 || !strings.HasPrefix(prompt, "### ") {
		return prompt
	}
	text, _, _ := strings.Cut(prompt[at+len(user):], "\n\n### ")
	return strings.TrimSpace(text)
}

// ollama reads what both requests have.
func (d *Document) ollama(r *Request, text string) error {
	if err := d.refuse(ollamaRefused); err != nil {
		return err
	}
	if raw := d.raw("format"); raw != nil && string(raw) != `""` {
		var asked, published any
		if json.Unmarshal(raw, &asked) != nil || json.Unmarshal(DetectionSchema, &published) != nil || !reflect.DeepEqual(asked, published) {
			return openai.Invalid("format", "format is %.40s, expected none or the published schema of detections, that of GET /v1/detection.schema.json", raw)
		}
		r.Schema = true
	}
	if err := d.task(r, text); err != nil {
		return err
	}
	r.Stream, r.N = true, 1
	for _, f := range []struct {
		name string
		to   any
	}{{"stream", &r.Stream}, {"model", &r.Model}, {"adapter", &r.Settings.Adapter}} {
		if _, err := d.get(f.name, f.to); err != nil {
			return err
		}
	}
	if err := d.logprobs(r); err != nil {
		return err
	}
	if raw := d.raw("options"); raw != nil {
		o := &Document{long: d.long, mark: d.mark, read: map[string]bool{}}
		if err := decode(raw, "options", &o.fields); err != nil {
			return err
		}
		if err := o.options(r); err != nil {
			return err
		}
		for _, name := range o.unread() {
			r.ignore("options." + name)
		}
	}
	return d.finish(r)
}

// options reads ollama's settings.
func (d *Document) options(r *Request) error {
	s := &r.Settings
	for _, f := range []struct {
		name string
		to   any
	}{{"num_predict", &s.MaxNewTokens}, {"temperature", &s.Temperature}, {"top_p", &s.TopP}, {"top_k", &s.TopK}, {"repeat_penalty", &s.RepetitionPenalty}} {
		if _, err := d.get(f.name, f.to); err != nil {
			return err
		}
	}
	if n := s.MaxNewTokens; n != nil && (*n <= 0 || *n > mostNewTokens) { // 0 and -1 are no bound, -2 the context's
		*n = mostNewTokens
	}
	err := s.Check()
	if f, ok := errors.AsType[*jsonerr.Field](err); ok && f.Name == "repetition_penalty" { // by the name that it has here
		err = &jsonerr.Field{Name: "repeat_penalty", Text: f.Text}
	}
	if err := invalid(err); err != nil {
		return err
	}
	if err := d.seed(r); err != nil {
		return err
	}
	stops, err := d.texts("stop")
	s.Stop = slices.DeleteFunc(stops, func(t string) bool { return t == "" })
	if err == nil && len(s.Stop) > mostStops {
		err = openai.Invalid("stop", "stop has %d texts, expected %d at most", len(s.Stop), mostStops)
	}
	return err
}
