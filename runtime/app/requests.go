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

	"pgc"
	"pgc/runtime/native"
)

// maxRequest bounds a line of batch's input, in bytes: three pictures as data: URIs of the largest size.
const maxRequest = 256 << 20

// requests reads batch's input: a list, or pictures. Besides the request at hand it keeps the ids.
type requests struct {
	name     string
	defaults defaults // of requests
	pictures []string // where the input is no list
	file     *os.File
	lines    *bufio.Reader

	text    []byte // of the line
	line    int
	seen    map[string]int // the line of each id
	skipped int
	err     error // why there is no further request; io.EOF at the end
}

// defaults are what a request has that says nothing else.
type defaults struct {
	prompt *string
	settings
}

// openRequests opens the input at path: a list, standard input, or the pictures that a folder or a pattern stands for.
// It reads a list that is a regular file once to see that all of its lines are requests.
func openRequests(path string, d defaults) (*requests, error) {
	q := &requests{name: "standard input", defaults: d, file: os.Stdin}
	if path != "-" {
		pictures, err := listPictures(path)
		if err != nil {
			return nil, err
		}
		if q.name = path; pictures != nil {
			if d.prompt == nil {
				return nil, missingPrompt(path, pictures)
			}
			q.pictures, q.file = pictures, nil
			q.rewind()
			return q, nil
		}
		if q.file, err = os.Open(path); err != nil {
			return nil, err
		}
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
	q.seen, q.line, q.err = map[string]int{}, 0, nil
	if q.file != nil {
		q.lines = bufio.NewReaderSize(q.file, 64<<10)
	}
}

// Close closes the input.
func (q *requests) Close() error {
	if q.file == os.Stdin || q.file == nil {
		return nil
	}
	return q.file.Close()
}

// nextPicture returns the request about the next picture of a folder or a pattern.
func (q *requests) nextPicture() *batchRequest {
	if q.line == len(q.pictures) {
		q.err = io.EOF
		return nil
	}
	name := q.pictures[q.line]
	q.line++
	id, err := json.Marshal(name)
	if err != nil {
		q.err = fmt.Errorf("%s: %w", name, err)
		return nil
	}
	q.seen[string(id)] = q.line
	return &batchRequest{ID: id, Images: []string{name}, Prompt: *q.defaults.prompt, settings: q.defaults.settings}
}

// next returns the next request, or nil where err says why there is none. It skips empty lines but counts them.
func (q *requests) next() *batchRequest {
	if q.pictures != nil && q.err == nil {
		return q.nextPicture()
	}
	for q.err == nil {
		q.line++
		text, err := q.readLine()
		if q.line == 1 {
			text = bytes.TrimPrefix(text, []byte(byteOrderMark))
		}
		if text = bytes.TrimSpace(text); len(text) > 0 && (err == nil || err == io.EOF) {
			r, wrong := parseRequest(text, q.line, q.defaults)
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
		if err := begins(line); err != nil {
			return nil, err
		}
	}
}

// except yields the requests that are not done, and puts their ids into a queue. Consecutive requests share equal
// images.
func (q *requests) except(done map[string]bool, ids *queue, al *album) iter.Seq[pgc.Task] {
	return func(yield func(pgc.Task) bool) {
		for r := q.next(); r != nil; r = q.next() {
			if done[string(r.ID)] {
				q.skipped++
				continue
			}
			images, err := al.images(q.locate(r.Images))
			if err != nil {
				images = []pgc.Image{pgc.Lazy("", func(context.Context) ([]byte, error) { return nil, err })}
			}
			ids.push(named{r.ID, shortened(r.Images[0])})
			if !yield(r.work(images)) {
				return
			}
		}
	}
}

// work is what the request asks of its images.
func (r *batchRequest) work(images []pgc.Image) pgc.Task {
	if r.detects() {
		return pgc.DetectRequest{Image: images[0], Classes: r.Classes, Segment: r.Task == "segment", Adapter: r.Adapter, DetectSettings: pgc.DetectSettings(r.detecting)}
	}
	return pgc.Request{Images: images, Prompt: r.Prompt, Suffix: r.Suffix, Settings: pgc.Settings(r.settings)}
}

// named is a request's id and the name of its first picture.
type named struct {
	id    json.RawMessage
	image string
}

// queue is the requests whose answers are to come, in order.
type queue struct {
	mu   sync.Mutex
	list []named
}

func (q *queue) push(r named) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = append(q.list, r)
}

func (q *queue) pop() named {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := q.list[0]
	q.list = q.list[1:]
	return r
}
