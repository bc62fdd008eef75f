// Package build compiles a checkpoint to an executable. The commands of pgc share it.
package build

import (
	"context"
	"io"
	"slices"

	"pgc/checkpoint/hf"
	"pgc/codegen"
	"pgc/codegen/weights"
	"pgc/ir"
	"pgc/models"
	"pgc/models/maskdecoder"
	"pgc/passes"
	"pgc/runtime/embed"
	"pgc/runtime/fault"
	"pgc/runtime/manifest"
	"pgc/runtime/program"
)

// Version is the compiler's version, kept in every executable.
const Version = "pgc 0.1"

// Options are the settings of a compilation.
type Options struct {
	Storage
	Target    string    // cpu (or ""), cuda or cpu,cuda
	Adapter   string    // a PEFT adapter to merge before anything else: its folder; empty for none
	Adapters  []hf.Kept // PEFT adapters to keep beside the model, chosen for every request
	Tokenizer string    // the folder of the tokenizer; empty for the checkpoint's
	Masks     string    // the file with the decoder of segmentation masks; empty for the one beside the checkpoint
	CPU       string    // target names with commas between
	KV        string    // storage of the KV cache: f32 or bf16; "" is f32 on CPUs and bf16 on GPUs
	MaxTokens int       // 0 for the default
	Draft     string    // what guesses tokens: ngram, or off (or "")
	Runtime   string    // full (or ""), or least: what the executable begins with
	Passes    passes.Options
	Emit      []string // of Stages, to be written into EmitDir
	EmitDir   string
	Progress  func(what string, done, total int64)
	Note      func(note string) // is told what a user should know, a sentence each, unless nil
	// GPURuntime is the ELF file of the runtime for GPUs in a file that begins with the one for processors.
	GPURuntime []byte

	Frozen // tasks and prompts that are built in

	asked []manifest.Frozen  // what they are
	kept  []int32            // the tokens of a vocabulary that was cut; nil for all
	kind  program.TargetKind // of the machine that a graph is for
}

// Open loads a checkpoint with the adapters that the options name.
func (o Options) Open(dir string) (*hf.Checkpoint, error) {
	c, err := hf.Load(dir, o.Loading())
	if err == nil {
		o.note(c.Notes...)
	}
	return c, err
}

// Loading says how a checkpoint is loaded.
func (o Options) Loading() hf.Options {
	return hf.Options{Adapter: o.Adapter, Keep: o.Adapters, Tokenizer: o.Tokenizer, Masks: o.Masks, Wide: o.Weights == "f32"}
}

func (o Options) note(notes ...string) {
	for _, n := range notes {
		if o.Note != nil {
			o.Note(n)
		}
	}
}

// Report says what a compilation made.
type Report struct {
	Output       string             `json:"output"`
	Seconds      map[string]float64 `json:"seconds"`    // per phase
	Sets         []SetReport        `json:"sets"`       // the best first
	CodeBytes    int                `json:"code_bytes"` // of all variants
	WeightBytes  int64              `json:"weight_bytes"`
	Kernels      int                `json:"kernels"`
	KVBytes      int64              `json:"kv_bytes"`
	MaxTokens    int                `json:"max_tokens"`
	ArenaBytes   map[string]int64   `json:"arena_bytes"`
	ArenaMinimum map[string]int64   `json:"arena_lower_bound_bytes"`
	Launches     map[string]int     `json:"launches"`
	Frozen       *Cut               `json:"frozen,omitempty"` // what tasks and prompts that are built in save
	Notes        []string           `json:"notes,omitempty"`  // what the user may not expect
}

// SetReport is the code for one instruction set.
type SetReport struct {
	CPU       string   `json:"cpu"`
	Features  []string `json:"features"`
	Kernels   int      `json:"kernels"`
	CodeBytes int      `json:"code_bytes"`
}

// DefaultMaxTokens returns the KV-cache capacity, in tokens, where none is given: four images and 512 tokens of text,
// but at least 1024.
func DefaultMaxTokens(imageTokens int) int { return max(1024, 4*imageTokens+512) }

// Module builds and optimizes the module of a checkpoint. With trace, activations are outputs.
func Module(c *hf.Checkpoint, o Options, trace bool) (*ir.Module, error) {
	m, err := plain(c, o, trace)
	if err != nil {
		return nil, err
	}
	return m, o.optimize(m)
}

