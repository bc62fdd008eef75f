package serve

import (
	"bytes"
	"image"
	"image/jpeg"
	"net/http"
	"strconv"
	"strings"

	"pgc"
	"pgc/runtime/serve/limits"
	"pgc/runtime/serve/openai"
	"pgc/runtime/serve/request"
)

// previewQuality is that of the JPEG files that the page shows.
const previewQuality = 90

// preview answers POST /v1/picture: the picture at an address, for the page, which asks nothing of other hosts. Of what is there it
// tells no more than a picture, and that decoded.
func (s *Server) preview(c *call, body []byte) error {
	url, err := request.ParsePreview(body)
	if err != nil {
		return err
	}
	if url = strings.TrimSpace(url); !isAddress(url) {
		return openai.Invalid("url", "url is no address, expected one that begins with http:// or https://")
	}
	if !s.gate.Enter(c.client, 1) {
		return limits.ErrNoRoom
	}
	defer s.gate.Leave(c.client, 1, false)
	ctx := c.r.Context()
	data, err := s.content(ctx, url)
	if err != nil {
		return pictureError(err, 0, "url")
	}
	var file bytes.Buffer
	err = s.decoding.Do(ctx, func(memory func(need int64, what string) error) error {
		var claims claims
		defer claims.release()
		var m image.Image
		if m, err = pgc.BytesWithin(data, claims.limits(memory)).Decode(ctx); err != nil {
			return err
		}
		if err := c.take(s.gate, 3*int64(m.Bounds().Dx())*int64(m.Bounds().Dy())); err != nil {
			return err
		}
		return jpeg.Encode(&file, m, &jpeg.Options{Quality: previewQuality})
	})
	if err != nil {
		return pictureError(err, 0, "url")
	}
	c.w.Header().Set("Content-Type", "image/jpeg")
	c.w.Header().Set("Content-Length", strconv.Itoa(file.Len()))
	c.w.WriteHeader(http.StatusOK)
	write(c.w, file.Bytes())
	return nil
}
