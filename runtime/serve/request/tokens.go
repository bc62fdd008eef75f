package request

import "pgc/runtime/serve/openai"

// Tokenize asks for the tokens of a text.
type Tokenize struct {
	Text          string
	ParseSpecials bool // texts such as <eos> are read as tokens
	AddSpecials   bool // begin with <bos>
	Pieces        bool // tell the text of each, too
}

// ParseTokenize reads the body of /tokenize.
func ParseTokenize(body []byte) (*Tokenize, error) {
	d, err := Parse(body)
	if err != nil {
		return nil, err
	}
	r := &Tokenize{}
	found, err := d.get("content", &r.Text)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, openai.Invalid("content", "content is missing, expected a text")
	}
	if r.Text = d.text(r.Text); len(r.Text) > mostText {
		return nil, openai.Invalid("content", "content has %d bytes, expected %d at most", len(r.Text), mostText)
	}
	for _, f := range []struct {
		name string
		to   *bool
	}{{"parse_special", &r.ParseSpecials}, {"add_special", &r.AddSpecials}, {"with_pieces", &r.Pieces}} {
		if _, err := d.get(f.name, f.to); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// ParseDetokenize reads the body of /detokenize: ids of tokens.
func ParseDetokenize(body []byte) (ids []int32, err error) {
	d, err := Parse(body)
	if err != nil {
		return nil, err
	}
	found, err := d.get("tokens", &ids)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, openai.Invalid("tokens", "tokens is missing, expected a list of ids")
	case len(ids) > mostIDs:
		return nil, openai.Invalid("tokens", "tokens has %d ids, expected %d at most", len(ids), mostIDs)
	}
	return ids, nil
}
