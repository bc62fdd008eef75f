package annotate

import (
	"pgc"
	"pgc/runtime/masks"
)

// Object is the JSON object of a picture.
type Object struct {
	Image        string           `json:"image"`
	Width        int              `json:"width"`
	Height       int              `json:"height"`
	Task         string           `json:"task"`
	Classes      []string         `json:"classes"`
	Boxes        []Box            `json:"boxes"`
	Suppressed   int              `json:"suppressed"`
	Malformed    []pgc.Malformed  `json:"malformed"`
	FinishReason pgc.FinishReason `json:"finish_reason"`
	Text         string           `json:"text"`
	Tokens       int              `json:"generated_tokens"`
	PromptTokens int              `json:"prompt_tokens"`
	Vocabulary   *pgc.Kept        `json:"score_vocabulary,omitempty"` // what scores are over, where not all tokens are kept
	Timings      timings          `json:"timings"`
}

// Box is an object of a picture.
type Box struct {
	Label    string           `json:"label"`
	Score    *float64         `json:"score"`
	Parts    *pgc.ObjectScore `json:"score_parts,omitempty"`
	Box      [4]float64       `json:"box"`
	Loc      [4]int           `json:"loc"`
	Seg      []int            `json:"seg,omitempty"`
	Area     *int             `json:"area,omitempty"`
	Mask     *runLengths      `json:"mask,omitempty"`
	Polygons [][]float64      `json:"polygons,omitzero"` // none, but a list, of a mask without a pixel
}

// runLengths is a mask as COCO writes it.
type runLengths struct {
	Size   [2]int `json:"size"` // height, width
	Counts string `json:"counts"`
}

// timings are those of generate --json without the time of loading, which is the process's.
type timings struct {
	Queue      float64 `json:"queue_s"`
	Preprocess float64 `json:"preprocess_s"`
	Encode     float64 `json:"encode_s"`
	Prefill    float64 `json:"prefill_s"`
	Decode     float64 `json:"decode_s"`
	PerSecond  float64 `json:"tokens_per_s"`
}

// JSON returns the JSON object of a picture.
func JSON(p Picture) *Object {
	o := &Object{Image: p.Name, Width: p.Width, Height: p.Height, Task: p.Task, Classes: p.Classes, Boxes: []Box{}, Suppressed: p.Suppressed,
		Malformed: p.Malformed, FinishReason: p.FinishReason, Text: p.Text, Tokens: p.Tokens, PromptTokens: p.PromptTokens, Vocabulary: p.Vocabulary}
	if o.Malformed == nil {
		o.Malformed = []pgc.Malformed{}
	}
	t := p.Timings
	o.Timings = timings{Queue: t.Queue.Seconds(), Preprocess: t.Preprocess.Seconds(), Encode: t.Encode.Seconds(), Prefill: t.Prefill.Seconds(), Decode: t.Decode.Seconds()}
	if n := p.Tokens - p.Prompts; n > 0 && t.Decode > 0 { // the first token of each belongs to its prompt
		o.Timings.PerSecond = float64(n) / t.Decode.Seconds()
	}
	for _, x := range p.Objects {
		b := Box{Label: x.Label, Score: value(x), Parts: x.Score, Box: x.Box.Box, Loc: x.Loc, Seg: x.Seg}
		if x.Mask != nil {
			b.Area, b.Mask, b.Polygons = new(masks.Area(x.Mask)), lengths(p, x), masks.Polygons(x.Mask)
		}
		o.Boxes = append(o.Boxes, b)
	}
	return o
}

// value returns the score of an object, nil without.
func value(o pgc.Object) *float64 {
	if o.Score == nil {
		return nil
	}
	return new(o.Score.Value())
}

// lengths returns the run-length codes of an object's mask.
func lengths(p Picture, o pgc.Object) *runLengths {
	return &runLengths{[2]int{p.Height, p.Width}, masks.RLE(o.Mask, p.Width, p.Height)}
}
