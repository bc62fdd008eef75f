package app

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"

	"pgc"
	"pgc/runtime/annotate"
	"pgc/runtime/detect"
	"pgc/runtime/fetch"
	"pgc/runtime/output"
	"pgc/runtime/process"
)

// detecting are settings of detect and segment: flags, and fields of batch's requests. A nil field has its default.
type detecting struct {
	MinScore   *float64 `json:"min_score" placeholder:"P" help:"Leave out objects with a lower score, 0 to 1 (default: 0.25)."`
	MaxBoxes   *int     `json:"max_boxes" placeholder:"N" help:"Find at most N objects in a picture (default: 100)."`
	NMS        *float64 `name:"nms" json:"nms" placeholder:"IOU" help:"Of two objects of a class that overlap by more than this intersection over union, leave one out; 1 is off (default: 0.7)."`
	PerClass   *bool    `negatable:"" json:"per_class" help:"Ask for each class with a prompt of its own, all on the picture encoded once (default: from five classes on)."`
	FreeLabels bool     `json:"free_labels" help:"Take objects whose label is none of the classes, too."`
	BoxScale   *int     `json:"box_scale" placeholder:"1024|1023" help:"Divide locations by 1024 or, as published scores of segmentation do, by 1023 (default: 1024)."`
	NoScores   bool     `json:"no_scores" help:"Leave out the scores, which is faster."`
}

// settings are the library's, whose scale is a number alone.
func (d detecting) settings() (s pgc.DetectSettings, err error) {
	s = pgc.DetectSettings{MinScore: d.MinScore, MaxBoxes: d.MaxBoxes, NMS: d.NMS, PerClass: d.PerClass, FreeLabels: d.FreeLabels, NoScores: d.NoScores}
	if d.BoxScale != nil {
		if s.BoxScale, err = *d.BoxScale, pgc.CheckScale(*d.BoxScale); err != nil {
			return s, err
		}
	}
	return s, s.Check()
}

// locating are the arguments of detect and segment.
type locating struct {
	Args []string "arg:\"\" optional:\"\" name:\"image… classes\" help:\"Pictures (PNG, JPEG, GIF, WebP, BMP, TIFF or PNM: path, - for standard input, data: or http(s): URL), then the classes, such as 'cat ; dog'.\""
	detecting
	Adapter string `placeholder:"NAME" help:"Answer with this adapter, one of those that info lists."`
	Format  string `enum:"auto,table,tsv,json,coco,yolo,labelme,labelstudio,svg,png" default:"auto" placeholder:"FORMAT" help:"What to write: table, tsv, json (an object a picture, one a line), coco, yolo, labelme, labelstudio, svg, or png, a picture of indices. The default is a table on a terminal, else what the name of -o ends in, else tsv."`
	Output  string `short:"o" placeholder:"FILE|DIR" help:"Write there instead of to standard output: a new folder for yolo, and for labelme, svg and png of several pictures."`
	Draw    string `placeholder:"OUT.png|.jpg|.svg|DIR" help:"Draw the objects over the picture; of several pictures PNG files in a new folder."`
	Threads int    `help:"Threads to compute on (default: the cores that this process may use, see info)."`

	undrawable []string // labels that were warned of
}

type detectCmd struct{ locating }

type segmentCmd struct {
	locating
	Masks string `placeholder:"DIR" help:"Write a PNG for every object's mask, and index.png, the picture of their indices, to a new folder; with several pictures, a folder in it for each."`
}

// Run finds objects.
func (c *detectCmd) Run(a *App) error { return c.run(a, false, "") }

// Run finds objects and their masks.
func (c *segmentCmd) Run(a *App) error { return c.run(a, true, c.Masks) }

// arguments splits the arguments into pictures and classes.
func (c *locating) arguments(task string) (pictures, classes []string, err error) {
	last := len(c.Args) - 1
	if last < 1 {
		return nil, nil, usage{fmt.Errorf("pictures or classes are missing: write IMAGE… CLASSES, such as %s photo.jpg 'cat ; dog'", task)}
	}
	if info, err := os.Stat(c.Args[last]); err == nil && info.Mode().IsRegular() {
		return nil, nil, usage{fmt.Errorf("the classes are missing: the last argument, %s, is a file, expected some such as 'cat ; dog'", c.Args[last])}
	}
	if classes, err = detect.Classes(c.Args[last]); err != nil {
		return nil, nil, usage{err}
	}
	return c.Args[:last], classes, nil
}

