package app

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"sort"
	"strconv"

	"golang.org/x/term"

	"pgc"
	"pgc/runtime/output"
	"pgc/runtime/process"
)

type embedCmd struct {
	Image   []string `arg:"" optional:"" name:"image" help:"An image of a page: path, - for standard input, data: or http(s): URL."`
	Query   []string `sep:"none" placeholder:"TEXT" help:"A query instead of images. Repeat for several."`
	Output  string   `short:"o" required:"" placeholder:"OUT.safetensors" help:"Where to write the embeddings: embeddings.0, embeddings.1, …, in the order given, float32 [tokens, dim]."`
	Adapter string   `placeholder:"NAME" help:"Embed with this adapter, one of those that info lists."`
	Threads int      `help:"Threads to compute on (default: the cores that this process may use, see info)."`
}

// Run writes embeddings of images or of queries.
func (c *embedCmd) Run(a *App) error {
	switch {
	case len(c.Image) == 0 && len(c.Query) == 0:
		return usage{fmt.Errorf("an image or a query is missing: write IMAGE… or --query TEXT")}
	case len(c.Image) > 0 && len(c.Query) > 0:
		return usage{fmt.Errorf("unexpected image %q beside --query, expected images or queries", c.Image[0])}
	}
	if err := checkQueries(c.Query); err != nil {
		return err
	}
	output.Protect(c.Image...)
	if err := output.Allowed(c.Output); err != nil {
		return err
	}
	images, err := a.album().images(c.Image)
	if err != nil {
		return err
	}
	m, err := a.load(c.Threads)
	if err != nil {
		return err
	}
	defer m.Close()
	return m.EmbedFile(a.ctx, pgc.EmbedRequest{Images: images, Queries: c.Query, Adapter: c.Adapter}, c.Output)
}

// checkQueries refuses empty queries.
func checkQueries(queries []string) error {
	if slices.Contains(queries, "") {
		return usage{fmt.Errorf("--query is empty, expected a text")}
	}
	return nil
}

type rankCmd struct {
	Query   string   `required:"" placeholder:"TEXT" help:"What to look for."`
	Image   []string `arg:"" optional:"" name:"image" help:"An image of a page: path, - for standard input, data: or http(s): URL."`
	Adapter string   `placeholder:"NAME" help:"Embed with this adapter, one of those that info lists."`
	Threads int      `help:"Threads to compute on (default: the cores that this process may use, see info)."`
	JSON    bool     `name:"json" help:"Print one JSON object."`
}

// ranking is the object that rank --json prints.
type ranking struct {
	Query  string   `json:"query"`
	Images []ranked `json:"images"` // the best first
}

// ranked is an image and its score.
type ranked struct {
	Score float64 `json:"score"`
	Image string  `json:"image"`
}

// Run prints the images, the one that answers the query best first, equal ones in the order given. Their names are bytes
// in a pipe or a file; a terminal is shown no more than it prints.
func (c *rankCmd) Run(a *App) error {
	if err := checkQueries([]string{c.Query}); err != nil {
		return err
	}
	if len(c.Image) == 0 {
		return usage{fmt.Errorf("images are missing: write rank --query TEXT IMAGE…")}
	}
	images, err := a.album().images(c.Image)
	if err != nil {
		return err
	}
	m, err := a.load(c.Threads)
	if err != nil {
		return err
	}
	defer m.Close()
	query, err := m.Embed(a.ctx, pgc.EmbedRequest{Queries: []string{c.Query}, Adapter: c.Adapter})
	if err != nil {
		return err
	}
	out := ranking{Query: c.Query}
	for i, name := range c.Image {
		image, err := m.Embed(a.ctx, pgc.EmbedRequest{Images: images[i : i+1], Adapter: c.Adapter})
		if err != nil {
			return err
		}
		score, err := pgc.Score(query[0], image[0])
		if err != nil {
			return err
		}
		out.Images = append(out.Images, ranked{score, name})
		images[i] = pgc.Image{} // its pixels are not needed any more
	}
	sort.SliceStable(out.Images, func(i, j int) bool { return cmp.Less(out.Images[j].Score, out.Images[i].Score) })
	if c.JSON {
		return writeJSON(a.Out, out)
	}
	show := func(name string) string { return name }
	if term.IsTerminal(int(os.Stdout.Fd())) {
		show = process.Line
	}
	for _, r := range out.Images {
		if _, err := fmt.Fprintf(a.Out, "%s\t%s\n", strconv.FormatFloat(r.Score, 'f', 6, 64), show(r.Image)); err != nil {
			return err
		}
	}
	return nil
}
