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
	"sync"
	"syscall"
)

// scope says how near to this machine an address lies, the nearest last.
type scope uint8

const (
	public    scope = iota
	private         // of a network behind a router: RFC 1918, RFC 6598, RFC 4193, and multicast
	linkLocal       // of the same cable, and of a cloud's metadata service: RFC 3927, RFC 4291
	loopback        // of this machine itself
)

func (s scope) String() string { return [...]string{"public", "private", "link-local", "loopback"}[s] }

var (
	shared = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598, a provider's own network
	nat64  = netip.MustParsePrefix("64:ff9b::/96")  // RFC 6052, an IPv4 address in the last four bytes
)

// plain returns the IPv4 address that an address stands for, or itself, without a zone.
func plain(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	return a
}

// scopeOf returns the scope of an address. One that stands for an IPv4 address has the scope of that.
func scopeOf(a netip.Addr) scope {
	a = plain(a)
	switch {
	case a.IsLoopback() || a.IsUnspecified():
		return loopback
	case a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast() || a.IsInterfaceLocalMulticast():
		return linkLocal
	case a.IsPrivate() || a.IsMulticast() || shared.Contains(a):
		return private
	}
	return public
}

// errNear refuses a redirect to an address nearer than the ones that led to it.
type errNear struct {
	addr netip.Addr
	to   scope
	from scope
}

func (e *errNear) Error() string {
	return fmt.Sprintf("it redirects from a %s address to %v, a %s one, which only a URL that names it itself may reach",
		e.from, e.addr, e.to)
}

// A journey is a request with its redirects. The URL that the user named may lie anywhere; a redirect never leads
// nearer to this machine than every address before it. The check is of the address that a connection is made to, after
// its name is resolved, so that a name cannot lead elsewhere than it was checked.
type journey struct {
	scopeOf func(netip.Addr) scope

	mu      sync.Mutex
	reach   scope // the nearest that the next connection may lie
	proxied bool  // the next connection is to a proxy, which the user's environment names
}

// admit returns an error for an address that is too near.
func (j *journey) admit(a netip.Addr) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if s := j.scopeOf(a); s > j.reach {
		return &errNear{addr: a, to: s, from: j.reach}
	}
	return nil
}

// arrive lowers the reach to the scope of an address that was reached.
func (j *journey) arrive(s scope) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.reach = min(j.reach, s)
}

// proxy returns the proxy that the environment names for a request, if any. A proxy resolves names itself, so only a
// host that is written as an address can be checked; a name counts as public.
func (j *journey) proxy(req *http.Request) (*url.URL, error) {
	via, err := http.ProxyFromEnvironment(req)
	j.mu.Lock()
	j.proxied = via != nil
	j.mu.Unlock()
	if err != nil || via == nil {
		return via, err
	}
	a, err := netip.ParseAddr(req.URL.Hostname())
	if err != nil {
		j.arrive(public)
		return via, nil
	}
	if err := j.admit(a); err != nil {
		return nil, err
	}
	j.arrive(j.scopeOf(a))
	return via, nil
}

// dial connects to a host, or to the proxy.
func (j *journey) dial(ctx context.Context, network, address string) (net.Conn, error) {
	j.mu.Lock()
	proxied := j.proxied
	j.mu.Unlock()
	if proxied {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	dialer := net.Dialer{ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		a, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		return j.admit(a.Addr())
	}}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	peer, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		conn.Close()
		return nil, errors.New("the connection has no TCP address")
	}
	j.arrive(j.scopeOf(peer.AddrPort().Addr()))
	return conn, nil
}

// redirect checks a redirect before it is followed. The next request carries no Referer: it would tell another server
// the first one's query, which may hold a key.
func redirect(next *http.Request, via []*http.Request, lim Limits) error {
	next.Header.Del("Referer")
	switch {
	case len(via) > lim.Redirects:
		return fmt.Errorf("it redirects more than %d times", lim.Redirects)
	case next.URL.Scheme != "http" && next.URL.Scheme != "https":
		return fmt.Errorf("it redirects to a %s: address, expected http or https", next.URL.Scheme)
	case next.URL.Scheme == "http" && via[len(via)-1].URL.Scheme == "https":
		return fmt.Errorf("it redirects from https to %s, which is not encrypted, expected https", Short(next.URL.String()))
	}
	return nil
}
