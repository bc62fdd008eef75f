package request

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"pgc/runtime/serve/openai"
)

// message is one of a conversation.
type message struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"`
	Images  json.RawMessage `json:"images"` // as ollama's clients send them
}

// roles are those that a message may have. The model is asked what the user says last; it knows no conversation.
var roles = []string{"system", "developer", "user", "assistant", "tool", "function"}

// part is a piece of a message.
type part struct {
	Type  string          `json:"type"`
	Text  *string         `json:"text"`
	Image json.RawMessage `json:"image_url"`
}

// said is what a message of the user holds.
type said struct {
	texts  []string
	images []string // URLs
}

// conversation reads messages: the prompt is the texts of the user's last one, joined by spaces, about its pictures or
// else those of the nearest earlier message of the user that has some. ignored names what else there is.
func (d *Document) conversation() (prompt string, images, ignored []string, err error) {
	raw := d.raw("messages")
	if raw == nil {
		return "", nil, nil, openai.Invalid("messages", "messages is missing, expected a list of messages")
	}
	var list []message
	if err := decode(raw, "messages", &list); err != nil {
		return "", nil, nil, err
	}
	ignore := func(name string) {
		if !slices.Contains(ignored, name) {
			ignored = append(ignored, name)
		}
	}
	found := false
	for i, m := range slices.Backward(list) {
		name := fmt.Sprintf("messages[%d]", i)
		if !slices.Contains(roles, m.Role) {
			return "", nil, nil, openai.Invalid("messages", "%s.role is %.40q, expected one of %s", name, m.Role, strings.Join(roles, ", "))
		}
		if m.Role != "user" {
			ignore("messages." + m.Role)
			continue
		}
		if found && len(images) > 0 {
			ignore("messages.user.earlier")
			continue
		}
		s, err := d.said(m.Content, name+".content")
		if err != nil {
			return "", nil, nil, err
		}
		more, err := d.urls(m.Images, name+".images", "messages")
		if err != nil {
			return "", nil, nil, err
		}
		s.images = append(s.images, more...)
		if !found {
			prompt, images, found = strings.Join(s.texts, " "), s.images, true
			continue
		}
		images = s.images
		if len(s.texts) > 0 {
			ignore("messages.user.earlier")
		}
	}
	if !found {
		return "", nil, nil, openai.Invalid("messages", "messages has none with the role user, expected one with a picture and a prompt")
	}
	slices.Sort(ignored)
	return prompt, images, ignored, nil
}

// said reads the content of a message: a string or a list of parts.
func (d *Document) said(raw json.RawMessage, name string) (s said, err error) {
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return s, openai.Invalid("messages", "%s is missing, expected a string or a list of parts", name)
	case raw[0] == '"':
		var text string
		err := decode(raw, "messages", &text)
		s.texts = []string{d.text(text)}
		return s, err
	case raw[0] != '[':
		return s, openai.Invalid("messages", "%s is %.40s, expected a string or a list of parts", name, raw)
	}
	var parts []json.RawMessage
	if err := decode(raw, "messages", &parts); err != nil {
		return s, err
	}
	for i, raw := range parts {
		at := fmt.Sprintf("%s[%d]", name, i)
		if raw[0] == '"' { // as some clients write a text
			var text string
			if err := decode(raw, "messages", &text); err != nil {
				return s, err
			}
			s.texts = append(s.texts, d.text(text))
			continue
		}
		var p *part
		if err := json.Unmarshal(raw, &p); err != nil || p == nil {
			return s, openai.Invalid("messages", "%s is %.60s, expected a part such as {\"type\": \"text\", \"text\": …}", at, raw)
		}
		switch p.Type {
		case "text", "input_text":
			if p.Text == nil {
				return s, openai.Invalid("messages", "%s.text is missing, expected a string", at)
			}
			s.texts = append(s.texts, d.text(*p.Text))
		case "image_url", "input_image":
			url, err := d.imageURL(p.Image, at+".image_url")
			if err != nil {
				return s, err
			}
			s.images = append(s.images, url)
		default:
			return s, openai.Invalid("messages", "%s.type is %.40q, expected text or image_url: the model takes pictures and text", at, p.Type)
		}
	}
	return s, nil
}

// imageURL reads a picture: a URL, or an object with one, whose other fields are ignored.
func (d *Document) imageURL(raw json.RawMessage, name string) (string, error) {
	var url string
	var object struct {
		URL *string `json:"url"`
	}
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return "", openai.Invalid("messages", "%s is missing, expected {\"url\": …}", name)
	case raw[0] == '"' && json.Unmarshal(raw, &url) == nil:
	case raw[0] == '{' && json.Unmarshal(raw, &object) == nil && object.URL != nil:
		url = *object.URL
	default:
		return "", openai.Invalid("messages", "%s is %.60s, expected {\"url\": …} with a data: or an https: URL", name, raw)
	}
	if url == "" {
		return "", openai.Invalid("messages", "%s is empty, expected a data: or an https: URL", name)
	}
	return d.text(url), nil
}
