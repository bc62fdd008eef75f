//go:build !least

package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Allowed are the addresses that a server reads for its clients: those who ask are not those who run it, and must not
// reach through it what they cannot reach themselves. Every connection, that of a redirect, too, is checked by the
// address it is made to, after its name was resolved. No proxy is used, since it would resolve names itself.
type Allowed struct {
	entries []allowed
	turns   chan struct{} // holds one for each address that is being read
}

// allowed is one of the places.
type allowed struct {
	public bool         // every public address, at the ports of http and https
	prefix netip.Prefix // addresses
	name   string       // a host, or with a leading dot all hosts that end so
	port   uint16       // 0 is any
}

// serverLimits bound what a picture of a client may cost, and mostAtOnce how many are read at a time.
var serverLimits = Limits{Bytes: 16 << 20, Time: 10 * time.Second, Redirects: 3}

const mostAtOnce = 16

// errUnread is the error of every address that is not read, whatever the reason: which ports answer and which names
// exist in the server's network is nothing that clients should learn.
var errUnread = errors.New("the address cannot be read, or is none that this server may read (--allow-image-urls)")

// ParseAllowed reads a list of HOST, *.HOST, ADDRESS and NETWORK/BITS, each with a :PORT or without, or the word public.
// Hosts lead to public addresses, and to those that are listed.
func ParseAllowed(list []string) (*Allowed, error) {
	a := &Allowed{turns: make(chan struct{}, mostAtOnce)}
	for _, text := range list {
		e, err := parseAllowed(strings.ToLower(strings.TrimSpace(text)))
		if err != nil {
			return nil, fmt.Errorf("%q is no place of pictures: %w", text, err)
		}
		a.entries = append(a.entries, e)
	}
	if len(a.entries) == 0 {
		return nil, errors.New("no place of pictures is named, expected HOST,… or public")
	}
	return a, nil
}

func parseAllowed(text string) (e allowed, err error) {
	if text == "public" {
		return allowed{public: true}, nil
	}
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return allowed{prefix: prefix.Masked()}, nil
	}
	host := text
	if _, err := netip.ParseAddr(text); err != nil { // else colons are the address's own
		if h, port, err := net.SplitHostPort(text); err == nil {
			n, err := strconv.ParseUint(port, 10, 16)
			if err != nil || n == 0 {
				return e, fmt.Errorf("its port is %q, expected 1 to 65535", port)
			}
			host, e.port = h, uint16(n)
		}
	}
	if addr, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		addr = addr.Unmap()
		e.prefix = netip.PrefixFrom(addr, addr.BitLen())
		return e, nil
	}
	if e.name = strings.TrimPrefix(host, "*"); e.name == "" || e.name == "." || strings.ContainsAny(e.name, "/*:@ ") {
		return e, errors.New("expected a host, an address, a network such as 10.0.0.0/8, or public")
	}
	return e, nil
}

// special are addresses that the Internet does not lead to, or that stand for others, beside those that have a scope.
var special = func() (list []netip.Prefix) {
	for _, p := range []string{"0.0.0.0/8", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10"} {
		list = append(list, netip.MustParsePrefix(p))
	}
	return list
}()

// isPublic reports whether an address is of the Internet.
func isPublic(a netip.Addr) bool {
	a = plain(a)
	return scopeOf(a) == public && !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(a) })
}

// named reports whether a host may be looked up.
func (a *Allowed) named(host string, port uint16) bool {
	return slices.ContainsFunc(a.entries, func(e allowed) bool { return e.public || e.names(host, port) })
}

func (e *allowed) at(port uint16) bool { return e.port == 0 || e.port == port }

// names reports whether the entry is of this host's name.
func (e *allowed) names(host string, port uint16) bool {
	return e.name != "" && e.at(port) && (host == e.name || e.name[0] == '.' && strings.HasSuffix(host, e.name))
}

// admits reports whether a connection may be made to an address for a host.
func (a *Allowed) admits(host string, to netip.AddrPort) bool {
	ip, port := to.Addr().Unmap().WithZone(""), to.Port()
	_, err := netip.ParseAddr(host)
	literal := err == nil
	return slices.ContainsFunc(a.entries, func(e allowed) bool {
		switch {
		case e.public:
			return isPublic(ip) && (port == 80 || port == 443)
		case e.prefix.IsValid():
			return e.at(port) && e.prefix.Contains(ip) && (literal || a.named(host, port))
		}
		return e.names(host, port) && (isPublic(ip) || host == "localhost" && ip.IsLoopback())
	})
}

// Get returns the content of an http or https URL. Its error does not tell why there is none, unless ctx has ended.
func (a *Allowed) Get(ctx context.Context, address string) ([]byte, error) {
	select {
	case a.turns <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-a.turns }()
	data, err := overHTTP(ctx, spaced(strings.TrimSpace(address)), nil, serverLimits, network{roots: roots, scopeOf: scopeOf, allowed: a})
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, errUnread
	}
	return data, nil
}

// direct is no proxy.
func (a *Allowed) direct(*http.Request) (*url.URL, error) { return nil, nil }

// dial connects to a host if that is allowed.
func (a *Allowed) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err != nil && !a.named(host, uint16(n)) {
		return nil, errUnread // and is not looked up
	}
	dialer := net.Dialer{ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if !a.admits(host, to) {
			return errUnread
		}
		return nil
	}}
	return dialer.DialContext(ctx, network, net.JoinHostPort(host, port))
}
