package request

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"pgc"
	"pgc/runtime/detect"
	"pgc/runtime/jsonerr"
	"pgc/runtime/plural"
	"pgc/runtime/serve/openai"
)

// Request is what a client asks for, of either kind.
type Request struct {
	Chat    bool // of /v1/chat/completions
	Model   string
	Prompts []string // that the model is given; one of a chat
	Images  []string // URLs
	Field   string   // that holds the pictures

	Task     string // detect or segment, with Classes; "" for an answer to the prompts
	Classes  []string
	Masks    bool // send masks as pictures, too
	Schema   bool // the content is a document of the published schema
	Settings pgc.Settings
	Detect   pgc.DetectSettings

	N            int  // answers to each prompt
	Seeded       bool // whether the client gave a seed
	Top          int  // likeliest tokens to tell with log-probabilities
	Stream       bool
	IncludeUsage bool
	Ignored      []string // fields that change nothing
}

// Bounds of a request.
const (
	mostChoices    = 8
	mostStops      = 4
	mostTop        = 20
	mostClasses    = 256
	mostClassBytes = 16 << 10
	mostNewTokens  = 1 << 20 // more are as many: no KV cache holds them
)

// ParseChat reads the body of /v1/chat/completions.
func ParseChat(body []byte) (*Request, error) {
	d, err := Parse(body)
	if err != nil {
		return nil, err
	}
	text, images, ignored, err := d.conversation()
	if err != nil {
		return nil, err
	}
	r := &Request{Chat: true, Images: images, Field: "messages", Ignored: ignored}
	if err := d.refuse(chatRefused); err != nil {
		return nil, err
	}
	if err := d.format(r); err != nil {
		return nil, err
	}
	if err := d.task(r, text); err != nil {
		return nil, err
	}
	if err := d.settings(r); err != nil {
		return nil, err
	}
	if err := d.logprobs(r); err != nil {
		return nil, err
	}
	return r, d.finish(r)
}

// logprobs reads which log-probabilities a chat asks for.
func (d *Document) logprobs(r *Request) error {
	if _, err := d.get("logprobs", &r.Settings.Logprobs); err != nil {
		return err
	}
	if _, err := d.get("top_logprobs", &r.Top); err != nil {
		return err
	}
	switch {
	case r.Top < 0 || r.Top > mostTop:
		return openai.Invalid("top_logprobs", "top_logprobs is %d, expected 0 to %d", r.Top, mostTop)
	case r.Top > 0 && !r.Settings.Logprobs:
		return openai.Invalid("top_logprobs", "top_logprobs is given without logprobs, expected logprobs to be true")
	}
	return nil
}

// ParseCompletion reads the body of /v1/completions.
func ParseCompletion(body []byte) (*Request, error) {
	d, err := Parse(body)
	if err != nil {
		return nil, err
	}
	r := &Request{Field: "images"}
	if err := d.refuse(completionRefused); err != nil {
		return nil, err
	}
	if r.Images, err = d.pictures("images"); err != nil {
		return nil, err
	}
	prompts, err := d.texts("prompt")
	if err != nil {
		return nil, openai.Invalid("prompt", "prompt is %.40s, expected a text: lists of token ids are not taken", d.raw("prompt"))
	}
	switch {
	case len(prompts) == 1:
		err = d.task(r, prompts[0])
	case len(prompts) == 0 && d.raw("task") == nil:
		err = openai.Invalid("prompt", "prompt is missing, expected a text such as \"caption en\"")
	case d.raw("task") == nil:
		r.Prompts = prompts
	default:
		err = d.task(r, strings.Join(prompts, " "))
	}
	if err != nil {
		return nil, err
	}
	if err := d.settings(r); err != nil {
		return nil, err
	}
	top, err := optional[int](d, "logprobs")
	if err != nil {
		return nil, err
	}
	if top != nil {
		if *top < 0 || *top > mostTop {
			return nil, openai.Invalid("logprobs", "logprobs is %d, expected 0 to %d", *top, mostTop)
		}
		r.Settings.Logprobs, r.Top = true, *top
	}
	return r, d.finish(r)
}

