//go:build unix

package proxy

import (
	"io"
	"net"
	"syscall"
)

func newSource(c net.Conn) source {
	switch c := c.(type) {
	case *net.TCPConn:
		if raw, err := c.SyscallConn(); err == nil {
			return newPolled(raw)
		}
	case *net.UnixConn:
		if raw, err := c.SyscallConn(); err == nil {
			return newPolled(raw)
		}
	}
	return newBlocking(c)
}

// polled is the source for sockets. The poller of the runtime tells when there
// is something to read, and only then is a buffer needed.
type polled struct {
	raw syscall.RawConn
	try func(fd uintptr) bool // bound once, not for every read
	buf *chunk
	n   int
	err error
}

func newPolled(raw syscall.RawConn) *polled {
	p := &polled{raw: raw}
	p.try = p.read
	return p
}

func (p *polled) next() ([]byte, error) {
	if err := p.raw.Read(p.try); err != nil {
		return nil, err
	}
	if p.err != nil {
		return nil, p.err
	}
	if p.n == 0 {
		return nil, io.EOF
	}
	return p.buf[:p.n], nil
}

// read reports whether there was an answer; without one it is called again
// when the socket is readable.
func (p *polled) read(fd uintptr) bool {
	if p.buf == nil {
		p.buf = takeChunk()
	}
	for {
		p.n, p.err = syscall.Read(int(fd), p.buf[:])
		if p.err != syscall.EINTR {
			break
		}
	}
	if p.err == syscall.EAGAIN {
		p.release()
		return false
	}
	return true
}

func (p *polled) release() {
	if p.buf != nil {
		giveChunk(p.buf)
		p.buf = nil
	}
}