// maxCapacity is the largest KV cache, in tokens: rotary angles are exact to 1e-7 up to this position.
const maxCapacity = 100_000

var kvTypes = map[string]ir.DType{"": ir.F32, "f32": ir.F32, "bf16": ir.BF16}

// plain builds the module of a checkpoint and runs no pass.
func plain(c *hf.Checkpoint, o Options, trace bool) (*ir.Module, error) {
	return o.graph(c.Model, c.Config, c.Masks, c, c.Kept, trace)
}

// graph builds the module of a configuration, and of a decoder of masks unless that is nil, whose checkpoint has the tensors stored.
func (o Options) graph(m *models.Model, cfg models.Config, masks *maskdecoder.Config, stored tensors, adapters []models.Adapter, trace bool) (*ir.Module, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	r, err := o.resolve(m, stored)
	if err != nil {
		return nil, err
	}
	tokens, onGPU := o.capacity(cfg.Facts().ImageTokens), o.kind == program.PTX
	module, err := cfg.Graph(models.Options{Adapters: adapters, KV: kvTypes[o.KV], MaxTokens: tokens, DType: r.dtype, Halves: r.halves, QuantizeActivations: r.integers,
		BF16Activations: r.bfloats, BF16Integers: r.bfloats && onGPU, FreshKeys: onGPU, Likeliest: onGPU, Verify: o.Draft == draftNgram, Trace: trace})
	if err != nil {
		return nil, err
	}
	if err := o.checkKeep(module); err != nil || masks == nil {
		return module, err
	}
	return module, addMasks(module, masks)
}

func (o Options) maxTokens(c *hf.Checkpoint) int { return o.capacity(c.Config.Facts().ImageTokens) }

// capacity returns the capacity of the KV cache in tokens.
func (o Options) capacity(imageTokens int) int {
	if o.MaxTokens > 0 {
		return o.MaxTokens
	}
	return DefaultMaxTokens(imageTokens)
}

// imagePrompt returns the number of tokens in the shortest prompt about an image.
func imagePrompt(c *hf.Checkpoint, tok *packed) int {
	if c.Embedding != nil {
		return len(embed.Tokens(tok.Tokenizer, c.Embedding.Image, ""))
	}
	return c.Config.Facts().ImageTokens + 2 // <bos> and the newline
}

func (r *Report) fill(m *ir.Module, variants *codegen.Variants, maxTokens int) {
	for i, res := range variants.Results {
		t := variants.Backends[i].Target
		r.Sets = append(r.Sets, SetReport{CPU: t.CPU, Features: t.Features, Kernels: len(res.Kernels), CodeBytes: len(res.Code.Bytes)})
	}
	p := variants.Programs[0]
	r.CodeBytes, r.WeightBytes, r.Kernels, r.MaxTokens = variants.CodeBytes(), p.WeightBytes, len(p.Kernels), maxTokens
	r.KVBytes = p.SlotBytes()
	for i, f := range m.Funcs {
		a := passes.ArenaOf(f)
		r.ArenaBytes[f.Name], r.ArenaMinimum[f.Name] = a.Bytes, a.LowerBound
		r.Launches[f.Name] = len(p.Funcs[i].Launches)
	}
}

// WriteWeights writes the weights section from a checkpoint. It is an error if the checkpoint's files change meanwhile.
func WriteWeights(ctx context.Context, w io.Writer, r *codegen.Result, c *hf.Checkpoint, o Options) error {
	err := fault.Guard(func() error {
		return r.WriteWeights(w, o.source(ctx, c), weights.Writing{Rounding: o.Rounding, Progress: o.Progress})
	})
	if changed := c.Unchanged(); changed != nil {
		return changed
	}
	return err
}

// source is Source with the vocabulary that the options leave.
func (o Options) source(ctx context.Context, c *hf.Checkpoint) weights.Source {
	if o.kept == nil {
		return Source(ctx, c)
	}
	return cutSource{Source(ctx, c), o.kept, vocabularyOf(c)}
}

// Source returns the tensors of a checkpoint for code generation. They are there until ctx is done.
func Source(ctx context.Context, c *hf.Checkpoint) weights.Source { return source{ctx, c} }

