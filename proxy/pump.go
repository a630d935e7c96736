package proxy

import (
	"net"
	"runtime"
)

// source reads one side of a tunnel. What next returns is good until it is
// called again; while it waits it holds next to no memory.
type source interface {
	next() ([]byte, error)
	release() // of the buffer, when nothing will be read any more
}

// chunk is what is read at once.
type chunk [32 << 10]byte

// chunks keeps about as many buffers as can be busy at once. A sync.Pool is not
// used: after each collection of garbage it allocates, which is more than the
// smallest stack has room for, and a stack that has grown stays so.
var chunks = make(chan *chunk, 4*runtime.GOMAXPROCS(0))

func takeChunk() *chunk {
	select {
	case c := <-chunks:
		return c
	default:
		return new(chunk)
	}
}

func giveChunk(c *chunk) {
	select {
	case chunks <- c:
	default:
	}
}

// smallChunk is what a blocking source waits with.
const smallChunk = 2 << 10

// blocking is the source for connections that can only be waited for with a
// buffer at hand: TLS, and what is no socket. It waits with a small one, and
// with a large one after a read that left little doubt that more is to come.
type blocking struct {
	conn  net.Conn
	small []byte
	large *chunk
	more  bool
	err   error // came along with the last bytes
}

func newBlocking(c net.Conn) *blocking {
	return &blocking{conn: c, small: make([]byte, smallChunk)}
}

func (b *blocking) next() ([]byte, error) {
	if b.err != nil {
		return nil, b.err
	}
	if !b.more {
		b.release()
	} else if b.large == nil {
		b.large = takeChunk()
	}
	p, plenty := b.small, smallChunk
	if b.large != nil {
		// A full record of TLS is half of it (RFC 8446, section 5.1).
		p, plenty = b.large[:], len(b.large)/2
	}
	var n int
	for n == 0 && b.err == nil {
		n, b.err = b.conn.Read(p)
	}
	if n == 0 {
		return nil, b.err
	}
	b.more = n >= plenty
	return p[:n], nil
}

func (b *blocking) release() {
	if b.large != nil {
		giveChunk(b.large)
		b.large = nil
	}
}
