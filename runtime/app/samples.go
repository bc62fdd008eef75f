package app

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"pgc"
	"pgc/runtime/imageio"
	"pgc/runtime/native"
)

// samples reads a tar file as WebDataset does: members that follow one another and whose names are alike up to the first
// dot of the last part, the key, are a sample. Its pictures are asked about with the prompt in KEY.txt or with the fields
// of a request in KEY.json. Only pictures that are needed are read into memory, those of a sample at a time.
type samples struct {
	tar      *tar.Reader
	closer   io.Closer // nil for standard input
	name     string
	prefix   string // of ids
	defaults defaults
	wanted   func(id []byte) bool
	ahead    *tar.Header // the first member of the next sample
	seen     map[string]bool
	asked    bool // whether a sample had a prompt
}

func newSamples(in io.Reader, closer io.Closer, name, prefix string, d defaults, wanted func(id []byte) bool) *samples {
	return &samples{tar: tar.NewReader(in), closer: closer, name: name, prefix: prefix, defaults: d, wanted: wanted, seen: map[string]bool{}}
}

// Close closes the file.
func (q *samples) Close() error {
	if q.closer == nil {
		return nil
	}
	return q.closer.Close()
}

// sample is what the members of one key hold.
type sample struct {
	key    string
	names  []string // of pictures
	files  []pgc.Image
	other  []string        // pictures beside them, such as KEY.mask.png
	text   *string         // KEY.txt
	fields json.RawMessage // KEY.json
	wrong  error           // why it cannot be asked about
}

// maxText bounds a member with a prompt, in bytes.
const maxText = 16 << 20

// next implements source. Samples without a picture are none.
func (q *samples) next() (*batchRequest, error) {
	for {
		s, err := q.sample()
		if err != nil {
			return nil, err
		}
		if s.names == nil && s.other == nil {
			continue
		}
		if q.seen[s.key] {
			return nil, fmt.Errorf("%s: the members of %s do not follow one another, expected tar files as WebDataset writes them (tar --sort=name)", q.name, s.key)
		}
		q.seen[s.key] = true
		r := q.request(s)
		if r.wrong == nil {
			q.asked = true
		} else if !q.asked && errors.Is(r.wrong, errNoPrompt) {
			return nil, fmt.Errorf("%s: %w", q.name, r.wrong)
		}
		return r, nil
	}
}

// sample reads the members of the next key.
func (q *samples) sample() (s sample, err error) {
	for {
		h := q.ahead
		if q.ahead = nil; h == nil {
			if h, err = q.tar.Next(); err == io.EOF && s.key != "" {
				return s, nil // the end comes again
			} else if err != nil {
				return s, q.broken(s.key, err)
			}
		}
		key, ending := split(h.Name)
		if h.Typeflag != tar.TypeReg || key == "" {
			continue
		}
		if s.key != "" && key != s.key {
			q.ahead = h
			return s, nil
		}
		s.key = key
		if err := q.member(&s, h, ending); err != nil {
			return s, q.broken(h.Name, err)
		}
	}
}

// broken is why a tar file ends before its end.
func (q *samples) broken(at string, err error) error {
	switch {
	case err == io.EOF:
		return io.EOF
	case err == io.ErrUnexpectedEOF:
		err = errors.New("it is cut off, expected a whole tar file")
	case errors.Is(err, tar.ErrHeader):
		err = errors.New("there is no header of a tar file, expected a tar file that is not compressed (gunzip -c FILE | … --input - unpacks one)")
	}
	if at != "" {
		return fmt.Errorf("%s: at member %s: %w", q.name, at, err)
	}
	return fmt.Errorf("%s: %w", q.name, err)
}

// split returns the key of a member and what its name has behind the dot, in small letters. Hidden members have no key.
func split(member string) (key, ending string) {
	dir, base := path.Split(path.Clean(member))
	stem, ending, _ := strings.Cut(base, ".")
	if stem == "" {
		return "", ""
	}
	return strings.TrimPrefix(dir, "/") + stem, strings.ToLower(ending)
}

