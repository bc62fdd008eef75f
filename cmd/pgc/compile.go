package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"pgc/cmd/internal/debug"
	"pgc/cmd/internal/quality"
	"pgc/internal/build"
	"pgc/runtime/output"
	"pgc/runtime/process"
)

// compileFlags are the flags that compile and run share.
type compileFlags struct {
	Adapter   []string `sep:"none" placeholder:"[NAME=]DIR" help:"A PEFT adapter (LoRA): its folder, or its name in the Hugging Face cache. It is merged into the checkpoint first, or with NAME= kept beside the model and chosen by a request's --adapter NAME. Repeat for several with names."`
	Tokenizer string   `placeholder:"DIR" help:"The folder of the tokenizer, for a checkpoint without one, or its name in the Hugging Face cache."`
	Masks     string   `placeholder:"FILE" help:"The decoder of segmentation masks, vae-oid.npz (default: the one beside the checkpoint, if it is there)."`
	Weights   string   `default:"auto" help:"Storage of the matrices: auto (as in the checkpoint), ${stored}. Formats of 4 bits are the decoder's; all else is int8 then."`
	Group     int      `default:"128" help:"Group size of int8 and int4, the values of a row that share a scale: 32, 64 or 128."`
	Compute   string   `placeholder:"TYPES" help:"Arithmetic of matrix products besides f32: int8 (the default: quantizes activations where matrices are int8 or int4), bf16 (rounds activations to bf16 where matrices are bf16), int8,bf16 (both), or f32 (neither). A GPU multiplies floats as two bf16 numbers, or with bf16 as one."`
	Keep      []string `sep:"none" placeholder:"PATTERN=TYPE" help:"Store matrices whose names match PATTERN as TYPE, as in 'vision_tower.*=bf16'. Repeat for several."`
	Search    bool     `help:"Search for the int4 scales with the smallest error."`
	Target    string   `default:"cpu" help:"What the file runs on: cpu, cuda (NVIDIA GPUs from sm_80 on), or cpu,cuda (both, with one copy of the weights)."`
	CPU       string   `name:"cpu" default:"${cpu}" help:"LLVM -mcpu names, separated by commas, or native. The file has code for each and runs the best that the CPU supports. The default runs on any x86-64 with AVX2 and FMA."`
	KV        string   `name:"kv" placeholder:"TYPE" help:"Storage of the KV cache: f32 or bf16 (default: f32 on CPUs, bf16 on GPUs)."`
	MaxTokens int      `help:"Capacity of the KV cache in tokens, image tokens included (default: those of four pictures and 512 of text, at least 1024)."`
	Draft     string   `placeholder:"WAY" help:"How tokens are guessed and then verified several at a time: ngram (from the text so far; faster where answers repeat themselves or the prompt), or off (the default)."`
	Runtime   string   `default:"full" placeholder:"NAME" help:"What the executable begins with: full, or least, which is less than half as large: for small machines, with generate, detect, batch and info alone, of PNG and JPEG files."`
	Debug     []string `short:"d" placeholder:"AID" help:"Debugging aids; -d help lists them."`
}

// options reads the flags. The caller finishes the session when the passes have run.
func (f *compileFlags) options() (build.Options, *debug.Session, error) {
	a, err := debug.Parse(f.Debug, os.Stderr)
	if err != nil {
		return build.Options{}, nil, usage{err}
	}
	note := note()
	f.unused(note)
	merged, kept, err := build.ParseAdapters(f.Adapter)
	if err != nil {
		return build.Options{}, nil, err
	}
	o := build.Options{Storage: f.storage(), Adapter: merged, Adapters: kept, Tokenizer: f.Tokenizer, Masks: f.Masks,
		Target: f.Target, CPU: f.CPU, KV: f.KV, MaxTokens: f.MaxTokens, Draft: f.Draft, Runtime: f.Runtime, Passes: a.Options, Progress: progress(), Note: note}
	return o, a, nil
}

func (f *compileFlags) storage() build.Storage {
	return build.Storage{Weights: f.Weights, Group: f.Group, Compute: f.Compute, Keep: f.Keep, Search: f.Search}
}

// unused notes which flags have no effect on the storage that is asked for.
func (f *compileFlags) unused(note func(string)) {
	types := f.storage().Types()
	if f.Group != build.DefaultGroup && !slices.ContainsFunc(types, build.Grouped) {
		note(fmt.Sprintf("--group has no effect with --weights %s: int8 and int4 have groups", f.Weights))
	}
	if f.Search && !slices.ContainsFunc(types, build.Fitted) {
		note(fmt.Sprintf("--search has no effect with --weights %s: it looks for the scales of int4", f.Weights))
	}
}

