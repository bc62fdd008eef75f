// Package fetch reads the bytes of an image at a data:, http: or https: URL, within limits. It fetches nothing but the
// URL that the user named, and ignores the Content-Type: the decoder looks at the bytes.
package fetch

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits bound the cost of a URL.
type Limits struct {
	Bytes     int64         // of the image file
	Time      time.Duration // from the look-up of the host's name to the last byte
	Redirects int
}

// DefaultLimits allow 64 MiB in 30 seconds, after five redirects.
var DefaultLimits = Limits{Bytes: 64 << 20, Time: 30 * time.Second, Redirects: 5}

// IsURL reports whether name is a URL, not a path: one that Get reads, or names in its error.
func IsURL(name string) bool { return scheme(name) != "" }

// scheme returns the lower-case scheme of a URL, or "".
func scheme(name string) string {
	head, rest, found := strings.Cut(strings.TrimSpace(name), ":")
	head = strings.ToLower(head)
	switch {
	case head == "data" && found:
		return head
	case (head == "http" || head == "https" || elsewhere[head] != "") && strings.HasPrefix(rest, "//"):
		return head
	}
	return ""
}

// Get returns the content of a URL. The header goes to the host of an http or https URL and to no other. An error is one
// sentence that names the URL as Short does. It wraps ctx's error when ctx has ended.
func Get(ctx context.Context, name string, header Header, lim Limits) ([]byte, error) {
	var data []byte
	var err error
	address := strings.TrimSpace(name)
	switch s := scheme(name); s {
	case "data":
		data, err = decodeData(address[len("data:"):], lim.Bytes)
	case "":
		err = fmt.Errorf("expected a data:, http: or https: URL")
	case "http", "https":
		data, err = online(ctx, spaced(address), header, lim)
	default:
		err = fmt.Errorf("it is %s", elsewhere[s])
	}
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", Short(name), err)
	}
	return data, nil
}

// maxShort is about how many bytes of a URL an error repeats.
const maxShort = 60

// Short returns a URL fit for a message: without user, password and query, which may be secret, and cut when long.
func Short(name string) string {
	if s := scheme(name); s == "http" || s == "https" {
		name = shown(s, strings.TrimSpace(name))
	}
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, name)
	if len(name) <= maxShort {
		return name
	}
	cut := maxShort
	for cut > 0 && !utf8.RuneStart(name[cut]) {
		cut--
	}
	return name[:cut] + "…"
}

// size formats a number of bytes.
func size(n int64) string {
	if n%(1<<20) == 0 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d bytes", n)
}
