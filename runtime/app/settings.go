package app

import (
	"slices"

	"pgc"
)

// settings configures the generation of an answer: flags of generate, and fields of batch's requests. A nil field takes
// its value from the checkpoint's generation_config.
type settings struct {
	MaxNewTokens      *int     `json:"max_new_tokens" placeholder:"N" help:"Generate at most N tokens (default: generation_config's, else 50; transformers' own default is 20)."`
	Temperature       *float64 `json:"temperature" placeholder:"T" help:"Sampling temperature; 0 is greedy, the default unless generation_config samples."`
	TopK              *int     `json:"top_k" placeholder:"K" help:"Sample from the K likeliest tokens; 0 is off."`
	TopP              *float64 `json:"top_p" placeholder:"P" help:"Sample from the likeliest tokens whose probabilities add up to P; 1 is off."`
	RepetitionPenalty *float64 `json:"repetition_penalty" placeholder:"R" help:"Values over 1 make tokens seen before less likely."`
	Seed              uint64   `json:"seed" placeholder:"N" help:"Seed of the sampling; the same seed gives the same answer."`
	Stop              []string `json:"stop" sep:"none" placeholder:"TEXT" help:"End the answer before this text. Repeat for several."`
	IgnoreEOS         bool     `name:"ignore-eos" json:"ignore_eos" help:"Go on after <eos>, for benchmarks."`
	ParseSpecials     bool     `json:"parse_specials" help:"Read <eos>, <image> and the like in the prompt as tokens."`
	Logprobs          bool     `json:"logprobs" help:"With --json: add the log-probabilities of the tokens."`
	SkipSpecialTokens *bool    `json:"skip_special_tokens" help:"Leave special tokens such as <eos> out of the text, the default; --skip-special-tokens=false keeps them."`
	Adapter           string   `json:"adapter" placeholder:"NAME" help:"Answer with this adapter, one of those that info lists."`
}

// check returns an error about a setting that is out of its range.
func (s settings) check() error {
	options := pgc.Settings(s)
	return options.Check()
}

// clone returns settings that share no memory with s, so that a request's fields may be decoded over them.
func (s settings) clone() settings {
	s.MaxNewTokens, s.TopK = clone(s.MaxNewTokens), clone(s.TopK)
	s.Temperature, s.TopP, s.RepetitionPenalty = clone(s.Temperature), clone(s.TopP), clone(s.RepetitionPenalty)
	s.SkipSpecialTokens, s.Stop = clone(s.SkipSpecialTokens), slices.Clone(s.Stop)
	return s
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}