// run finds objects of the classes in every picture. A picture that cannot be read is reported, and the others go on.
func (c *locating) run(a *App, segment bool, masks string) error {
	names, classes, err := c.arguments(detect.Task(segment))
	if err != nil {
		return err
	}
	return c.locate(a, names, classes, segment, masks)
}

// locate finds objects of the classes in every picture.
func (c *locating) locate(a *App, names, classes []string, segment bool, masks string) error {
	settings, err := c.settings()
	if err != nil {
		return usage{err}
	}
	r := pgc.DetectRequest{Classes: classes, Segment: segment, Adapter: c.Adapter, DetectSettings: settings}
	codes := unmasked(a, detect.Task(segment))
	if codes != nil && masks != "" {
		return usage{pgc.ErrNoMasks}
	}
	a.warn("", codes)
	output.Protect(names...)
	w, err := c.results(a, names, masks)
	if err != nil {
		return err
	}
	if err := c.find(a, names, r, w); err != nil {
		return w.abort(err)
	}
	return w.close()
}

// doubt says what is doubtful about what was found in a picture.
func (a *App) doubt(name string, d *pgc.Detection) {
	if d.FinishReason == pgc.Length {
		fmt.Fprintf(a.Err, "warning: %s: objects may be missing, since the answer reached the most boxes (--max-boxes) or the end of the KV cache (pgc compile --max-tokens)\n", process.Line(name))
	}
	a.warn(name+": ", d.Warnings)
}

// unmasked warns of a task that needs a decoder of masks, which the executable lacks.
func unmasked(a *App, task string) []pgc.Warning {
	if task != detect.Segment || a.Executable.Info().Masks != nil {
		return nil
	}
	return []pgc.Warning{{Kind: pgc.NoMasks, Text: pgc.ErrNoMasks.Error()}}
}

// find gives what was found in each picture to w.
func (c *locating) find(a *App, names []string, r pgc.DetectRequest, w *results) error {
	pictures, err := a.album().images(names)
	if err != nil {
		return err
	}
	if _, _, err := pictures[0].Size(a.ctx); err != nil && len(names) == 1 { // before the model is loaded
		return err
	}
	m, err := a.load(c.Threads)
	if err != nil {
		return err
	}
	defer m.Close()
	if err := m.CheckDetect(r); err != nil {
		return err
	}
	next, failed := 0, 0
	for d, err := range m.DetectBatch(a.ctx, requestsFor(pictures, r)) {
		if a.ctx.Err() != nil {
			return a.ctx.Err()
		}
		name, picture := shortened(names[next]), pictures[next]
		pictures[next] = pgc.Image{} // with its pixels
		next++                       // now the picture's number
		switch {
		case errors.Is(err, pgc.ErrDamaged) || err != nil && len(names) == 1:
			return err
		case err != nil:
			failed++
			fmt.Fprintf(a.Err, "%s\n", process.Line(err.Error()))
			continue
		}
		c.warn(a, d)
		a.doubt(name, d)
		if err := w.add(annotate.Picture{Name: name, Number: next, Detection: d}, picture); err != nil {
			return err
		}
	}
	if failed == len(names) {
		return fmt.Errorf("all %d pictures failed", failed)
	}
	w.failed = failed
	return nil
}

// warn says which labels are drawn as numbers.
func (c *locating) warn(a *App, d *pgc.Detection) {
	if c.Draw == "" || extension(c.Draw) == ".svg" {
		return
	}
	for _, label := range d.Undrawable() {
		if !slices.Contains(c.undrawable, label) {
			c.undrawable = append(c.undrawable, label)
			fmt.Fprintf(a.Err, "warning: the label %s has letters that the fonts here lack, and is drawn as a number: --draw OUT.svg leaves letters to the viewer\n", process.Line(label))
		}
	}
}

// shortened is the name of a picture in results: a data: URI is not repeated.
func shortened(name string) string {
	if fetch.IsURL(name) && strings.HasPrefix(strings.ToLower(strings.TrimSpace(name)), "data:") {
		return fetch.Short(strings.TrimSpace(name))
	}
	return name
}

// requestsFor asks the same about every picture.
func requestsFor(pictures []pgc.Image, r pgc.DetectRequest) iter.Seq[pgc.DetectRequest] {
	return func(yield func(pgc.DetectRequest) bool) {
		for _, r.Image = range pictures {
			if !yield(r) {
				return
			}
		}
	}
}

// extension is what a file's name ends in, in small letters.
func extension(path string) string {
	dot := strings.LastIndexByte(path, '.')
	if dot < 0 || strings.ContainsRune(path[dot:], '/') {
		return ""
	}
	return strings.ToLower(path[dot:])
}
