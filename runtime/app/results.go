package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/term"

	"pgc"
	"pgc/runtime/annotate"
	"pgc/runtime/output"
	"pgc/runtime/parts"
)

// results are the places that what was found is written to.
type results struct {
	sinks  []sink
	failed int // pictures
	total  int
}

// sink takes what was found, picture by picture. Its results get their names in close.
type sink interface {
	add(p annotate.Picture, image pgc.Image) error
	close() error
	abort(reason error) error // returns reason, in the user's names
}

// add gives a picture to all.
func (w *results) add(p annotate.Picture, image pgc.Image) error {
	for _, s := range w.sinks {
		if err := s.add(p, image); err != nil {
			return err
		}
	}
	return nil
}

// close completes all results.
func (w *results) close() error {
	for i, s := range w.sinks {
		if err := s.close(); err != nil {
			rest := results{sinks: w.sinks[i+1:]}
			return rest.abort(err)
		}
	}
	if w.failed > 0 {
		return fmt.Errorf("%d of %d pictures failed", w.failed, w.total)
	}
	return nil
}

// abort removes what is incomplete and returns the reason.
func (w *results) abort(reason error) error {
	for _, s := range w.sinks {
		reason = s.abort(reason)
	}
	return reason
}

// suffixes are what the files of formats with a file a picture end in.
var suffixes = map[string]string{"labelme": ".json", "svg": ".svg", "png": ".png"}

// results opens what the flags name. Wrong usage is found before anything is made.
func (c *locating) results(a *App, names []string, masks string) (*results, error) {
	format, err := c.format(len(names))
	if err != nil {
		return nil, err
	}
	if !parts.Full && (c.Draw != "" || format == "png" || format == "svg") {
		return nil, usage{parts.Missing("drawing is")}
	}
	if c.MaxBoxes != nil && *c.MaxBoxes > annotate.MaxIndex && (format == "png" || masks != "") {
		return nil, usage{fmt.Errorf("--max-boxes is %d, but a picture of indices holds at most %d objects: expected fewer, or neither --format png nor --masks", *c.MaxBoxes, annotate.MaxIndex)}
	}
	intoFolder := format == "yolo" || suffixes[format] != "" && c.Output != "" && (len(names) > 1 || !isFile(c.Output, suffixes[format]))
	drawFolder := c.Draw != "" && (len(names) > 1 || !isFile(c.Draw, drawn...))
	if err := c.checkPlaces(names, masks, format, intoFolder, drawFolder); err != nil {
		return nil, err
	}
	w := &results{total: len(names)}
	open := func(s sink, err error) error {
		if err != nil {
			return w.abort(err)
		}
		w.sinks = append(w.sinks, s)
		return nil
	}
	switch {
	case format == "yolo":
		y := &annotate.YOLO{}
		err = open(newFolder(c.Output, func(dir string, p annotate.Picture, _ pgc.Image) error {
			return output.WriteFile(filepath.Join(dir, "labels", annotate.Stem(p.Name)+".txt"), y.Labels(p))
		}, func(dir string) error { return output.WriteFile(filepath.Join(dir, "data.yaml"), y.Data()) }, "labels"))
	case suffixes[format] != "" && intoFolder:
		err = open(newFolder(c.Output, func(dir string, p annotate.Picture, image pgc.Image) error {
			path := annotate.Stem(p.Name) + suffixes[format]
			data, err := encode(a, format, p, image, filepath.Join(c.Output, path))
			if err != nil {
				return err
			}
			return output.WriteFile(filepath.Join(dir, path), data)
		}, nil))
	default:
		err = open(newStream(a, format, c.Output, len(names)))
	}
	if err == nil && drawFolder {
		err = open(newFolder(c.Draw, func(dir string, p annotate.Picture, image pgc.Image) error {
			data, err := render(a, ".png", p, image)
			if err != nil {
				return err
			}
			return output.WriteFile(filepath.Join(dir, annotate.Stem(p.Name)+".png"), data)
		}, nil))
	} else if err == nil && c.Draw != "" {
		err = open(&picture{a: a, path: c.Draw}, output.Allowed(c.Draw))
	}
	if err == nil && masks != "" {
		err = open(newFolder(masks, func(dir string, p annotate.Picture, _ pgc.Image) error {
			if len(names) > 1 {
				dir = filepath.Join(dir, annotate.Stem(p.Name))
				if err := os.Mkdir(dir, 0o777); err != nil {
					return err
				}
			}
			return writeMasks(dir, p)
		}, nil))
	}
	return w, err
}

// format returns the format that the flags ask for, of so many pictures.
func (c *locating) format(pictures int) (string, error) {
	format := c.Format
	tty := c.Output == "" && term.IsTerminal(int(os.Stdout.Fd()))
	if format == "auto" {
		format = map[string]string{".json": "json", ".jsonl": "json", ".svg": "svg", ".png": "png"}[extension(c.Output)]
		switch {
		case tty:
			format = "table"
		case format == "":
			format = "tsv"
		}
	}
	switch {
	case format == "yolo" && c.Output == "":
		return "", usage{errors.New("yolo is several files: expected -o DIR, a new folder")}
	case suffixes[format] != "" && c.Output == "" && pictures > 1:
		return "", usage{fmt.Errorf("%s is a file a picture, and there are %d: expected -o DIR, a new folder", format, pictures)}
	case format == "png" && tty:
		return "", usage{errors.New("png is no text for a terminal: expected -o FILE.png")}
	}
	return format, nil
}

// checkPlaces refuses names for one file that several would need, places named twice, and pictures whose files would
// have the same name.
func (c *locating) checkPlaces(names []string, masks, format string, intoFolder, drawFolder bool) error {
	several := func(flag, path string) error {
		return usage{fmt.Errorf("%s %s is one file, but there are %d pictures: expected a new folder", flag, path, len(names))}
	}
	if len(names) > 1 && slices.Contains(drawn, extension(c.Draw)) {
		return several("--draw", c.Draw)
	}
	if s := suffixes[format]; len(names) > 1 && s != "" && extension(c.Output) == s {
		return several("-o", c.Output)
	}
	if e := extension(c.Draw); drawFolder && len(names) == 1 && e != "" {
		if info, err := os.Stat(c.Draw); err != nil || !info.IsDir() {
			return usage{fmt.Errorf("--draw %s ends in %s, expected %s, or a new folder", c.Draw, e, strings.Join(drawn, ", "))}
		}
	}
	var places []string
	for _, path := range []string{c.Output, c.Draw, masks} {
		if path == "" || path == os.DevNull {
			continue
		}
		if path = filepath.Clean(path); slices.Contains(places, path) {
			return usage{fmt.Errorf("%s is named for two results, expected a place for each", path)}
		}
		places = append(places, path)
	}
	if format != "yolo" && (len(names) == 1 || !intoFolder && !drawFolder && masks == "") {
		return nil
	}
	of := map[string]string{}
	for _, name := range names {
		stem := annotate.Stem(name)
		if other, used := of[stem]; used {
			return usage{fmt.Errorf("files about %s and %s would both be named %s, expected pictures of different names", other, name, stem)}
		}
		of[stem] = name
	}
	return nil
}

// isFile reports whether a result goes to one file at path: its name ends so, or there is something that is no folder.
func isFile(path string, suffixes ...string) bool {
	info, err := os.Stat(path)
	if err == nil {
		return !info.IsDir()
	}
	return slices.Contains(suffixes, extension(path))
}
