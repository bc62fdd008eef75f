package serve

import (
	"net/http"

	"pgc/runtime/serve/openai"
)

// list describes the model and its adapters.
func (s *Server) list() []openai.Model {
	about := &openai.About{Tasks: []string{"caption", "ask", "ocr", "detect", "segment"}, ImageSize: s.Info.ImageSize, Embeds: s.Info.EmbeddingDim > 0,
		Adapters: []string{}, Frozen: []string{}, Masks: s.Info.Masks != nil, ImageURLs: s.URLs != nil}
	if about.Embeds || len(s.Info.Frozen) > 0 {
		about.Tasks = []string{}
	}
	about.Frozen = append(about.Frozen, s.Info.Frozen...)
	own := openai.Model{ID: s.Name, Object: "model", Created: s.Created.Unix(), OwnedBy: "pgc", Length: s.Info.MaxTokens, PGC: about}
	all := []openai.Model{own}
	for _, a := range s.Info.Adapters {
		about.Adapters = append(about.Adapters, a.Name)
		all = append(all, openai.Model{ID: a.Name, Object: "model", Created: s.Created.Unix(), OwnedBy: "pgc", Parent: &s.Name, Length: s.Info.MaxTokens})
	}
	return all
}

// models answers GET /v1/models.
func (s *Server) models(c *call) {
	writeJSON(c.w, http.StatusOK, openai.Models{Object: "list", Data: s.list()})
}

// modelByID answers GET /v1/models/{id}.
func (s *Server) modelByID(c *call) {
	id := c.r.PathValue("id")
	for _, m := range s.list() {
		if m.ID == id {
			writeJSON(c.w, http.StatusOK, m)
			return
		}
	}
	e := openai.Refused(http.StatusNotFound, "model_not_found", "no model is called %.80q, expected %q", id, s.Name)
	e.Param = "model"
	c.fail(e, 0)
}
