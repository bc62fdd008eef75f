package app

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"pgc"
	"pgc/runtime/native"
	"pgc/runtime/output"
	"pgc/runtime/plural"
	"pgc/runtime/process"
)

type forwardCmd struct {
	Image         []string `required:"" sep:"none" help:"A picture: path, - for standard input, data: or http(s): URL. Repeat for several."`
	Prompt        string   `required:"" help:"The prompt; may be empty."`
	Suffix        *string  `help:"The expected answer: adds labels, loss and log-probabilities."`
	Output        string   `short:"o" required:"" placeholder:"OUT.safetensors" help:"Where to write the tensors."`
	ParseSpecials bool     `help:"Read <eos>, <image> and the like in the texts as tokens."`
	Adapter       string   `placeholder:"NAME" help:"Compute with this adapter, one of those that info lists."`
	Threads       int      `help:"Threads to compute on (default: the cores that this process may use, see info)."`
}

// Run writes the tensors of the forward pass.
func (c *forwardCmd) Run(a *App) error {
	output.Protect(c.Image...)
	if err := output.Allowed(c.Output); err != nil {
		return err
	}
	images, err := a.album().images(c.Image)
	if err != nil {
		return err
	}
	for _, image := range images {
		if _, _, err := image.Size(a.ctx); err != nil {
			return err
		}
	}
	m, err := a.load(c.Threads)
	if err != nil {
		return err
	}
	defer m.Close()
	return m.ForwardFile(a.ctx, pgc.ForwardRequest{Images: images, Prompt: c.Prompt, Suffix: c.Suffix, ParseSpecials: c.ParseSpecials, Adapter: c.Adapter}, c.Output)
}

type tokenizeCmd struct {
	Text          *string `arg:"" optional:"" help:"The text."`
	Input         string  `placeholder:"FILE" help:"A file: print a list of ids for each of its lines."`
	ParseSpecials bool    `help:"Read <eos>, <image> and the like as tokens."`
}

// Run prints the ids.
func (c *tokenizeCmd) Run(a *App) error {
	if (c.Text == nil) == (c.Input == "") {
		return usage{fmt.Errorf("expected a text or --input FILE")}
	}
	out := bufio.NewWriter(a.Out)
	line := func(text string) error {
		ids, err := a.Executable.Tokenize(text, c.ParseSpecials)
		if err != nil {
			return err
		}
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
		return fmt.Errorf("%s has a line of over %d bytes, expected shorter lines", c.Input, maxLine)
	} else if err != nil {
		return fmt.Errorf("%s: %w", c.Input, err)
	}
	return out.Flush()
}

// maxLine bounds a line of tokenize --input, in bytes.
const maxLine = 64 << 20

// splitLine is bufio.ScanLines, except that a carriage return before the newline belongs to the line: it has an id.
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
	Verify  bool `help:"Read all weights and compare their checksums, even if they were verified before."`
	License bool `help:"Print the checkpoint's license."`
}

// Run describes the executable.
func (c *infoCmd) Run(a *App) error {
	if c.License && (c.JSON || c.Verify) {
		return usage{errors.New("--license is given beside --json or --verify, expected it alone")}
	}
	if c.License {
		text := a.Executable.License()
		if text == "" {
			return fmt.Errorf("the checkpoint came without a license file")
		}
		_, err := fmt.Fprint(a.Out, text)
		return err
	}
	if c.Verify && a.unverified {
		return usage{errors.New("--verify and --no-verify are given, expected one of them")}
	}
	if c.Verify {
		if err := a.Executable.Verify(a.ctx, nil); err != nil {
			return err
		}
	}
	i := a.Executable.Info(a.options()...)
	if c.Verify {
		i.Verified, i.VerifiedAt = true, time.Time{} // now
	}
	if c.JSON {
		return json.NewEncoder(a.Out).Encode(i)
	}
	c.tell(a, &i)
	return nil
}

