package app

import (
	"encoding/json"
	"fmt"
	"image"
	"syscall"
	"time"

	"golang.org/x/term"

	"os"

	"pgc/runtime/boxes"
	"pgc/runtime/generate"
	"pgc/runtime/picture"
	"pgc/runtime/sample"
)

type generateCmd struct {
	Args              []string `arg:"" optional:"" name:"image… prompt" help:"Short form: pictures, then the prompt."`
	Image             []string `help:"A picture (PNG, JPEG, GIF, WebP, BMP or TIFF): path, - for standard input, data: or http(s): URL. Repeat for several."`
	Prompt            *string  `help:"The prompt, such as 'caption en', 'detect cat' or 'answer en what is this?'."`
	MaxNewTokens      int      `default:"-1" help:"Most tokens to generate (default: generation_config's, else 50)."`
	Temperature       float64  `default:"-1" help:"0 is greedy, the default unless generation_config samples."`
	TopK              int      `default:"-1" help:"Draw among the K likeliest tokens; 0 is off."`
	TopP              float64  `default:"-1" help:"Draw among the likeliest tokens that make up this probability."`
	RepetitionPenalty float64  `default:"-1" help:"Over 1 makes tokens seen before less likely."`
	Seed              uint64   `help:"Of the draws; the same seed gives the same answer."`
	Stop              []string `sep:"none" help:"End the answer before this text. Repeat for several."`
	ParseSpecials     bool     `help:"Read <eos>, <image> and the like in the prompt as tokens."`
	Threads           int      `help:"Threads to compute on (default: all processors)."`
	Draw              string   `placeholder:"OUT.png" help:"Draw the boxes of the answer over the first picture."`
	Stream            bool     `default:"true" negatable:"" help:"Print text as it comes, on a terminal."`
	JSON              bool     `name:"json" help:"Print one JSON object."`
	Logprobs          bool     `help:"With --json: log-probabilities of the tokens."`
}

// request sorts out the two ways to name pictures and prompt.
func (c *generateCmd) request() (paths []string, prompt string, err error) {
	if c.Prompt != nil || len(c.Image) > 0 {
		switch {
		case len(c.Args) > 0:
			return nil, "", usage{fmt.Errorf("unexpected argument %q beside --image and --prompt", c.Args[0])}
		case c.Prompt == nil:
			return nil, "", usage{fmt.Errorf("--prompt is missing: write --image %s --prompt TEXT", c.Image[0])}
		case len(c.Image) == 0:
			return nil, "", usage{fmt.Errorf("--image is missing: write --image PICTURE --prompt TEXT")}
		}
		return c.Image, *c.Prompt, nil
	}
	switch len(c.Args) {
	case 0:
		return nil, "", usage{fmt.Errorf("a picture and a prompt are missing: write IMAGE… PROMPT, such as photo.jpg \"caption en\"")}
	case 1:
		return nil, "", usage{fmt.Errorf("a picture or a prompt is missing: write %s PROMPT, such as %s \"caption en\"", c.Args[0], c.Args[0])}
	}
	last := len(c.Args) - 1
	return c.Args[:last], c.Args[last], nil
}

// answer is the object that --json prints.
type answer struct {
	Text         string      `json:"text"`
	Tokens       []int32     `json:"tokens"`
	FinishReason string      `json:"finish_reason"`
	Boxes        []boxes.Box `json:"boxes"`
	PromptTokens int         `json:"prompt_tokens"`
	Logprobs     []float64   `json:"logprobs,omitempty"`
	Timings      timings     `json:"timings"`
	PeakRSSBytes int64       `json:"peak_rss_bytes"`
}

type timings struct {
	Load       float64 `json:"load_s"`
	Preprocess float64 `json:"preprocess_s"`
	Encode     float64 `json:"encode_s"`
	Prefill    float64 `json:"prefill_s"`
	Decode     float64 `json:"decode_s"`
	PerSecond  float64 `json:"tokens_per_s"`
}

