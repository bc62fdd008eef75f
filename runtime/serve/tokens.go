package serve

import (
	"net/http"
	"strings"
	"unicode/utf8"

	"pgc/runtime/serve/openai"
	"pgc/runtime/serve/request"
)

// piece is a token with its text, or with its bytes where those are a part of a letter.
type piece struct {
	ID    int32 `json:"id"`
	Piece any   `json:"piece"`
}

// tokenize answers POST /tokenize.
func (s *Server) tokenize(c *call, body []byte) error {
	r, err := request.ParseTokenize(body)
	if err != nil {
		return err
	}
	ids := []int32{}
	if r.AddSpecials {
		ids = append(ids, c.model.BOS())
	}
	text, err := c.model.Tokenize(r.Text, r.ParseSpecials)
	if err != nil {
		return err
	}
	if ids = append(ids, text...); !r.Pieces {
		writeJSON(c.w, http.StatusOK, map[string][]int32{"tokens": ids})
		return nil
	}
	pieces := []piece{}
	for _, id := range ids {
		text, _, err := c.model.TokenText(id)
		if err != nil {
			return err
		}
		p := piece{id, string(text)}
		if !utf8.Valid(text) {
			p.Piece = openai.Bytes(text)
		}
		pieces = append(pieces, p)
	}
	writeJSON(c.w, http.StatusOK, map[string][]piece{"tokens": pieces})
	return nil
}

// detokenize answers POST /detokenize. Bytes that are no text become U+FFFD.
func (s *Server) detokenize(c *call, body []byte) error {
	ids, err := request.ParseDetokenize(body)
	if err != nil {
		return err
	}
	var all strings.Builder
	for i, id := range ids {
		text, _, err := c.model.TokenText(id)
		if err != nil {
			return err
		}
		if len(text) == 0 {
			return openai.Invalid("tokens", "tokens[%d] is %d, which is no token of the model", i, id)
		}
		all.Write(text)
	}
	writeJSON(c.w, http.StatusOK, map[string]string{"content": strings.ToValidUTF8(all.String(), "\uFFFD")})
	return nil
}
