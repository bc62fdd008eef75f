// Package compile turns PaliGemma checkpoints into executables, as the command `pgc compile` does:
//
//	report, err := compile.Compile(ctx, "./paligemma2-3b-mix-224", "captioner", compile.Options{Weights: "int4"})
//
// Package pgc opens the result. Compiling needs llc of LLVM 14 to 22 on the machine; the executable does not.
package compile

import (
	"context"

	"pgc/internal/build"
	"pgc/ir/target"
)

// Options are the settings of a compilation. The zero value stores matrices as the checkpoint does and runs on any
// x86-64 with AVX2 and FMA.
type Options struct {
	Weights        string   // storage of the matrices: auto (or ""), f32, bf16, f16, int8 or int4
	Group          int      // values of a row that share a scale in int8 and int4: 32, 64 or 128; 0 is 128
	Compute        string   // arithmetic that products may have besides float32: int8 (or ""), bf16, "int8,bf16" or f32
	Adapter        string   // a PEFT adapter (LoRA) to merge into the checkpoint first: its folder, or its name in the Hugging Face cache; "" for none
	Adapters       []string // NAME=DIR: PEFT adapters to keep beside the model, chosen by a request's Adapter
	Tokenizer      string   // the folder of the tokenizer, or its name in the Hugging Face cache, for a checkpoint without one
	Masks          string   // the file with the decoder of segmentation masks; "" for vae-oid.npz beside the checkpoint, if it is there
	Tasks          []string // tasks that are built in, such as "detect cat ; dog"; pictures are all that the executable takes then
	Prompts        []string // prompts of other kinds that are built in, such as "caption en", behind the tasks
	KeepVocabulary bool     // keep the tokens, too, that neither those prompts nor their answers have
	Keep           []string // PATTERN=TYPE: matrices of these names are stored otherwise
	Search         bool     // search for the scales of int4 with the least error
	Target         string   // what the file runs on: cpu (or ""), cuda or "cpu,cuda"
	CPU            string   // LLVM's -mcpu names with commas between, or native; "" is the default of pgc compile
	KV             string   // storage of the KV cache: f32 or bf16; "" is f32 on CPUs and bf16 on GPUs
	MaxTokens      int      // capacity of the KV cache in tokens; 0 is the larger of 1024 and four images with 512 tokens of text
	Draft          string   // how tokens are guessed: ngram, or off (or "")
	Least          bool     // begin with the least runtime: generate, detect, batch and info alone, of PNG and JPEG files

	// Runtime is the ELF file of the runtime that the executable begins with, cmd/pgcrt built for the architecture of
	// CPU. Without it Compile takes the file pgcrt-ARCH (such as pgcrt-amd64) beside the running program, in bin/ of
	// the working directory, or on the PATH, where `make build` leaves it.
	Runtime []byte
	// GPURuntime is cmd/pgcrt-cuda, for a file that begins with cmd/pgcrt and has code for GPUs as well. A file for GPUs
	// alone begins with it. It is looked for as Runtime is, under the name pgcrt-cuda-ARCH.
	GPURuntime []byte

	// Progress, unless nil, is told how many bytes of the weights are written.
	Progress func(tensor string, done, total int64)
}

// Report says what a compilation made.
type Report = build.Report

// Compile compiles the checkpoint directory to an executable at out, which appears there when it is complete. Compiling
// twice gives identical files. An error is one sentence that names the file and the field at fault.
func Compile(ctx context.Context, checkpoint, out string, o Options) (*Report, error) {
	if o.CPU == "" {
		o.CPU = target.Default
	}
	_, kept, err := build.ParseAdapters(o.Adapters)
	if err != nil {
		return nil, err
	}
	b := build.Options{
		Storage: build.Storage{Weights: o.Weights, Group: o.Group, Compute: o.Compute, Keep: o.Keep, Search: o.Search},
		Adapter: o.Adapter, Adapters: kept, Tokenizer: o.Tokenizer, Masks: o.Masks, Target: o.Target, CPU: o.CPU, KV: o.KV, MaxTokens: o.MaxTokens, Draft: o.Draft, Progress: o.Progress,
		Frozen:     build.Frozen{Task: o.Tasks, Prompt: o.Prompts, KeepVocabulary: o.KeepVocabulary},
		GPURuntime: o.GPURuntime,
	}
	if o.Least {
		b.Runtime = "least"
	}
	rt, err := b.WithRuntimes(o.Runtime, build.FindRuntime)
	if err != nil {
		return nil, err
	}
	for _, elf := range [][]byte{rt, b.GPURuntime} {
		if err := build.CheckRuntime(elf, o.CPU); err != nil && elf != nil {
			return nil, err
		}
	}
	return build.Compile(ctx, checkpoint, out, rt, b)
}
