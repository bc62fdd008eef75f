// Package ollama is the form of answers of ollama's API.
package ollama

import (
	"time"

	"pgc"
	"pgc/runtime/serve/openai"
)

// Piece is an answer of /api/chat or of /api/generate, or a piece of one. Times are in nanoseconds.
type Piece struct {
	Model    string               `json:"model"`
	Created  time.Time            `json:"created_at"`
	Message  *Message             `json:"message,omitempty"`  // of a chat
	Response *string              `json:"response,omitempty"` // of the other
	Done     bool                 `json:"done"`
	Reason   string               `json:"done_reason,omitempty"`
	Logprobs []openai.ChatLogprob `json:"logprobs,omitempty"`
	*Counts
	openai.Located
	*openai.Extra
}

// Message is what the model says.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Counts are the tokens and times of a complete answer.
type Counts struct {
	Total        time.Duration `json:"total_duration"`
	Load         time.Duration `json:"load_duration"`
	PromptTokens int           `json:"prompt_eval_count"`
	PromptTime   time.Duration `json:"prompt_eval_duration"`
	Tokens       int           `json:"eval_count"`
	GenerateTime time.Duration `json:"eval_duration"`
}

// NewCounts counts an answer that took the time total.
func NewCounts(total time.Duration, t pgc.Timings, prompt, tokens int) *Counts {
	return &Counts{Total: total, PromptTokens: prompt, PromptTime: t.Preprocess + t.Encode + t.Prefill, Tokens: tokens, GenerateTime: t.Decode}
}

// Details describe a model.
type Details struct {
	Parent       string   `json:"parent_model"`
	Format       string   `json:"format"`
	Family       string   `json:"family"`
	Families     []string `json:"families"`
	Parameters   string   `json:"parameter_size"`
	Quantization string   `json:"quantization_level"`
}

// Model is a model in a list.
type Model struct {
	Name     string    `json:"name"`
	Model    string    `json:"model"`
	Modified time.Time `json:"modified_at"`
	Size     int64     `json:"size"`
	Digest   string    `json:"digest"`
	Details  Details   `json:"details"`
}

// Models is the list of models.
type Models struct {
	Models []Model `json:"models"`
}

// Shown is what /api/show tells of a model.
type Shown struct {
	License      string         `json:"license,omitempty"`
	Modelfile    string         `json:"modelfile"`
	Parameters   string         `json:"parameters"`
	Template     string         `json:"template"`
	Details      Details        `json:"details"`
	Info         map[string]any `json:"model_info"`
	Capabilities []string       `json:"capabilities"`
	Modified     time.Time      `json:"modified_at"`
}
