package app

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"pgc/runtime/engine"
	"pgc/runtime/manifest"
	"pgc/runtime/native"
)

type forwardCmd struct {
	Image         []string `required:"" sep:"none" help:"A picture: path, - for standard input, data: or http(s): URL. Repeat for several."`
	Prompt        string   `required:"" help:"The prompt; may be empty."`
	Suffix        *string  `help:"The expected answer: adds labels, loss and log-probabilities."`
	Output        string   `short:"o" required:"" placeholder:"OUT.safetensors" help:"Where to write the tensors."`
	ParseSpecials bool     `help:"Read <eos>, <image> and the like in the texts as tokens."`
	Threads       int      `help:"Threads to compute on (default: all processors)."`
}

// Run writes the forward pass.
func (c *forwardCmd) Run(a *App) error {
	pics, err := a.pictures(c.Image)
	if err != nil {
		return err
	}
	s, done, err := a.session(c.Threads)
	if err != nil {
		return err
	}
	defer done()
	return s.Forward(a.ctx, pics, c.Prompt, c.Suffix, c.ParseSpecials, c.Output)
}

type tokenizeCmd struct {
	Text          *string `arg:"" optional:"" help:"The text."`
	Input         string  `placeholder:"FILE" help:"A file; one list of ids is printed for each of its lines."`
	ParseSpecials bool    `help:"Read <eos>, <image> and the like as tokens."`
}

