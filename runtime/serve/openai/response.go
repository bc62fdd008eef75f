package openai

import "pgc"

// Chat is an answer of /v1/chat/completions or, with Object ObjectChunk, a piece of one.
type Chat struct {
	ID          string       `json:"id"`
	Object      string       `json:"object"`
	Created     int64        `json:"created"` // Unix time
	Model       string       `json:"model"`
	Fingerprint string       `json:"system_fingerprint,omitempty"`
	Choices     []ChatChoice `json:"choices"`
	Usage       *Usage       `json:"usage,omitempty"`
	*Extra
}

// What objects are called.
const (
	ObjectChat       = "chat.completion"
	ObjectChunk      = "chat.completion.chunk"
	ObjectCompletion = "text_completion"
)

// ChatChoice is one of the answers of a chat. Of a piece it has Delta, else Message.
type ChatChoice struct {
	Index        int           `json:"index"`
	Message      *Message      `json:"message,omitempty"`
	Delta        *Delta        `json:"delta,omitempty"`
	Logprobs     *ChatLogprobs `json:"logprobs"`
	FinishReason *string       `json:"finish_reason"`
}

// Message is what the model says.
type Message struct {
	Role    string  `json:"role"`
	Content string  `json:"content"`
	Refusal *string `json:"refusal"`
	Located
}

// Delta is what a piece adds to a message.
type Delta struct {
	Role    string  `json:"role,omitempty"`
	Content *string `json:"content,omitempty"`
	Located
}

// Located is where an answer locates objects: our own fields beside the text.
type Located struct {
	Found     any             `json:"found,omitempty"` // of a piece: objects that are whole now; Boxes, at the end, says which are kept
	Boxes     any             `json:"boxes,omitempty"`
	Malformed []pgc.Malformed `json:"malformed,omitempty"`
}

// Completion is an answer of /v1/completions, or a piece of one.
type Completion struct {
	ID          string       `json:"id"`
	Object      string       `json:"object"`
	Created     int64        `json:"created"`
	Model       string       `json:"model"`
	Fingerprint string       `json:"system_fingerprint,omitempty"`
	Choices     []TextChoice `json:"choices"`
	Usage       *Usage       `json:"usage,omitempty"`
	*Extra
}

// TextChoice is one of the answers of a completion.
type TextChoice struct {
	Index        int           `json:"index"`
	Text         string        `json:"text"`
	Logprobs     *TextLogprobs `json:"logprobs"`
	FinishReason *string       `json:"finish_reason"`
	Located
}

// Usage counts tokens.
type Usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
}

// NewUsage counts the tokens of prompts and answers.
func NewUsage(prompt, completion int) *Usage {
	return &Usage{prompt, completion, prompt + completion}
}

// Extra are our own fields of an answer.
type Extra struct {
	Prompt   string   `json:"prompt"` // that the model was given
	Warnings []string `json:"warnings,omitempty"`
	Timings  Timings  `json:"timings"`
}

// Timings are where the time went, in seconds.
type Timings struct {
	Queue      float64 `json:"queue_s"`
	Preprocess float64 `json:"preprocess_s"`
	Encode     float64 `json:"encode_s"`
	Prefill    float64 `json:"prefill_s"`
	Decode     float64 `json:"decode_s"`
	PerSecond  float64 `json:"tokens_per_s"`
}

// NewTimings converts the times of an answer of so many tokens, of which one belongs to each prompt.
func NewTimings(t pgc.Timings, tokens, prompts int) Timings {
	out := Timings{Queue: t.Queue.Seconds(), Preprocess: t.Preprocess.Seconds(), Encode: t.Encode.Seconds(), Prefill: t.Prefill.Seconds(), Decode: t.Decode.Seconds()}
	if n := tokens - prompts; n > 0 && t.Decode > 0 {
		out.PerSecond = float64(n) / t.Decode.Seconds()
	}
	return out
}

// Model describes a model.
type Model struct {
	ID      string  `json:"id"`
	Object  string  `json:"object"`
	Created int64   `json:"created"`
	OwnedBy string  `json:"owned_by"`
	Parent  *string `json:"parent,omitempty"` // of an adapter
	Length  int     `json:"max_model_len,omitempty"`
	PGC     *About  `json:"pgc,omitempty"`
}

// About is what our own clients ask of a model.
type About struct {
	Tasks     []string `json:"tasks"`
	ImageSize int      `json:"image_size"`
	Embeds    bool     `json:"embeds"`
	Adapters  []string `json:"adapters"`
	Frozen    []string `json:"frozen"`
	Masks     bool     `json:"masks"`
	ImageURLs bool     `json:"image_urls"` // whether the server fetches pictures from addresses
}

// Models is the list of models.
type Models struct {
	Object string  `json:"object"`
	Data   []Model `json:"data"`
}

// Embeddings is an answer of /v1/embeddings.
type Embeddings struct {
	Object string      `json:"object"`
	Data   []Embedding `json:"data"`
	Model  string      `json:"model"`
	Usage  struct {
		Prompt int `json:"prompt_tokens"`
		Total  int `json:"total_tokens"`
	} `json:"usage"`
}

// Embedding is the vectors of an input, one for each of its tokens.
type Embedding struct {
	Object    string      `json:"object"`
	Index     int         `json:"index"`
	Embedding [][]float32 `json:"embedding"`
}
