package app

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"pgc"
	"pgc/runtime/annotate"
	"pgc/runtime/output"
)

type batchCmd struct {
	Input  string  `required:"" placeholder:"IN" help:"Requests, one JSON object a line: {\"id\", \"images\": […], \"prompt\"} and generate's options as fields (max_new_tokens, stop, …), or a list for fine-tuning: {\"image\", \"prefix\", \"suffix\"}, whose suffixes are ignored unless \"score\" is true; or {\"images\": [one], \"task\": \"detect\", \"classes\": […]} and detect's options as fields, likewise segment; - for standard input. Or a folder of pictures, or a pattern such as 'photos/*.jpg'."`
	Output string  `required:"" placeholder:"OUT.jsonl" help:"Answers, one a line, as generate --json prints them, with the id. Requests already answered there are skipped; - for standard output."`
	Prompt *string `help:"The prompt of requests without one, such as those of a folder."`
	settings
	Threads int `help:"Threads to compute on (default: all processors)."`
}

// batchDetection is one line of batch's output, about a request with a task.
type batchDetection struct {
	ID json.RawMessage `json:"id"`
	*annotate.Object
}

// batchAnswer is one line of batch's output: an answer or an error.
type batchAnswer struct {
	ID json.RawMessage `json:"id"`
	*answer
	Error string `json:"error,omitempty"`
}

// Run answers the requests, several at a time, and writes the answers in the order of the requests. A regular file is
// read to its end before any work, so that a line that is no request stops batch at once; any other input is answered
// as it comes. A request that fails becomes a line with an error; the others go on.
func (c *batchCmd) Run(a *App) error {
	if err := c.check(); err != nil {
		return usage{err}
	}
	output.Protect(c.Input)
	in, err := openRequests(c.Input, defaults{c.Prompt, c.settings})
	if err != nil {
		return err
	}
	defer in.Close()
	output.Protect(in.pictures...)
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
	load, failed := time.Since(a.opened), 0
	var ids queue
	for got, err := range m.Tasks(a.ctx, in.except(done, &ids, a.album())) {
		if a.ctx.Err() != nil {
			return a.ctx.Err()
		}
		request := ids.pop()
		var line any
		var doubts []pgc.Warning
		if errors.Is(err, pgc.ErrDamaged) { // no line is written that is computed from damaged weights
			return err
		}
		switch {
		case err != nil:
			failed++
			line = batchAnswer{ID: request.id, Error: err.Error()}
		case got.Detection != nil:
			line = batchDetection{request.id, annotate.JSON(annotate.Picture{Name: request.image, Detection: got.Detection})}
			doubts = append(unmasked(a, got.Detection.Task), got.Detection.Warnings...)
		default:
			line, doubts = batchAnswer{ID: request.id, answer: newAnswer(got.Answer, load)}, got.Answer.Warnings
		}
		if err := writeJSON(out, line); err != nil {
			return err
		}
		a.warn(fmt.Sprintf("request %s: ", request.id), doubts)
	}
	switch {
	case a.ctx.Err() != nil:
		return a.ctx.Err()
	case in.err != io.EOF:
		return in.err
	}
	total := len(in.seen)
	if in.skipped > 0 {
		fmt.Fprintf(a.Err, "%d of %d requests were answered in %s before\n", in.skipped, total, c.Output)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d requests failed: see \"error\" in %s", failed, total, c.Output)
	}
	return nil
}

// resume opens the output for appending and returns the ids that it answers. It removes lines with errors, lines whose
// id was answered before and an incomplete last line, so that each request has one answer, and refuses a file that
// holds anything else.
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
