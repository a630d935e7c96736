package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// exchange is one request and its reply on one connection, and the body of
// that reply.
type exchange struct {
	t   *Transport
	c   *conn
	req *http.Request
	res http.Response
	up  *upload // nil: no body was begun

	sent time.Time // the header of a request without a body
	// unwatch ends the watch of the context, unless it has struck already.
	unwatch func() bool
	// nothing tells that a failed exchange left no trace at the app, silent
	// that no byte of a reply came.
	nothing, silent bool
	finishing       sync.Once

	// deadlines keeps the end of an upload from setting the header's deadline
	// when the header is there.
	deadlines sync.Mutex
	answered  bool

	body body
}

// Watching a context costs more than many an app's whole reply. So a request
// that cannot get stuck on its way out (its header fits into the buffer of the
// socket, which is empty after an exchange) is watched only when its reply is
// not here after a moment; for that long, or four times as long, a cancelled one
// goes on.
const (
	unwatchedLife = 5 * time.Millisecond
	unwatchedHead = 8 << 10
)

// run sends the request and reads the reply's header.
func (e *exchange) run(s *scratch, interim Interim) error {
	if hasBody(e.req) {
		e.c.readUntil(time.Time{})
		e.watch()
	} else {
		e.sent = time.Now()
		if left := e.c.until.Sub(e.sent); left < unwatchedLife || left > 4*unwatchedLife {
			// For longer than need be, so that the next exchanges find it set.
			e.c.readUntil(e.sent.Add(4 * unwatchedLife))
		}
		if len(s.b) > unwatchedHead {
			e.watch()
		}
	}
	n, err := e.c.Write(s.b)
	if err != nil {
		e.nothing, e.silent = n == 0, true
		return err
	}
	if hasBody(e.req) {
		e.startUpload(expects(e.req))
	}
	if err = e.reply(s, interim); err != nil {
		return e.reason(err)
	}
	return nil
}

// watch makes the end of the context the end of the connection, if it does not
// already.
func (e *exchange) watch() {
	if ctx := e.req.Context(); e.unwatch == nil && ctx.Done() != nil {
		e.unwatch = context.AfterFunc(ctx, e.c.cut)
	}
}

// patient goes over from the first moment to the whole time that the app has.
func (e *exchange) patient() {
	if hasBody(e.req) {
		return
	}
	e.watch()
	limit := time.Time{}
	if e.t.cfg.HeaderTimeout > 0 {
		limit = e.sent.Add(e.t.cfg.HeaderTimeout)
	}
	e.c.readUntil(limit)
}

// uploaded starts the time that the app has for its header after a body.
func (e *exchange) uploaded() {
	if e.t.cfg.HeaderTimeout <= 0 {
		return
	}
	e.c.SetWriteDeadline(time.Time{})
	e.deadlines.Lock()
	defer e.deadlines.Unlock()
	if !e.answered {
		e.c.SetReadDeadline(time.Now().Add(e.t.cfg.HeaderTimeout))
	}
}

// reason names what made the reading of a reply fail.
func (e *exchange) reason(err error) error {
	if e.up != nil && e.up.broke.Load() {
		<-e.up.done
		return e.up.err // and therefore the connection was closed
	}
	switch {
	case isTimeout(err):
		return slowError{e.t.cfg.HeaderTimeout}
	case e.silent && err == io.EOF:
		return ErrClosed
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return malformed("it ended in its header")
	}
	return err
}

func isTimeout(err error) bool {
	if err == nil {
		return false
	}
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// repeatable reports that sending a failed request again does no harm: the app
// has not seen it, or it is one that may be repeated and that the app closed a
// connection on which it waited for requests (RFC 9112, section 9.3.1).
func (e *exchange) repeatable() bool {
	if e.nothing {
		return true
	}
	if !e.silent || hasBody(e.req) {
		return false
	}
	switch e.req.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return e.req.Header["Idempotency-Key"] != nil || e.req.Header["X-Idempotency-Key"] != nil
}

// reply reads headers until the final one.
func (e *exchange) reply(s *scratch, interim Interim) error {
	_, err := e.c.br.Peek(1)
	if isTimeout(err) && !hasBody(e.req) {
		e.patient()
		_, err = e.c.br.Peek(1)
	}
	if err != nil {
		e.silent = !isTimeout(err) // a slow app has the request
		return err
	}
	if here, _ := e.c.br.Peek(e.c.br.Buffered()); !bytes.Contains(here, []byte("\r\n\r\n")) {
		e.patient()
	}
	for budget := e.t.cfg.MaxHeader; ; {
		head, err := s.head(e.c.br, budget)
		if err != nil {
			return err
		}
		if err := readHead(&e.res, head); err != nil {
			return err
		}
		code := e.res.StatusCode
		if code == http.StatusSwitchingProtocols {
			if e.req.Header["Upgrade"] == nil {
				return malformed("it switches protocols, and nobody asked for that")
			}
			break
		}
		if code >= 200 {
			break
		}
		e.patient()
		budget -= len(head)
		if code == http.StatusContinue && e.up != nil {
			e.up.answer(true)
		}
		if interim != nil {
			if err := interim.Interim(code, e.res.Header); err != nil {
				return err
			}
			budget = e.t.cfg.MaxHeader // who sees them counts them
		}
	}
	e.deadlines.Lock()
	e.answered = true
	e.deadlines.Unlock()
	if e.up != nil {
		e.up.answer(false)
	}
	return e.begin()
}

// begin prepares the body of the reply. The deadline of the header stays where
// the connection is not read any more.
func (e *exchange) begin() error {
	e.res.Request = e.req
	if e.res.StatusCode == http.StatusSwitchingProtocols {
		return e.upgrade()
	}
	if err := e.body.frame(e); err != nil {
		return err
	}
	if e.body.kind == noBody && (e.up == nil || e.up.over()) {
		e.res.Body = http.NoBody
		e.finish(true)
		return nil
	}
	if e.body.left < 0 || e.body.left > int64(e.c.br.Buffered()) {
		e.watch()
		e.c.readUntil(time.Time{})
	}
	e.res.Body = &e.body
	return nil
}

// finish ends the exchange, once, and returns when it has ended. After a whole
// reply to a whole request the connection is ready for the next one, if both
// sides want that and the app sent nothing more.
func (e *exchange) finish(whole bool) {
	e.finishing.Do(func() {
		if !whole {
			e.c.cut()
		}
		if e.ended(whole) && whole && !e.res.Close && !e.req.Close && e.c.br.Buffered() == 0 {
			e.c.used = true
			e.c.pool.put(e.c)
			return
		}
		e.c.close()
	})
}

// ended ends what goes on beside the reply, and reports that the request was
// sent and that the end of its context has not touched the connection.
func (e *exchange) ended(whole bool) bool {
	sent := e.up == nil || e.up.stop(whole)
	alone := e.unwatch == nil || e.unwatch()
	return sent && alone
}
