package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Bounds of the header. The first is the reference implementation's; names are bounded so that errors stay readable.
const (
	maxHeader = 100_000_000
	maxName   = 1 << 10
	maxRank   = 16
)

// span is where a tensor lies in the bytes behind the header.
type span struct {
	name       string
	start, end int64
}

// parse checks the content of a file. As in the reference implementation, the tensors must follow each other without
// gaps from the end of the header to the end of the file.
func parse(data []byte) (*File, error) {
	if len(data) < 8 {
		return nil, fmt.Errorf("it has %d bytes, expected a safetensors file of at least 8", len(data))
	}
	n := binary.LittleEndian.Uint64(data)
	if n > uint64(len(data)-8) {
		return nil, fmt.Errorf("the header claims %d bytes, the file has %d: truncated or not a safetensors file", n, len(data)-8)
	}
	if n > maxHeader {
		return nil, fmt.Errorf("the header claims %d bytes, expected at most %d", n, maxHeader)
	}
	text, body := data[8:8+n], data[8+n:]
	if len(text) == 0 || text[0] != '{' || !utf8.Valid(text) {
		return nil, errors.New("the header is not a JSON object in UTF-8: truncated or not a safetensors file")
	}
	f := &File{tensors: map[string]Tensor{}, Metadata: map[string]string{}}
	h := &headerReader{json.NewDecoder(bytes.NewReader(text))}
	h.UseNumber()
	var spans []span
	err := h.object("the header", func(name string) error {
		if name == "__metadata__" {
			return h.metadata(f.Metadata)
		}
		if len(name) > maxName {
			return fmt.Errorf("a tensor's name has %d bytes, expected at most %d", len(name), maxName)
		}
		t, at, err := h.tensor(name, body)
		f.tensors[name] = t
		f.names = append(f.names, name)
		spans = append(spans, at)
		return err
	})
	if err != nil {
		return nil, err
	}
	if _, err := h.Token(); err != io.EOF {
		return nil, errors.New("the header holds more than one JSON object")
	}
	slices.Sort(f.names)
	return f, adjacent(spans, int64(len(body)))
}

// adjacent checks that spans fill size bytes without gap or overlap.
func adjacent(spans []span, size int64) error {
	slices.SortFunc(spans, func(a, b span) int {
		if c := int(min(max(a.start-b.start, -1), 1)); c != 0 {
			return c
		}
		return int(min(max(a.end-b.end, -1), 1))
	})
	last := span{name: "the header"}
	for _, s := range spans {
		if s.start < last.end {
			return fmt.Errorf("tensors %s and %s overlap", Printable(last.name), Printable(s.name))
		}
		if s.start > last.end {
			return fmt.Errorf("%d bytes between %s and tensor %s belong to no tensor", s.start-last.end, Printable(last.name), Printable(s.name))
		}
		last = s
	}
	if last.end != size {
		return fmt.Errorf("%d bytes behind the last tensor belong to no tensor", size-last.end)
	}
	return nil
}

// headerReader reads the header's JSON token by token. Unknown keys are errors, and so are keys given twice, of which
// encoding/json would take the last.
type headerReader struct{ *json.Decoder }

// object reads an object and calls value for each key. what names the object in errors.
func (h *headerReader) object(what string, value func(key string) error) error {
	if err := h.delim(what, '{'); err != nil {
		return err
	}
	seen := map[string]bool{}
	for h.More() {
		token, err := h.Token()
		if err != nil {
			return malformed(what, err)
		}
		key := token.(string) // a decoder gives no other token here
		if seen[key] {
			return fmt.Errorf("%s gives %s twice", what, Printable(key))
		}
		seen[key] = true
		if err := value(key); err != nil {
			return err
		}
	}
	return h.delim(what, '}')
}

func (h *headerReader) delim(what string, want json.Delim) error {
	token, err := h.Token()
	if err != nil {
		return malformed(what, err)
	}
	if token != want {
		return fmt.Errorf("%s: expected %v in the header's JSON, found %s", what, want, Printable(fmt.Sprint(token)))
	}
	return nil
}

