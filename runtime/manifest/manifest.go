// Package manifest describes a compiled model to the executable's commands: the content of program.Program.Model.
package manifest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"pgc/runtime/jsonerr"
)

// Model describes the compiled checkpoint.
type Model struct {
	Name         string            // of the checkpoint: org/name where it came from the Hugging Face cache, else the name of its directory
	Merged       string            `json:",omitempty"` // the adapter that is merged into it
	Trained      Trained           // the task that it was fine-tuned for
	Verbs        map[string]string `json:",omitempty"` // the tasks that first words of prompts name
	Several      bool              `json:",omitempty"` // it was trained on several images at a time
	Adapters     []Adapter         `json:",omitempty"` // kept beside it; a request has the number of one, counted from 1
	Type         string            // model_type of config.json
	Kind         string            // "paligemma (gemma)" or "paligemma (gemma2)"
	ImageSize    int               // pixels of a side
	ImageTokens  int               // per image
	HiddenSize   int
	VocabSize    int
	MaxTokens    int // capacity of the KV cache
	Parameters   int64
	Weights      string // storage of the matrices
	KV           string // and of the KV cache
	Compute      string // arithmetic of products with matrices of integers, f32 or int8; empty without such matrices
	BF16Products bool   // products with matrices of bfloat16 are of bfloat16
	Rounding     string // how 4-bit integers were chosen: plain, search or calibrated; empty without them

	Runtime    string     `json:",omitempty"` // least, if the executable begins with that
	Frozen     []Frozen   `json:",omitempty"` // what it is asked, where that is built in
	Vocabulary int        `json:",omitempty"` // rows of the checkpoint's vocabulary, where only some are kept; ids below count those
	Kept       [][2]int32 `json:",omitempty"` // these: ranges of the tokenizer's ids, first and last, in order

	BOS, PAD, Image int
	PromptEnd       string  // text behind a prompt, tokenized with it
	SuffixEnd       int     // the tokenizer's <eos>, which ends the suffix of forward
	EOS             []int   // each of them ends an answer
	SuppressTokens  []int32 // ids that are not words and never generated

	MaxNewTokens      int // the default of generate
	DoSample          bool
	Temperature       float64
	TopK              int
	TopP              float64
	RepetitionPenalty float64

	FullLayers    []int `json:",omitempty"` // of the decoder: those that see everything before a token
	SlidingLayers []int `json:",omitempty"` // and those that see a window
	SlidingWindow int   `json:",omitempty"` // of so many tokens

	Masks     *Masks     `json:",omitempty"` // the decoder of segmentation masks; nil without one
	Embedding *Embedding `json:",omitempty"` // how it makes embeddings; nil where it generates text
	Parts     []Part     // of the model, by the beginnings of their weights' names; the first that fits counts

	Off []string // optional passes left out by the compiler

	RescaleFactor float64
	Mean, Std     [3]float64
}

// Frozen is a prompt that is built in: a text, or a task for which objects are located.
type Frozen struct {
	Text    string   // as it was given
	Task    string   `json:",omitempty"` // detect or segment; empty for a text
	Classes []string `json:",omitempty"` // of a task
}

// Tokens lists the ids that Kept holds, or nil for all.
func (m *Model) Tokens() (ids []int32) {
	for _, r := range m.Kept {
		for id := r[0]; id <= r[1]; id++ {
			ids = append(ids, id)
		}
	}
	return ids
}

// Trained is the one task that a model was fine-tuned for, where its folder says so.
type Trained struct {
	Task string // caption, detect, segment or answer
	By   string // what says so, as "its name"
}

// Adapter is a fine-tuning that is kept beside the model.
type Adapter struct {
	Name    string
	Rank    int // the largest
	Weights int // how many of the model's it changes
	Trained Trained
}

// AdapterNumber returns the number of an adapter, 0 for an empty name.
func (m *Model) AdapterNumber(name string) (int, error) {
	if name == "" {
		return 0, nil
	}
	var names []string
	for i, a := range m.Adapters {
		if a.Name == name {
			return i + 1, nil
		}
		names = append(names, a.Name)
	}
	if names == nil {
		return 0, fmt.Errorf("no adapter is called %.80q: the executable has none (pgc compile --adapter NAME=DIR keeps them)", name)
	}
	return 0, fmt.Errorf("no adapter is called %.80q, expected one of %s", name, strings.Join(names, ", "))
}

// Embedding is how a model makes an embedding, a vector a token, of an image or of a query.
type Embedding struct {
	Dim          int // elements of a vector
	Image, Query []Segment
}

// Segment is a piece of a prompt: Count times a token or, where Count is 0, a text.
type Segment struct {
	Token, Count int
	Text         string // tokenized in one piece with the user's text, which follows it
	User         bool   // the user's text follows
}

// Masks is the decoder of segmentation masks.
type Masks struct {
	Entries int // codes that it knows, from 0 on
	Side    int // pixels of a mask's side
}

// Part is a part of a model.
type Part struct{ Prefix, Name string }

// PartOf is the name of the part that a weight belongs to, or empty.
func (m *Model) PartOf(weight string) string {
	for _, p := range m.Parts {
		if strings.HasPrefix(weight, p.Prefix) {
			return p.Name
		}
	}
	return ""
}

// PartNames lists the names of the parts.
func (m *Model) PartNames() (names []string) {
	for _, p := range m.Parts {
		if !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	return names
}

// Sections of the executable beside the program's own.
const (
	SectionTokenizer  = "tokenizer"
	SectionLicense    = "license"
	SectionGraph      = "graph"       // the graph before any pass, as compressed text: check compares kernels with it
	SectionRuntimeGPU = "runtime-gpu" // the runtime for GPUs, where the file begins with that for processors
	SectionGraphPTX   = "graph-ptx"   // that of the program for GPUs
)

// Encode returns m as JSON.
func (m *Model) Encode() ([]byte, error) { return json.Marshal(m) }

// Decode reads what Encode wrote.
func Decode(data []byte) (*Model, error) {
	m := &Model{}
	return m, jsonerr.Explain(json.Unmarshal(data, m))
}
