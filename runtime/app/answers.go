package app

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"pgc/runtime/output"
	"pgc/runtime/process"
	"pgc/runtime/shard"
)

// unfinished ends the name of a shard that is being worked on.
const unfinished = ".partial"

// answers is the output of batch.
type answers struct {
	io.WriteCloser
	name string         // - for standard output
	part shard.Part     // of the requests
	done map[string]int // the ids that were answered before, and their rows where there is a part
	log  *output.Log    // nil for standard output
}

// openAnswers opens the output for appending. It removes lines with errors, lines whose id was answered before and an
// incomplete last line, so that each request has one answer, and refuses a file that holds anything else. The answers of
// a shard are collected beside its file.
func openAnswers(a *App, path string, part shard.Part) (*answers, error) {
	out := &answers{name: part.Name(path), part: part, done: map[string]int{}}
	if path == "-" {
		out.WriteCloser = nopCloser{a.Out}
		return out, nil
	}
	name := out.name
	if !part.Whole() {
		if err := output.Allowed(name); err != nil {
			return nil, err
		}
		name += unfinished
	}
	log, err := output.OpenLog(name)
	if err != nil {
		return nil, err
	}
	out.WriteCloser, out.log = log, log
	if err := out.resume(name); err != nil {
		log.Close()
		return nil, err
	}
	return out, nil
}

// resume takes the answers there are.
func (o *answers) resume(name string) error {
	if !o.part.Whole() {
		if err := o.reopen(); err != nil {
			return err
		}
	}
	content, err := o.log.Reader()
	if err != nil {
		return err
	}
	dropped := 0
	err = answered(content, name, func(id string, line []byte) error {
		if _, twice := o.done[id]; id == "" || twice {
			dropped++
			return nil
		}
		o.done[id] = 0
		if o.part.Whole() {
			return nil
		}
		if o.done[id] = shard.Row(line); o.done[id] < 0 || !o.part.Has([]byte(id)) {
			return fmt.Errorf("%s: the answer to %s is none of shard %s, expected a file that batch --shard wrote, or none", name, id, o.part)
		}
		return nil
	})
	if err == nil && dropped > 0 {
		err = o.log.Replace(func(w io.Writer) error { return copyAnswers(w, content, name) })
	}
	return err
}

// reopen begins a shard that was complete with its answers, in case that some of them are errors.
func (o *answers) reopen() error {
	content, err := o.log.Reader()
	if err != nil || content.Size() > 0 {
		return err
	}
	old, err := os.Open(o.name)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer old.Close()
	return o.log.Replace(func(w io.Writer) error { return copyAnswers(w, old, o.name) })
}

// copyAnswers copies the lines that are answers, each id's first.
func copyAnswers(w io.Writer, from io.Reader, name string) error {
	if s, ok := from.(io.Seeker); ok {
		if _, err := s.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	written := map[string]bool{}
	return answered(from, name, func(id string, line []byte) error {
		if id == "" || written[id] {
			return nil
		}
		written[id] = true
		_, err := w.Write(line)
		return err
	})
}

// complete gives a shard whose requests are all answered its name.
func (o *answers) complete(q *requests) error {
	if o.part.Whole() || o.log == nil {
		return nil
	}
	if left := len(o.done) - q.skipped; left > 0 {
		return fmt.Errorf("%s%s has answers to %d requests that are not in the input, expected the input that the shard was begun with (remove it to begin anew)", o.name, unfinished, left)
	}
	content, err := o.log.Reader()
	if err != nil {
		return err
	}
	f, err := output.Create(o.name)
	if err != nil {
		return err
	}
	defer f.Abort()
	w := bufio.NewWriterSize(f, 1<<20)
	if err := shard.Complete(w, content, q.record()); err != nil {
		return fmt.Errorf("%s%s: %w", o.name, unfinished, err)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	process.Remove(o.name + unfinished)
	return nil
}

// answered calls each with every line of an output and the id that it answers, "" where it is an error or incomplete.
func answered(content io.Reader, name string, each func(id string, line []byte) error) error {
	lines := bufio.NewReader(content)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return fmt.Errorf("cannot read %s: %w", name, output.Cause(err))
		}
		if len(line) == 0 {
			return nil
		}
		id, ok := answeredID(line)
		if !ok {
			return fmt.Errorf("%s: line %d is not an answer of batch, expected a file that batch wrote, or none", name, n)
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
		ID        json.RawMessage
		Text      *string
		Embedding *string
		Error     string
	}
	switch {
	case json.Unmarshal(line, &a) != nil || a.ID == nil || a.Text == nil && a.Embedding == nil && a.Error == "":
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
