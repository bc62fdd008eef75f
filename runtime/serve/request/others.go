package request

import (
	"encoding/json"

	"pgc/runtime/serve/openai"
)

// Embeddings asks for embeddings of texts or of pictures, in order.
type Embeddings struct {
	Model  string
	Texts  []string
	Images []string // URLs
}

// Bounds of requests for embeddings and tokens: inputs, bytes of a text, tokens.
const (
	mostInputs = 256
	mostText   = 1 << 20
	mostIDs    = 1 << 18
)

// ParseEmbeddings reads the body of /v1/embeddings: input is a text, a picture {"image_url": …}, or a list of one kind.
func ParseEmbeddings(body []byte) (*Embeddings, error) {
	d, err := Parse(body)
	if err != nil {
		return nil, err
	}
	raw := d.raw("input")
	if raw == nil {
		return nil, openai.Invalid("input", "input is missing, expected a text, {\"image_url\": …} or a list of them")
	}
	list := []json.RawMessage{raw}
	if raw[0] == '[' {
		list = nil
		if err := decode(raw, "input", &list); err != nil {
			return nil, err
		}
	}
	if len(list) == 0 || len(list) > mostInputs {
		return nil, openai.Invalid("input", "input has %d elements, expected 1 to %d", len(list), mostInputs)
	}
	r := &Embeddings{}
	if _, err := d.get("model", &r.Model); err != nil {
		return nil, err
	}
	for i, raw := range list {
		var object struct {
			Image json.RawMessage `json:"image_url"`
		}
		var text string
		switch {
		case raw[0] == '"' && json.Unmarshal(raw, &text) == nil:
			if text == "" {
				return nil, openai.Invalid("input", "input[%d] is empty, expected a text", i)
			}
			if text = d.text(text); len(text) > mostText {
				return nil, openai.Invalid("input", "input[%d] has %d bytes, expected %d at most", i, len(text), mostText)
			}
			r.Texts = append(r.Texts, text)
		case raw[0] == '{' && json.Unmarshal(raw, &object) == nil:
			url, err := d.imageURL(object.Image, "input.image_url")
			if err != nil {
				e := openai.As(err)
				e.Param = "input"
				return nil, e
			}
			r.Images = append(r.Images, url)
		default:
			return nil, openai.Invalid("input", "input[%d] is %.40s, expected a text or {\"image_url\": …}: lists of token ids are not taken", i, raw)
		}
	}
	if len(r.Texts) > 0 && len(r.Images) > 0 {
		return nil, openai.Invalid("input", "input has texts and pictures, expected one kind in a request")
	}
	var format string
	if _, err := d.get("encoding_format", &format); err != nil {
		return nil, err
	}
	if format != "" && format != "float" && format != "base64" {
		return nil, openai.Invalid("encoding_format", "encoding_format is %.40q, expected float", format)
	}
	if raw := d.raw("dimensions"); raw != nil {
		return nil, openai.Invalid("dimensions", "dimensions is %.40s, expected none: vectors are not shortened", raw)
	}
	return r, nil
}

// ParsePreview reads the body of /v1/picture.
func ParsePreview(body []byte) (url string, err error) {
	d, err := Parse(body)
	if err != nil {
		return "", err
	}
	if found, err := d.get("url", &url); err != nil || found {
		return url, err
	}
	return "", openai.Invalid("url", "url is missing, expected the address of a picture")
}
