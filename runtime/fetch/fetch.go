// Package fetch gets the bytes of a picture that is named by a URL: data:, http
// or https. Nothing is fetched but what the user named, and no more of it than
// the limits allow; what the server says of the kind of data is not believed, the
// decoder looks at the bytes.
//
// The package imports the standard library and the root certificates of
// golang.org/x/crypto/x509roots, nothing of the compiler, nothing of the rest of
// the runtime.
package fetch

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits bound what a URL may cost.
type Limits struct {
	Bytes     int64         // of the picture
	Time      time.Duration // from the look-up of the host's name to the last byte
	Redirects int
}

// DefaultLimits allow 64 MiB in 30 seconds, after five redirects.
var DefaultLimits = Limits{Bytes: 64 << 20, Time: 30 * time.Second, Redirects: 5}

// IsURL reports whether name is a URL that Get takes, and not a path.
func IsURL(name string) bool { return scheme(name) != "" }

// scheme is the lower-case scheme of a URL that Get takes, or empty.
func scheme(name string) string {
	head, _, _ := strings.Cut(name, ":")
	head = strings.ToLower(head)
	switch {
	case head == "data" && len(name) > len(head):
		return head
	case (head == "http" || head == "https") && strings.HasPrefix(name[len(head):], "://"):
		return head
	}
	return ""
}

// Get returns what the URL stands for. An error is one sentence that names it, as
// Short does; one that wraps ctx's error when ctx has ended.
func Get(ctx context.Context, name string, lim Limits) ([]byte, error) {
	var data []byte
	var err error
	switch scheme(name) {
	case "data":
		data, err = decodeData(name[len("data:"):], lim.Bytes)
	case "":
		err = fmt.Errorf("expected a data:, http: or https: URL")
	default:
		data, err = overHTTP(ctx, name, lim)
	}
	if err != nil {
		return nil, fmt.Errorf("picture %s: %w", Short(name), err)
	}
	return data, nil
}

// shortest is how many bytes of a name an error repeats, about.
const shortest = 60

// Short is a URL fit for a message: without its password and its query, which may
// be secret, and cut when it is long.
func Short(name string) string {
	if s := scheme(name); s == "http" || s == "https" {
		u, err := url.Parse(name)
		if err != nil {
			return s + "://…"
		}
		if u.RawQuery != "" {
			u.RawQuery = "…"
		}
		u.User, u.Fragment = nil, ""
		name = strings.Replace(u.String(), "?%E2%80%A6", "?…", 1)
	}
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, name)
	if len(name) <= shortest {
		return name
	}
	cut := shortest
	for cut > 0 && !utf8.RuneStart(name[cut]) {
		cut--
	}
	return name[:cut] + "…"
}

// size says a number of bytes.
func size(n int64) string {
	if n%(1<<20) == 0 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d bytes", n)
}
