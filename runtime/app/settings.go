package app

import "pgc"

// settings says how an answer is generated: flags of generate, and fields of batch's requests. What is nil is left to the
// checkpoint's generation_config.
type settings struct {
	MaxNewTokens      *int     `json:"max_new_tokens" placeholder:"N" help:"Most tokens to generate (default: generation_config's, else 50; transformers' own default is 20)."`
	Temperature       *float64 `json:"temperature" placeholder:"T" help:"0 is greedy, the default unless generation_config samples."`
	TopK              *int     `json:"top_k" placeholder:"K" help:"Draw among the K likeliest tokens; 0 is off."`
	TopP              *float64 `json:"top_p" placeholder:"P" help:"Draw among the likeliest tokens that make up this probability; 1 is off."`
	RepetitionPenalty *float64 `json:"repetition_penalty" placeholder:"R" help:"Over 1 makes tokens seen before less likely."`
	Seed              uint64   `json:"seed" help:"Of the draws; the same seed gives the same answer."`
	Stop              []string `json:"stop" sep:"none" placeholder:"TEXT" help:"End the answer before this text. Repeat for several."`
	ParseSpecials     bool     `json:"parse_specials" help:"Read <eos>, <image> and the like in the prompt as tokens."`
	Logprobs          bool     `json:"logprobs" help:"With --json: log-probabilities of the tokens."`
}

// check reports a setting that is out of its range.
func (s settings) check() error {
	options := pgc.Settings(s)
	return options.Check()
}
