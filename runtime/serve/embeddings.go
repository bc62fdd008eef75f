package serve

import (
	"net/http"

	"pgc"
	"pgc/runtime/serve/limits"
	"pgc/runtime/serve/openai"
	"pgc/runtime/serve/request"
)

// embeddings answers POST /v1/embeddings. An embedding is a list of vectors, one for each token.
func (s *Server) embeddings(c *call, body []byte) error {
	r, err := request.ParseEmbeddings(body)
	if err != nil {
		return err
	}
	if s.Info.EmbeddingDim == 0 {
		return openai.Invalid("model", "%s generates text, expected a request to /v1/chat/completions", s.Name)
	}
	if !s.gate.Enter(c.client, 1) {
		return limits.ErrNoRoom
	}
	complete := false
	defer func() { s.gate.Leave(c.client, 1, complete) }()
	ask := pgc.EmbedRequest{Queries: r.Texts, Adapter: s.adapterOf(r.Model), Client: c.client}
	if len(r.Images) == 0 {
		if err := c.model.CheckEmbed(c.r.Context(), ask); err != nil {
			return cannot(c, "input", err)
		}
	} else {
		if ask.Images, err = s.pictures(c.r.Context(), c, r.Images, "input"); err != nil {
			return err
		}
	}
	list, err := c.model.Embed(c.r.Context(), ask)
	if err != nil {
		return err
	}
	complete = true
	out := openai.Embeddings{Object: "list", Model: s.Name}
	for i, t := range list {
		e := openai.Embedding{Object: "embedding", Index: i}
		rows, width := t.Shape[0], t.Shape[1]
		for n := range rows {
			e.Embedding = append(e.Embedding, t.Float32s[n*width:(n+1)*width])
		}
		out.Data = append(out.Data, e)
		out.Usage.Prompt += rows
	}
	out.Usage.Total = out.Usage.Prompt
	writeJSON(c.w, http.StatusOK, out)
	return nil
}
