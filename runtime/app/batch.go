package app

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"pgc"
	"pgc/runtime/annotate"
	"pgc/runtime/detect"
	"pgc/runtime/output"
	"pgc/runtime/shard"
)

type batchCmd struct {
	Input   string  `required:"" placeholder:"IN" help:"Requests, one JSON object a line: {\"id\", \"images\": […], \"prompt\"} and generate's options as fields (max_new_tokens, stop, …), or a list for fine-tuning: {\"image\", \"prefix\", \"suffix\"}, whose suffixes are ignored unless \"score\" is true; or {\"images\": [one], \"task\": \"detect\", \"classes\": […]} and detect's options as fields, likewise segment; - for standard input. Or a folder of pictures, a pattern such as 'photos/*.jpg', or tar files in WebDataset's form: KEY.jpg, and KEY.txt with a prompt or KEY.json with such fields."`
	Prompt  *string `help:"The prompt of requests without one, such as those of a folder."`
	Detect  *string `placeholder:"CLASSES" help:"Instead of a prompt: the classes to find, such as 'cat ; dog'."`
	Segment *string `placeholder:"CLASSES" help:"The same, with masks."`
	Texts   bool    `default:"true" negatable:"" help:"Take prompts from the KEY.txt and KEY.json of tar files; --no-texts, where these are captions, asks --prompt about every picture."`
	settings
	batching
}

// batching are the flags of batch that models of all kinds have.
type batching struct {
	Output  string `required:"" placeholder:"OUT.jsonl" help:"Answers, one a line, as generate --json prints them, with the id. Requests already answered there are skipped; - for standard output."`
	Shard   string `placeholder:"I/N" help:"Answer only the requests of shard I of N, counted from 0, into OUT-0000I-of-0000N.jsonl, which appears when it is complete; merge joins them. auto takes I and N from the variables of a Slurm array, auto/N takes I from those or from the index of a Kubernetes Job."`
	AsReady bool   `help:"Write answers when they are ready, not in the order of the requests. Ids may come again, and a line that is no request fails alone: for programs that keep batch running with - as input."`
	Threads int    `help:"Threads to compute on (default: the cores that this process may use, see info)."`
}

type embedBatchCmd struct {
	Input string `required:"" placeholder:"IN" help:"Requests, one JSON object a line: {\"id\", \"images\": [one]} or {\"id\", \"query\"}; - for standard input. Or a folder of pictures, a pattern such as 'pages/*.png', or tar files."`
	batching
}

// batchDetection is one line of batch's output, about a request with a task.
type batchDetection struct {
	ID json.RawMessage `json:"id"`
	shard.Line
	*annotate.Object
}

// batchAnswer is one line of batch's output: an answer or an error.
type batchAnswer struct {
	ID json.RawMessage `json:"id"`
	shard.Line
	*answer
	Error string `json:"error,omitempty"`
}

// batchEmbedding is one line of batch's output of a model that makes embeddings.
type batchEmbedding struct {
	ID json.RawMessage `json:"id"`
	shard.Line
	Shape     []int  `json:"shape"`     // tokens, dim
	Embedding string `json:"embedding"` // float32, little-endian, in base64
}

// Run answers requests, several at a time.
func (c *batchCmd) Run(a *App) error {
	if err := c.check(); err != nil {
		return usage{err}
	}
	d := defaults{prompt: c.Prompt, settings: c.settings, texts: c.Texts}
	for _, t := range []struct {
		task    string
		classes *string
	}{{detect.Detect, c.Detect}, {detect.Segment, c.Segment}} {
		if t.classes == nil {
			continue
		}
		if d.prompt != nil || d.task != "" {
			return usage{errors.New("more than one of --prompt, --detect and --segment is given, expected one of them")}
		}
		var err error
		if d.classes, err = detect.Classes(*t.classes); err != nil {
			return usage{fmt.Errorf("--%s: %w", t.task, err)}
		}
		d.task = t.task
	}
	return c.run(a, c.Input, d)
}

// Run makes embeddings.
func (c *embedBatchCmd) Run(a *App) error { return c.run(a, c.Input, defaults{embeds: true}) }

