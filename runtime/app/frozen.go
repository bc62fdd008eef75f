package app

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"pgc"
	"pgc/runtime/annotate"
	"pgc/runtime/detect"
	"pgc/runtime/output"
	"pgc/runtime/plural"
	"pgc/runtime/process"
)

// frozen are the commands of an executable with prompts of its own.
type frozen struct {
	Answer answerCmd `cmd:"" default:"withargs" help:"Answer the prompts that are built in about each picture. The word answer may be left out: IMAGE…."`
	common
}

type answerCmd struct {
	Pictures []string "arg:\"\" name:\"image\" help:\"Pictures (PNG, JPEG, GIF, WebP, BMP, TIFF or PNM): path, - for standard input, data: or http(s): URL.\""
	detecting
	Adapter string `placeholder:"NAME" help:"Answer with this adapter, one of those that info lists."`
	Format  string `enum:"auto,table,tsv,json,coco,yolo,labelme,labelstudio,svg,png" default:"auto" placeholder:"FORMAT" help:"Of one task: what to write, as detect and segment do: table, tsv, json, coco, yolo, labelme, labelstudio, svg or png."`
	Output  string `short:"o" placeholder:"FILE|DIR" help:"Of one task: write there instead of to standard output."`
	Draw    string `placeholder:"OUT.png|.jpg|.svg|DIR" help:"Of one task: draw the objects over the picture."`
	Masks   string `placeholder:"DIR" help:"Of one task to segment: write a PNG for every object's mask, and index.png."`
	JSON    bool   `name:"json" help:"Print a JSON object per answer, one a line."`
	Threads int    `help:"Threads to compute on (default: the cores that this process may use, see info)."`
}

// Run answers what is built in.
func (c *answerCmd) Run(a *App) error {
	if c.FreeLabels {
		return usage{pgc.ErrOwnLabels}
	}
	list := a.Executable.Frozen()
	if one := list[0]; len(list) == 1 && one.Task != "" {
		l := locating{detecting: c.detecting, Adapter: c.Adapter, Format: c.Format, Output: c.Output, Draw: c.Draw, Threads: c.Threads}
		if c.JSON {
			if c.Format != "auto" && c.Format != "json" {
				return usage{fmt.Errorf("--json and --format %s are given, expected one of them", c.Format)}
			}
			l.Format = "json"
		}
		segment := one.Task == detect.Segment
		if c.Masks != "" && !segment {
			return usage{errors.New("--masks is given, but the task that is built in is detect, expected one to segment")}
		}
		return l.locate(a, c.Pictures, one.Classes, segment, c.Masks)
	}
	for _, f := range []struct{ flag, given string }{{"--format", strings.TrimPrefix(c.Format, "auto")}, {"-o", c.Output}, {"--draw", c.Draw}, {"--masks", c.Masks}} {
		if f.given != "" {
			return usage{fmt.Errorf("%s is for an executable with one task, this one has %s, expected --json at most", f.flag, plural.Of(len(list), "prompt"))}
		}
	}
	if c.detecting != (detecting{}) && !slices.ContainsFunc(list, func(p pgc.Frozen) bool { return p.Task != "" }) {
		return usage{errors.New("a setting of objects such as --min-score is given, but no task is built in, expected --json at most")}
	}
	settings, err := c.settings()
	if err != nil {
		return usage{err}
	}
	return c.lines(a, list, settings)
}

// lines prints an answer a line: for every picture those to all prompts. What cannot be answered is reported, and the
// others go on.
func (c *answerCmd) lines(a *App, list []pgc.Frozen, settings pgc.DetectSettings) error {
	output.Protect(c.Pictures...)
	pictures, err := a.album().images(c.Pictures)
	if err != nil {
		return err
	}
	m, err := a.load(c.Threads)
	if err != nil {
		return err
	}
	defer m.Close()
	for _, p := range list {
		a.warn("", unmasked(a, p.Task))
	}
	next, failed, said := 0, 0, ""
	for got, err := range m.Tasks(a.ctx, c.tasks(pictures, list, settings)) {
		if a.ctx.Err() != nil {
			return a.ctx.Err()
		}
		name := c.Pictures[next/len(list)]
		if next++; next%len(list) == 0 {
			pictures[next/len(list)-1] = pgc.Image{} // with its pixels
		}
		if err != nil {
			if errors.Is(err, pgc.ErrDamaged) || len(pictures) == 1 {
				return err
			}
			failed++
			if text := process.Line(err.Error()); text != said { // once for all prompts about a picture
				said = text
				fmt.Fprintf(a.Err, "%s\n", text)
			}
			continue
		}
		if err := c.line(a, name, got); err != nil {
			return err
		}
		if got.Detection != nil {
			a.doubt(shortened(name), got.Detection)
		} else {
			a.warn(shortened(name)+": ", got.Answer.Warnings)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d answers failed", failed, len(pictures)*len(list))
	}
	return nil
}

// tasks asks all prompts about each picture.
func (c *answerCmd) tasks(pictures []pgc.Image, list []pgc.Frozen, settings pgc.DetectSettings) iter.Seq[pgc.Task] {
	return func(yield func(pgc.Task) bool) {
		for _, picture := range pictures {
			for _, p := range list {
				var task pgc.Task = pgc.Request{Images: []pgc.Image{picture}, Prompt: p.Text, Settings: pgc.Settings{Adapter: c.Adapter}}
				if p.Task != "" {
					task = pgc.DetectRequest{Image: picture, Classes: p.Classes, Segment: p.Task == detect.Segment, Adapter: c.Adapter, DetectSettings: settings}
				}
				if !yield(task) {
					return
				}
			}
		}
	}
}

// line prints an answer: of a task that of the model, or what was not found.
func (c *answerCmd) line(a *App, name string, got pgc.Result) error {
	var err error
	switch d := got.Detection; {
	case c.JSON && d != nil:
		err = writeJSON(a.Out, annotate.JSON(annotate.Picture{Name: name, Detection: d}))
	case c.JSON:
		answer := newAnswer(got.Answer, 0)
		answer.Image = name
		err = writeJSON(a.Out, answer)
	case d != nil && d.Text == "":
		_, err = fmt.Fprintf(a.Out, "no %s\n", strings.Join(d.Missing(), ", no "))
	case d != nil:
		_, err = fmt.Fprintln(a.Out, process.Line(d.Text))
	default:
		_, err = fmt.Fprintln(a.Out, process.Line(got.Answer.Text))
	}
	return err
}
