package transport_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"wxgate/proxy/transport"
)

// memConn is a connection to an upstream whose reply is known beforehand. Time
// does not pass on it: once everything is read, a Read with a deadline has run
// into it, and one without sees the end of the connection.
type memConn struct {
	mu       sync.Mutex
	reply    []byte
	again    []byte // replies to every request; what was sent is not kept then
	cuts     int    // bytes of a read; 0: as many as asked for
	deadline bool
	closed   bool
	sent     []byte
	writes   int
}

func (c *memConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return 0, net.ErrClosed
	case len(c.reply) == 0 && c.deadline:
		return 0, os.ErrDeadlineExceeded
	case len(c.reply) == 0:
		return 0, io.EOF
	}
	if c.cuts > 0 {
		p = p[:min(len(p), c.cuts)]
	}
	n := copy(p, c.reply)
	c.reply = c.reply[n:]
	return n, nil
}

func (c *memConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	if c.again != nil {
		c.reply = c.again
		return len(p), nil
	}
	c.sent = append(c.sent, p...)
	c.writes++
	return len(p), nil
}

func (c *memConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return nil
}

func (c *memConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = !t.IsZero()
	return nil
}

func (c *memConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

func (*memConn) SetWriteDeadline(time.Time) error { return nil }
func (*memConn) LocalAddr() net.Addr              { return &net.UnixAddr{} }
func (*memConn) RemoteAddr() net.Addr             { return &net.UnixAddr{} }

// overMemory is a transport whose connections are the given ones, in order.
func overMemory(t testing.TB, conns ...*memConn) *transport.Transport {
	dial := func(context.Context, string, string) (net.Conn, error) {
		if len(conns) == 0 {
			return nil, net.ErrClosed
		}
		c := conns[0]
		conns = conns[1:]
		return c, nil
	}
	rt := transport.New(transport.Config{Network: "unix", Address: "memory", ContinueTimeout: time.Hour, IdleTimeout: time.Hour, MaxIdle: 1, MaxHeader: 64 << 10, Dial: dial})
	t.Cleanup(rt.CloseIdleConnections)
	return rt
}

func plainRequest(t testing.TB, method string) *http.Request {
	req, err := http.NewRequest(method, "http://app.test/", nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}
