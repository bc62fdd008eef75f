package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"pgc"
	"pgc/runtime/detect"
	"pgc/runtime/jsonerr"
)

// batchRequest is one request of batch.
type batchRequest struct {
	ID     json.RawMessage // a string or a number
	Images []string
	Prompt string
	Suffix *string // to be scored
	settings

	Task    string // detect or segment; empty for an answer to the prompt
	Classes []string
	found   pgc.DetectSettings

	Query *string // to be embedded instead of pictures

	files []pgc.Image // the pictures, where Images are names within another file
	wrong error       // why the request fails
}

// detects reports whether the request asks where objects are.
func (r *batchRequest) detects() bool { return r.Task != "" }

// batchLine is one line of batch's input, with the names that lists for fine-tuning use, too.
type batchLine struct {
	ID     json.RawMessage `json:"id"` // the line's number if missing
	Image  json.RawMessage `json:"image"`
	Images json.RawMessage `json:"images"`
	Prompt *string         `json:"prompt"`
	Prefix *string         `json:"prefix"`
	Text   *string         `json:"text"`
	Suffix *string         `json:"suffix"`
	Score  bool            `json:"score"`
	settings

	Task    *string         `json:"task"`
	Classes json.RawMessage `json:"classes"`
	detecting

	Query *string `json:"query"`
}

// fieldNames lists the fields of JSON that a struct and those embedded in it have.
func fieldNames(t reflect.Type) (names []string) {
	for f := range t.Fields() {
		if f.Anonymous {
			names = append(names, fieldNames(f.Type)...)
		} else {
			names = append(names, f.Tag.Get("json"))
		}
	}
	return names
}

// byteOrderMark begins files that some editors write.
const byteOrderMark = "\ufeff"

// begins says why a line that begins so is no request, or returns nil.
func begins(line []byte) error {
	begin := bytes.TrimLeft(bytes.TrimPrefix(line, []byte(byteOrderMark)), " \t\r")
	if err := jsonerr.UTF16(line); err != nil {
		return err
	}
	switch {
	case packed(begin) != "":
		return fmt.Errorf("it is %s, expected requests, one JSON object a line", packed(begin))
	case len(begin) > 0 && begin[0] == '[':
		return errors.New("it begins with \"[\", expected a request, one JSON object a line (jq -c '.[]' makes lines of a list)")
	case len(begin) > 0 && begin[0] != '{':
		return fmt.Errorf("it begins with %q, expected a request, one JSON object%s", begin[:1], otherList(string(begin)))
	}
	return nil
}

// otherList says what makes requests of a list that begins with a line: a table with the names of fields, or a picture's name.
func otherList(line string) string {
	line = strings.TrimRight(line, "\r\n")
	for _, kind := range []string{",csv", "\ttsv"} {
		cells := strings.Split(line, kind[:1])
		for _, cell := range cells {
			if len(cells) > 1 && slices.Contains(fieldNames(reflect.TypeFor[batchLine]()), strings.Trim(cell, `" `)) {
				return " (mlr --i" + kind[1:] + " --ojsonl cat FILE makes them of a table)"
			}
		}
	}
	if _, err := os.Stat(line); err == nil {
		return " (jq -R '{image: .}' FILE makes them of pictures' names)"
	}
	return ""
}

var packings = [...]struct{ magic, name string }{
	{"\x1f\x8b", "compressed (gunzip -c FILE | … --input - unpacks it)"},
	{"\x28\xb5\x2f\xfd", "compressed (zstd -dc FILE | … --input - unpacks it)"},
	{"PK\x03\x04", "a zip archive"},
	{"PAR1", "a Parquet table"},
}

// packed names files that hold requests in another form, by their first bytes.
func packed(begin []byte) string {
	for _, form := range packings {
		if bytes.HasPrefix(begin, []byte(form.magic)) {
			return form.name
		}
	}
	return ""
}

