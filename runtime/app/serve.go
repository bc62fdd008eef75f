//go:build !least

package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"pgc/runtime/fetch"
	"pgc/runtime/process"
	"pgc/runtime/serve"
	"pgc/runtime/serve/guard"
	"pgc/runtime/serve/listen"
	"pgc/runtime/serve/page"
)

type serveCmd struct {
	Addr           string        `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where to listen (default: 127.0.0.1:8080). A socket that systemd hands over comes first."`
	APIKeys        string        `name:"api-keys" placeholder:"FILE" help:"Ask for one of the keys in this file, one a line, everywhere but at /health, /ready and the page. It is read anew when it changes."`
	MaxQueue       int           `default:"64" placeholder:"N" help:"Answers that may wait; more requests get 429 (default: 64)."`
	MaxQueueBytes  int64         `default:"1073741824" placeholder:"BYTES" help:"What requests and their pictures may take together (default: 1 GiB)."`
	MaxConnections int           `default:"1024" placeholder:"N" help:"Connections that may be open (default: 1024)."`
	RequestTimeout time.Duration `default:"0" placeholder:"TIME" help:"End a request after this time, such as 90s (default: none)."`
	DrainTimeout   time.Duration `default:"30s" placeholder:"TIME" help:"How long requests may take to end after SIGTERM (default: 30s)."`
	AllowImageURLs []string      `name:"allow-image-urls" placeholder:"public|HOST" help:"Read pictures at http(s) URLs of these hosts, addresses or networks (HOST, *.HOST, 10.0.0.0/8, each with :PORT or without), or of every public address (default: none)."`
	TLSCert        string        `name:"tls-cert" placeholder:"FILE" help:"Speak TLS with this certificate, a PEM file with the chain."`
	TLSKey         string        `name:"tls-key" placeholder:"FILE" help:"The certificate's private key."`
	Host           []string      `placeholder:"NAME" help:"Names by which requests may call the server, besides localhost, addresses and this machine's own; '*' is any."`
	CORS           []string      `name:"cors" placeholder:"ORIGIN" help:"Let scripts of pages of these origins ask, such as https://example.org; '*' is any."`
	LogFormat      string        `enum:"text,json" default:"text" placeholder:"text|json" help:"How to write the log to standard error (default: text)."`
	LogPrompts     bool          `help:"Log the prompts of requests, too."`
	Threads        int           `help:"Threads to compute on (default: the cores that this process may use, see info)."`
}

// Run serves until a signal comes; then it completes what is under way.
func (c *serveCmd) Run(a *App) error {
	config, err := c.config(a)
	if err != nil {
		return err
	}
	cert, err := c.certificate()
	if err != nil {
		return err
	}
	l, err := listen.On(c.Addr)
	if err != nil {
		return err
	}
	defer l.Close()
	scheme := "http"
	if cert != nil {
		scheme = "https"
		l = cert.WithTLS(l)
	}
	if !listen.IsLocal(l) && config.Keys == nil {
		fmt.Fprintf(a.Err, "warning: everyone who reaches %s may ask: --api-keys FILE asks for keys\n", l.Addr())
	}
	s := serve.New(config)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	m, err := a.load(c.Threads)
	if err != nil {
		return err
	}
	defer m.Close()
	s.Ready(m)
	listen.Ready(a.ctx)
	process.AwaitDrain(c.DrainTimeout + 5*time.Second)
	fmt.Fprintf(a.Err, "%s answers at %s\n", process.Line(a.Executable.Name()), address(scheme, l))
	select {
	case err := <-served:
		return err
	case <-a.ctx.Done():
	}
	listen.Stopping()
	fmt.Fprintln(a.Err, "ending: completing the requests that are under way")
	last, cancel := context.WithTimeout(context.Background(), c.DrainTimeout)
	defer cancel()
	s.Drain(last)
	return nil
}

// address is where people find a server.
func address(scheme string, l net.Listener) string {
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return l.Addr().String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return fmt.Sprintf("%s://%s/", scheme, net.JoinHostPort(host, port))
}

// certificate reads what the flags name, or returns nil.
func (c *serveCmd) certificate() (*listen.Certificate, error) {
	switch {
	case c.TLSCert == "" && c.TLSKey == "":
		return nil, nil
	case c.TLSCert == "" || c.TLSKey == "":
		return nil, usage{errors.New("--tls-cert or --tls-key is missing, expected both or none")}
	}
	cert, err := listen.ReadCertificate(c.TLSCert, c.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert: %w", err)
	}
	return cert, nil
}

// config checks the flags.
func (c *serveCmd) config(a *App) (s serve.Config, err error) {
	switch {
	case len(a.header) > 0:
		return s, usage{errors.New("--header is given to serve, expected none: it would go to whatever address a client names")}
	case c.MaxQueue < 0:
		return s, usage{fmt.Errorf("--max-queue is %d, expected 0 or more", c.MaxQueue)}
	case c.MaxQueueBytes < serve.DefaultBody:
		return s, usage{fmt.Errorf("--max-queue-bytes is %d, expected %d or more, the longest request", c.MaxQueueBytes, serve.DefaultBody)}
	case c.MaxConnections < 1:
		return s, usage{fmt.Errorf("--max-connections is %d, expected 1 or more", c.MaxConnections)}
	case c.RequestTimeout < 0 || c.DrainTimeout < 0:
		return s, usage{errors.New("--request-timeout or --drain-timeout is negative, expected a time such as 30s")}
	}
	info := a.Executable.Info(a.options()...)
	s = serve.Config{Name: a.Executable.Name(), Info: info, Fingerprint: fmt.Sprintf("fp_%08x-%s", a.Executable.Checksum(), cmp.Or(info.CPU, info.Target)), Created: compiledAt(), Hosts: guard.NewHosts(c.Host), Page: page.Handler(),
		Queue: c.MaxQueue, QueueBytes: c.MaxQueueBytes, Body: serve.DefaultBody, DecodeBytes: serve.DefaultDecodeBytes, Timeout: c.RequestTimeout,
		Connections: c.MaxConnections, LogPrompts: c.LogPrompts, License: a.Executable.License(), Frozen: a.Executable.Frozen()}
	if s.Origins, err = guard.NewOrigins(c.CORS); err != nil {
		return s, usage{fmt.Errorf("--cors: %w", err)}
	}
	if len(c.AllowImageURLs) > 0 {
		allowed, err := fetch.ParseAllowed(c.AllowImageURLs)
		if err != nil {
			return s, usage{fmt.Errorf("--allow-image-urls: %w", err)}
		}
		s.URLs = allowed
	}
	if c.APIKeys != "" {
		if s.Keys, err = guard.ReadKeys(c.APIKeys); err != nil {
			return s, fmt.Errorf("--api-keys: %w", err)
		}
	}
	var h slog.Handler = slog.NewTextHandler(os.Stderr, nil)
	if c.LogFormat == "json" {
		h = slog.NewJSONHandler(os.Stderr, nil)
	}
	s.Log = slog.New(h)
	return s, nil
}

// compiledAt is the time of the executable's file.
func compiledAt() time.Time {
	if path, err := os.Executable(); err == nil {
		if info, err := os.Stat(path); err == nil {
			return info.ModTime()
		}
	}
	return time.Now()
}
