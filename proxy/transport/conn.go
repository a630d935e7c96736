package transport

import (
	"bufio"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// replyBuffer holds the header and the whole of a small reply.
const replyBuffer = 4 << 10

// conn is a connection to the app, used by one exchange at a time.
type conn struct {
	net.Conn
	pool  *pool
	br    *bufio.Reader
	used  bool      // an exchange came to its end on it
	since time.Time // when it began to wait
	until time.Time // the deadline that readUntil has set

	raw  syscall.RawConn // nil where the connection is no socket
	look func(fd uintptr)
	calm bool    // what look found
	one  [1]byte // what look reads into

	// cut closes it from another goroutine; made once, for every exchange
	// has to be able to.
	cut    func()
	closed atomic.Bool
}

func newConn(p *pool, nc net.Conn) *conn {
	c := &conn{Conn: nc, pool: p, br: bufio.NewReaderSize(nc, replyBuffer)}
	if s, ok := nc.(syscall.Conn); ok {
		c.raw, _ = s.SyscallConn()
	}
	c.look = c.lookAt
	c.cut = func() { c.Conn.Close() }
	return c
}

// close closes the connection and gives up its place in the pool, once.
func (c *conn) close() {
	if !c.closed.Swap(true) {
		c.Conn.Close()
		c.pool.free()
	}
}

// release gives up the place of a connection that is not HTTP's any more.
func (c *conn) release() {
	if !c.closed.Swap(true) {
		c.pool.free()
	}
}

// quiet reports that the app has neither closed an idle connection nor sent
// anything on it. Bytes that nobody asked for would be taken for the reply to
// the next request, which is another visitor's.
func (c *conn) quiet() bool {
	if c.raw != nil && canLook {
		c.calm = false
		return c.raw.Control(c.look) == nil && c.calm
	}
	return c.listen()
}

// readUntil sets the deadline of reading. That of an exchange that ended well
// may stay behind: nobody reads.
func (c *conn) readUntil(t time.Time) {
	c.until = t
	c.SetReadDeadline(t)
}

// listenFor is how long a connection that cannot be looked at is listened to.
const listenFor = time.Millisecond

func (c *conn) listen() bool {
	c.SetReadDeadline(time.Now().Add(listenFor))
	_, err := c.br.Peek(1)
	c.readUntil(time.Time{})
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}
