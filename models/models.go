// Package models defines the record by which the compiler knows a model. Each folder below exports one, and
// models/registry lists them.
//
// A record holds everything that sets checkpoints of one architecture apart from those of another: how to read the
// configuration, the graph, the names and roles of weights, the prompts.
package models

import (
	"strings"

	"pgc/ir"
	"pgc/models/config"
	"pgc/runtime/manifest"
)

// Model describes an architecture.
type Model struct {
	Type string // model_type of config.json

	// Read reads config.json. An error stays in the section, and the result is of no use then.
	Read func(s *config.Section) Config

	// Canonical maps the name of a stored tensor, in any layout that transformers reads, to the name that the graph
	// asks for.
	Canonical func(stored string) string
	// Hub maps a name of the graph to the one that checkpoints on the hub have.
	Hub func(key string) string
	// Ignored reports whether a stored tensor, by canonical name, takes part in no computation.
	Ignored func(key string) bool
	// Roles says what weights are for, by the beginnings of their names; the first that fits counts.
	Roles []RoleOf
	// Scale reports whether a weight is the factor of a norm, which training leaves near one.
	Scale func(key string) bool
	// Embedding and Head name the table of token embeddings and the matrix that maps hidden states to logits.
	// Checkpoints may leave the head out and use the embedding. Head is empty where the model has none.
	Embedding, Head string

	// PromptEnd is the text that a model's processor puts behind every prompt, for a model that generates text: image
	// tokens, <bos>, the user's text and this.
	PromptEnd string
	// Tasks are what prompts of a model that generates text ask for.
	Tasks []Task
	// Several are parts of the names of checkpoints that were fine-tuned on several images at a time.
	Several []string
	// Embeds returns how the model makes embeddings of images and queries, as processor_config.json has it. It is nil
	// for a model that generates text.
	Embeds func(c Config, processor *config.Section) *manifest.Embedding

	// Released returns the config.json of released checkpoints, by the names that pgc random takes.
	Released func() map[string]any
}

// Config is a model's configuration.
type Config interface {
	Facts() Facts
	// WithLayers returns the configuration with so many layers in encoder and decoder.
	WithLayers(n int) Config
	// WithVocabulary returns the configuration with so many rows in the vocabulary.
	WithVocabulary(n int) Config
	// Tied returns the configuration with the embedding as its head, or with a head of its own.
	Tied(tied bool) Config
	// Graph builds the module in plain operations.
	Graph(o Options) (*ir.Module, error)
}

// Facts are the settings that compiler and runtime need whatever the model; names are those of Hugging Face's keys.
type Facts struct {
	Kind                   string // the model and its decoder, for people: paligemma (gemma2)
	TextModelType          string // text_config.model_type
	ImageSize              int    // pixels of a side
	ImageTokens            int    // tokens of an image
	HiddenSize, VocabSize  int    // of the decoder
	NumHiddenLayers        int    // of encoder or decoder, whichever has fewer
	FullLayers             []int  // of the decoder: those that see everything before a token
	SlidingLayers          []int  // and those that see a window of so many tokens
	SlidingWindow          int
	TieWordEmbeddings      bool
	ImageTokenIndex        int
	BOSTokenID, PADTokenID int
	EOSTokenID             []int
}

// CheckEnds notes which of the ids that end an answer, the value of a key, have no row in the table of token embeddings.
func CheckEnds(s *config.Section, key string, vocabSize int, ids ...int) {
	for _, id := range ids {
		if id >= vocabSize {
			s.Note(key, "is %d, beyond text_config.vocab_size %d: no answer ends with it", id, vocabSize)
		}
	}
}