// task reads what our own fields ask for, and makes the prompt of it and the user's text.
func (d *Document) task(r *Request, text string) error {
	task, err := optional[string](d, "task")
	if err != nil {
		return err
	}
	language, err := optional[string](d, "language")
	if err != nil {
		return err
	}
	lang := "en"
	if language != nil {
		if lang = *language; len(lang) > 8 || lang == "" || strings.Trim(lang, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-") != "" {
			return openai.Invalid("language", "language is %.20q, expected a code such as en or de", lang)
		}
	}
	kind := ""
	if task != nil {
		kind = *task
	}
	if kind == "" && r.Schema { // what the schema describes
		var objects bool
		if kind, text, objects = detect.Cut(text); !objects {
			return openai.Invalid("response_format", "response_format asks for objects, but the prompt does not: expected a prompt such as \"detect cat ; dog\" or the task detect")
		}
	}
	if raw := d.raw("classes"); raw != nil && !detect.IsTask(kind) {
		return openai.Invalid("classes", "classes is given without the task detect or segment")
	}
	switch kind {
	case "":
		r.Prompts = []string{text}
	case "caption":
		r.Prompts = []string{"caption " + lang}
		r.ignoreText(text)
	case "ocr":
		r.Prompts = []string{"ocr"}
		r.ignoreText(text)
	case "ask":
		if strings.TrimSpace(text) == "" {
			return openai.Invalid(r.Field, "the task ask has no question, expected a text beside the picture")
		}
		r.Prompts = []string{"answer " + lang + " " + text}
	case detect.Detect, detect.Segment:
		r.Task = kind
		return d.locate(r, text)
	default:
		return openai.Invalid("task", "task is %.40q, expected caption, ask, ocr, detect or segment", kind)
	}
	return nil
}

func (r *Request) ignoreText(text string) {
	if strings.TrimSpace(text) != "" {
		r.ignore("messages.user.text")
	}
}

// locate reads classes, from their field or else from the user's text, and the settings of objects.
func (d *Document) locate(r *Request, text string) (err error) {
	classes, err := d.texts("classes")
	if err != nil {
		return err
	}
	size := 0
	if classes == nil {
		size = len(text)
	}
	for _, c := range classes {
		size += len(c)
	}
	switch raw := d.raw("classes"); {
	case len(classes) > mostClasses || size > mostClassBytes:
		return openai.Invalid("classes", "classes names too many or too long ones, expected %d at most, of %d bytes together", mostClasses, mostClassBytes)
	case raw == nil:
		for _, task := range []string{detect.Detect, detect.Segment} {
			text = strings.TrimPrefix(text, task+" ")
		}
		r.Classes, err = detect.Classes(text)
	case raw[0] == '"':
		r.Classes, err = detect.Classes(classes[0])
	default:
		r.Classes, err = detect.Check(classes)
		r.ignoreText(text)
	}
	switch {
	case err != nil:
		return openai.Invalid("classes", "classes: %v", err)
	case len(r.Classes) > mostClasses:
		return openai.Invalid("classes", "classes names %d, expected %d at most", len(r.Classes), mostClasses)
	}
	s := &r.Detect
	for _, f := range []struct {
		name string
		to   any
	}{{"min_score", &s.MinScore}, {"max_boxes", &s.MaxBoxes}, {"nms", &s.NMS}, {"per_class", &s.PerClass}, {"free_labels", &s.FreeLabels},
		{"no_scores", &s.NoScores}, {"masks", &r.Masks}} {
		if _, err := d.get(f.name, f.to); err != nil {
			return err
		}
	}
	if r.Masks && r.Task != detect.Segment {
		return openai.Invalid("masks", "masks is true, but the task is %s, expected segment", r.Task)
	}
	scale, err := optional[int](d, "box_scale")
	if err != nil {
		return err
	}
	if scale != nil {
		s.BoxScale, err = *scale, pgc.CheckScale(*scale)
	}
	if err == nil {
		err = s.Check()
	}
	return invalid(err)
}

// settings reads how answers are generated.
func (d *Document) settings(r *Request) error {
	s := &r.Settings
	for _, f := range []struct {
		name string
		to   any
	}{{"max_tokens", &s.MaxNewTokens}, {"max_completion_tokens", &s.MaxNewTokens}, {"temperature", &s.Temperature}, {"top_p", &s.TopP},
		{"top_k", &s.TopK}, {"repetition_penalty", &s.RepetitionPenalty}, {"ignore_eos", &s.IgnoreEOS}, {"adapter", &s.Adapter},
		{"model", &r.Model}, {"stream", &r.Stream}} {
		if _, err := d.get(f.name, f.to); err != nil {
			return err
		}
	}
	if s.TopK != nil && *s.TopK == -1 { // off, as vLLM writes it
		*s.TopK = 0
	}
	if n := s.MaxNewTokens; n != nil {
		if *n < 1 {
			name := "max_tokens"
			if d.raw("max_completion_tokens") != nil {
				name = "max_completion_tokens"
			}
			return openai.Invalid(name, "%s is %d, expected 1 or more", name, *n)
		}
		*n = min(*n, mostNewTokens)
	}
	if err := invalid(s.Check()); err != nil {
		return err
	}
	if err := d.seed(r); err != nil {
		return err
	}
	stops, err := d.texts("stop")
	if err != nil {
		return err
	}
	if s.Stop = slices.DeleteFunc(stops, func(t string) bool { return t == "" }); len(s.Stop) > mostStops {
		return openai.Invalid("stop", "stop has %d texts, expected %d at most", len(s.Stop), mostStops)
	}
	var options struct {
		IncludeUsage bool `json:"include_usage"`
	}
	switch found, err := d.get("stream_options", &options); {
	case err != nil:
		return err
	case found && !r.Stream:
		return openai.Invalid("stream_options", "stream_options is given without stream, expected stream to be true")
	}
	r.IncludeUsage = options.IncludeUsage
	return d.choices(r)
}

