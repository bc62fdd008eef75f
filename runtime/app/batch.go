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
	"path/filepath"
	"time"

	"pgc"
)

type batchCmd struct {
	Input   string `required:"" placeholder:"IN.jsonl" help:"Requests, one a line: {\"id\", \"images\": […], \"prompt\"} and generate's options as fields (max_new_tokens, stop, …); - for standard input."`
	Output  string `required:"" placeholder:"OUT.jsonl" help:"Answers, one a line, as generate --json prints them, with the id. Requests already answered there are skipped; - for standard output."`
	Threads int    `help:"Threads to compute on (default: all processors)."`
}

// batchRequest is one line of batch's input.
type batchRequest struct {
	ID     json.RawMessage `json:"id"` // a string or a number; the line's number if missing
	Images []string        `json:"images"`
	Prompt *string         `json:"prompt"`
	settings
}

// batchAnswer is one line of batch's output: an answer or an error.
type batchAnswer struct {
	ID json.RawMessage `json:"id"`
	*answer
	Error string `json:"error,omitempty"`
}

// Run answers the requests, several at a time, and writes the answers in the order of the requests. It reads all of
// them before it answers the first. A request that fails becomes a line with an error; the others go on.
func (c *batchCmd) Run(a *App) error {
	requests, err := c.read()
	if err != nil {
		return err
	}
	out, done, err := c.resume(a)
	if err != nil {
		return err
	}
	defer out.Close()
	m, err := a.load(c.Threads)
	if err != nil {
		return err
	}
	defer m.Close()
	load := time.Since(a.opened)
	var todo []*batchRequest
	for i := range requests {
		if r := &requests[i]; !done[string(r.ID)] {
			todo = append(todo, r)
		}
	}
	failed, skipped, next := 0, len(requests)-len(todo), 0
	for got, err := range m.Batch(a.ctx, named(todo)) {
		if a.ctx.Err() != nil {
			return a.ctx.Err()
		}
		line := batchAnswer{ID: todo[next].ID}
		next++
		if err != nil {
			failed++
			line.Error = err.Error()
		} else {
			line.answer = newAnswer(got, load)
		}
		if err := writeJSON(out, line); err != nil {
			return fmt.Errorf("cannot write %s: %w", c.Output, err)
		}
	}
	if skipped > 0 {
		fmt.Fprintf(a.Err, "%d of %d requests were answered in %s before\n", skipped, len(requests), c.Output)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d requests failed: see \"error\" in %s", failed, len(requests), c.Output)
	}
	return nil
}

// named yields the requests with their images; consecutive requests share equal ones.
func named(list []*batchRequest) iter.Seq[pgc.Request] {
	return func(yield func(pgc.Request) bool) {
		var al album
		for _, r := range list {
			images, err := al.images(r.Images)
			if err != nil {
				images = []pgc.Image{pgc.Lazy("", func(context.Context) ([]byte, error) { return nil, err })}
			}
			if !yield(pgc.Request{Images: images, Prompt: *r.Prompt, Settings: pgc.Settings(r.settings)}) {
				return
			}
		}
	}
}

// read reads all requests. It skips empty lines but counts them.
func (c *batchCmd) read() ([]batchRequest, error) {
	var in io.Reader = os.Stdin
	if c.Input != "-" {
		f, err := os.Open(c.Input)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	var out []batchRequest
	seen := map[string]int{}
	lines := bufio.NewReader(in)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("%s: %w", c.Input, err)
		}
		if text := bytes.TrimSpace(line); len(text) > 0 {
			r, wrong := parseRequest(text, n)
			if wrong == nil && seen[string(r.ID)] > 0 {
				wrong = fmt.Errorf("id is %s, as in line %d, expected another", r.ID, seen[string(r.ID)])
			}
			if wrong != nil {
				return nil, fmt.Errorf("%s: line %d: %w", c.Input, n, wrong)
			}
			seen[string(r.ID)] = n
			out = append(out, r)
		}
		if err == io.EOF {
			return out, nil
		}
	}
}

// parseRequest reads one request, line n.
func parseRequest(text []byte, n int) (r batchRequest, err error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return r, fmt.Errorf("expected a request, one JSON object: %w", err)
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

// resume opens the output for appending and returns the ids that it answers. It removes lines with errors and an
// incomplete last line, so that their requests are answered again, and refuses a file that holds anything else.
func (c *batchCmd) resume(a *App) (io.WriteCloser, map[string]bool, error) {
	if c.Output == "-" {
		return nopCloser{a.Out}, nil, nil
	}
	data, err := os.ReadFile(c.Output)
	if err != nil && !os.IsNotExist(err) {
		return nil, nil, err
	}
	done := map[string]bool{}
	var keep []byte
	for n, line := range bytes.SplitAfter(data, []byte("\n")) {
		var a struct {
			ID    json.RawMessage
			Text  *string
			Error string
		}
		begin := []byte(`{"id":`)
		whole := json.Unmarshal(line, &a) == nil && a.ID != nil && (a.Text != nil || a.Error != "") && bytes.HasSuffix(line, []byte("\n"))
		switch last := !bytes.HasSuffix(line, []byte("\n")); {
		case whole && a.Error == "":
			done[string(a.ID)] = true
			keep = append(keep, line...)
		case whole:
		case !last || !bytes.HasPrefix(line, begin[:min(len(line), len(begin))]):
			return nil, nil, fmt.Errorf("%s: line %d is not an answer of batch, expected a file that batch wrote, or none", c.Output, n+1)
		}
	}
	if len(keep) < len(data) {
		if err := replace(c.Output, keep); err != nil {
			return nil, nil, err
		}
	}
	f, err := os.OpenFile(c.Output, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, nil, err
	}
	return f, done, nil
}

// replace atomically replaces the file at path.
func replace(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".batch-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}

// nopCloser leaves a writer open.
type nopCloser struct{ io.Writer }

// Close does nothing.
func (nopCloser) Close() error { return nil }
