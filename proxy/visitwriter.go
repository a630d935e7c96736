package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"

	"wxgate/identity"
	"wxgate/session"
)

// Header, Write and WriteHeader make a visit the writer of its answer.
func (v *visit) Header() http.Header { return v.w.Header() }

func (v *visit) Write(p []byte) (int, error) {
	if v.status == 0 {
		v.status = http.StatusOK
	}
	n, err := v.w.Write(p)
	v.sent += int64(n)
	return n, err
}

func (v *visit) WriteHeader(status int) {
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		// An interim answer bypasses every other look at the app's headers.
		identity.StripAnswer(v.Header())
		session.DropSetCookies(v.Header())
	} else if v.status == 0 {
		v.status = status
	}
	v.w.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach flush and deadlines.
func (v *visit) Unwrap() http.ResponseWriter { return v.w }

// Hijack hands the connection to an upgrade, registered with its session so
// that it ends when the session does.
func (v *visit) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buf, err := http.NewResponseController(v.w).Hijack()
	if err != nil {
		return nil, nil, err
	}
	v.upgraded = true
	v.status = http.StatusSwitchingProtocols
	return v.s.streams.upgrade(v, conn, buf), buf, nil
}

// write answers with a whole body.
func (v *visit) write(status int, body []byte) {
	v.Header().Set("Content-Length", strconv.Itoa(len(body)))
	v.WriteHeader(status)
	if v.r.Method != http.MethodHead {
		v.Write(body)
	}
}

// incoming counts a request body and, at its end, passes on the trailers that
// the client had announced. The reverse proxy clones the trailer map before
// the values are known, so undisturbed only their names would arrive.
type incoming struct {
	io.ReadCloser
	v       *visit
	trailer http.Header // of the outgoing request
	closed  atomic.Bool
}

func (b *incoming) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.v.received.Add(int64(n))
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

// Close is called by the transport when it wants no more of the body.
func (b *incoming) Close() error {
	b.closed.Store(true)
	return b.ReadCloser.Close()
}
