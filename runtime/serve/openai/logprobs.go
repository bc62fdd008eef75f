package openai

import (
	"fmt"
	"unicode/utf8"

	"pgc"
)

// ChatLogprobs are log-probabilities in the form of chats.
type ChatLogprobs struct {
	Content []ChatLogprob `json:"content"`
	Refusal *string       `json:"refusal"`
}

// ChatLogprob is a token with its log-probability and the likeliest tokens at its place.
type ChatLogprob struct {
	Logprob
	Top []Logprob `json:"top_logprobs"`
}

// Logprob is a token with its log-probability.
type Logprob struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
	Bytes   []int   `json:"bytes"`
}

// TextLogprobs are log-probabilities in the form of completions: by token.
type TextLogprobs struct {
	Tokens   []string             `json:"tokens"`
	Logprobs []float64            `json:"token_logprobs"`
	Top      []map[string]float64 `json:"top_logprobs"`
	Offsets  []int                `json:"text_offset"` // of the tokens in the text, in characters
}

// Logprobs collects the tokens of an answer and gives out those whose text has come: what a stop text or the end of an
// answer leaves out of the text is left out here.
type Logprobs struct {
	Text func(id int32) (text []byte, special bool, err error)

	waiting []waitingToken
	bytes   int // of the tokens so far
	letters int // of those given out
}

type waitingToken struct {
	start int // in bytes
	ChatLogprob
}

// Add adds a token.
func (l *Logprobs) Add(t pgc.Token) error {
	text, special, err := l.Text(t.ID)
	if err != nil || special {
		return err
	}
	w := waitingToken{l.bytes, ChatLogprob{Logprob: newLogprob(text, t.Logprob), Top: []Logprob{}}}
	for _, a := range t.Top {
		text, _, err := l.Text(a.ID)
		if err != nil {
			return err
		}
		w.Top = append(w.Top, newLogprob(text, a.Logprob))
	}
	l.waiting = append(l.waiting, w)
	l.bytes += len(text)
	return nil
}

// Chat returns the tokens that begin within the first n bytes of the text and were not returned before.
func (l *Logprobs) Chat(n int) *ChatLogprobs {
	out := &ChatLogprobs{Content: []ChatLogprob{}}
	for _, t := range l.upTo(n) {
		out.Content = append(out.Content, t.ChatLogprob)
	}
	return out
}

// Completion is Chat in the form of completions.
func (l *Logprobs) Completion(n int) *TextLogprobs {
	out := &TextLogprobs{Tokens: []string{}, Logprobs: []float64{}, Top: []map[string]float64{}, Offsets: []int{}}
	for _, t := range l.upTo(n) {
		top := map[string]float64{t.Token: t.Logprob.Logprob}
		for _, a := range t.Top {
			top[a.Token] = a.Logprob
		}
		out.Tokens, out.Logprobs = append(out.Tokens, t.Token), append(out.Logprobs, t.Logprob.Logprob)
		out.Top, out.Offsets = append(out.Top, top), append(out.Offsets, l.letters)
		l.letters += utf8.RuneCountInString(t.Token)
	}
	return out
}

func (l *Logprobs) upTo(n int) []waitingToken {
	i := 0
	for i < len(l.waiting) && l.waiting[i].start < n {
		i++
	}
	out := l.waiting[:i]
	l.waiting = l.waiting[i:]
	return out
}

// Bytes lists bytes as numbers, which JSON would write as base64.
func Bytes(text []byte) []int {
	list := make([]int, len(text))
	for i, b := range text {
		list[i] = int(b)
	}
	return list
}

// newLogprob describes a token. A part of a letter has no text: it is written as its bytes.
func newLogprob(text []byte, logprob float64) Logprob {
	p := Logprob{Token: string(text), Logprob: logprob, Bytes: Bytes(text)}
	if !utf8.Valid(text) {
		p.Token = "bytes:"
		for _, b := range text {
			p.Token += fmt.Sprintf(`\x%02x`, b)
		}
	}
	return p
}
