//go:build least

package fetch

import (
	"context"

	"pgc/runtime/parts"
)

// Header is sent with requests, of which there are none here.
type Header map[string][]string

// ParseHeader refuses lines of a header.
func ParseHeader(lines []string) (Header, error) {
	if len(lines) > 0 {
		return nil, parts.Missing("is")
	}
	return nil, nil
}

// online refuses to read from the network.
func online(context.Context, string, Header, Limits) ([]byte, error) {
	return nil, parts.Missing("reading http(s) addresses is")
}

// shown returns only the scheme s of an address: the rest may be secret, and is not read here.
func shown(s, _ string) string { return s + "://…" }
