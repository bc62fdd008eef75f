package app

import (
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/term"

	"pgc"
	"pgc/runtime/attention"
	"pgc/runtime/imageio"
	"pgc/runtime/native"
	"pgc/runtime/output"
	"pgc/runtime/process"
	"pgc/runtime/safetensors"
)

type maskCmd struct {
	Image         []string `required:"" sep:"none" help:"A picture: path, - for standard input, data: or http(s): URL. Repeat for several."`
	Prompt        string   `required:"" help:"The prompt; may be empty."`
	Suffix        *string  `help:"The expected answer."`
	Output        string   `short:"o" placeholder:"FILE" help:"A .png, .svg or .html to draw, or a .safetensors: uint8 full_attention and sliding_attention [tokens, tokens], a row a query. Without it text is printed, with the tokens of a picture as one."`
	ParseSpecials bool     `help:"Read <eos>, <image> and the like in the texts as tokens."`
	Threads       int      `help:"Threads to compute on (default: the cores that this process may use, see info)."`
}

// Run shows who attends to whom.
func (c *maskCmd) Run(a *App) error {
	kind, err := a.drawing(c.Output, c.Image, ".png", ".svg", ".html", ".safetensors")
	if err != nil {
		return err
	}
	images, m, err := a.pictures(c.Image, c.Threads)
	if err != nil {
		return err
	}
	defer m.Close()
	found, err := m.AttentionMask(a.ctx, pgc.ForwardRequest{Images: images, Prompt: c.Prompt, Suffix: c.Suffix, ParseSpecials: c.ParseSpecials})
	if err != nil {
		return err
	}
	mask := &attention.Mask{Tokens: found.Tokens, Images: found.Images, ImageTokens: found.ImageTokens, Prefix: found.Prefix}
	for _, k := range found.Kinds {
		mask.Kinds = append(mask.Kinds, attention.Kind(k))
	}
	switch kind {
	case ".png":
		drawing, err := mask.Image(native.CheckMemory)
		if err != nil {
			return err
		}
		return imageio.WritePNG(c.Output, drawing)
	case ".svg", ".html":
		if mask.Runs() {
			fmt.Fprintf(a.Err, "of the %d tokens equal neighbors in a row are drawn as one: -o FILE.safetensors has a number for each\n", len(mask.Tokens))
		}
	}
	switch kind {
	case ".svg":
		return output.WriteFile(c.Output, []byte(mask.SVG()))
	case ".html":
		return output.WriteFile(c.Output, []byte(mask.HTML()))
	case ".safetensors":
		return writeMask(c.Output, found)
	}
	return mask.WriteText(a.Out)
}

// writeMask writes a tensor for every kind of layer.
func writeMask(path string, m *pgc.AttentionMask) error {
	n := len(m.IDs)
	facts := map[string]string{"prefix": strconv.Itoa(m.Prefix), "images": strconv.Itoa(m.Images), "image_tokens": strconv.Itoa(m.ImageTokens)}
	specs := []safetensors.Spec{{Name: "input_ids", DType: safetensors.I32, Shape: []int{n}}}
	for _, k := range m.Kinds {
		specs = append(specs, safetensors.Spec{Name: k.Name, DType: safetensors.U8, Shape: []int{n, n}})
		facts[k.Name+"_layers"] = strings.Trim(fmt.Sprint(k.Layers), "[]")
	}
	w, err := safetensors.Create(path, facts, specs)
	if err != nil {
		return err
	}
	err = w.WriteInt32s(m.IDs)
	for _, k := range m.Kinds {
		if err == nil {
			_, err = w.Write(k.Seen)
		}
	}
	if err != nil {
		w.Abort()
		return err
	}
	return w.Close()
}

type attendCmd struct {
	Image    []string `required:"" sep:"none" help:"A picture: path, - for standard input, data: or http(s): URL. Repeat for several."`
	Prompt   string   `required:"" help:"The prompt; may be empty."`
	Token    *int     `required:"" placeholder:"N" help:"The token of the answer, counted from 0: its attention is that of the step that chose it."`
	Layer    *int     `placeholder:"L" help:"A layer of the decoder, counted from 0 (default: all; a heat map shows their mean)."`
	Head     *int     `placeholder:"H" help:"A head of the layers, counted from 0 (default: all; a heat map shows their mean)."`
	Output   string   `short:"o" required:"" placeholder:"FILE" help:"A .png: a heat map over the pictures; or a .safetensors: float32 attentions [layers, heads, patches]."`
	Threads  int      `help:"Threads to compute on (default: the cores that this process may use, see info)."`
	settings `embed:""`
}

