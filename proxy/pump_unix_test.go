//go:build unix

package proxy

import (
	"io"
	"net"
	"testing"
)

// A socket is waited for without a buffer, also after something came.
func TestPolledSourceWaitsWithoutABuffer(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		near, far := socketPair(t, network)
		p, ok := newSource(near).(*polled)
		if !ok {
			t.Fatalf("%T", newSource(near))
		}
		waits := func() {
			t.Helper()
			var answered bool
			p.raw.Control(func(fd uintptr) { answered = p.read(fd) })
			if answered || p.buf != nil {
				t.Errorf("answered: %v, with a buffer: %v", answered, p.buf != nil)
			}
		}
		waits()
		io.WriteString(far, "hello")
		if got, err := p.next(); string(got) != "hello" || err != nil {
			t.Error(got, err)
		}
		waits()
		far.Close()
		if got, err := p.next(); err != io.EOF {
			t.Error(got, err)
		}
		near.Close()
		if got, err := p.next(); err == nil || err == io.EOF {
			t.Error(got, err)
		}
		p.release()
	}
}

// Only bare sockets may be read behind their backs.
func TestSourceOfWrappedSockets(t *testing.T) {
	near, _ := socketPair(t, "tcp")
	type wrapped struct{ *net.TCPConn }
	if s, ok := newSource(wrapped{near.(*net.TCPConn)}).(*blocking); !ok {
		t.Errorf("%T", s)
	}
}
