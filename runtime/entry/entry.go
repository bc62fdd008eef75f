// Package entry names what the graph of a model and the runtime must agree on: the functions of a program, their inputs
// and outputs, the states that functions hand on to each other, and the symbols that they depend on. The graph's own
// comment says what each function computes.
package entry

import (
	"strconv"
	"strings"
)

// Functions.
const (
	EncodeImage = "encode_image"
	Prefill     = "prefill"
	Greedy      = "greedy"
	Logits      = "logits"
	Decode      = "decode"
	Step        = "step"
	DecodeBatch = "decode_batch"
	StepBatch   = "step_batch"
	LogitsBatch = "logits_batch"
	Forward     = "forward"
	Head        = "head"
	Embed       = "embed"
	DecodeMask  = "decode_mask"
	SeenFull    = "seen_full"    // of layers that see everything, where there are some
	SeenSliding = "seen_sliding" // of layers with a sliding window
	Attend      = "attend"

	// The logits of some rows of the head, and those of a batch.
	Span, SpanBatch = "logits_span", "logits_span_batch"
	Few, FewBatch   = "logits_few", "logits_few_batch"
	Rows            = "decode_rows"
	Verify          = "verify" // where tokens are guessed
)

// Sizes that graph and runtime agree on.
const (
	PanelRows  = 16   // rows of a panel of the head
	SpanRows   = 1056 // logits of logits_span: all locations, wherever they begin within a panel, and panels come in pairs
	FewRows    = 32   // logits of logits_few
	VerifyRows = 8    // tokens of verify: as many as a batch has sequences
	MostLikely = 1024 // tokens that are told as the likeliest, or all of a smaller vocabulary
	DecodeRows = 2    // tokens of decode_rows: a label and what is behind it, or a separator, are seldom more
)

// Adapted names the form of a function that computes with adapter number n, counted from 1, of those that are kept beside
// the model. 0 is the model alone.
func Adapted(function string, n int) string {
	if n == 0 {
		return function
	}
	return function + adapted + strconv.Itoa(n)
}

// Mixed names the form of a function in which every sequence of a batch has an adapter of its own.
func Mixed(function string) string { return function + adapted + "s" }

const adapted = "_adapter"

// Plain returns the function that one is a form of.
func Plain(function string) string {
	name, _, _ := strings.Cut(function, adapted)
	return name
}

// Inputs.
const (
	InPixels       = "pixels"       // f32 [3, size, size], normalized, of encode_image
	InIDs          = "ids"          // i32 [S], token ids, of prefill, forward and embed
	InSlots        = "slots"        // i32 [S], the row of features for each image token, -1 for text, of prefill, forward and embed
	InAdapters     = "adapters"     // i32 [8], the number of each slot's adapter, 0 for none, of the mixed forms
	InCodes        = "codes"        // i32 [16], the segment codes of a mask, of decode_mask
	InTemperatures = "temperatures" // f32 [rows], what logits are divided by, of logits and logits_batch where they tell the likeliest tokens
	InNext         = "next_rows"    // i32 [rows], token ids, of decode_rows and verify
	InPositions    = "positions"    // i32 [8], the position of each slot's token, -1 for none, of decode_batch and step_batch; of each row of decode_rows and verify
)

// Outputs.
const (
	OutLogits       = "logits"        // f32 [rows, vocabulary], of logits, logits_batch and head; [rows, 1056] or [rows, 32] of parts of it
	OutLikeliest    = "likeliest"     // f32 [rows, 1024], the greatest of the logits divided by the temperatures, in descending order
	OutLikeliestIDs = "likeliest_ids" // i32 [rows, 1024], their tokens
	OutLogSumExp    = "log_sum_exp"   // f32 [rows, 1], of all logits divided so
	OutMask         = "mask"          // f32 [side, side], above 0 where the object is, of decode_mask
	OutSeen         = "seen"          // f32 [S, SeenKeys], above 0 where a token attends to a key, of keys from row on, of seen_full and seen_sliding
	OutAttentions   = "attentions"    // f32 [layers, heads, T], the attention of the token in the state next, of attend
	OutEmbeddings   = "embeddings"    // f32 [S, dim], of embed
)

// SeenKeys is the number of keys that a call of seen_full or seen_sliding tells of.
const SeenKeys = 64

// States. They hold what a function leaves for those that run after it.
const (
	StateFeatures  = "features"   // f32 [rows, hidden], image features, from encode_image to prefill, forward and embed
	StateHidden    = "hidden"     // f32 [tokens, hidden], of all tokens, from forward to head
	StateLast      = "last"       // f32 [1, hidden], of the last token, to greedy and logits
	StateLastBatch = "last_batch" // f32 [8, hidden], of the last token of each sequence or of each row of verify or decode_rows, to logits_batch
	StateNext      = "next"       // i32 [1], the token that decode or step reads next, from greedy, step or the caller
	StateNextBatch = "next_batch" // i32 [8], the tokens that decode_batch or step_batch reads next; those behind the rows of verify
)

// Symbols.
const (
	SymTokens = "S"      // tokens of the call
	SymKeys   = "T"      // keys in the cache once those of the call are there
	SymSlot   = "slot"   // batch slot that a function of one sequence works on
	SymPast   = "past"   // tokens before those of the call
	SymPrefix = "prefix" // length of the part of the prompt that sees itself in both directions
	SymRow    = "row"    // first row of features that encode_image writes, or of hidden states that head reads; the last token of decode_rows
	SymRows   = "R"      // rows of hidden states that head reads
	SymPanel  = "panel"  // the first of the head's panels that logits_span and the like read
)
