package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"sync"
	"unicode/utf8"

	"pgc"
	"pgc/runtime/jsonerr"
	"pgc/runtime/native"
)

// batchRequest is one line of batch's input.
type batchRequest struct {
	ID     json.RawMessage `json:"id"` // a string or a number; the line's number if missing
	Images []string        `json:"images"`
	Prompt *string         `json:"prompt"`
	settings
}

// maxRequest bounds a line of batch's input, in bytes: three pictures as data: URIs of the largest size.
const maxRequest = 256 << 20

// requests reads batch's input. Besides the line at hand it keeps the ids.
type requests struct {
	name  string
	file  *os.File
	lines *bufio.Reader

	text    []byte // of the line
	line    int
	seen    map[string]int // the line of each id
	skipped int
	err     error // why there is no further request; io.EOF at the end
}

// openRequests opens the input at path, or standard input. It reads a regular file once to see that all of its lines
// are requests.
func openRequests(path string) (*requests, error) {
	q := &requests{name: "standard input", file: os.Stdin}
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		q.name, q.file = path, f
	}
	q.rewind()
	info, err := q.file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return q, err
	}
	start, err := q.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return q, nil // it is read as it comes
	}
	for q.next() != nil {
	}
	err = q.err
	if err == io.EOF {
		_, err = q.file.Seek(start, io.SeekStart)
	}
	if err != nil {
		q.Close()
		return nil, err
	}
	q.rewind()
	return q, nil
}

// rewind begins at the file's place.
func (q *requests) rewind() {
	q.lines, q.seen, q.line, q.err = bufio.NewReaderSize(q.file, 64<<10), map[string]int{}, 0, nil
}

// Close closes the input.
func (q *requests) Close() error {
	if q.file == os.Stdin {
		return nil
	}
	return q.file.Close()
}

// next returns the next request, or nil where err says why there is none. It skips empty lines but counts them.
func (q *requests) next() *batchRequest {
	for q.err == nil {
		q.line++
		text, err := q.readLine()
		if text = bytes.TrimSpace(text); len(text) > 0 && (err == nil || err == io.EOF) {
			r, wrong := parseRequest(text, q.line)
			if at := q.seen[string(r.ID)]; wrong == nil && at > 0 {
				wrong = fmt.Errorf("id is %s, as in line %d, expected another", r.ID, at)
			}
			if wrong == nil {
				q.seen[string(r.ID)] = q.line
				return &r // the end, if it is, comes again
			}
			err = wrong
		}
		if err == io.EOF {
			q.err = io.EOF
		} else if err != nil {
			q.err = fmt.Errorf("%s: line %d: %w", q.name, q.line, err)
		}
	}
	return nil
}

// copies is how often a long line is in memory at most: read, with room to grow, in the JSON decoder, which grows too,
// and in the request.
const copies = 8

// readLine reads up to the end of a line, if that is not too far away for the memory there is.
func (q *requests) readLine() ([]byte, error) {
	line := slices.Grow(q.text[:0], 1<<16)
	for {
		part, err := q.lines.ReadSlice('\n')
		if need := len(line) + len(part); need > maxRequest {
			return nil, fmt.Errorf("it is longer than %d MiB, expected a request, one JSON object a line", maxRequest>>20)
		} else if need > cap(line) {
			if need > 1<<20 {
				if err := native.CheckMemory(copies*int64(need), "a line so long"); err != nil {
					return nil, err
				}
			}
			line = slices.Grow(line, need)
		}
		line = append(line, part...)
		if err != bufio.ErrBufferFull {
			q.text = line
			return line, err
		}
		if begin := bytes.TrimLeft(line, " \t\r"); len(begin) > 0 && begin[0] != '{' {
			return nil, fmt.Errorf("it begins with %q, expected a request, one JSON object", begin[:1])
		}
	}
}

// except yields the requests that are not done, and puts their ids into a queue. Consecutive requests share equal
// images.
func (q *requests) except(done map[string]bool, ids *queue) iter.Seq[pgc.Request] {
	return func(yield func(pgc.Request) bool) {
		var al album
		for r := q.next(); r != nil; r = q.next() {
			if done[string(r.ID)] {
				q.skipped++
				continue
			}
			images, err := al.images(r.Images)
			if err != nil {
				images = []pgc.Image{pgc.Lazy("", func(context.Context) ([]byte, error) { return nil, err })}
			}
			ids.push(r.ID)
			if !yield(pgc.Request{Images: images, Prompt: *r.Prompt, Settings: pgc.Settings(r.settings)}) {
				return
			}
		}
	}
}

// queue is the ids of the requests whose answers are to come, in order.
type queue struct {
	mu   sync.Mutex
	list []json.RawMessage
}

func (q *queue) push(id json.RawMessage) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = append(q.list, id)
}

func (q *queue) pop() json.RawMessage {
	q.mu.Lock()
	defer q.mu.Unlock()
	id := q.list[0]
	q.list = q.list[1:]
	return id
}

// parseRequest reads one request, line n.
func parseRequest(text []byte, n int) (r batchRequest, err error) {
	if !utf8.Valid(text) {
		return r, fmt.Errorf("is no UTF-8, expected JSON in UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return r, fmt.Errorf("expected a request, one JSON object: %w", jsonerr.Explain(err, "settings"))
	}
	if _, err := dec.Token(); err != io.EOF {
		return r, fmt.Errorf("holds more than one JSON object")
	}
	switch {
	case r.ID == nil:
		r.ID = fmt.Append(nil, n)
	case r.ID[0] != '"' && r.ID[0] != '-' && (r.ID[0] < '0' || r.ID[0] > '9'):
		return r, fmt.Errorf("id is %s, expected a string or a number", r.ID)
	}
	if len(r.Images) == 0 {
		return r, fmt.Errorf("images is missing or empty, expected a list of pictures")
	}
	if r.Prompt == nil {
		return r, fmt.Errorf("prompt is missing, expected a text")
	}
	return r, r.settings.check()
}
