package transport

import (
	"context"
	"io"
	"net"
	"time"
)

// Upgraded is the connection behind a 101 reply: whatever both sides agreed
// on, and HTTP no more. It ends by Close alone; the request's context has no
// part in it.
type Upgraded struct {
	conn  net.Conn
	first []byte // came with the reply
}

// upgrade takes the connection out of HTTP.
func (e *exchange) upgrade() error {
	err := malformed("it switches protocols in the middle of a request")
	e.finishing.Do(func() {
		if !e.ended(true) {
			if cause := context.Cause(e.req.Context()); cause != nil {
				err = cause
			}
			e.c.close()
			return
		}
		e.c.SetDeadline(time.Time{})
		first, _ := e.c.br.Peek(e.c.br.Buffered())
		e.res.Body = &Upgraded{conn: e.c.Conn, first: append([]byte(nil), first...)}
		e.c.release()
		err = nil
	})
	return err
}

// Hijack gives the connection away, with the bytes of the app that were read
// from it already. Afterwards u must not be used.
func (u *Upgraded) Hijack() (conn net.Conn, first []byte) { return u.conn, u.first }

// Read reads what the app sends.
func (u *Upgraded) Read(p []byte) (int, error) {
	if len(u.first) > 0 {
		n := copy(p, u.first)
		u.first = u.first[n:]
		return n, nil
	}
	return u.conn.Read(p)
}

// Write sends to the app.
func (u *Upgraded) Write(p []byte) (int, error) { return u.conn.Write(p) }

// Close closes the connection.
func (u *Upgraded) Close() error { return u.conn.Close() }

// CloseWrite tells the app that nothing more will come, on connections that
// can be closed by halves.
func (u *Upgraded) CloseWrite() error {
	if c, ok := u.conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return u.conn.Close()
}

var _ io.ReadWriteCloser = (*Upgraded)(nil)
