package app

import (
	"encoding/json"
	"io"
	"time"

	"pgc"
	"pgc/runtime/native"
)

// answer is the object that generate --json prints.
type answer struct {
	Image        string           `json:"image,omitempty"` // of generate --each
	Text         string           `json:"text"`
	Tokens       []int32          `json:"tokens"`
	FinishReason pgc.FinishReason `json:"finish_reason"`
	Boxes        []pgc.Box        `json:"boxes"`
	Malformed    []malformed      `json:"malformed"`
	PromptTokens int              `json:"prompt_tokens"`
	Logprobs     []float64        `json:"logprobs,omitempty"`
	Loss         *float32         `json:"loss,omitempty"` // of the suffix, like the next field
	Suffix       []float32        `json:"token_logprobs,omitempty"`
	Warnings     []string         `json:"warnings,omitempty"`
	Speculation  *pgc.Speculation `json:"speculation,omitempty"`
	Timings      timings          `json:"timings"`
	PeakRSSBytes int64            `json:"peak_rss_bytes"`
}

// malformed is a part of an answer that should locate an object and does not.
type malformed struct {
	Text   string `json:"text"`
	Reason string `json:"reason"`
}

type timings struct {
	Load       float64 `json:"load_s"`
	Queue      float64 `json:"queue_s"`
	Preprocess float64 `json:"preprocess_s"` // like encode_s 0 where an earlier answer encoded the same images
	Encode     float64 `json:"encode_s"`
	Prefill    float64 `json:"prefill_s"`
	Decode     float64 `json:"decode_s"`
	PerSecond  float64 `json:"tokens_per_s"`
}

// newAnswer converts a generated answer; load is the time the model took to load.
func newAnswer(g *pgc.Answer, load time.Duration) *answer {
	t := g.Timings
	a := &answer{Text: g.Text, Tokens: g.Tokens, Boxes: g.Boxes, Logprobs: g.Logprobs, FinishReason: g.FinishReason, PromptTokens: g.PromptTokens,
		Speculation: g.Speculation, Timings: timings{Load: load.Seconds(), Queue: t.Queue.Seconds(), Preprocess: t.Preprocess.Seconds(), Encode: t.Encode.Seconds(),
			Prefill: t.Prefill.Seconds(), Decode: t.Decode.Seconds()}}
	if n := len(g.Tokens) - 1; n > 0 && t.Decode > 0 {
		a.Timings.PerSecond = float64(n) / t.Decode.Seconds()
	}
	if a.Tokens == nil {
		a.Tokens = []int32{}
	}
	if a.Boxes == nil {
		a.Boxes = []pgc.Box{}
	}
	a.Malformed = make([]malformed, len(g.Malformed))
	for i, m := range g.Malformed {
		a.Malformed[i] = malformed{m.Text, m.Reason}
	}
	if g.Suffix != nil {
		a.Loss, a.Suffix = &g.Suffix.Loss, g.Suffix.TokenLogprobs
	}
	for _, w := range g.Warnings {
		a.Warnings = append(a.Warnings, w.Text)
	}
	a.PeakRSSBytes = native.PeakMemory()
	return a
}

// writeJSON writes v on one line, without HTML escapes so that <loc0001> stays readable.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
