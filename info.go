package pgc

import (
	"cmp"
	"time"

	"pgc/runtime/engine"
	"pgc/runtime/entry"
	"pgc/runtime/generate"
	"pgc/runtime/integrity"
	"pgc/runtime/native"
	"pgc/runtime/program"
)

// Info describes an executable.
type Info struct {
	Model        string    `json:"model"`
	Merged       string    `json:"merged_adapter,omitempty"` // the adapter that is merged into it
	Adapters     []Adapter `json:"adapters,omitempty"`       // kept beside it, to be chosen for a request
	ModelType    string    `json:"model_type"`               // of its config.json, such as "paligemma"
	Kind         string    `json:"kind"`                     // such as "paligemma (gemma2)"
	Parameters   int64     `json:"parameters"`
	Weights      string    `json:"weights"`                 // storage of the matrices
	Compute      string    `json:"compute,omitempty"`       // arithmetic of products with integers
	BF16Products bool      `json:"bf16_products,omitempty"` // whether products with bfloat16 matrices are of bfloat16
	Rounding     string    `json:"rounding,omitempty"`      // how 4-bit integers were chosen: plain, search or calibrated
	Storage      []Storage `json:"storage"`
	WeightBytes  int64     `json:"weight_bytes"`
	CodeBytes    int       `json:"code_bytes"`
	Kernels      int       `json:"kernels"`
	Target       string    `json:"target"` // cpu or cuda: of what is described here
	CPU          string    `json:"cpu"`
	Features     []string  `json:"features"`
	Variants     []ISA     `json:"sets"`
	ImageSize    int       `json:"image_size"`   // pixels of a side
	ImageTokens  int       `json:"image_tokens"` // of an image
	MaxTokens    int       `json:"max_tokens"`   // capacity of the KV cache
	KV           string    `json:"kv"`           // its storage
	KVBytes      int64     `json:"kv_bytes"`     // of one sequence
	MaxBatch     int       `json:"sequences"`    // requests decoded at the same time at most
	ArenaBytes   int64     `json:"arena_bytes"`
	Draft        string    `json:"draft,omitempty"`         // how tokens are guessed: ngram
	Runtime      string    `json:"runtime"`                 // what the executable begins with: full or least
	Masks        *Masks    `json:"masks,omitempty"`         // the decoder of segmentation masks
	Frozen       []string  `json:"frozen,omitempty"`        // the prompts that are built in, the only ones that it answers
	Vocabulary   *Kept     `json:"vocabulary,omitempty"`    // where not all tokens are kept
	EmbeddingDim int       `json:"embedding_dim,omitempty"` // of a model that makes embeddings: elements of a vector
	MemoryBytes  int64     `json:"memory_bytes"`            // with one image and 32 tokens of text; of a program for GPUs, that of the machine
	GPU          *GPU      `json:"gpu,omitempty"`           // of the program for GPUs, if there is one
	Generator    string    `json:"generator"`               // the compiler
	Verified     bool      `json:"verified"`                // whether this version of the file is known to have whole weights
	VerifiedAt   time.Time `json:"verified_at,omitzero"`    // when their checksums were compared, if that was earlier
	Verifies     bool      `json:"verifies"`                // whether the next answer compares them

	Processors native.Processors `json:"processors"` // of this machine, and how many threads that makes by default
}

// Adapter is a fine-tuning that an executable keeps beside the model.
type Adapter struct {
	Name    string `json:"name"`
	Rank    int    `json:"rank"`    // the largest of its products
	Weights int    `json:"weights"` // how many of the model's it changes
}

// Masks is a decoder of segmentation masks.
type Masks struct {
	Codes int `json:"codes"` // that it knows, from 0 on
	Side  int `json:"side"`  // pixels of a side of what it makes
}

// GPU is what the program for GPUs takes of a GPU's memory.
type GPU struct {
	engine.GPUMemory
	TotalBytes int64  `json:"total_bytes"`      // with one batch slot
	BatchBytes int64  `json:"batch_bytes"`      // with all
	Device     string `json:"device,omitempty"` // the one that it runs on here
}

