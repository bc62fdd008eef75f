package serve

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"time"

	"pgc/runtime/serve/ollama"
	"pgc/runtime/serve/openai"
	"pgc/runtime/serve/request"
)

// ollamaVersion is that of the API, which clients ask for.
const ollamaVersion = "0.6.0"

// ollamaChat answers POST /api/chat.
func (s *Server) ollamaChat(c *call, body []byte) error {
	r, err := request.ParseOllamaChat(body)
	if err != nil {
		return err
	}
	return s.ollama(c, r, true)
}

// ollamaGenerate answers POST /api/generate.
func (s *Server) ollamaGenerate(c *call, body []byte) error {
	r, err := request.ParseOllamaGenerate(body)
	if err != nil {
		return err
	}
	return s.ollama(c, r, false)
}

// ollama answers a request; nil asks for the model to be loaded, which it is.
func (s *Server) ollama(c *call, r *request.Request, chat bool) error {
	f := &ollamaStream{s: s, c: c, chat: chat}
	if r == nil {
		p := f.piece("")
		p.Done, p.Reason = true, "load"
		writeJSON(c.w, http.StatusOK, p)
		return nil
	}
	j, err := s.admit(c, r)
	if err != nil {
		return err
	}
	if r.Stream {
		return j.stream(f)
	}
	list, err := j.collect(c.r.Context())
	if err != nil {
		return err
	}
	p := f.end(list[0].text, list[0], j.extra(list))
	if l := list[0].logprobs; l != nil {
		p.Logprobs = l.Chat(len(list[0].text)).Content
	}
	writeJSON(c.w, http.StatusOK, p)
	return nil
}

// ollamaStream writes the pieces of an answer.
type ollamaStream struct {
	s    *Server
	c    *call
	chat bool
}

// piece is a piece with a text.
func (f *ollamaStream) piece(text string) ollama.Piece {
	p := ollama.Piece{Model: f.s.Name, Created: time.Now().UTC()}
	if f.chat {
		p.Message = &ollama.Message{Role: "assistant", Content: text}
	} else {
		p.Response = &text
	}
	return p
}

// end is the last piece, or the whole answer.
func (f *ollamaStream) end(text string, ch *choice, extra *openai.Extra) ollama.Piece {
	p := f.piece(text)
	p.Done, p.Reason, p.Located, p.Extra = true, ch.finish, ch.located, extra
	p.Counts = ollama.NewCounts(time.Since(f.c.begun), ch.timings, ch.prompt, ch.tokens)
	return p
}

// lines implements pieces.
func (f *ollamaStream) lines() bool { return true }

// first implements pieces.
func (f *ollamaStream) first(int) any { return nil }

// text implements pieces.
func (f *ollamaStream) text(_ int, text string, l *openai.Logprobs, upTo int) any {
	p := f.piece(text)
	if l != nil {
		p.Logprobs = l.Chat(upTo).Content
	}
	return p
}

// found implements pieces.
func (f *ollamaStream) found(_ int, objects any) any {
	p := f.piece("")
	p.Found = objects
	return p
}

// last implements pieces.
func (f *ollamaStream) last(_ int, ch *choice, extra *openai.Extra) any { return f.end("", ch, extra) }

// usage implements pieces; it is never asked for.
func (f *ollamaStream) usage(*openai.Usage) any { return nil }

// details describe the model as ollama does.
func (s *Server) details() ollama.Details {
	family := s.Info.ModelType
	return ollama.Details{Format: "pgc", Family: family, Families: []string{family}, Parameters: parameters(s.Info.Parameters), Quantization: s.Info.Weights}
}

// parameters writes a number of them.
func parameters(n int64) string {
	if n >= 1e9 {
		return fmt.Sprintf("%.1fB", float64(n)/1e9)
	}
	return fmt.Sprintf("%.1fM", float64(n)/1e6)
}

// ollamaTags answers GET /api/tags and GET /api/ps.
func (s *Server) ollamaTags(c *call) {
	digest := sha256.Sum256(fmt.Appendf(nil, "%s %d", s.Name, s.Created.UnixNano()))
	m := ollama.Model{Name: s.Name, Model: s.Name, Modified: s.Created.UTC(), Size: s.Info.WeightBytes, Digest: hex.EncodeToString(digest[:]), Details: s.details()}
	writeJSON(c.w, http.StatusOK, ollama.Models{Models: []ollama.Model{m}})
}

// ollamaShow answers POST /api/show about any model's name.
func (s *Server) ollamaShow(c *call, body []byte) error {
	if err := request.CheckShow(body); err != nil {
		return err
	}
	can := []string{"completion", "vision"}
	if s.Info.EmbeddingDim > 0 {
		can = []string{"embedding", "vision"}
	}
	family := s.details().Family
	writeJSON(c.w, http.StatusOK, ollama.Shown{License: s.License, Modelfile: "FROM " + s.Name + "\n", Template: "{{ .Prompt }}", Details: s.details(), Capabilities: can, Modified: s.Created.UTC(),
		Info: map[string]any{"general.architecture": family, "general.basename": s.Name, "general.parameter_count": s.Info.Parameters, family + ".context_length": s.Info.MaxTokens,
			family + ".vision.image_size": s.Info.ImageSize}})
	return nil
}

// ollamaAPIVersion answers GET /api/version.
func (s *Server) ollamaAPIVersion(c *call) {
	writeJSON(c.w, http.StatusOK, map[string]string{"version": ollamaVersion})
}
