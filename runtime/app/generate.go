package app

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"pgc"
	"pgc/runtime/imageio"
	"pgc/runtime/output"
)

type generateCmd struct {
	Args   []string `arg:"" optional:"" name:"image… prompt" help:"Short form: pictures, then the prompt."`
	Image  []string `sep:"none" help:"A picture (PNG, JPEG, GIF, WebP, BMP or TIFF): path, - for standard input, data: or http(s): URL. Repeat for several."`
	Prompt []string `sep:"none" help:"The prompt, such as 'caption en', 'detect cat' or 'answer en what is this?'. Repeat for several answers about the same pictures, which are encoded once."`
	Each   bool     `help:"Answer about each picture separately instead of about all together."`
	settings
	Threads int    `help:"Threads to compute on (default: all processors)."`
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
	for _, j := range jobs {
		output.Protect(j.images...)
	}
	if c.Draw != "" {
		if err := output.Allowed(c.Draw); err != nil {
			return err
		}
	}
	var al album
	requests := make([]pgc.Request, len(jobs))
	for i, j := range jobs {
		requests[i] = pgc.Request{Prompt: j.prompt, Settings: pgc.Settings(c.settings)}
		if requests[i].Images, err = al.images(j.images); err != nil {
			return err
		}
	}
	for _, image := range requests[0].Images { // says what is wrong with them before the model is loaded
		if _, _, err := image.Size(a.ctx); err != nil {
			return err
		}
	}
	m, err := a.load(c.Threads)
	if err != nil {
		return err
	}
	defer m.Close()
	load := time.Since(a.opened)
	if c.Stream && !c.JSON && term.IsTerminal(int(os.Stdout.Fd())) {
		return c.stream(a, m, requests)
	}
	next := 0
	for got, err := range m.Batch(a.ctx, slices.Values(requests)) {
		if err != nil {
			return err
		}
		if err := c.print(a, requests[next], got, load); err != nil {
			return err
		}
		requests[next] = pgc.Request{}
		next++
	}
	return nil
}

// stream prints the text of the answers as it is generated.
func (c *generateCmd) stream(a *App, m *pgc.Model, requests []pgc.Request) error {
	for _, r := range requests {
		var text strings.Builder
		for t, err := range m.Stream(a.ctx, r) {
			if err != nil {
				fmt.Fprintln(a.Out)
				return err
			}
			text.WriteString(t.Text)
			fmt.Fprint(a.Out, t.Text)
		}
		fmt.Fprintln(a.Out)
		if c.Draw != "" {
			width, height, err := r.Images[0].Size(a.ctx)
			if err != nil {
				return err
			}
			found, _ := pgc.ParseBoxes(text.String(), width, height)
			if err := draw(a, c.Draw, r.Images[0], found); err != nil {
				return err
			}
		}
	}
	return nil
}

// print prints an answer.
func (c *generateCmd) print(a *App, r pgc.Request, got *pgc.Answer, load time.Duration) error {
	if c.Draw != "" {
		if err := draw(a, c.Draw, r.Images[0], got.Boxes); err != nil {
			return err
		}
	}
	if c.JSON {
		return writeJSON(a.Out, newAnswer(got, load))
	}
	_, err := fmt.Fprintln(a.Out, got.Text)
	return err
}

// draw writes the first image with the boxes over it to a PNG.
func draw(a *App, path string, image pgc.Image, found []pgc.Box) error {
	m, err := pgc.Draw(a.ctx, image, found)
	if err != nil {
		return err
	}
	return imageio.WritePNG(path, m)
}
