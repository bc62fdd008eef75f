// Package listen makes what a server listens on: an address or the socket that systemd hands over, with TLS or without;
// and tells systemd how the server is.
package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
)

// On listens at an address, or on the socket that systemd hands over, whose own address counts then.
func On(address string) (net.Listener, error) {
	handed, err := activation.Listeners()
	switch {
	case err != nil:
		return nil, fmt.Errorf("systemd's socket: %w", err)
	case len(handed) > 1:
		return nil, fmt.Errorf("systemd hands over %d sockets, expected one", len(handed))
	case len(handed) == 1 && handed[0] == nil:
		return nil, errors.New("systemd hands over something that is no listening socket, expected ListenStream= in its unit")
	case len(handed) == 1:
		return handed[0], nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen at %s: %w", address, err)
	}
	return l, nil
}

// Certificate is a server's certificate, which is read anew when its file changes: it is renewed without a restart.
type Certificate struct {
	cert, key string
	read      tls.Certificate
	modified  time.Time
	turn      chan struct{}
}

// ReadCertificate reads a certificate and its key, PEM files.
func ReadCertificate(cert, key string) (*Certificate, error) {
	c := &Certificate{cert: cert, key: key, turn: make(chan struct{}, 1)}
	_, err := c.current(nil)
	return c, err
}

// WithTLS has a listener speak TLS.
func (c *Certificate) WithTLS(l net.Listener) net.Listener {
	return tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, GetCertificate: c.current})
}

// current returns the certificate as the file has it now. A file that is being replaced keeps the one before.
func (c *Certificate) current(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	info, err := os.Stat(c.cert)
	if err == nil && info.ModTime().Equal(c.modified) {
		read := c.read
		return &read, nil
	}
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.LoadX509KeyPair(c.cert, c.key)
	}
	switch {
	case err == nil:
		c.read, c.modified = pair, info.ModTime()
	case c.modified.IsZero():
		return nil, err
	}
	read := c.read
	return &read, nil
}

// IsLocal reports whether only this machine reaches a listener.
func IsLocal(l net.Listener) bool {
	a, ok := l.Addr().(*net.TCPAddr)
	return !ok || a.IP.IsLoopback()
}

// Ready tells systemd that the server is ready, and keeps telling it that it is alive, if systemd wants to know, until ctx
// ends.
func Ready(ctx context.Context) {
	daemon.SdNotify(false, daemon.SdNotifyReady)
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every <= 0 {
		return
	}
	go func() {
		tick := time.NewTicker(every / 2)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				daemon.SdNotify(false, daemon.SdNotifyWatchdog)
			case <-ctx.Done():
				return
			}
		}
	}()
}

// Stopping tells systemd that the server ends.
func Stopping() { daemon.SdNotify(false, daemon.SdNotifyStopping) }