// Run answers the prompt.
func (c *generateCmd) Run(a *App) error {
	paths, prompt, err := c.request()
	if err != nil {
		return err
	}
	pics, err := a.pictures(paths)
	if err != nil {
		return err
	}
	sampling := c.sampling(a)
	if err := sampling.Check(); err != nil {
		return usage{err}
	}
	s, done, err := a.session(c.Threads)
	if err != nil {
		return err
	}
	defer done()
	load := time.Since(a.opened)
	r := generate.Request{Pictures: pics, Prompt: prompt, ParseSpecials: c.ParseSpecials, Stop: c.Stop,
		MaxNewTokens: c.maxNewTokens(a), Sample: sampling}
	streaming := c.Stream && !c.JSON && term.IsTerminal(int(os.Stdout.Fd()))
	if streaming {
		r.OnText = func(text string) { fmt.Fprint(a.Out, text) }
	}
	ans, err := s.Generate(a.ctx, r)
	if err != nil {
		if streaming {
			fmt.Fprintln(a.Out)
		}
		return err
	}
	found, _ := boxes.Parse(ans.Text, pics[0].Width, pics[0].Height)
	if c.Draw != "" {
		if err := draw(c.Draw, pics[0], found); err != nil {
			return err
		}
	}
	switch {
	case c.JSON:
		return c.print(a, ans, found, load)
	case streaming:
		_, err = fmt.Fprintln(a.Out)
	default:
		_, err = fmt.Fprintln(a.Out, ans.Text)
	}
	return err
}

func (c *generateCmd) maxNewTokens(a *App) int {
	switch {
	case c.MaxNewTokens >= 0:
		return c.MaxNewTokens
	case a.Model.MaxNewTokens > 0:
		return a.Model.MaxNewTokens
	}
	return 50
}

// sampling takes what the command line leaves open from the checkpoint's generation_config.
func (c *generateCmd) sampling(a *App) sample.Config {
	m := a.Model
	pick := func(given, own float64) float64 {
		if given >= 0 {
			return given
		}
		return own
	}
	cfg := sample.Config{TopP: pick(c.TopP, m.TopP), RepetitionPenalty: pick(c.RepetitionPenalty, m.RepetitionPenalty), Seed: c.Seed,
		TopK: int(pick(float64(c.TopK), float64(m.TopK)))}
	if m.DoSample {
		cfg.Temperature = m.Temperature
	}
	cfg.Temperature = pick(c.Temperature, cfg.Temperature)
	return cfg
}

func (c *generateCmd) print(a *App, ans *generate.Answer, found []boxes.Box, load time.Duration) error {
	out := answer{Text: ans.Text, Tokens: ans.Tokens, FinishReason: ans.FinishReason, Boxes: found, PromptTokens: ans.PromptTokens,
		Timings: timings{Load: load.Seconds(), Preprocess: ans.Preprocess.Seconds(), Encode: ans.Encode.Seconds(),
			Prefill: ans.Prefill.Seconds(), Decode: ans.Decode.Seconds()}}
	if n := len(ans.Tokens) - 1; n > 0 && ans.Decode > 0 {
		out.Timings.PerSecond = float64(n) / ans.Decode.Seconds()
	}
	if out.Tokens == nil {
		out.Tokens = []int32{}
	}
	if out.Boxes == nil {
		out.Boxes = []boxes.Box{}
	}
	if c.Logprobs {
		out.Logprobs = ans.Logprobs
	}
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err == nil {
		out.PeakRSSBytes = ru.Maxrss * 1024
	}
	enc := json.NewEncoder(a.Out)
	enc.SetEscapeHTML(false) // <loc0001> stays readable
	return enc.Encode(out)
}

// draw writes the first picture with the boxes over it.
func draw(path string, p *picture.Picture, found []boxes.Box) error {
	var list []picture.Box
	for _, b := range found {
		list = append(list, picture.Box{Label: b.Label, X0: b.Box[0], Y0: b.Box[1], X1: b.Box[2], Y1: b.Box[3]})
	}
	var m image.Image = picture.Draw(p, list)
	return picture.WritePNG(path, m)
}
