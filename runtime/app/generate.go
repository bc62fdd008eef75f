package app

import (
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/term"

	"pgc"
	"pgc/runtime/imageio"
	"pgc/runtime/output"
	"pgc/runtime/parts"
)

type generateCmd struct {
	Args   []string `arg:"" optional:"" name:"image… prompt" help:"Short form: pictures, then the prompt."`
	Image  []string `sep:"none" help:"A picture (PNG, JPEG, GIF, WebP, BMP, TIFF or PNM): path, - for standard input, data: or http(s): URL. Repeat for several."`
	Prompt []string `sep:"none" help:"The prompt, such as 'caption en', 'detect cat' or 'answer en what is this?'. Repeat for several answers about the same pictures, which are encoded once."`
	Each   bool     `help:"Answer about each picture separately instead of about all together: a line is PATH, a tab, and the answer with its newlines as \\n. A picture that cannot be read does not stop the others."`
	settings
	Threads int    `help:"Threads to compute on (default: the cores that this process may use, see info)."`
	Draw    string `placeholder:"OUT.png" help:"Draw the boxes of the answer over the first picture."`
	Stream  bool   `default:"true" negatable:"" help:"On a terminal, print text as it is generated."`
	JSON    bool   `name:"json" help:"Print one JSON object per answer."`
}

// job is one answer to give.
type job struct {
	images []string
	prompt string
}

// jobs resolves the two ways to name images and prompts. Answers come in the order of images, then of prompts.
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
		return nil, usage{fmt.Errorf("--draw takes one answer, found %d, expected one", len(out))}
	}
	return out, nil
}

// Run answers the prompts.
func (c *generateCmd) Run(a *App) error {
	jobs, err := c.jobs()
	if err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return usage{err}
	}
	if c.Logprobs && !c.JSON {
		fmt.Fprintln(a.Err, "warning: --logprobs has no effect without --json, which prints them")
	}
	for _, j := range jobs {
		output.Protect(j.images...)
	}
	if c.Draw != "" {
		if !parts.Full {
			return usage{parts.Missing("drawing is")}
		}
		if err := output.Allowed(c.Draw); err != nil {
			return err
		}
	}
	al := a.album()
	requests := make([]pgc.Request, len(jobs))
	for i, j := range jobs {
		requests[i] = pgc.Request{Prompt: j.prompt, Settings: pgc.Settings(c.settings)}
		if requests[i].Images, err = al.images(j.images); err != nil {
			return err
		}
	}
	if !c.Each {
		for _, image := range requests[0].Images { // says what is wrong with them before the model is loaded
			if _, _, err := image.Size(a.ctx); err != nil {
				return err
			}
		}
	}
	m, err := a.load(c.Threads)
	if err != nil {
		return err
	}
	defer m.Close()
	p := printer{generateCmd: c, a: a, load: time.Since(a.opened)}
	if c.Stream && !c.JSON && term.IsTerminal(int(os.Stdout.Fd())) {
		for i, r := range requests {
			requests[i] = pgc.Request{}
			if err := p.stream(m, jobs[i], r); err != nil {
				return err
			}
		}
		return p.finish()
	}
	next := 0
	for got, err := range m.Batch(a.ctx, slices.Values(requests)) {
		if err := p.print(jobs[next], requests[next], got, err); err != nil {
			return err
		}
		requests[next] = pgc.Request{}
		next++
	}
	return p.finish()
}

// draw writes the first image with the boxes over it to a PNG.
func draw(a *App, path string, image pgc.Image, found []pgc.Box) error {
	if !parts.Full {
		return parts.Missing("drawing is")
	}
	m, err := pgc.Draw(a.ctx, image, found)
	if err != nil {
		return err
	}
	return imageio.WritePNG(path, m)
}
