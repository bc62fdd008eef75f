package fetch

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// decodeData decodes what follows "data:" (RFC 2397): [type][;base64],text. The text may be percent-encoded, with or
// without base64. Base64 may use either alphabet, may lack padding and may contain white space.
func decodeData(rest string, limit int64) ([]byte, error) {
	head, text, ok := strings.Cut(rest, ",")
	if !ok {
		return nil, errors.New("a data: URI without a comma, expected data:image/png;base64,…")
	}
	if int64(len(text)) > 3*limit+1024 { // percent-encoding, the longest, takes three letters for a byte
		return nil, fmt.Errorf("it is over the limit of %s", size(limit))
	}
	i := strings.LastIndexByte(head, ';')
	encoded := i >= 0 && strings.EqualFold(strings.TrimSpace(head[i+1:]), "base64")
	var data []byte
	err := errors.ErrUnsupported
	if encoded { // as nearly all are, which is decoded three times as fast
		data, err = base64.StdEncoding.DecodeString(text)
	}
	if err != nil {
		if data, err = unescape(text); err == nil && encoded {
			data, err = fromBase64(data)
		}
	}
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("it is over the limit of %s", size(limit))
	}
	return data, nil
}

// unescape undoes percent-encoding.
func unescape(text string) ([]byte, error) {
	data := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			data = append(data, text[i])
			continue
		}
		if i+2 >= len(text) {
			return nil, errors.New("its text ends within a percent escape")
		}
		hi, lo := unhex(text[i+1]), unhex(text[i+2])
		if hi > 15 || lo > 15 {
			return nil, fmt.Errorf("its text has %q, expected a %% and two hexadecimal digits", text[i:i+3])
		}
		data = append(data, hi<<4|lo)
		i += 2
	}
	return data, nil
}

// unhex returns the value of a hexadecimal digit, and 255 for any other character.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}

// fromBase64 decodes text in place.
func fromBase64(text []byte) ([]byte, error) {
	plain, padding := text[:0], false
	for i, c := range text {
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			continue
		case c == '=':
			padding = true
			continue
		case padding:
			return nil, errors.New("its base64 text goes on after the padding")
		case c == '-':
			c = '+'
		case c == '_':
			c = '/'
		case c != '+' && c != '/' && (c|0x20 < 'a' || 'z' < c|0x20) && (c < '0' || '9' < c):
			return nil, fmt.Errorf("its base64 text has %q at byte %d", c, i)
		}
		plain = append(plain, c)
	}
	n, err := base64.RawStdEncoding.Decode(plain, plain)
	if err != nil {
		return nil, errors.New("its base64 text is cut off")
	}
	return plain[:n], nil
}