// Run shows where an answer looked.
func (c *attendCmd) Run(a *App) error {
	kind, err := a.drawing(c.Output, c.Image, ".png", ".safetensors")
	if err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return usage{err}
	}
	if c.Logprobs {
		return usage{errors.New("--logprobs is given to attend, which prints none: expected generate --json --logprobs")}
	}
	if c.SkipSpecialTokens != nil && kind == ".png" {
		return usage{errors.New("--skip-special-tokens is given for a heat map, which has no text: expected -o FILE.safetensors")}
	}
	for _, f := range []struct {
		name string
		v    *int
	}{{"token", c.Token}, {"layer", c.Layer}, {"head", c.Head}} {
		if f.v != nil && *f.v < 0 {
			return usage{fmt.Errorf("--%s is %d, expected 0 or more", f.name, *f.v)}
		}
	}
	nLayers, nHeads := a.Executable.Attends()
	layers, err := chosen("layer", c.Layer, nLayers)
	if err != nil {
		return err
	}
	heads, err := chosen("head", c.Head, nHeads)
	if err != nil {
		return err
	}
	images, m, err := a.pictures(c.Image, c.Threads)
	if err != nil {
		return err
	}
	defer m.Close()
	found, err := m.Attention(a.ctx, pgc.Request{Images: images, Prompt: c.Prompt, Settings: pgc.Settings(c.settings)}, *c.Token)
	if err != nil {
		return err
	}
	var rows [][]float32
	for _, l := range layers {
		for _, h := range heads {
			rows = append(rows, found.Weights[(l*found.Heads+h)*found.Keys:][:found.Patches])
		}
	}
	if kind == ".png" {
		err = c.draw(a, images, rows)
	} else {
		err = c.write(found, len(layers), len(heads), rows)
	}
	if err == nil && term.IsTerminal(int(os.Stderr.Fd())) {
		fmt.Fprintf(a.Err, "token %d of %d: %s\n", found.Token, len(found.Answer.Tokens), process.Line(strconv.Quote(found.Text)))
	}
	return err
}

// chosen lists the layer or head that was asked for, or all n.
func chosen(what string, given *int, n int) ([]int, error) {
	if given != nil && *given >= n && n > 0 { // else Attention says what is missing
		return nil, usage{fmt.Errorf("--%s is %d, but the decoder has %ss 0 to %d", what, *given, what, n-1)}
	}
	if given != nil {
		return []int{*given}, nil
	}
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all, nil
}

// draw writes the mean of rows as a heat map.
func (c *attendCmd) draw(a *App, images []pgc.Image, rows [][]float32) error {
	mean := make([]float32, len(rows[0]))
	for i := range mean {
		sum := 0.0
		for _, row := range rows {
			sum += float64(row[i])
		}
		mean[i] = float32(sum / float64(len(rows)))
	}
	var pictures []image.Image
	for _, i := range images {
		p, err := i.Decode(a.ctx)
		if err != nil {
			return err
		}
		pictures = append(pictures, p)
	}
	drawing, err := attention.Heat(pictures, mean, native.CheckMemory)
	if err != nil {
		return err
	}
	return imageio.WritePNG(c.Output, drawing)
}

// write writes rows as the tensor attentions.
func (c *attendCmd) write(found *pgc.Attention, layers, heads int, rows [][]float32) error {
	facts := map[string]string{"token": strconv.Itoa(found.Token), "id": strconv.Itoa(int(found.Answer.Tokens[found.Token])), "answer": found.Answer.Text}
	w, err := safetensors.Create(c.Output, facts, []safetensors.Spec{{Name: "attentions", DType: safetensors.F32, Shape: []int{layers, heads, found.Patches}}})
	if err != nil {
		return err
	}
	for _, row := range rows {
		if err := w.WriteFloat32s(row); err != nil {
			w.Abort()
			return err
		}
	}
	return w.Close()
}

// drawing returns the kind of a file to be written, by its name's end, one of those given; "" for no file.
func (a *App) drawing(path string, pictures []string, kinds ...string) (string, error) {
	if path == "" {
		return "", nil
	}
	output.Protect(pictures...)
	if err := output.Allowed(path); err != nil {
		return "", err
	}
	end := strings.ToLower(filepath.Ext(path))
	for _, k := range kinds {
		if end == k {
			return k, nil
		}
	}
	last := len(kinds) - 1
	return "", usage{fmt.Errorf("-o %s: expected a name that ends in %s or %s", path, strings.Join(kinds[:last], ", "), kinds[last])}
}

// pictures reads the pictures of a request, and then loads the model.
func (a *App) pictures(names []string, threads int) ([]pgc.Image, *pgc.Model, error) {
	images, err := a.album().images(names)
	if err != nil {
		return nil, nil, err
	}
	for _, image := range images {
		if _, _, err := image.Size(a.ctx); err != nil {
			return nil, nil, err
		}
	}
	m, err := a.load(threads)
	return images, m, err
}
