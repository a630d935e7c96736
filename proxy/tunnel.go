package proxy

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// goingAway is an unmasked close frame with status 1001 (RFC 6455, sections
// 5.5.1 and 7.4.1).
var goingAway = []byte{0x88, 0x02, 0x03, 0xe9}

// closePatience is how long the last write before the end may take.
const closePatience = time.Second

// tunnel is an upgraded connection. Most of them are idle most of the time, so
// it keeps nothing of the request that it began with and no buffers, and its
// two goroutines are to stay on the smallest stacks.
type tunnel struct {
	streams     *streams
	seat        seat
	client, app net.Conn
	over        func(in, out int64)

	running atomic.Int32 // pumps
	done    sync.WaitGroup
	closed  atomic.Bool
	in      int64 // bytes from the client

	// mu guards the way to the client, so that a close frame can be put
	// between two frames of the app.
	mu     sync.Mutex
	frames frames
	ending bool // nothing may follow any more
	out    int64
}

// tunnel joins client and app until both directions have ended, and returns at
// once. Early is what the client sent right behind its handshake, first what
// the app sent behind its consent; both belong to the tunnel now. In the end
// over is called once with the bytes that came from and went to the client.
// Until then all that over refers to stays in memory.
func (s *streams) tunnel(key string, client net.Conn, early []byte, app net.Conn, first []byte, over func(in, out int64)) {
	t := &tunnel{streams: s, client: client, app: app, over: over}
	t.running.Store(2)
	t.done.Add(1)
	s.metrics.webSockets.Inc()
	s.enter(key, t, &t.seat)
	// What has to be allocated is allocated here: the stacks of the pumps are
	// to stay small.
	go t.up(newSource(client), early)
	go t.down(newSource(app), first)
}

// up carries what the client says to the app, until it has nothing more to say.
func (t *tunnel) up(from source, early []byte) {
	n, whole := carry(from, t.app, early)
	t.in = n
	t.ended(whole && closeWrite(t.app))
}

// down carries what the app says to the client.
func (t *tunnel) down(from source, first []byte) {
	_, whole := carry(from, t, first)
	t.ended(whole && closeWrite(t.client))
}

// Write passes on what the app says.
func (t *tunnel) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ending {
		return 0, net.ErrClosed
	}
	n, err := t.client.Write(p)
	t.frames.pass(p[:n])
	t.out += int64(n)
	return n, err
}

// closeWrite tells a peer that nothing more will come. Where it cannot be told
// without losing what it still has to say, the whole connection has to end.
func closeWrite(c net.Conn) bool {
	half, ok := c.(interface{ CloseWrite() error })
	return ok && half.CloseWrite() == nil
}

// ended is called by each pump as its last act. A direction that came to its
// end leaves the other one alone; one that broke off takes it along.
func (t *tunnel) ended(whole bool) {
	if !whole {
		t.close()
	}
	if t.running.Add(-1) > 0 {
		return
	}
	t.close()
	t.mu.Lock()
	t.ending = true
	out := t.out
	t.mu.Unlock()
	t.over(t.in, out)
	t.done.Done()
}

// close may be called by anybody and any number of times.
func (t *tunnel) close() {
	if t.closed.Swap(true) {
		return
	}
	t.client.Close()
	t.app.Close()
	t.streams.leave(&t.seat)
	t.streams.metrics.webSockets.Dec()
}

func (t *tunnel) endless() bool { return true }

// end closes both sides, with a close frame for the client if the app stands
// between two frames. A write that is stuck gives way when its patience is over.
func (t *tunnel) end() {
	t.client.SetWriteDeadline(time.Now().Add(closePatience))
	t.mu.Lock()
	if !t.ending && t.frames.between() {
		n, _ := t.client.Write(goingAway)
		t.out += int64(n)
	}
	t.ending = true
	t.mu.Unlock()
	t.close()
	t.done.Wait() // for what is written about it: the process may be ending
}

// carry copies until its source ends or either side fails, and reports whether
// it was the former. It counts what it was given.
func carry(from source, to io.Writer, first []byte) (n int64, whole bool) {
	defer from.release()
	if len(first) > 0 {
		n = int64(len(first))
		if _, err := to.Write(first); err != nil {
			return n, false
		}
	}
	for {
		p, err := from.next()
		if err != nil {
			return n, err == io.EOF
		}
		n += int64(len(p))
		if _, err := to.Write(p); err != nil {
			return n, false
		}
	}
}
