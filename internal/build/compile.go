package build

import (
	"context"
	"io"
	"time"

	"pgc/checkpoint/hf"
	"pgc/codegen"
	"pgc/runtime/manifest"
	"pgc/runtime/output"
	"pgc/runtime/program"
)

// compilation is on its way from a checkpoint to an executable, a stage after another.
type compilation struct {
	Options
	report   *Report
	emit     *emitter
	c        *hf.Checkpoint
	tok      *packed
	parts    []*part // by kind of machine
	compiled *codegen.Variants
}

// Compile compiles a checkpoint directory to an executable at out, a copy of the ELF file runtime with sections behind
// it.
func Compile(ctx context.Context, dir, out string, runtime []byte, o Options) (*Report, error) {
	clock := time.Now()
	r := &Report{Output: out, Seconds: map[string]float64{}, ArenaBytes: map[string]int64{}, ArenaMinimum: map[string]int64{}, Launches: map[string]int{}}
	n := &compilation{Options: o, report: r}
	if err := n.begin(dir, out); err != nil {
		return nil, err
	}
	defer n.c.Close()
	rows := n.c.Config.Facts().VocabSize // before some are left out
	for _, stage := range []struct {
		name string
		run  func() error
	}{
		{"load", n.load},
		{"passes", n.graphs},
		{"code", func() error { return n.code(ctx) }},
		{"write", func() error { return n.write(ctx, out, runtime) }},
	} {
		if err := stage.run(); err != nil {
			return nil, err
		}
		r.Seconds[stage.name] = time.Since(clock).Seconds()
		clock = time.Now()
	}
	r.fill(n.parts[0].m, n.compiled, n.maxTokens(n.c))
	r.Frozen = n.cutReport(n.c, n.compiled.Programs[0], rows)
	n.add(n.rounded(n.c))
	return r, nil
}

// add tells a note, unless it is empty.
func (n *compilation) add(note string) {
	if note != "" {
		n.note(note)
		n.report.Notes = append(n.report.Notes, note)
	}
}

// begin checks the options and the place of the result before any work, and opens the checkpoint.
func (n *compilation) begin(dir, out string) (err error) {
	if err := n.check(); err != nil {
		return err
	}
	if n.onCPU() {
		if _, err := Targets(n.CPU); err != nil {
			return err
		}
	}
	if err := output.Check(out); err != nil {
		return err
	}
	if n.emit, err = newEmitter(n.Emit, n.EmitDir); err != nil {
		return err
	}
	n.c, err = n.Open(dir)
	return err
}

// load packs the tokenizer, builds tasks and prompts in, and checks that the options suit the checkpoint.
func (n *compilation) load() (err error) {
	c := n.c
	n.report.Notes = c.Notes
	if n.tok, err = packTokenizer(c); err != nil {
		return err
	}
	n.add(n.tok.note(c.Config.Facts()))
	if err := n.tok.checkMasks(c); err != nil {
		return err
	}
	if need := imagePrompt(c, n.tok); n.maxTokens(c) < need {
		return checkpointError("MaxTokens", "%d holds no image: expected at least %d", n.maxTokens(c), need)
	}
	whole, err := n.freeze(c, n.tok)
	if err != nil {
		return err
	}
	n.add(whole)
	if c.Embedding != nil && n.Draft == draftNgram {
		return checkpointError("Draft", "ngram guesses tokens, but the model makes embeddings: expected one that generates text")
	}
	if c.Embedding != nil && n.Runtime == leastRuntime {
		return checkpointError("Runtime", "least generates text, but the model makes embeddings: expected full")
	}
	return nil
}

// graphs builds and optimizes the graph for every kind of machine.
func (n *compilation) graphs() (err error) {
	if n.parts, err = n.partsOf(n.c); err != nil {
		return err
	}
	several := len(n.parts) > 1
	for _, p := range n.parts {
		if err := n.emit.graph(p.named("plain.pgir", several), p.m); err != nil {
			return err
		}
		if err := p.optimized(); err != nil {
			return err
		}
		if err := n.emit.graph(p.named("graph.pgir", several), p.m); err != nil {
			return err
		}
	}
	return nil
}

// code compiles the graphs for every target, and describes the model to the programs.
func (n *compilation) code(ctx context.Context) (err error) {
	var variants []codegen.Variant
	for _, p := range n.parts {
		for _, b := range p.backends {
			variants = append(variants, codegen.Variant{Module: p.m, Backend: b})
		}
	}
	if n.compiled, err = codegen.CompileVariants(ctx, variants); err != nil {
		return err
	}
	if err := n.emit.kernels(ctx, n.compiled); err != nil {
		return err
	}
	for _, part := range n.parts {
		model, err := describe(n.c, n.tok, part.Options).Encode()
		if err != nil {
			return err
		}
		for _, p := range n.compiled.Programs {
			if p.Target.Kind == part.kind {
				p.Generator, p.Model = Version, model
			}
		}
	}
	return nil
}

// write writes the executable.
func (n *compilation) write(ctx context.Context, out string, runtime []byte) error {
	sections := []program.Section{{Name: program.SectionWeights, Write: func(w io.Writer) error {
		return WriteWeights(ctx, w, n.compiled.Results[0], n.c, n.Options)
	}}}
	for _, c := range n.compiled.Sections {
		// Inflating takes 5 % of the first token of a model as small as the demo, and 2 MB. With adapters there is more to inflate.
		s := program.Bytes(c.Name, c.Bytes)
		s.Deflate = c.Name == program.SectionPTX || len(n.Adapters) > 0
		sections = append(sections, s)
	}
	sections = append(sections, program.Bytes(manifest.SectionTokenizer, n.tok.compact))
	for _, p := range n.parts {
		sections = append(sections, program.Bytes(kinds[p.kind].graph, p.graph))
	}
	if n.onCPU() && n.onGPU() && n.GPURuntime != nil {
		sections = append(sections, program.Bytes(manifest.SectionRuntimeGPU, n.GPURuntime))
	}
	if n.c.License != "" {
		sections = append(sections, program.Bytes(manifest.SectionLicense, []byte(n.c.License)))
	}
	return program.Write(ctx, out, runtime, n.compiled.Programs, sections...)
}
