package limits

import (
	"net"
	"sync"
)

// Connections is a listener with a bound on its open connections: more wait in the system's queue.
func Connections(l net.Listener, most int) net.Listener {
	return &connections{Listener: l, room: make(chan struct{}, most), closed: make(chan struct{})}
}

type connections struct {
	net.Listener
	room   chan struct{}
	closed chan struct{}
	once   sync.Once
}

// Accept waits for room, then for a connection.
func (l *connections) Accept() (net.Conn, error) {
	select {
	case l.room <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.room
		return nil, err
	}
	return &connection{Conn: c, room: l.room}, nil
}

// Close closes the listener.
func (l *connections) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type connection struct {
	net.Conn
	room chan struct{}
	once sync.Once
}

// CloseWrite ends what is written, where the connection can.
func (c *connection) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// Close makes room.
func (c *connection) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { <-c.room })
	return err
}
