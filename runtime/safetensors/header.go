package safetensors

import (
	"encoding/binary"
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

// metadataKey names what is no tensor.
const metadataKey = "__metadata__"

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
	h := &headerReader{text: text}
	var spans []span
	metadata := false
	given := func(name string) bool {
		_, tensor := f.tensors[name]
		return tensor || metadata && name == metadataKey
	}
	err := h.object("the header", given, func(name string) error {
		if name == metadataKey {
			metadata = true
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
	if err := h.end(); err != nil {
		return nil, err
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

func (h *headerReader) metadata(into map[string]string) error {
	given := func(key string) bool { _, ok := into[key]; return ok }
	return h.object(metadataKey, given, func(key string) (err error) {
		if c := h.peek(); c != '"' && h.at < len(h.text) {
			return fmt.Errorf("%s: %s is not a string", metadataKey, Printable(key))
		}
		into[key], err = h.str(metadataKey)
		return err
	})
}

// tensor reads an entry and checks it against the bytes behind the header.
func (h *headerReader) tensor(name string, body []byte) (Tensor, span, error) {
	t, at := Tensor{Name: name}, span{name: name}
	what := "tensor " + Printable(name)
	var offsets []int64
	var keys [3]string
	given := 0
	err := h.object(what, func(key string) bool { return slices.Contains(keys[:given], key) }, func(key string) (err error) {
		if given < len(keys) {
			keys[given] = key
			given++
		}
		switch key {
		case "dtype":
			quoted := h.peek() == '"'
			if h.at == len(h.text) {
				return malformed(what, io.ErrUnexpectedEOF)
			}
			text := h.word()
			if t.DType = DType(text); !quoted || t.DType.Bytes() == 0 {
				return fmt.Errorf("%s: dtype %s is not known", what, Printable(text))
			}
		case "shape":
			var shape []int64
			shape, err = h.integers(what + ": shape")
			t.Shape = make([]int, len(shape))
			for i, d := range shape {
				t.Shape[i] = int(d)
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
		return t, at, fmt.Errorf("%s: bytes %d to %d lie outside the %d bytes of data: the file is truncated, copy or download it again", what, at.start, at.end, len(body))
	}
	if at.end-at.start != n {
		return t, at, fmt.Errorf("%s: %s of shape %v takes %d bytes, the header gives %d", what, t.DType, t.Shape, n, at.end-at.start)
	}
	t.Data = body[at.start:at.end]
	return t, at, nil
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
