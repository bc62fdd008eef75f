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
	"time"

	"pgc"
	"pgc/runtime/output"
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
			return err
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

// resume opens the output for appending and returns the ids that it answers. It removes lines with errors, lines whose id
// was answered before and an incomplete last line, so that each request has one answer, and refuses a file that holds
// anything else.
func (c *batchCmd) resume(a *App) (io.WriteCloser, map[string]bool, error) {
	if c.Output == "-" {
		return nopCloser{a.Out}, nil, nil
	}
	log, err := output.OpenLog(c.Output)
	if err != nil {
		return nil, nil, err
	}
	done := map[string]bool{}
	dropped := 0
	err = c.answered(log, func(id string, _ []byte) error {
		if id == "" || done[id] {
			dropped++
		}
		done[id] = true
		return nil
	})
	delete(done, "")
	if err == nil && dropped > 0 {
		err = log.Replace(func(w io.Writer) error {
			written := map[string]bool{}
			return c.answered(log, func(id string, line []byte) error {
				if id == "" || written[id] {
					return nil
				}
				written[id] = true
				_, err := w.Write(line)
				return err
			})
		})
	}
	if err != nil {
		log.Close()
		return nil, nil, err
	}
	return log, done, nil
}

// answered calls each with every line of an output and the id that it answers, "" where it is an error or incomplete.
func (c *batchCmd) answered(log *output.Log, each func(id string, line []byte) error) error {
	content, err := log.Reader()
	if err != nil {
		return err
	}
	lines := bufio.NewReader(content)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return fmt.Errorf("cannot read %s: %w", c.Output, output.Cause(err))
		}
		if len(line) == 0 {
			return nil
		}
		id, ok := answeredID(line)
		if !ok {
			return fmt.Errorf("%s: line %d is not an answer of batch, expected a file that batch wrote, or none", c.Output, n)
		}
		if err := each(id, line); err != nil {
			return err
		}
	}
}

// answeredID returns the id that a line of an output answers, "" where it is an error or incomplete. It reports whether
// batch can have written the line.
func answeredID(line []byte) (id string, ok bool) {
	if !bytes.HasSuffix(line, []byte("\n")) {
		begin := []byte(`{"id":`)
		return "", bytes.HasPrefix(line, begin[:min(len(line), len(begin))])
	}
	var a struct {
		ID    json.RawMessage
		Text  *string
		Error string
	}
	switch {
	case json.Unmarshal(line, &a) != nil || a.ID == nil || a.Text == nil && a.Error == "":
		return "", false
	case a.Error != "":
		return "", true
	}
	return string(a.ID), true
}

// nopCloser leaves a writer open.
type nopCloser struct{ io.Writer }

// Close does nothing.
func (nopCloser) Close() error { return nil }