// invalid is an error about a setting as clients read it, or nil.
func invalid(err error) error {
	if err == nil {
		return nil
	}
	name := ""
	if f, ok := errors.AsType[*jsonerr.Field](err); ok {
		name = f.Name
	}
	return openai.Invalid(name, "%v", err)
}

// seed reads a seed, which may be negative.
func (d *Document) seed(r *Request) error {
	raw := d.raw("seed")
	if raw == nil {
		return nil
	}
	r.Seeded = true
	if raw[0] == '-' {
		var n int64
		err := decode(raw, "seed", &n)
		r.Settings.Seed = uint64(n)
		return err
	}
	return decode(raw, "seed", &r.Settings.Seed)
}

// choices reads how many answers are asked for.
func (d *Document) choices(r *Request) error {
	n, err := optional[int](d, "n")
	if err != nil {
		return err
	}
	if r.N = 1; n != nil {
		r.N = *n
	}
	best, err := optional[int](d, "best_of")
	if err != nil {
		return err
	}
	prompts := max(1, len(r.Prompts))
	switch {
	case r.N < 1 || r.N > mostChoices:
		return openai.Invalid("n", "n is %d, expected 1 to %d", r.N, mostChoices)
	case r.N*prompts > mostChoices:
		return openai.Invalid("prompt", "%s with %s each are asked for, expected %d answers at most", plural.Of(prompts, "prompt"), plural.Of(r.N, "answer"), mostChoices)
	case best != nil && *best != r.N && *best != 1:
		return openai.Invalid("best_of", "best_of is %d, expected 1 or n: answers are not ranked", *best)
	case r.N > 1 && r.Task != "":
		return openai.Invalid("n", "n is %d, expected 1: the task %s has one answer", r.N, r.Task)
	}
	return nil
}

// finish notes what was ignored and checks what fields say together.
func (d *Document) finish(r *Request) error {
	if r.Task != "" {
		if r.Settings.Logprobs {
			return openai.Invalid("logprobs", "logprobs is given with the task %s, expected no_scores or the scores of its objects", r.Task)
		}
		for _, name := range []string{"max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "repetition_penalty", "seed", "stop", "ignore_eos"} {
			if d.raw(name) != nil {
				r.ignore(name)
			}
		}
	}
	for _, name := range d.unread() {
		r.ignore(name)
	}
	return nil
}

// ignore notes a field that changes nothing.
func (r *Request) ignore(name string) {
	if len(r.Ignored) < mostIgnored && headerName(name) {
		r.Ignored = append(r.Ignored, name)
	}
}

// mostIgnored bounds the names of fields that an answer repeats.
const mostIgnored = 32

// headerName reports whether a field's name can stand in a header.
func headerName(name string) bool {
	return len(name) <= 40 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == ""
}

// pictures reads a field that is a list of pictures.
func (d *Document) pictures(name string) ([]string, error) { return d.urls(d.raw(name), name, name) }

// urls reads a list of pictures: URLs, or objects with one. field is the request's field, for errors.
func (d *Document) urls(raw json.RawMessage, name, field string) (urls []string, err error) {
	if raw == nil || string(raw) == "null" {
		return nil, nil
	}
	list := []json.RawMessage{raw}
	if raw[0] == '[' {
		list = nil
		if err := decode(raw, name, &list); err != nil {
			return nil, err
		}
	}
	for i, raw := range list {
		url, err := d.imageURL(raw, fmt.Sprintf("%s[%d]", name, i))
		if err != nil {
			e := openai.As(err)
			e.Param = field
			return nil, e
		}
		urls = append(urls, url)
	}
	return urls, nil
}
