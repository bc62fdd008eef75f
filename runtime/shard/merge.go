package shard

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"os"
	"strconv"
	"strings"

	"pgc/runtime/output"
)

// Merged says what Merge joined.
type Merged struct {
	Shards, Rows int
	Errors       int // rows that are no answers
}

// Merge joins complete shards to the file at path, in the order of their input. It is an error, and nothing is written,
// if one is incomplete or of another input, or if a row is missing or double.
func Merge(path string, names []string) (m Merged, err error) {
	output.Protect(names...)
	var files []*file
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	for _, name := range names {
		f, err := open(name)
		if err != nil {
			return m, err
		}
		files = append(files, f)
	}
	rows, missing, err := agree(files)
	if err != nil {
		return m, err
	}
	o, err := output.Create(path)
	if err != nil {
		return m, err
	}
	defer o.Abort()
	w := bufio.NewWriterSize(o, 1<<20)
	m.Shards = len(files)
	if err := join(w, files, rows, missing, &m); err != nil {
		return m, err
	}
	if err := w.Flush(); err != nil {
		return m, err
	}
	return m, o.Close()
}

// file is a shard that is being read.
type file struct {
	*os.File
	lines  *bufio.Reader
	record *Record // nil of a shard without lines
	number int     // of the line at hand
	line   []byte
	fields
}

// open opens a shard and reads its record.
func open(name string) (*file, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	s := &file{File: f, lines: bufio.NewReaderSize(f, 64<<10)}
	last, err := lastLine(f)
	if err == nil && len(last) > 0 {
		var l fields
		if l, err = parse(last); err == nil && l.Shard == nil {
			err = fmt.Errorf("has no record, which batch --shard writes at the end of its work: run that shard again, expected a complete one")
		}
		if s.record = l.Shard; err != nil {
			err = fmt.Errorf("%s: its last line %w", name, err)
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return s, nil
}

// lastLine returns the last line of a file, without moving its place.
func lastLine(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file, expected a shard", f.Name())
	}
	for size := int64(64 << 10); ; size *= 4 {
		size = min(size, info.Size())
		tail := make([]byte, size)
		if _, err := f.ReadAt(tail, info.Size()-size); err != nil {
			return nil, err
		}
		inner := tail
		if len(inner) > 0 {
			inner = inner[:len(inner)-1] // without the newline at the end
		}
		if at := strings.LastIndexByte(string(inner), '\n'); at >= 0 {
			return tail[at+1:], nil
		}
		if size == info.Size() {
			return tail, nil
		}
	}
}

// agree checks that the shards are of one input, and returns its rows and the shards that are not there.
func agree(files []*file) (rows int, missing []string, err error) {
	var first *file
	by := map[int]*file{}
	for _, f := range files {
		if f.record == nil {
			continue
		}
		if first == nil {
			first = f
		}
		r, like := *f.record, *first.record
		switch {
		case r.Of != like.Of:
			return 0, nil, fmt.Errorf("%s is one of %d shards and %s one of %d, expected shards of one run", f.Name(), r.Of, first.Name(), like.Of)
		case r.Rows != like.Rows || r.Input != like.Input:
			return 0, nil, fmt.Errorf("%s is of another input than %s (%d and %d requests), expected shards of one input", f.Name(), first.Name(), r.Rows, like.Rows)
		case by[r.Index] != nil:
			return 0, nil, fmt.Errorf("%s and %s are both shard %d of %d, expected each once", by[r.Index].Name(), f.Name(), r.Index, r.Of)
		}
		by[r.Index] = f
	}
	if first == nil {
		return 0, nil, nil
	}
	for i := range first.record.Of {
		if by[i] == nil {
			missing = append(missing, strconv.Itoa(i))
		}
	}
	return first.record.Rows, missing, nil
}

// join writes the lines of all shards in the order of their rows.
func join(w io.Writer, files []*file, rows int, missing []string, m *Merged) error {
	by := map[int]*file{} // the shard that has a row, by the rows of their next lines
	advance := func(f *file) error {
		more, err := f.next()
		if err != nil || !more {
			return err
		}
		if *f.Row < m.Rows || by[*f.Row] != nil {
			return fmt.Errorf("%s: line %d is a second answer to request %d, expected one", f.Name(), f.number, *f.Row)
		}
		by[*f.Row] = f
		return nil
	}
	for _, f := range files {
		if err := advance(f); err != nil {
			return err
		}
	}
	for len(by) > 0 || m.Rows < rows {
		f := by[m.Rows]
		if f == nil {
			of := ""
			if len(missing) > 0 {
				of = fmt.Sprintf(" (there is no line of shard %.200s)", strings.Join(missing, ", "))
			}
			return fmt.Errorf("the answer to request %d of %d, counted from 0, is missing%s, expected all shards, complete", m.Rows, rows, of)
		}
		delete(by, m.Rows)
		line, err := plain(f.line)
		if err != nil {
			return fmt.Errorf("%s: line %d: %w", f.Name(), f.number, err)
		}
		if _, err := w.Write(line); err != nil {
			return err
		}
		if f.Error != "" {
			m.Errors++
		}
		m.Rows++
		if err := advance(f); err != nil {
			return err
		}
	}
	return nil
}

// next reads the next line. It reports whether there is one.
func (f *file) next() (bool, error) {
	line, err := f.lines.ReadBytes('\n')
	if err == io.EOF && len(line) == 0 {
		return false, nil
	}
	f.number++
	if err != nil && err != io.EOF {
		return false, fmt.Errorf("cannot read %s: %w", f.Name(), output.Cause(err))
	}
	before := f.fields
	f.line = line
	if f.fields, err = parse(line); err != nil {
		return false, fmt.Errorf("%s: line %d %w", f.Name(), f.number, err)
	}
	if before.Shard != nil {
		return false, fmt.Errorf("%s: line %d comes behind the last one, expected the shard as batch wrote it", f.Name(), f.number)
	}
	return true, nil
}

// lines yields the lines of r with their newlines.
func lines(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		in := bufio.NewReaderSize(r, 64<<10)
		for {
			line, err := in.ReadBytes('\n')
			if len(line) > 0 && !yield(line, nil) || err == io.EOF {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
		}
	}
}
