//go:build !least

package fetch

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// maxHeader bounds the header of a response.
const maxHeader = 256 << 10

// errTime is the cause of a context that ends because time is over.
var errTime = errors.New("out of time")

// A network says whom to trust.
type network struct {
	roots   func() *x509.CertPool // the authorities that sign certificates; nil for the system's
	scopeOf func(netip.Addr) scope
	allowed *Allowed // where connections may lead; nil where the user names URLs
}

// internet is the network of every command.
var internet = network{roots: roots, scopeOf: scopeOf}

// online reads the body at an http or https address.
func online(ctx context.Context, address string, header Header, lim Limits) ([]byte, error) {
	return overHTTP(ctx, address, header, lim, internet)
}

// overHTTP reads the body at an http or https address, through the proxy that the environment names, if any
// (HTTPS_PROXY and the like).
func overHTTP(parent context.Context, address string, header http.Header, lim Limits, on network) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(parent, lim.Time, errTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errors.New("its address is malformed, expected http://host/path")
	}
	if req.URL.Host == "" {
		return nil, errors.New("its address names no host, expected http://host/path")
	}
	req.Header.Set("User-Agent", "pgc")
	req.Header.Set("Accept", "image/*")
	put(req, header)
	trip := journey{scopeOf: on.scopeOf, reach: loopback}
	proxy, dial := trip.proxy, trip.dial
	if on.allowed != nil {
		proxy, dial = on.allowed.direct, on.allowed.dial
	}
	transport := &http.Transport{Proxy: proxy, DialContext: dial,
		OnProxyConnectResponse: tunnel, MaxResponseHeaderBytes: maxHeader, DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: on.roots()}}
	client := &http.Client{Transport: transport, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		keep(next, via[0], header)
		return redirect(next, via, lim)
	}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, explain(ctx, lim, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		hint := ""
		if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
			hint = " (--header 'Authorization: …' sends what it asks for)"
		}
		return nil, fmt.Errorf("the server answered %s, expected 200 OK%s", status(resp), hint)
	}
	if resp.ContentLength > lim.Bytes {
		return nil, fmt.Errorf("its %d bytes are over the limit of %s", resp.ContentLength, size(lim.Bytes))
	}
	if multipart(resp.Header.Get("Content-Type")) {
		return firstFrame(ctx, lim, resp.Body)
	}
	var body bytes.Buffer
	n, err := body.ReadFrom(io.LimitReader(resp.Body, lim.Bytes+1))
	switch {
	case err != nil && ctx.Err() == nil:
		return nil, fmt.Errorf("the connection broke after %d bytes", n)
	case err != nil:
		return nil, explain(ctx, lim, err)
	case n > lim.Bytes:
		return nil, fmt.Errorf("it is over the limit of %s", size(lim.Bytes))
	}
	return body.Bytes(), nil
}

// firstFrame reads the first picture of a stream of them.
func firstFrame(ctx context.Context, lim Limits, stream io.Reader) ([]byte, error) {
	limited := &io.LimitedReader{R: stream, N: lim.Bytes}
	picture, err := firstPart(limited)
	switch {
	case err == nil:
		return picture, nil
	case limited.N <= 0:
		return nil, fmt.Errorf("the first picture of its stream is over the limit of %s", size(lim.Bytes))
	case ctx.Err() != nil:
		return nil, explain(ctx, lim, err)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errors.New("its stream ended within the first picture")
	}
	return nil, err
}

// tunnel refuses what a proxy answers instead of a way to a server.
func tunnel(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the proxy answered %s, expected 200 OK", status(resp))
	}
	return nil
}

// status returns the status code with its standard text, whatever the server calls it.
func status(resp *http.Response) string {
	if text := http.StatusText(resp.StatusCode); text != "" {
		return fmt.Sprintf("%d %s", resp.StatusCode, text)
	}
	return fmt.Sprint(resp.StatusCode)
}

// explain turns an error of net/http into one that a user can act on.
func explain(ctx context.Context, lim Limits, err error) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errTime):
		return fmt.Errorf("no complete answer came within %v", lim.Time.Round(time.Millisecond))
	case cause != nil:
		return cause
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[*errNear](err); ok {
		return e
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return fmt.Errorf("the host %s is not found (%s)", e.Name, e.Err)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return errors.New("its certificate is signed by an unknown authority, expected one that is trusted here (SSL_CERT_FILE names a file of them)")
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("its certificate is not valid (%w)", e.Err)
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return errors.New(strings.TrimPrefix(text, "net/http: "))
}

// shown returns an address of scheme s without what may be secret: user, password and query.
func shown(s, address string) string {
	u, err := url.Parse(spaced(address))
	if err != nil {
		return s + "://…"
	}
	if u.RawQuery != "" {
		u.RawQuery = "…"
	}
	u.User, u.Fragment = nil, ""
	return strings.Replace(u.String(), "?%E2%80%A6", "?…", 1)
}