// member adds what a member holds to its sample.
func (q *samples) member(s *sample, h *tar.Header, ending string) error {
	switch {
	case ending == "txt" && q.defaults.texts, ending == "json" && q.defaults.texts:
		if h.Size > maxText {
			s.wrong = fmt.Errorf("%s has %d bytes, expected at most %d", h.Name, h.Size, maxText)
			return nil
		}
		data, err := io.ReadAll(q.tar)
		if err != nil {
			return err
		}
		if ending == "json" {
			s.fields = data
			return nil
		}
		text := strings.TrimRight(strings.TrimPrefix(string(data), byteOrderMark), "\r\n")
		if s.text = &text; !utf8.ValidString(text) {
			s.wrong = fmt.Errorf("%s is no UTF-8, expected a prompt", h.Name)
		}
		return nil
	case imageio.Named(ending):
		s.names = append(s.names, path.Clean(h.Name))
	case imageio.Named(path.Ext(ending)):
		s.other = append(s.other, path.Clean(h.Name))
		if len(s.names) > 0 {
			return nil
		}
	default:
		return nil
	}
	if !q.wanted(stringID(q.prefix + s.key)) {
		return nil
	}
	most := imageio.DefaultLimits.Bytes
	if h.Size > most {
		s.wrong = fmt.Errorf("image %s: its %d bytes are over the limit of %d", h.Name, h.Size, most)
		return nil
	}
	if err := native.CheckMemory(h.Size, "the file"); err != nil {
		s.wrong = fmt.Errorf("image %s: %w", h.Name, err)
		return nil
	}
	data := make([]byte, h.Size)
	if _, err := io.ReadFull(q.tar, data); err != nil {
		return err
	}
	s.files = append(s.files, pgc.Lazy(path.Clean(h.Name), func(context.Context) ([]byte, error) { return data, nil }))
	return nil
}

// errNoPrompt is why nothing is asked about a sample.
var errNoPrompt = errors.New("expected KEY.txt, KEY.json with a prompt or a task, or --prompt TEXT for all samples without one")

// request is what a sample asks.
func (q *samples) request(s sample) *batchRequest {
	id := stringID(q.prefix + s.key)
	failed := func(err error) *batchRequest { return &batchRequest{ID: id, wrong: err} }
	switch {
	case s.wrong != nil:
		return failed(s.wrong)
	case s.names == nil && len(s.other) > 1:
		return failed(fmt.Errorf("sample %s has the pictures %s, expected one called KEY.jpg, KEY.png or the like", s.key, strings.Join(s.other, ", ")))
	case s.names == nil:
		s.names = s.other
	case len(s.files) > len(s.names):
		s.files = s.files[len(s.files)-len(s.names):] // others came first
	}
	r := &batchRequest{}
	fields, err := q.fields(s.fields)
	switch {
	case err != nil:
		return failed(fmt.Errorf("%s.json: %w", s.key, err))
	case fields != nil:
		fields["images"], _ = json.Marshal(s.names)
		text, err := json.Marshal(fields)
		if err != nil {
			return failed(fmt.Errorf("%s.json: %w", s.key, err))
		}
		parsed, err := parseRequest(text, 0, q.defaults)
		if err != nil {
			return failed(fmt.Errorf("%s.json: %w", s.key, err))
		}
		r = &parsed
	case s.text != nil:
		r.Prompt, r.settings = *s.text, q.defaults.settings
	case !q.defaults.asks():
		return failed(fmt.Errorf("sample %s has no prompt: %w", s.key, errNoPrompt))
	default:
		q.defaults.about(r)
	}
	r.ID, r.Images, r.files = id, s.names, s.files
	return r
}

// requestFields are the names of fields that make KEY.json a request, and of those that it may have then.
var (
	asking        = []string{"prompt", "prefix", "task"}
	requestFields = slices.DeleteFunc(fieldNames(reflect.TypeFor[batchLine]()), func(name string) bool {
		return slices.Contains([]string{"id", "image", "images", "text", "query"}, name)
	})
)

// fields returns the fields of a request in KEY.json, nil where it is something else, such as a caption.
func (q *samples) fields(text json.RawMessage) (map[string]json.RawMessage, error) {
	var all map[string]json.RawMessage
	if len(text) == 0 || q.defaults.embeds || json.Unmarshal(text, &all) != nil {
		return nil, nil
	}
	if !slices.ContainsFunc(asking, func(name string) bool { return all[name] != nil }) {
		return nil, nil
	}
	for name := range all {
		if !slices.Contains(requestFields, name) {
			delete(all, name)
		}
	}
	return all, nil
}

// stringID is a text as an id.
func stringID(text string) json.RawMessage {
	id, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string has a form in JSON
	}
	return id
}