// Run prints ids.
func (c *tokenizeCmd) Run(a *App) error {
	if (c.Text == nil) == (c.Input == "") {
		return usage{fmt.Errorf("expected a text or --input FILE")}
	}
	tok, err := a.tokenizer()
	if err != nil {
		return err
	}
	out := bufio.NewWriter(a.Out)
	line := func(text string) error {
		ids := tok.Encode(text, c.ParseSpecials)
		if ids == nil {
			ids = []int32{}
		}
		return json.NewEncoder(out).Encode(ids)
	}
	if c.Text != nil {
		if err := line(*c.Text); err != nil {
			return err
		}
		return out.Flush()
	}
	f, err := os.Open(c.Input)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxLine)
	lines.Split(splitLine)
	for lines.Scan() {
		if err := line(lines.Text()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err == bufio.ErrTooLong {
		return fmt.Errorf("%s has a line of over %d bytes", c.Input, maxLine)
	} else if err != nil {
		return fmt.Errorf("%s: %w", c.Input, err)
	}
	return out.Flush()
}

// maxLine bounds a line of tokenize --input.
const maxLine = 64 << 20

// splitLine is bufio.ScanLines, except that only a newline ends a line: a carriage return is text and has an id.
func splitLine(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

type infoCmd struct {
	JSON    bool `name:"json" help:"Print one JSON object."`
	Verify  bool `help:"Read all weights and compare their checksum."`
	License bool `help:"Print the checkpoint's licence."`
}

// information is the object that info --json prints.
type information struct {
	Model       string   `json:"model"`
	Kind        string   `json:"kind"`
	Parameters  int64    `json:"parameters"`
	Weights     string   `json:"weights"`
	Compute     string   `json:"compute,omitempty"` // of products with integers
	BFloats     bool     `json:"bf16_products,omitempty"`
	Rounding    string   `json:"rounding,omitempty"` // of 4-bit integers
	Storage     []part   `json:"storage"`            // of the matrices
	WeightBytes int64    `json:"weight_bytes"`
	CodeBytes   int      `json:"code_bytes"`
	Kernels     int      `json:"kernels"`
	CPU         string   `json:"cpu"`
	Features    []string `json:"features"`
	Sets        []set    `json:"sets"`
	ImageSize   int      `json:"image_size"`
	ImageTokens int      `json:"image_tokens"`
	MaxTokens   int      `json:"max_tokens"`
	KV          string   `json:"kv"`
	KVBytes     int64    `json:"kv_bytes"`  // of one sequence
	Sequences   int      `json:"sequences"` // that batch decodes at once
	ArenaBytes  int64    `json:"arena_bytes"`
	MemoryBytes int64    `json:"memory_bytes"` // with one picture and 32 tokens of text
	Generator   string   `json:"generator"`
	Verified    bool     `json:"verified"`
}

// set is an instruction set that the executable has code for. The CPU, the features and the kernels beside the list are
// those of the one that would run here, or else of the best.
type set struct {
	CPU      string   `json:"cpu"`
	Features []string `json:"features"`
	Kernels  int      `json:"kernels"`
	Runs     bool     `json:"runs"` // this is the one that runs here
	Lacks    string   `json:"lacks,omitempty"`
}

// Run describes the executable.
func (c *infoCmd) Run(a *App) error {
	if c.License {
		text := a.Image.Section(manifest.SectionLicense)
		if len(text) == 0 {
			return fmt.Errorf("the checkpoint came without a licence file")
		}
		_, err := a.Out.Write(text)
		return err
	}
	if c.Verify {
		if err := a.Image.Verify(a.ctx, nil); err != nil {
			return err
		}
	}
	chosen := a.Image.Choose(a.isa, engine.Lacks) == nil
	p, m := a.Image.Program, a.Model
	i := information{Model: m.Name, Kind: m.Kind, Parameters: m.Parameters, Weights: m.Weights, Compute: m.Compute, BFloats: m.BFloats, Rounding: m.Rounding, Storage: storage(p), WeightBytes: p.WeightBytes,
		CodeBytes: len(a.Image.Code), Kernels: len(p.Kernels), CPU: p.Target.CPU, Features: p.Target.Features, ImageSize: m.ImageSize,
		ImageTokens: m.ImageTokens, MaxTokens: m.MaxTokens, KV: m.KV, Sequences: p.Copies, Generator: p.Generator, Verified: c.Verify}
	for _, q := range a.Image.Programs {
		s := set{CPU: q.Target.CPU, Features: q.Target.Features, Kernels: len(q.Kernels), Runs: chosen && q == p}
		if err := engine.Lacks(q.Target); err != nil {
			s.Lacks = err.Error()
		}
		i.Sets = append(i.Sets, s)
	}
	for _, s := range p.States {
		i.KVBytes += s.Bytes
	}
	for j := range p.Funcs {
		i.ArenaBytes = max(i.ArenaBytes, p.Funcs[j].ArenaBytes)
	}
	if s, done, err := a.session(0); err == nil {
		n := min(m.ImageTokens+32, m.MaxTokens)
		i.MemoryBytes = s.Memory(n, n).Total()
		done()
	}
	if c.JSON {
		return json.NewEncoder(a.Out).Encode(i)
	}
	mib := func(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
	fmt.Fprintf(a.Out, "model        %s, %s, %.1f M parameters\n", i.Model, i.Kind, float64(i.Parameters)/1e6)
	fmt.Fprintf(a.Out, "weights      %s, %s\n", i.Weights, mib(i.WeightBytes))
	for _, part := range i.Storage {
		fmt.Fprintf(a.Out, "  %-18s %s\n", part.Part, part)
	}
	if i.BFloats {
		fmt.Fprintln(a.Out, "bfloat16     products in bf16, sums in f32")
	}
	if i.Compute != "" {
		fmt.Fprintf(a.Out, "integers     products in %s", i.Compute)
		if i.Rounding != "" {
			fmt.Fprintf(a.Out, "; 4 bits rounded %s", map[string]string{"plain": "plainly", "search": "by search", "calibrated": "with calibration"}[i.Rounding])
		}
		fmt.Fprintln(a.Out)
	}
	fmt.Fprintf(a.Out, "code         %s\n", mib(int64(i.CodeBytes)))
	for _, s := range i.Sets {
		state := ""
		switch {
		case s.Runs:
			state = "; runs here"
		case s.Lacks != "":
			state = "; " + s.Lacks
		}
		fmt.Fprintf(a.Out, "             %s: %d kernels %v%s\n", s.CPU, s.Kernels, s.Features, state)
	}
	fmt.Fprintf(a.Out, "pictures     %d × %d pixels, %d tokens each\n", i.ImageSize, i.ImageSize, i.ImageTokens)
	fmt.Fprintf(a.Out, "KV cache     %d tokens in %s, %s; as much for each of up to %d requests that batch decodes at once\n", i.MaxTokens, i.KV, mib(i.KVBytes), i.Sequences)
	fmt.Fprintf(a.Out, "arena        at most %s, touched as used, like the caches\n", mib(i.ArenaBytes))
	fmt.Fprintf(a.Out, "memory       %s for one picture and 32 tokens of text", mib(i.MemoryBytes))
	if free, source := native.AvailableMemory(); free > 0 {
		fmt.Fprintf(a.Out, " (available: %s, %s)", mib(free), source)
	}
	fmt.Fprintf(a.Out, "\nmade by      %s\n", i.Generator)
	if c.Verify {
		fmt.Fprintln(a.Out, "checksums    all right")
	}
	return nil
}