func malformed(what string, err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%s is not valid JSON: %w", what, err)
}

func (h *headerReader) metadata(into map[string]string) error {
	return h.object("__metadata__", func(key string) error {
		token, err := h.Token()
		if err != nil {
			return malformed("__metadata__", err)
		}
		text, ok := token.(string)
		if !ok {
			return fmt.Errorf("__metadata__: %s is not a string", Printable(key))
		}
		into[key] = text
		return nil
	})
}

// tensor reads an entry and checks it against the bytes behind the header.
func (h *headerReader) tensor(name string, body []byte) (Tensor, span, error) {
	t, at := Tensor{Name: name}, span{name: name}
	what := "tensor " + Printable(name)
	var offsets []int64
	given := 0
	err := h.object(what, func(key string) (err error) {
		given++
		switch key {
		case "dtype":
			token, err := h.Token()
			if err != nil {
				return malformed(what, err)
			}
			text, _ := token.(string)
			if t.DType = DType(text); t.DType.Bytes() == 0 {
				return fmt.Errorf("%s: dtype %s is not known", what, Printable(fmt.Sprint(token)))
			}
		case "shape":
			var shape []int64
			shape, err = h.integers(what + ": shape")
			for _, d := range shape {
				t.Shape = append(t.Shape, int(d))
			}
		case "data_offsets":
			offsets, err = h.integers(what + ": data_offsets")
		default:
			return fmt.Errorf("%s: %s is not a key of the format", what, Printable(key))
		}
		return err
	})
	if err != nil {
		return t, at, err
	}
	if given != 3 || len(offsets) != 2 {
		return t, at, fmt.Errorf("%s: expected dtype, shape and two data_offsets", what)
	}
	n := int64(t.DType.Bytes())
	for _, d := range t.Shape {
		if d > 0 && n > math.MaxInt64/int64(d) {
			return t, at, fmt.Errorf("%s: shape %v is not possible", what, t.Shape)
		}
		n *= int64(d)
	}
	at.start, at.end = offsets[0], offsets[1]
	if at.end < at.start || at.end > int64(len(body)) {
		return t, at, fmt.Errorf("%s: bytes %d to %d lie outside the %d bytes of data: the file is truncated", what, at.start, at.end, len(body))
	}
	if at.end-at.start != n {
		return t, at, fmt.Errorf("%s: %s of shape %v takes %d bytes, the header gives %d", what, t.DType, t.Shape, n, at.end-at.start)
	}
	t.Data = body[at.start:at.end]
	return t, at, nil
}

// integers reads a short list of integers that are not negative.
func (h *headerReader) integers(what string) ([]int64, error) {
	if err := h.delim(what, '['); err != nil {
		return nil, err
	}
	list := []int64{}
	for h.More() {
		token, err := h.Token()
		if err != nil {
			return nil, malformed(what, err)
		}
		number, _ := token.(json.Number)
		n, err := strconv.ParseInt(string(number), 10, 64)
		if err != nil || n < 0 || len(list) == maxRank {
			return nil, fmt.Errorf("%s: expected at most %d whole numbers that are not negative, found %s", what, maxRank, Printable(fmt.Sprint(token)))
		}
		list = append(list, n)
	}
	return list, h.delim(what, ']')
}

// Printable returns a name as it is if it is plain, else quoted and shortened, so that an error with it stays on one
// line.
func Printable(name string) string {
	const limit = 200
	plain := len(name) > 0 && len(name) <= limit
	for i := range len(name) {
		plain = plain && name[i] > ' ' && name[i] < 0x7f
	}
	if plain || name == "the header" {
		return name
	}
	if len(name) > limit {
		return strconv.QuoteToASCII(name[:limit]) + "…"
	}
	return strconv.QuoteToASCII(name)
}