// Options says how to build a graph.
type Options struct {
	// MaxTokens is the most tokens of a call or, for a model that generates, of the KV cache; image tokens count.
	MaxTokens int
	// DType is the storage type of a weight.
	DType func(key string) ir.DType
	// Declarations leaves out functions that declare no weight of their own.
	Declarations bool
	// Halves says that products with a weight, which DType stores as bfloat16, also multiply by its Rest. Nil is none.
	Halves func(key string) bool
	// KV is the storage type of the KV cache; the zero value is f32.
	KV ir.DType
	// QuantizeActivations makes products with integer matrices integer products: x is stored in groups of 8 bits first.
	QuantizeActivations bool
	// BF16Activations makes products with bfloat16 matrices products of bfloat16: x is rounded to it first. Sums are
	// float32.
	BF16Activations bool
	// BF16Integers does the same with integer matrices, whose values are exact in bfloat16.
	BF16Integers bool
	// FreshKeys lets the attention of a whole prompt read the keys and values that it computes, not the cache, where they
	// may be rounded.
	FreshKeys bool
	// Verify adds the function that guessed tokens are verified with, to a model that generates.
	Verify bool
	// Likeliest makes the functions that write the logits of steps of a model that generates also tell the likeliest tokens.
	Likeliest bool
	// Adapters are kept beside the weights: functions have a form for each.
	Adapters []Adapter
	// Trace makes every layer's result an output, named as in the reference files of golden/.
	Trace bool
}

// Adapter is a fine-tuning kept beside the weights: what becomes of those that it changes.
type Adapter struct {
	Name    string
	Changes map[string]Change // by weight
}

// Change is what an adapter does to a weight: it stands beside a product or has a weight of its own.
type Change struct {
	Rank   int     // of the product Scale·B·A that is added to the weight's; 0 for none
	Scale  float64 // of that product
	Rows   bool    // the rows of the sum are scaled; of a table the columns
	Own    bool    // the weight is replaced; Rank is 0 then but of a table
	Tokens []int   // whose rows are replaced, in the order of the rows that replace them; -1 for a row that nothing reads
	At     string  // the weight whose changes these are as well: a head is changed as the table is that it is; empty for none
}

// The weights of an adapter, and what they are to the weight that it changes. Those of a table are transposed, so that rows of
// A are looked up as those of the table are.
const (
	FactorA = "lora_A" // [rank, columns]; of a table [rows, rank]
	FactorB = "lora_B" // [rows, rank]; of a table [columns, rank]
	Scales  = "scales" // [rows]; of a table [columns]
	Whole   = "whole"  // of the same shape
	Tokens  = "tokens" // [tokens, columns]
)

const adapterPrefix = "adapters/"

// AdapterWeight names a weight of an adapter.
func AdapterWeight(adapter, key, part string) string {
	return AdapterWeights(adapter) + key + "/" + part
}

// AdapterWeights is how the names of all weights of an adapter begin.
func AdapterWeights(adapter string) string { return adapterPrefix + adapter + "/" }

// OfAdapter takes the name of an adapter's weight apart.
func OfAdapter(weight string) (adapter, key, part string, ok bool) {
	parts := strings.Split(weight, "/")
	if len(parts) != 4 || parts[0]+"/" != adapterPrefix {
		return "", "", "", false
	}
	return parts[1], parts[2], parts[3], true
}

const restSuffix = ".rest"

// Rest names what the nearest bfloat16 numbers of a weight leave of its values.
func Rest(weight string) string { return weight + restSuffix }

// OfRest returns the weight that a name of Rest is of.
func OfRest(weight string) (of string, ok bool) { return strings.CutSuffix(weight, restSuffix) }

// Weight is a tensor that a model reads.
type Weight struct {
	Name  string
	Shape []int
}

// Elements is the number of elements.
func (w Weight) Elements() int64 {
	n := int64(1)
	for _, d := range w.Shape {
		n *= int64(d)
	}
	return n
}

// Weights lists the tensors that the graph of a configuration declares.
func Weights(c Config) ([]Weight, error) {
	m, err := c.Graph(Options{MaxTokens: c.Facts().ImageTokens + 1, DType: func(string) ir.DType { return ir.F32 }, Declarations: true})
	if err != nil {
		return nil, err
	}
	return Declared(m), nil
}

// Declared lists the tensors that a module declares, in the order in which it asks for them.
func Declared(m *ir.Module) []Weight {
	var list []Weight
	seen := map[string]bool{}
	for _, f := range m.Funcs {
		for _, p := range f.Params {
			if p.Kind != ir.Weight || seen[p.Key] {
				continue
			}
			seen[p.Key] = true
			w := Weight{Name: p.Key}
			for _, d := range p.Type.Shape {
				w.Shape = append(w.Shape, d.N)
			}
			list = append(list, w)
		}
	}
	return list
}