// note returns a function that prints what a user should know on standard error, a note once.
func note() func(note string) {
	said := map[string]bool{}
	return func(note string) {
		if !said[note] {
			fmt.Fprintln(os.Stderr, "pgc: note: "+process.Line(note))
		}
		said[note] = true
	}
}

// frozenFlags are what compile and run build in.
type frozenFlags struct {
	Task           []string `sep:"none" placeholder:"TEXT" help:"Build in a task, such as 'detect cat ; dog' or 'segment cat': the executable takes pictures alone, and the vocabulary keeps only the tokens that the task can give. Repeat for several."`
	Prompt         []string `sep:"none" placeholder:"TEXT" help:"Build in a prompt of another kind, such as 'caption en'; prompts are answered after tasks. The vocabulary loses the tokens of locations and masks, and those that are not words. Repeat for several."`
	KeepVocabulary bool     `help:"With --task or --prompt: keep the whole vocabulary."`
}

func (f *frozenFlags) frozen() build.Frozen {
	return build.Frozen{Task: f.Task, Prompt: f.Prompt, KeepVocabulary: f.KeepVocabulary}
}

type compileCmd struct {
	compileFlags
	frozenFlags
	Checkpoint string   `arg:"" help:"A Hugging Face checkpoint directory or its name in the Hugging Face cache (org/name), those of a PEFT adapter whose base is on this machine, or an .npz file of big_vision (with --tokenizer)."`
	Output     string   `short:"o" required:"" placeholder:"FILE" help:"The executable to write."`
	Emit       []string `placeholder:"STAGE" help:"Also write graph (before and after the passes), tile, llvm, asm or ptx: a file per kernel, in a folder per instruction set if there are several."`
	EmitDir    string   `placeholder:"DIR" help:"Where --emit writes (default: the current folder)."`
	Calibrate  string   `placeholder:"DIR" help:"Round int4 for the smallest error on the pictures of this folder, with the prompts of its prompts.txt or requests.jsonl."`
	Report     bool     `help:"Compare the executable with the checkpoint as it is stored: error of every layer, KL divergence and agreement of logits."`
	Pictures   string   `placeholder:"DIR" help:"The pictures and prompts of --report (default: those of --calibrate, else generated ones)."`
	JSON       bool     `name:"json" help:"Print a report on standard output."`
}

// protect keeps a model's files, and those of its adapters, from being replaced by results.
func (f *compileFlags) protect(model string) {
	output.Protect(model, f.Masks)
	merged, kept, err := build.ParseAdapters(f.Adapter)
	if err != nil { // which ends the command before it writes anything
		return
	}
	if merged != "" {
		output.Protect(merged)
	}
	for _, k := range kept {
		output.Protect(k.Dir)
	}
}

// Run compiles.
func (c *compileCmd) Run(ctx context.Context) error {
	if c.Debug != nil && c.Debug[0] == "help" {
		debug.Help(stdout)
		return nil
	}
	if c.EmitDir != "" && len(c.Emit) == 0 {
		note()("--emit-dir has no effect without --emit")
	}
	c.protect(c.Checkpoint)
	output.Protect(c.Calibrate, c.Pictures)
	if err := output.Allowed(c.Output); err != nil {
		return err
	}
	o, a, err := c.options()
	if err != nil {
		return err
	}
	rt, err := o.WithRuntimes(nil, runtimeOf)
	if err != nil {
		return err
	}
	o.Emit, o.EmitDir, o.Frozen = c.Emit, c.EmitDir, c.frozen()
	if c.Report && len(c.Task)+len(c.Prompt) > 0 {
		return usage{errors.New("--report compares the logits of whole vocabularies: leave --task and --prompt out of it")}
	}
	q, err := c.quality(ctx, &o)
	if err != nil {
		return debug.Explain(err)
	}
	defer q.close()
	r, err := build.Compile(ctx, c.Checkpoint, c.Output, rt, o)
	if err != nil {
		return debug.Explain(err)
	}
	if err := a.Finish(); err != nil {
		return err
	}
	measured, err := q.report(ctx, c.Output)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(stdout).Encode(struct {
			*build.Report
			Quality *quality.Report `json:"quality,omitempty"`
		}{r, measured})
	}
	if measured != nil {
		measured.Print(stdout)
	}
	return nil
}
