package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"pgc/runtime/serve"
	"pgc/runtime/serve/guard"
)

type serveCmd struct {
	Addr           string        `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where to listen."`
	APIKeys        string        `name:"api-keys" placeholder:"FILE" help:"Ask for one of the keys in this file, one a line, everywhere but at /health, /ready and the page."`
	MaxQueue       int           `default:"64" placeholder:"N" help:"Answers that may wait; more requests get 429 (default: 64)."`
	MaxQueueBytes  int64         `default:"1073741824" placeholder:"BYTES" help:"What requests and their pictures may take together (default: 1 GiB)."`
	MaxConnections int           `default:"1024" placeholder:"N" help:"Connections that may be open (default: 1024)."`
	RequestTimeout time.Duration `default:"0" placeholder:"TIME" help:"End a request after this time, such as 90s (default: none)."`
	DrainTimeout   time.Duration `default:"30s" placeholder:"TIME" help:"How long requests may take to end after SIGTERM (default: 30s)."`
	Host           []string      `placeholder:"NAME,…" help:"Names besides localhost, addresses and this machine's own that requests may call the server by; '*' is any."`
	CORS           []string      `name:"cors" placeholder:"ORIGIN,…" help:"Let scripts of pages of these origins ask, such as https://example.org; '*' is any."`
	LogFormat      string        `enum:"text,json" default:"text" help:"How to write the log to standard error: text or json."`
	LogPrompts     bool          `help:"Log the prompts of requests, too."`
	Threads        int           `help:"Threads to compute on (default: the cores that this process may use, see info)."`
}

// Run serves until a signal comes.
func (c *serveCmd) Run(a *App) error {
	config, err := c.config(a)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("cannot listen at %s: %w", c.Addr, err)
	}
	s := serve.New(config)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	m, err := a.load(c.Threads)
	if err != nil {
		l.Close()
		return err
	}
	defer m.Close()
	s.Ready(m)
	fmt.Fprintf(a.Err, "%s answers at http://%s/\n", a.Executable.Name(), l.Addr())
	select {
	case err := <-served:
		return err
	case <-a.ctx.Done():
	}
	last, cancel := context.WithTimeout(context.Background(), c.DrainTimeout)
	defer cancel()
	if err := s.Drain(last); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// config checks the flags.
func (c *serveCmd) config(a *App) (s serve.Config, err error) {
	if c.MaxQueue < 0 || c.MaxQueueBytes < 1 || c.MaxConnections < 1 {
		return s, usage{errors.New("--max-queue, --max-queue-bytes or --max-connections is too small, expected 0, 1 and 1 or more")}
	}
	s = serve.Config{Name: a.Executable.Name(), Info: a.Executable.Info(a.options()...), Created: time.Now(), Hosts: guard.NewHosts(c.Host),
		Queue: c.MaxQueue, QueueBytes: c.MaxQueueBytes, Body: serve.DefaultBody, DecodeBytes: serve.DefaultDecodeBytes, Timeout: c.RequestTimeout,
		Connections: c.MaxConnections, LogPrompts: c.LogPrompts}
	if s.Origins, err = guard.NewOrigins(c.CORS); err != nil {
		return s, usage{fmt.Errorf("--cors: %w", err)}
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
