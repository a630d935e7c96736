package proxy

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// incoming is a request's body on its way to the app. It is read by another
// goroutine than the one that serves the request, for an app may answer before
// it has everything; such an answer goes to the client at once, and the
// client's connection ends with it.
//
// It counts, and at its end fills in the trailers that the client had
// announced: their values were not known before.
type incoming struct {
	v       *visit
	body    io.ReadCloser
	trailer http.Header // of the outgoing request
	whole   atomic.Bool // everything that was announced has been read
	closed  atomic.Bool
}

func newIncoming(v *visit, trailer http.Header) *incoming {
	return &incoming{v: v, body: v.r.Body, trailer: trailer}
}

func (b *incoming) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.body.Read(p)
	if got := b.v.received.Add(int64(n)); err == io.EOF || got == b.v.r.ContentLength {
		b.whole.Store(true)
	}
	if err != nil && err != io.EOF && !b.closed.Load() {
		b.v.broken.Store(true)
	}
	if err == io.EOF {
		for name := range b.trailer {
			if values, ok := b.v.r.Trailer[name]; ok {
				b.trailer[name] = values
			}
		}
	}
	return n, err
}

const (
	// unreadPatience is how long a client that has gone silent in the middle
	// of its request may keep a complete answer waiting.
	unreadPatience = 100 * time.Millisecond
	// lingerPatience is how long a client may go on sending what nobody wants.
	// If we hung up on it, it might lose the answer (RFC 9112, section 9.6).
	lingerPatience = 500 * time.Millisecond
)

// Close is called by the transport when it wants no more of the body, and makes
// a Read that waits for the client return. The body itself is net/http's to
// close.
func (b *incoming) Close() error {
	b.closed.Store(true)
	b.wait(unreadPatience)
	return nil
}

// linger gives the client time to take an early answer.
func (b *incoming) linger() { b.wait(lingerPatience) }

// wait bounds the wait for a client's bytes. The answer's Connection header has
// said by then that this connection ends: a deadline in the middle of a body
// would make net/http take the rest of it for the next request.
func (b *incoming) wait(d time.Duration) {
	if !b.whole.Load() {
		http.NewResponseController(b.v.w).SetReadDeadline(time.Now().Add(d))
	}
}
