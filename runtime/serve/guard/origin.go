package guard

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
)

// Hosts are the names under which the server answers. A page of elsewhere whose name was made to lead here (DNS
// rebinding) has another one.
type Hosts struct {
	names []string
	any   bool
}

// NewHosts returns the names given, and those that every machine has for itself. "*" is any name.
func NewHosts(names []string) *Hosts {
	h := &Hosts{names: []string{"localhost"}, any: slices.Contains(names, "*")}
	if own, err := os.Hostname(); err == nil {
		h.names = append(h.names, strings.ToLower(own))
	}
	for _, name := range names {
		h.names = append(h.names, strings.ToLower(name))
	}
	return h
}

// Check returns an error for the Host header of a request that is not for this server. Browsers always send one; probes
// in HTTP/1.0 may not.
func (h *Hosts) Check(host string) error {
	if host == "" {
		return nil
	}
	name := host
	if n, _, err := net.SplitHostPort(host); err == nil {
		name = n
	}
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	_, err := netip.ParseAddr(strings.Trim(name, "[]"))
	if h.any || err == nil || slices.Contains(h.names, name) || strings.HasSuffix(name, ".localhost") {
		return nil
	}
	return fmt.Errorf("the host %.80q is not one of this server's: start it with --host %.80s if it is", host, name)
}

// Origins are the pages of elsewhere whose scripts may ask.
type Origins struct {
	list []string
	any  bool
}

// NewOrigins returns the origins given, such as https://example.org. "*" is any.
func NewOrigins(list []string) (*Origins, error) {
	o := &Origins{any: slices.Contains(list, "*")}
	for _, origin := range list {
		u, err := url.Parse(origin)
		if origin != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" || u.RawQuery != "") {
			return nil, fmt.Errorf("%s is no origin, expected one such as https://example.org, or *", origin)
		}
		o.list = append(o.list, strings.ToLower(origin))
	}
	return o, nil
}

// Check looks at the origin of a request. It sets the headers that let the pages of that origin read the answer, if they
// may. Pages of an origin that is named may send what a proxy in front asks for, such as a cookie; with "*" none may.
func (o *Origins) Check(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	if o.any || len(o.list) > 0 {
		h.Add("Vary", "Origin")
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	listed := slices.Contains(o.list, strings.ToLower(origin))
	if listed {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	if listed || o.any {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", "X-Request-Id, X-Ignored, Retry-After")
		return nil
	}
	if u, err := url.Parse(origin); err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host) {
		return nil
	}
	return fmt.Errorf("pages of %.80q may not ask here: start the server with --cors %.80s if they may", origin, origin)
}

// Preflight answers the question whether a page may ask, which Check has allowed.
func (o *Origins) Preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
	h.Set("Access-Control-Max-Age", "600")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
	}
	w.WriteHeader(http.StatusOK)
}