// source reads the tensors of a checkpoint.
type source struct {
	ctx context.Context
	c   *hf.Checkpoint
}

// Tensor returns a tensor by canonical name.
func (s source) Tensor(key string) (weights.Tensor, error) {
	if err := s.ctx.Err(); err != nil {
		return weights.Tensor{}, err
	}
	if of, ok := models.OfRest(key); ok {
		t, err := s.Tensor(of)
		return rest(t), err
	}
	t, err := s.c.Tensor(key)
	return weights.Tensor{DType: t.DType, Shape: t.Shape, Data: t.Data, Read: t.Read, File: t.File}, err
}

// Prefetch prefetches bytes of a tensor. Evict returns the pages of bytes that are not read again.
func (s source) Prefetch(key string, from, to int64) { s.c.Prefetch(key, from, to) }
func (s source) Evict(key string, from, to int64)    { s.c.Evict(key, from, to) }

// describe collects what the runtime needs to know of the model.
func describe(c *hf.Checkpoint, tok *packed, o Options) *manifest.Model {
	facts := c.Config.Facts()
	m := &manifest.Model{Name: c.Name, Merged: c.Adapter, Trained: c.Trained, Type: c.Model.Type, Kind: facts.Kind, ImageSize: facts.ImageSize, ImageTokens: facts.ImageTokens,
		HiddenSize: facts.HiddenSize, VocabSize: facts.VocabSize, MaxTokens: o.maxTokens(c), Weights: o.Weights, KV: o.KV,
		BOS: tok.bos, SuffixEnd: tok.eos, PAD: tok.pad, Image: facts.ImageTokenIndex, EOS: c.Generation.EOS,
		MaxNewTokens: c.Generation.MaxNewTokens, DoSample: c.Generation.DoSample, Temperature: c.Generation.Temperature,
		TopK: c.Generation.TopK, TopP: c.Generation.TopP, RepetitionPenalty: c.Generation.RepetitionPenalty,
		RescaleFactor: c.Preprocessor.RescaleFactor, Mean: c.Preprocessor.Mean, Std: c.Preprocessor.Std, Embedding: c.Embedding, PromptEnd: c.Model.PromptEnd,
		Verbs: c.Model.Verbs(), Several: c.Model.TakesSeveral(c.Name)}
	for i, a := range c.Kept {
		of := manifest.Adapter{Name: a.Name, Trained: c.KeptTrained[i]}
		for _, change := range a.Changes {
			if of.Rank = max(of.Rank, change.Rank); change.At == "" {
				of.Weights++
			}
		}
		m.Adapters = append(m.Adapters, of)
		m.Parts = append(m.Parts, manifest.Part{Prefix: models.AdapterWeights(a.Name), Name: "adapter " + a.Name})
	}
	for _, r := range c.Model.Roles {
		m.Parts = append(m.Parts, manifest.Part{Prefix: r.Prefix, Name: r.Role.String()})
	}
	if m.KV == "" {
		m.KV = "f32"
	}
	if o.Runtime == leastRuntime {
		m.Runtime = leastRuntime
	}
	m.Compute, m.Rounding, m.BF16Products = o.products(c)
	if o.kind == program.PTX && m.Compute != "" {
		m.Compute = "bf16"
	}
	for name, off := range o.Passes.Off {
		if off {
			m.Off = append(m.Off, name)
		}
	}
	slices.Sort(m.Off)
	if m.Weights == "" || m.Weights == "auto" {
		d := c.DType(c.Model.Embedding)
		if o.half {
			d = halved(d)
		}
		m.Weights = d.String()
	}
	for _, w := range c.Weights {
		m.Parameters += w.Elements()
	}
	m.FullLayers, m.SlidingLayers, m.SlidingWindow = facts.FullLayers, facts.SlidingLayers, facts.SlidingWindow
	describeMasks(m, c)
	o.describeFrozen(m, tok, c)
	for _, id := range []int{m.Image, m.PAD, m.BOS} {
		if 0 <= id && id < m.VocabSize {
			m.SuppressTokens = append(m.SuppressTokens, int32(id))
		}
	}
	for id := tok.VocabSize(); id < m.VocabSize && o.kept == nil; id++ {
		m.SuppressTokens = append(m.SuppressTokens, int32(id))
	}
	return m
}