func targetName(p *program.Program) string {
	if p.Target.Kind == program.PTX {
		return "cuda"
	}
	return "cpu"
}

// ISA is an instruction set that an executable has code for. CPU, Features and Kernels of an Info are those of the one
// that runs here, or else of the best.
type ISA struct {
	CPU         string   `json:"cpu"` // LLVM's -mcpu name
	Features    []string `json:"features"`
	Kernels     int      `json:"kernels"`
	Runs        bool     `json:"runs"`            // whether it is the one that runs here
	Unsupported string   `json:"lacks,omitempty"` // why it cannot run here; "" if it can
}

// Info describes the executable.
func (e *Executable) Info(opts ...Option) Info {
	var o options
	for _, set := range opts {
		set(&o)
	}
	c, err := e.choose(o)
	if err != nil {
		c.program = e.file.Program
		if p := e.programOf(program.PTX); o.device.kind == "cuda" && p != nil {
			c.program = p
		}
		return e.info(c, false, o)
	}
	return e.info(c, true, o)
}

// info describes the executable with one of its programs, which runs here if chosen.
func (e *Executable) info(c chosen, runs bool, o options) Info {
	p := c.program
	m, err := e.modelOf(p)
	if err != nil { // that of the first program was read before
		m = e.model
	}
	i := Info{Model: m.Name, Merged: m.Merged, ModelType: m.Type, Kind: m.Kind, Parameters: m.Parameters, Weights: m.Weights, Compute: m.Compute, BF16Products: m.BF16Products,
		Rounding: m.Rounding, Storage: storage(m, p), WeightBytes: p.WeightBytes, CodeBytes: int(e.file.CodeBytes()), Kernels: len(p.Kernels),
		Target: targetName(p), CPU: p.Target.CPU, Features: p.Target.Features, ImageSize: m.ImageSize, ImageTokens: m.ImageTokens, MaxTokens: m.MaxTokens,
		KV: m.KV, Runtime: cmp.Or(m.Runtime, "full"), KVBytes: p.SlotBytes(), MaxBatch: p.Slots, Generator: p.Generator}
	for _, a := range m.Adapters {
		i.Adapters = append(i.Adapters, Adapter{a.Name, a.Rank, a.Weights})
	}
	for _, p := range m.Frozen {
		i.Frozen = append(i.Frozen, p.Text)
	}
	i.Vocabulary = keptOf(m)
	if p.Func(entry.Verify) != nil {
		i.Draft = "ngram"
	}
	if m.Masks != nil {
		i.Masks = &Masks{m.Masks.Entries, m.Masks.Side}
	}
	if m.Embedding != nil {
		i.EmbeddingDim = m.Embedding.Dim
	}
	if q := e.programOf(program.PTX); q != nil {
		i.GPU = &GPU{GPUMemory: engine.GPUNeeds(q, 1), TotalBytes: engine.GPUNeeds(q, 1).Total(), BatchBytes: engine.GPUNeeds(q, q.Slots).Total()}
		if c.gpu != "" {
			i.GPU.Device = c.String()
		}
	}
	for _, q := range e.file.Programs {
		s := ISA{CPU: q.Target.CPU, Features: q.Target.Features, Kernels: len(q.Kernels), Runs: runs && q == p}
		if q.Target.Kind == program.CPU && !s.Runs {
			if err := engine.CheckSupport(q.Target); err != nil {
				s.Unsupported = err.Error()
			}
		}
		i.Variants = append(i.Variants, s)
	}
	for j := range p.Funcs {
		i.ArenaBytes = max(i.ArenaBytes, p.Funcs[j].ArenaBytes)
	}
	i.VerifiedAt, i.Verified = integrity.Known(e.file)
	i.Verifies = !i.Verified && !o.unverified
	i.Processors = native.CountProcessors()
	if runs {
		n := min(m.ImageTokens+32, m.MaxTokens)
		i.MemoryBytes = generate.Needs(p, m, e.mappedBytes(p), native.MostThreads(i.Processors.Threads), n, n).Total()
	}
	return i
}
