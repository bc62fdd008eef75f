package app

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"pgc"
	"pgc/runtime/annotate"
	"pgc/runtime/output"
	"pgc/runtime/process"
)

// stream is a format that goes to standard output or to a file, picture by picture or, where last is not nil, as a whole.
type stream struct {
	w    io.Writer
	file *output.File // nil for standard output
	each func(w io.Writer, p annotate.Picture, image pgc.Image) error
	last func(w io.Writer) error
}

// newStream opens a file at path for results about so many pictures, or takes standard output for an empty one.
func newStream(a *App, format, path string, pictures int) (*stream, error) {
	s := &stream{w: a.Out}
	separator := ""
	switch format {
	case "table":
		s.each = func(w io.Writer, p annotate.Picture, _ pgc.Image) error {
			if pictures > 1 {
				fmt.Fprintf(w, "%s%s\n", separator, process.Line(p.Name))
				separator = "\n"
			}
			return annotate.Table(w, p)
		}
	case "tsv":
		s.each = func(w io.Writer, p annotate.Picture, _ pgc.Image) error { return annotate.TSV(w, p) }
	case "json":
		s.each = func(w io.Writer, p annotate.Picture, _ pgc.Image) error { return writeJSON(w, annotate.JSON(p)) }
	case "coco":
		set := annotate.NewCOCO()
		s.each = func(_ io.Writer, p annotate.Picture, _ pgc.Image) error { set.Add(p); return nil }
		s.last = func(w io.Writer) error { return writeJSON(w, set) }
	case "labelstudio":
		list := annotate.LabelStudio{}
		s.each = func(_ io.Writer, p annotate.Picture, _ pgc.Image) error { list.Add(p, a.Executable.Name()); return nil }
		s.last = func(w io.Writer) error { return writeJSON(w, list) }
	default:
		s.each = func(w io.Writer, p annotate.Picture, image pgc.Image) error {
			data, err := encode(a, format, p, image, path)
			if err == nil {
				_, err = w.Write(data)
			}
			return err
		}
	}
	if path == "" {
		return s, nil
	}
	var err error
	if s.file, err = output.Create(path); err != nil {
		return nil, err
	}
	s.w = s.file
	return s, nil
}

func (s *stream) add(p annotate.Picture, image pgc.Image) error { return s.each(s.w, p, image) }

func (s *stream) close() error {
	if s.last != nil {
		if err := s.last(s.w); err != nil {
			return s.abort(err)
		}
	}
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

func (s *stream) abort(reason error) error {
	if s.file != nil {
		s.file.Abort()
	}
	return reason
}

// picture is a drawing of one picture.
type picture struct {
	a    *App
	path string
	data []byte
}

func (d *picture) add(p annotate.Picture, image pgc.Image) (err error) {
	d.data, err = render(d.a, extension(d.path), p, image)
	return err
}

func (d *picture) close() error { return output.WriteFile(d.path, d.data) }

func (d *picture) abort(reason error) error { return reason }

// folder is a new folder of files about each picture.
type folder struct {
	*output.Folder
	each func(dir string, p annotate.Picture, image pgc.Image) error
	last func(dir string) error // may be nil
}

// newFolder starts a folder with folders of the given names in it.
func newFolder(path string, each func(dir string, p annotate.Picture, image pgc.Image) error, last func(dir string) error, inner ...string) (*folder, error) {
	d, err := output.CreateFolder(path)
	if err != nil {
		return nil, err
	}
	for _, name := range inner {
		if err := os.Mkdir(filepath.Join(d.Dir, name), 0o777); err != nil {
			return nil, d.Abort(err)
		}
	}
	return &folder{d, each, last}, nil
}

func (f *folder) add(p annotate.Picture, image pgc.Image) error { return f.each(f.Dir, p, image) }

func (f *folder) close() error {
	if f.last != nil {
		if err := f.last(f.Dir); err != nil {
			return f.Abort(err)
		}
	}
	return f.Close()
}

func (f *folder) abort(reason error) error { return f.Abort(reason) }