// tell prints what info says to people.
func (c *infoCmd) tell(a *App, i *pgc.Info) {
	out := a.Out
	mib := func(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
	fmt.Fprintf(out, "model        %s, %s, %.1f M parameters\n", process.Line(i.Model), i.Kind, float64(i.Parameters)/1e6)
	if i.Merged != "" {
		fmt.Fprintf(out, "adapter      %s, merged\n", process.Line(i.Merged))
	}
	for _, k := range i.Adapters {
		rank := ""
		if k.Rank > 0 {
			rank = fmt.Sprintf("rank up to %d, ", k.Rank)
		}
		fmt.Fprintf(out, "adapter      %s, chosen by --adapter or a request; %schanges %s\n", k.Name, rank, plural.Of(k.Weights, "weight"))
	}
	fmt.Fprintf(out, "weights      %s, %s\n", i.Weights, mib(i.WeightBytes))
	for _, part := range i.Storage {
		fmt.Fprintf(out, "  %-18s %s\n", part.Part, part)
	}
	if i.BF16Products {
		fmt.Fprintf(out, "bfloat16     products in bf16, sums in f32\n")
	}
	if i.Compute != "" {
		fmt.Fprintf(out, "integers     products in %s", i.Compute)
		if i.Rounding != "" {
			fmt.Fprintf(out, "; 4 bits rounded %s", rounded(i.Rounding))
		}
		fmt.Fprintf(out, "\n")
	}
	fmt.Fprintf(out, "code         %s\n", mib(int64(i.CodeBytes)))
	for _, s := range i.Variants {
		state := ""
		switch {
		case s.Runs:
			state = "; runs here"
		case s.Unsupported != "":
			state = "; " + s.Unsupported
		}
		fmt.Fprintf(out, "             %s: %s %v%s\n", s.CPU, plural.Of(s.Kernels, "kernel"), s.Features, state)
	}
	fmt.Fprintf(out, "pictures     %d × %d pixels, %d tokens each\n", i.ImageSize, i.ImageSize, i.ImageTokens)
	if i.KVBytes > 0 {
		fmt.Fprintf(out, "KV cache     %d tokens in %s, %s; as much for each of the requests that batch decodes at once, up to %d\n", i.MaxTokens, i.KV, mib(i.KVBytes), i.MaxBatch)
	}
	if i.Draft != "" {
		fmt.Fprintf(out, "draft        %s\n", i.Draft)
	}
	if i.Runtime != "full" {
		fmt.Fprintf(out, "runtime      least: generate, detect, batch and info, of PNG and JPEG files (pgc compile --runtime full has all)\n")
	}
	for _, text := range i.Frozen {
		fmt.Fprintf(out, "frozen       %s\n", process.Line(text))
	}
	if v := i.Vocabulary; v != nil {
		fmt.Fprintf(out, "vocabulary   %d of %d tokens, all that prompts and answers can have; scores are over these\n", v.Tokens, v.Of)
	}
	if i.Masks != nil {
		fmt.Fprintf(out, "masks        of %s, %d × %d before they are pasted\n", plural.Of(i.Masks.Codes, "code"), i.Masks.Side, i.Masks.Side)
	} else if i.EmbeddingDim == 0 {
		fmt.Fprintf(out, "masks        none: segments are codes (pgc compile --masks vae-oid.npz)\n")
	}
	if i.EmbeddingDim > 0 {
		fmt.Fprintf(out, "embeddings   %d numbers a token, up to %d tokens\n", i.EmbeddingDim, i.MaxTokens)
	}
	if g := i.GPU; g != nil {
		fmt.Fprintf(out, "GPU memory   %s: %s weights, %s KV cache, %s activations; %s with a batch of %d\n", mib(g.TotalBytes), mib(g.Weights), mib(g.KV), mib(g.Arena), mib(g.BatchBytes), i.MaxBatch)
		if g.Device != "" {
			fmt.Fprintf(out, "device       %s\n", g.Device)
		}
	}
	fmt.Fprintf(out, "threads      %d by default: %s\n", i.Processors.Threads, i.Processors)
	fmt.Fprintf(out, "arena        at most %s, touched as used, like the caches\n", mib(i.ArenaBytes))
	fmt.Fprintf(out, "memory       %s for one picture and 32 tokens of text", mib(i.MemoryBytes))
	if free, source := native.AvailableMemory(); free > 0 {
		fmt.Fprintf(out, " (available: %s, %s)", mib(free), source)
	}
	fmt.Fprintf(out, "\nmade by      %s\n", i.Generator)
	fmt.Fprintf(out, "checksums    %s\n", c.checksums(a, i))
}

// rounded says how numbers of 4 bits were chosen.
func rounded(how string) string {
	switch how {
	case "plain":
		return "plainly"
	case "search":
		return "by search"
	}
	return "with calibration"
}

// checksums says what is known of the weights.
func (c *infoCmd) checksums(a *App, i *pgc.Info) string {
	text := "those of the weights are compared beside the next answer"
	if c.Verify {
		return "all right"
	}
	if i.Verified {
		text = "all right on " + i.VerifiedAt.Local().Format("2006-01-02 15:04:05") + ", the file is the same since"
	}
	if a.unverified {
		text = "those of the weights are not compared (--no-verify)"
	}
	return text
}
