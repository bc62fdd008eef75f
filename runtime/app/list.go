package app

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"pgc/runtime/fetch"
	"pgc/runtime/native"
)

// maxRequest bounds a line of batch's input, in bytes: three pictures as data: URIs of the largest size.
const maxRequest = 256 << 20

// list reads requests, one a line.
type list struct {
	name     string
	defaults defaults
	file     *os.File // nil for what is read as it comes
	lines    *bufio.Reader
	lenient  bool // a line that is no request is one that fails alone

	text []byte // of the line
	line int
	seen map[string]int // the line of each id, nil where ids may come again
}

// newList reads a file that is no regular one, or standard input.
func newList(name string, lines *bufio.Reader, d defaults, lenient bool) *list {
	q := &list{name: name, defaults: d, lines: lines, lenient: lenient}
	if !lenient {
		q.seen = map[string]int{}
	}
	return q
}

// openList opens a regular file and reads it once to see that all of its lines are requests. It counts them.
func openList(file *os.File, d defaults, lenient bool) (q *list, total int, err error) {
	start, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, 0, err
	}
	q = newList(file.Name(), bufio.NewReaderSize(file, 64<<10), d, lenient)
	q.file = file
	for {
		if _, err = q.next(); err != nil {
			break
		}
		total++
	}
	if err == io.EOF {
		_, err = file.Seek(start, io.SeekStart)
	}
	if err != nil {
		return nil, 0, err
	}
	again := newList(q.name, q.lines, d, lenient)
	again.file = file
	again.lines.Reset(file)
	return again, total, nil
}

// Close closes the file.
func (q *list) Close() error {
	if q.file == nil {
		return nil
	}
	return q.file.Close()
}

// next implements source. It skips empty lines but counts them.
func (q *list) next() (*batchRequest, error) {
	for {
		q.line++
		text, err := q.readLine()
		text = bytes.TrimPrefix(text, []byte(byteOrderMark)) // which begins every file that cat put together
		if text = bytes.TrimSpace(text); len(text) > 0 && (err == nil || err == io.EOF) {
			r, wrong := parseRequest(text, q.line, q.defaults)
			if at := q.seen[string(r.ID)]; wrong == nil && at > 0 {
				wrong = fmt.Errorf("id is %s, as in line %d, expected another", r.ID, at)
			}
			if wrong == nil {
				if q.seen != nil {
					q.seen[string(r.ID)] = q.line
				}
				r.Images = q.locate(r.Images)
				return &r, nil // the end, if it is, comes again
			}
			if q.lenient {
				return failing(text, q.line, wrong), nil
			}
			err = wrong
		}
		if err == io.EOF {
			return nil, io.EOF
		} else if err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", q.name, q.line, err)
		}
	}
}

// failing is the request of line n that is none: it has the id that can be read, and fails.
func failing(text []byte, n int, wrong error) *batchRequest {
	var l struct {
		ID json.RawMessage `json:"id"`
	}
	if json.Unmarshal(text, &l) != nil || !isID(l.ID) {
		l.ID = fmt.Append(nil, n)
	}
	return &batchRequest{ID: l.ID, wrong: wrong}
}

// copies is how often a long line is in memory at most: read, with room to grow, in the JSON decoder, which grows too,
// and in the request.
const copies = 8

// readLine reads up to the end of a line, if that is not too far away for the memory there is.
func (q *list) readLine() ([]byte, error) {
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
		if err := begins(line); err != nil {
			return nil, err
		}
	}
}

// locate returns the paths of pictures that a list names: where there is no such file, the one beside the list.
func (q *list) locate(names []string) []string {
	if q.file == nil {
		return names
	}
	out := slices.Clone(names)
	for i, name := range names {
		if name == "-" || fetch.IsURL(name) || filepath.IsAbs(name) {
			continue
		}
		beside := filepath.Join(filepath.Dir(q.name), name)
		if _, err := os.Stat(name); err == nil {
			continue
		}
		if _, err := os.Stat(beside); err == nil {
			out[i] = beside
		}
	}
	return out
}
