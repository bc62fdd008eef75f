package serve

import (
	"net/http"

	"pgc/runtime/serve/openai"
	"pgc/runtime/serve/request"
)

// chat answers POST /v1/chat/completions.
func (s *Server) chat(c *call, body []byte) error {
	r, err := request.ParseChat(body)
	if err != nil {
		return err
	}
	j, err := s.admit(c, r)
	if err != nil {
		return err
	}
	id := newID("chatcmpl-")
	if r.Stream {
		return j.stream(&chatStream{j: j, id: id, created: created()})
	}
	list, err := j.collect(c.r.Context())
	if err != nil {
		return err
	}
	out := openai.Chat{ID: id, Object: openai.ObjectChat, Created: created(), Model: s.Name, Fingerprint: s.Fingerprint, Usage: j.usage(list), Extra: j.extra(list)}
	for i, ch := range list {
		x := openai.ChatChoice{Index: i, FinishReason: &ch.finish, Message: &openai.Message{Role: "assistant", Content: ch.text, Located: ch.located}}
		if ch.logprobs != nil {
			x.Logprobs = ch.logprobs.Chat(len(ch.text))
		}
		out.Choices = append(out.Choices, x)
	}
	writeJSON(c.w, http.StatusOK, out)
	return nil
}

// completion answers POST /v1/completions.
func (s *Server) completion(c *call, body []byte) error {
	r, err := request.ParseCompletion(body)
	if err != nil {
		return err
	}
	j, err := s.admit(c, r)
	if err != nil {
		return err
	}
	id := newID("cmpl-")
	if r.Stream {
		return j.stream(&completionStream{j: j, id: id, created: created()})
	}
	list, err := j.collect(c.r.Context())
	if err != nil {
		return err
	}
	out := openai.Completion{ID: id, Object: openai.ObjectCompletion, Created: created(), Model: s.Name, Fingerprint: s.Fingerprint, Usage: j.usage(list), Extra: j.extra(list)}
	for i, ch := range list {
		x := openai.TextChoice{Index: i, Text: ch.text, FinishReason: &ch.finish, Located: ch.located}
		if ch.logprobs != nil {
			x.Logprobs = ch.logprobs.Completion(len(ch.text))
		}
		out.Choices = append(out.Choices, x)
	}
	writeJSON(c.w, http.StatusOK, out)
	return nil
}

// chatStream writes the pieces of a chat.
type chatStream struct {
	j       *job
	id      string
	created int64
}

func (f *chatStream) piece(choices ...openai.ChatChoice) openai.Chat {
	if choices == nil {
		choices = []openai.ChatChoice{}
	}
	return openai.Chat{ID: f.id, Object: openai.ObjectChunk, Created: f.created, Model: f.j.s.Name, Fingerprint: f.j.s.Fingerprint, Choices: choices}
}

// lines implements pieces.
func (f *chatStream) lines() bool { return false }

// first implements pieces.
func (f *chatStream) first(index int) any {
	return f.piece(openai.ChatChoice{Index: index, Delta: &openai.Delta{Role: "assistant", Content: new("")}})
}

// text implements pieces.
func (f *chatStream) text(index int, text string, p *openai.Logprobs, upTo int) any {
	x := openai.ChatChoice{Index: index, Delta: &openai.Delta{Content: &text}}
	if p != nil {
		x.Logprobs = p.Chat(upTo)
	}
	return f.piece(x)
}

// found implements pieces.
func (f *chatStream) found(index int, objects any) any {
	return f.piece(openai.ChatChoice{Index: index, Delta: &openai.Delta{Located: openai.Located{Found: objects}}})
}

// last implements pieces.
func (f *chatStream) last(index int, ch *choice, extra *openai.Extra) any {
	out := f.piece(openai.ChatChoice{Index: index, Delta: &openai.Delta{Located: ch.located}, FinishReason: &ch.finish})
	out.Extra = extra
	return out
}

// usage implements pieces.
func (f *chatStream) usage(u *openai.Usage) any {
	out := f.piece()
	out.Usage = u
	return out
}

// completionStream writes the pieces of a completion.
type completionStream struct {
	j       *job
	id      string
	created int64
}

func (f *completionStream) piece(choices ...openai.TextChoice) openai.Completion {
	if choices == nil {
		choices = []openai.TextChoice{}
	}
	return openai.Completion{ID: f.id, Object: openai.ObjectCompletion, Created: f.created, Model: f.j.s.Name, Fingerprint: f.j.s.Fingerprint, Choices: choices}
}

// lines implements pieces.
func (f *completionStream) lines() bool { return false }

// first implements pieces: completions have no role.
func (f *completionStream) first(int) any { return nil }

// text implements pieces.
func (f *completionStream) text(index int, text string, p *openai.Logprobs, upTo int) any {
	x := openai.TextChoice{Index: index, Text: text}
	if p != nil {
		x.Logprobs = p.Completion(upTo)
	}
	return f.piece(x)
}

// found implements pieces.
func (f *completionStream) found(index int, objects any) any {
	return f.piece(openai.TextChoice{Index: index, Located: openai.Located{Found: objects}})
}

// last implements pieces.
func (f *completionStream) last(index int, ch *choice, extra *openai.Extra) any {
	out := f.piece(openai.TextChoice{Index: index, FinishReason: &ch.finish, Located: ch.located})
	out.Extra = extra
	return out
}

// usage implements pieces.
func (f *completionStream) usage(u *openai.Usage) any {
	out := f.piece()
	out.Usage = u
	return out
}