// parseRequest reads one request, line n. What it does not say is as in the defaults.
func parseRequest(text []byte, n int, d defaults) (r batchRequest, err error) {
	if err := begins(text); err != nil {
		return r, err
	}
	if !utf8.Valid(text) {
		return r, errors.New("is no UTF-8, expected JSON in UTF-8")
	}
	l := batchLine{settings: d.settings.clone()}
	dec := json.NewDecoder(bytes.NewReader(withoutNulls(text)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		err = jsonerr.Explain(err, "settings")
		if errors.Is(err, jsonerr.ErrUnknown) {
			err = fmt.Errorf("%w, expected one of %s", err, strings.Join(fieldNames(reflect.TypeFor[batchLine]()), ", "))
		}
		if err == jsonerr.ErrEnd {
			err = errors.New("it ends too early (jq -c . FILE puts each object on a line of its own)")
		}
		return r, fmt.Errorf("expected a request, one JSON object: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return r, errors.New("holds more than one JSON object")
	}
	switch {
	case l.ID == nil:
		l.ID = fmt.Append(nil, n)
	case !isID(l.ID):
		return r, fmt.Errorf("id is %s, expected a string or a number", l.ID)
	}
	r.ID, r.settings = l.ID, l.settings
	if d.embeds {
		return r, l.embed(&r)
	}
	if l.Query != nil {
		return r, errors.New("query is given, which is for models that make embeddings, expected images and a prompt")
	}
	if r.Images, err = l.pictures(); err != nil {
		return r, err
	}
	if l.Task != nil || l.Classes != nil || !reflect.DeepEqual(l.detecting, detecting{}) {
		return r, l.locate(&r, d)
	}
	if d.task != "" && l.Prompt == nil && l.Prefix == nil && l.Text == nil {
		d.about(&r)
		return r, nil
	}
	if r.Prompt, err = l.prompt(d.prompt); err != nil {
		return r, err
	}
	if l.Score {
		if r.Suffix = l.Suffix; r.Suffix == nil {
			return r, errors.New("score is true, but suffix is missing, expected the text to score")
		}
	}
	return r, r.settings.check()
}

// withoutNulls leaves out the fields of a request that are null, as tables give those that a row does not have.
func withoutNulls(text []byte) []byte {
	var fields map[string]json.RawMessage
	if !bytes.Contains(text, []byte("null")) || json.Unmarshal(text, &fields) != nil {
		return text
	}
	for _, name := range fieldNames(reflect.TypeFor[batchLine]()) {
		if string(fields[name]) == "null" {
			delete(fields, name)
		}
	}
	out, err := json.Marshal(fields)
	if err != nil {
		return text
	}
	return out
}

// isID reports whether a value is a string or a number.
func isID(v json.RawMessage) bool {
	return len(v) > 0 && (v[0] == '"' || v[0] == '-' || v[0] >= '0' && v[0] <= '9')
}

// embed reads the fields of a request for an embedding: a picture or a query, and nothing else.
func (l *batchLine) embed(r *batchRequest) (err error) {
	alone := batchLine{ID: l.ID, Image: l.Image, Images: l.Images, Query: l.Query}
	alone.Adapter, r.Adapter = l.Adapter, l.Adapter
	if !reflect.DeepEqual(*l, alone) {
		return errors.New("there is more than id, adapter, and images or query, which is all that a model that makes embeddings is asked")
	}
	if r.Query = l.Query; l.Query != nil {
		if l.Image != nil || l.Images != nil {
			return errors.New("query and images are given, expected one of them")
		}
		if *l.Query == "" {
			return errors.New("query is empty, expected a text")
		}
		return nil
	}
	if r.Images, err = l.pictures(); err == nil && len(r.Images) != 1 {
		err = fmt.Errorf("an embedding is asked of %d pictures, expected one", len(r.Images))
	}
	return err
}

// locate reads the fields of a request that asks where objects are.
func (l *batchLine) locate(r *batchRequest, d defaults) (err error) {
	if l.Task == nil {
		return errors.New("task is missing, expected detect or segment beside classes and their settings")
	}
	if r.Task = *l.Task; !detect.IsTask(r.Task) {
		return fmt.Errorf("task is %.40q, expected detect or segment", r.Task)
	}
	if l.Prompt != nil || l.Prefix != nil || l.Text != nil || l.Score {
		return fmt.Errorf("a prompt is given beside the task %s, expected classes alone", r.Task)
	}
	own := d.settings.clone()
	if own.Adapter = l.Adapter; !reflect.DeepEqual(l.settings, own) {
		return fmt.Errorf("a setting of generated text is given beside the task %s, expected those of detect", r.Task)
	}
	if len(r.Images) != 1 {
		return fmt.Errorf("the task %s is about %d pictures, expected one", r.Task, len(r.Images))
	}
	var text string
	switch {
	case l.Classes == nil:
		return errors.New("classes is missing, expected a list such as [\"cat\", \"dog\"]")
	case json.Unmarshal(l.Classes, &text) == nil:
		r.Classes, err = detect.Classes(text)
	case json.Unmarshal(l.Classes, &r.Classes) != nil || slices.Contains(nulls(l.Classes), true):
		return fmt.Errorf("classes is %.40s, expected a list such as [\"cat\", \"dog\"]", l.Classes)
	default:
		r.Classes, err = detect.Check(r.Classes)
	}
	if err != nil {
		return err
	}
	r.found, err = l.detecting.settings()
	return err
}

// pictures returns the names under image or images, each a string or a list of strings.
func (l *batchLine) pictures() ([]string, error) {
	var names []string
	for _, f := range []struct {
		name  string
		value json.RawMessage
	}{{"image", l.Image}, {"images", l.Images}} {
		if f.value == nil || string(f.value) == "null" {
			continue
		}
		if names != nil {
			return nil, errors.New("image and images are given, expected one of them")
		}
		var one string
		var file struct{ Path string } // as Hugging Face's datasets write one
		switch {
		case json.Unmarshal(f.value, &one) == nil:
			names = []string{one}
		case json.Unmarshal(f.value, &file) == nil && file.Path != "":
			names = []string{file.Path}
		case json.Unmarshal(f.value, &names) != nil || slices.Contains(nulls(f.value), true):
			return nil, fmt.Errorf("%s is %.40s, expected a picture's name or a list of them", f.name, f.value)
		}
	}
	if len(names) == 0 {
		return nil, errors.New("images is missing or empty, expected a list of pictures")
	}
	if i := slices.Index(names, ""); i >= 0 {
		return nil, errors.New("a picture's name is empty, expected a path or a URL")
	}
	return names, nil
}

// nulls tells which elements of a list are null.
func nulls(list json.RawMessage) (is []bool) {
	var elements []*json.RawMessage
	if json.Unmarshal(list, &elements) != nil {
		return nil
	}
	for _, e := range elements {
		is = append(is, e == nil)
	}
	return is
}

// prompt returns the text under prompt, prefix or text, or else the default.
func (l *batchLine) prompt(def *string) (string, error) {
	found := ""
	for _, f := range []struct {
		name  string
		value *string
	}{{"prompt", l.Prompt}, {"prefix", l.Prefix}, {"text", l.Text}} {
		if f.value == nil {
			continue
		}
		if found != "" {
			return "", fmt.Errorf("%s and %s are given, expected one of them", found, f.name)
		}
		found, def = f.name, f.value
	}
	if def == nil {
		return "", errors.New("prompt is missing, expected a text (or --prompt for all requests)")
	}
	return *def, nil
}