// run answers the requests of an input and writes the answers in the order of the requests, or as they are ready. A list
// that is a regular file is read to its end before any work, so that a line that is no request stops batch at once; any
// other input is answered as it comes. A request that fails becomes a line with an error; the others go on.
func (c *batching) run(a *App, from string, d defaults) error {
	part, err := c.part(a)
	if err != nil {
		return err
	}
	output.Protect(from)
	out, err := openAnswers(a, c.Output, part)
	if err != nil {
		return err
	}
	defer out.Close()
	q := newRequests(part, out.done)
	q.embeds = d.embeds
	if q.input, err = openInput(from, d, c.AsReady, q.wanted); err != nil {
		return err
	}
	defer q.Close()
	if q.idle != "" {
		fmt.Fprintln(a.Err, "warning: "+q.idle)
	}
	output.Protect(q.pictures...)
	if err := output.Allowed(out.name); out.name != "-" && err != nil {
		return err
	}
	m, err := a.load(c.Threads)
	if err != nil {
		return err
	}
	defer m.Close()
	failed, err := c.answer(a, m, q, out)
	if err != nil {
		return err
	}
	if q.own == 0 && part.Of <= 1 {
		fmt.Fprintf(a.Err, "warning: %s holds no request\n", from)
	}
	if q.skipped > 0 {
		fmt.Fprintf(a.Err, "%d of %d requests were answered in %s before\n", q.skipped, q.own, out.name)
	}
	if err := out.complete(q); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d requests failed: see \"error\" in %s", failed, q.own, out.name)
	}
	return nil
}

// part returns the shard that is asked for.
func (c *batching) part(a *App) (shard.Part, error) {
	if c.Shard == "" {
		if n := os.Getenv("SLURM_ARRAY_TASK_COUNT"); n != "" && n != "1" {
			fmt.Fprintf(a.Err, "this task of a Slurm array of %.20s answers all requests: --shard auto answers its part alone\n", n)
		}
		return shard.Part{}, nil
	}
	p, err := shard.Parse(c.Shard, os.LookupEnv)
	if err != nil {
		return p, usage{fmt.Errorf("--shard: %w", err)}
	}
	return p, nil
}

// answer writes the answers, and returns how many requests failed.
func (c *batching) answer(a *App, m *pgc.Model, q *requests, out *answers) (failed int, err error) {
	load, p := time.Since(a.opened), newTicker(a, out, q)
	defer p.end()
	var names queue
	work := m.Tasks
	if c.AsReady {
		work = m.TasksAsReady
	}
	for got, err := range work(a.ctx, q.tasks(&names, a.album())) {
		if a.ctx.Err() != nil {
			return failed, a.ctx.Err()
		}
		if errors.Is(err, pgc.ErrDamaged) { // no line is written that is computed from damaged weights
			return failed, err
		}
		r := names.take(got.Number)
		if err != nil {
			failed++
		}
		line, doubts := c.line(a, r, got, err, load, out.part)
		if err := writeJSON(out, line); err != nil {
			return failed, err
		}
		p.step(err != nil)
		a.warn(fmt.Sprintf("request %s: ", r.id), doubts)
	}
	switch {
	case a.ctx.Err() != nil:
		return failed, a.ctx.Err()
	case q.err != io.EOF:
		return failed, q.err
	}
	return failed, nil
}

// line returns the line about a request, and what is doubtful about its answer.
func (c *batching) line(a *App, r named, got pgc.Result, err error, load time.Duration, part shard.Part) (line any, doubts []pgc.Warning) {
	var in shard.Line
	if !part.Whole() {
		in.Row = &r.row
	}
	switch {
	case err != nil:
		return batchAnswer{ID: r.id, Line: in, Error: err.Error()}, nil
	case got.Embedding != nil:
		data, err := binary.Append(nil, binary.LittleEndian, got.Embedding.Float32s)
		if err != nil {
			return batchAnswer{ID: r.id, Line: in, Error: err.Error()}, nil
		}
		return batchEmbedding{r.id, in, got.Embedding.Shape, base64.StdEncoding.EncodeToString(data)}, nil
	case got.Detection != nil:
		d := got.Detection
		return batchDetection{r.id, in, annotate.JSON(annotate.Picture{Name: r.image, Detection: d})}, d.Warnings
	}
	return batchAnswer{ID: r.id, Line: in, answer: newAnswer(got.Answer, load)}, got.Answer.Warnings
}
