//go:build !least

package fetch

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Header is sent with requests.
type Header = http.Header

// own are headers that belong to the connection.
var own = []string{"Host", "Connection", "Content-Length", "Transfer-Encoding", "Te", "Trailer", "Upgrade", "Proxy-Authorization", "Proxy-Connection"}

// token are the characters of a header's name besides letters and digits (RFC 9110).
const token = "!#$%&'*+-.^_`|~"

// ParseHeader reads lines of a header, "NAME: VALUE". Its errors repeat no value, which may be secret.
func ParseHeader(lines []string) (http.Header, error) {
	var header http.Header
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		name = http.CanonicalHeaderKey(strings.TrimSpace(name))
		value = strings.TrimSpace(value)
		switch {
		case !ok || name == "" || strings.ContainsFunc(name, notToken):
			return nil, errors.New("is not of the form 'NAME: VALUE', such as 'Authorization: Bearer …'")
		case slices.Contains(own, name):
			return nil, fmt.Errorf("names %s, which belongs to the connection, expected another", name)
		case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
			return nil, fmt.Errorf("%s has a value with control characters, expected one line of text", name)
		}
		if header == nil {
			header = http.Header{}
		}
		header.Add(name, value)
	}
	return header, nil
}

// notToken reports whether a header's name cannot have a character.
func notToken(r rune) bool {
	return (r < '0' || '9' < r) && (r|0x20 < 'a' || 'z' < r|0x20) && !strings.ContainsRune(token, r)
}

// put sets the lines of a header on a request.
func put(req *http.Request, header http.Header) {
	for name, values := range header {
		req.Header[name] = values
	}
}

// keep leaves the lines of a header out of a redirected request to another host than the user's URL named.
func keep(next, first *http.Request, header http.Header) {
	if !strings.EqualFold(next.URL.Host, first.URL.Host) {
		for name := range header {
			next.Header.Del(name)
		}
	}
}
