package app

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
)

// source yields the requests of an input.
type source interface {
	// next returns the next request, or why there is none: io.EOF at the end.
	next() (*batchRequest, error)
	io.Closer
}

// defaults are what a request has that says nothing else.
type defaults struct {
	prompt  *string
	task    string // detect or segment, about classes
	classes []string
	texts   bool // whether the prompts of a tar file are asked
	embeds  bool // whether embeddings are asked for
	settings
}

// asks reports whether a request that says nothing asks something.
func (d defaults) asks() bool { return d.prompt != nil || d.task != "" || d.embeds }

// about asks what the defaults are about pictures. If they ask nothing, wrong is why.
func (d defaults) about(r *batchRequest) *batchRequest {
	r.settings = d.settings
	switch {
	case d.task != "":
		r.Task, r.Classes = d.task, d.classes
	case d.prompt != nil:
		r.Prompt = *d.prompt
	case !d.embeds:
		r.wrong = errors.New("the prompt is missing, expected --prompt TEXT for all requests without one")
	}
	return r
}

// unused says which of the flags has no effect on pictures alone, or "".
func (d defaults) unused() string {
	if alone := (settings{Adapter: d.Adapter}); d.task != "" && !reflect.DeepEqual(d.settings, alone) {
		return fmt.Sprintf("settings of generated text have no effect beside --%s", d.task)
	}
	return d.noTexts()
}

// noTexts says that there are no texts of tar files to leave out, or "".
func (d defaults) noTexts() string {
	if d.texts || d.embeds {
		return ""
	}
	return "--no-texts has no effect without a tar file"
}

// input is where requests come from.
type input struct {
	source
	total    int      // requests, -1 where only the end will tell
	pictures []string // files that no result may replace
	idle     string   // which flag has no effect on them, or ""
}

// openInput opens what --input names: a list or a tar file, also on standard input, or the pictures and the tar files
// that a folder or a pattern stands for. wanted tells of an id whether its pictures are needed. lenient is list's.
func openInput(path string, d defaults, lenient bool, wanted func(id []byte) bool) (*input, error) {
	if path == "-" {
		return openFile(os.Stdin, "standard input", d, lenient, wanted)
	}
	names, err := listFiles(path)
	if err != nil {
		return nil, err
	}
	if names != nil {
		total := len(names)
		for _, name := range names {
			if isTar(name) {
				total = -1
			}
		}
		if total > 0 && !d.asks() {
			return nil, missingPrompt(path, names)
		}
		idle := ""
		if total >= 0 {
			idle = d.unused()
		}
		return &input{&files{names: names, defaults: d, wanted: wanted}, total, names, idle}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	in, err := openFile(f, path, d, lenient, wanted)
	if err != nil {
		f.Close()
	}
	return in, err
}

// openFile opens an open file: a regular one is looked at now, and others when the first request is needed.
func openFile(f *os.File, name string, d defaults, lenient bool, wanted func(id []byte) bool) (*input, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if start, seeks := f.Seek(0, io.SeekCurrent); seeks == nil && info.Mode().IsRegular() {
		head := make([]byte, tarBlock)
		n, err := f.ReadAt(head, start)
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if isTar(name) || beginsTar(head[:n]) {
			return &input{newSamples(f, f, name, "", d, wanted), -1, nil, ""}, nil
		}
		q, total, err := openList(f, d, lenient)
		if err != nil {
			return nil, err
		}
		return &input{q, total, nil, d.noTexts()}, nil
	}
	return &input{&unknown{file: f, open: func(in *bufio.Reader) (source, error) {
		is, err := peeksTar(in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if is {
			return newSamples(in, nil, name, "", d, wanted), nil
		}
		return newList(name, in, d, lenient), nil
	}}, -1, nil, ""}, nil
}

// unknown is an input that shows what it is when it begins to come.
type unknown struct {
	file *os.File
	open func(*bufio.Reader) (source, error)
	is   source
}

// next implements source.
func (u *unknown) next() (r *batchRequest, err error) {
	if u.is == nil {
		if u.is, err = u.open(bufio.NewReaderSize(u.file, 64<<10)); err != nil {
			u.is = nil
			return nil, err
		}
	}
	return u.is.next()
}

// Close closes the file.
func (u *unknown) Close() error {
	if u.file == os.Stdin {
		return nil
	}
	return u.file.Close()
}

// files asks about pictures, and about those in tar files.
type files struct {
	names    []string
	defaults defaults
	wanted   func(id []byte) bool
	inside   source // the tar file at hand
}

// next implements source.
func (q *files) next() (*batchRequest, error) {
	for {
		if q.inside != nil {
			r, err := q.inside.next()
			if err != io.EOF {
				return r, err
			}
			q.inside.Close()
			q.inside = nil
		}
		if len(q.names) == 0 {
			return nil, io.EOF
		}
		name := q.names[0]
		q.names = q.names[1:]
		if !isTar(name) {
			return q.defaults.about(&batchRequest{ID: stringID(name), Images: []string{name}}), nil
		}
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		q.inside = newSamples(f, f, name, name+"/", q.defaults, q.wanted)
	}
}

// Close closes the tar file at hand.
func (q *files) Close() error {
	if q.inside == nil {
		return nil
	}
	return q.inside.Close()
}

// tarBlock is the length of a header of a tar file.
const tarBlock = 512

// isTar reports whether a file is called as tar files are.
func isTar(name string) bool { return strings.EqualFold(filepath.Ext(name), ".tar") }

// beginsTar reports whether a file that begins so is a tar file: there is a header, whose sum is right.
func beginsTar(head []byte) bool {
	if len(head) < tarBlock {
		return false
	}
	_, err := tar.NewReader(bytes.NewReader(append(head[:tarBlock:tarBlock], make([]byte, 2*tarBlock)...))).Next()
	return err == nil || err == io.ErrUnexpectedEOF // the contents of a long name are behind the header
}

// peeksTar is beginsTar of a stream. It waits for no more bytes than show that there is a list.
func peeksTar(in *bufio.Reader) (bool, error) {
	const name = 100 // bytes of a header that hold a name, which may have any byte but zero, and is not likely to have a newline
	for n := 1; ; n++ {
		head, err := in.Peek(n)
		switch {
		case err == io.EOF:
			return false, nil
		case err != nil:
			return false, err
		case n == 1 && strings.IndexByte(" \t\r\n{[\x1f\xef\xff\xfe", head[0]) >= 0, n <= name && head[n-1] == '\n':
			return false, nil
		case n == tarBlock:
			return beginsTar(head), nil
		}
	}
}
