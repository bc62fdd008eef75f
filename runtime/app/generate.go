package app

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/term"

	"pgc/runtime/boxes"
	"pgc/runtime/draw"
	"pgc/runtime/generate"
	"pgc/runtime/imageio"
	"pgc/runtime/rgb"
)

type generateCmd struct {
	Args   []string `arg:"" optional:"" name:"image… prompt" help:"Short form: pictures, then the prompt."`
	Image  []string `sep:"none" help:"A picture (PNG, JPEG, GIF, WebP, BMP or TIFF): path, - for standard input, data: or http(s): URL. Repeat for several."`
	Prompt []string `sep:"none" help:"The prompt, such as 'caption en', 'detect cat' or 'answer en what is this?'. Repeat for several answers about the same pictures, which are encoded once."`
	Each   bool     `help:"Answer about each picture on its own instead of about all together."`
	settings
	Threads int    `help:"Threads to compute on (default: all processors)."`
	Draw    string `placeholder:"OUT.png" help:"Draw the boxes of the answer over the first picture."`
	Stream  bool   `default:"true" negatable:"" help:"Print text as it comes, on a terminal."`
	JSON    bool   `name:"json" help:"Print one JSON object an answer."`
}

// job is one answer to give.
type job struct {
	images []string
	prompt string
}

// jobs sorts out the two ways to name pictures and prompts. Answers come in the order of pictures, then of prompts.
func (c *generateCmd) jobs() ([]job, error) {
	images, prompts := c.Image, c.Prompt
	if len(prompts) > 0 || len(images) > 0 {
		switch {
		case len(c.Args) > 0:
			return nil, usage{fmt.Errorf("unexpected argument %q beside --image and --prompt", c.Args[0])}
		case len(prompts) == 0:
			return nil, usage{fmt.Errorf("--prompt is missing: write --image %s --prompt TEXT", images[0])}
		case len(images) == 0:
			return nil, usage{fmt.Errorf("--image is missing: write --image PICTURE --prompt TEXT")}
		}
	} else {
		switch len(c.Args) {
		case 0:
			return nil, usage{fmt.Errorf("a picture and a prompt are missing: write IMAGE… PROMPT, such as photo.jpg \"caption en\"")}
		case 1:
			return nil, usage{fmt.Errorf("a picture or a prompt is missing: write %s PROMPT, such as %s \"caption en\"", c.Args[0], c.Args[0])}
		}
		last := len(c.Args) - 1
		images, prompts = c.Args[:last], c.Args[last:]
	}
	groups := [][]string{images}
	if c.Each {
		groups = nil
		for i := range images {
			groups = append(groups, images[i:i+1])
		}
	}
	var out []job
	for _, g := range groups {
		for _, p := range prompts {
			out = append(out, job{g, p})
		}
	}
	if c.Draw != "" && len(out) > 1 {
		return nil, usage{fmt.Errorf("--draw takes one answer, but there are %d", len(out))}
	}
	return out, nil
}

// Run answers the prompts.
func (c *generateCmd) Run(a *App) error {
	jobs, err := c.jobs()
	if err != nil {
		return err
	}
	r, err := c.request(a.Model)
	if err != nil {
		return usage{err}
	}
	var pics album
	if r.Pictures, err = pics.open(a, jobs[0].images); err != nil {
		return err
	}
	s, done, err := a.session(c.Threads)
	if err != nil {
		return err
	}
	defer done()
	load := time.Since(a.opened)
	requests := make([]generate.Request, len(jobs))
	open := func(i int) (generate.Request, error) {
		r.Prompt = jobs[i].prompt
		r.Pictures, err = pics.open(a, jobs[i].images)
		requests[i] = r
		return r, err
	}
	streaming := c.Stream && !c.JSON && term.IsTerminal(int(os.Stdout.Fd()))
	if len(jobs) > 1 && !streaming {
		return s.Batch(a.ctx, len(jobs), open, func(i int, got *generate.Answer, err error) error {
			if err != nil {
				return err
			}
			defer func() { requests[i] = generate.Request{} }()
			return c.print(a, &requests[i], got, load, false)
		})
	}
	for i := range jobs {
		r, err := open(i)
		if err != nil {
			return err
		}
		if streaming {
			r.OnText = func(text string) { fmt.Fprint(a.Out, text) }
		}
		got, err := s.Generate(a.ctx, r)
		if err != nil {
			if streaming {
				fmt.Fprintln(a.Out)
			}
			return err
		}
		if err := c.print(a, &r, got, load, streaming); err != nil {
			return err
		}
	}
	return nil
}

// print prints an answer, of which the text may be there already.
func (c *generateCmd) print(a *App, r *generate.Request, got *generate.Answer, load time.Duration, streamed bool) error {
	out := newAnswer(r, got, load)
	if c.Draw != "" {
		if err := drawBoxes(c.Draw, r.Pictures[0], out.Boxes); err != nil {
			return err
		}
	}
	if c.JSON {
		return writeJSON(a.Out, out)
	}
	text := out.Text
	if streamed {
		text = ""
	}
	_, err := fmt.Fprintln(a.Out, text)
	return err
}

// drawBoxes writes the first picture with the boxes over it.
func drawBoxes(path string, p *rgb.Image, found []boxes.Box) error {
	var list []draw.Box
	for _, b := range found {
		list = append(list, draw.Box{Label: b.Label, X0: b.Box[0], Y0: b.Box[1], X1: b.Box[2], Y1: b.Box[3]})
	}
	return imageio.WritePNG(path, draw.Boxes(p, list))
}
