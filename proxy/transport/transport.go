package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"time"
)

// Config says where an app is and how patient one is with it.
type Config struct {
	// Network and Address are those of net.Dial: "tcp" and a host with a
	// port, or "unix" and a path.
	Network, Address string
	// DialTimeout bounds the making of a connection.
	DialTimeout time.Duration
	// HeaderTimeout bounds the wait for the header of the final reply, from
	// the end of the request on, and the time in which the app has to take
	// each piece of a request's body. Zero is no bound.
	HeaderTimeout time.Duration
	// ContinueTimeout is how long a body whose client expects a "100 Continue"
	// is held back; it is sent then without one (RFC 9110, section 10.1.1).
	ContinueTimeout time.Duration
	// IdleTimeout is how long a connection waits for its next request.
	IdleTimeout time.Duration
	// MaxIdle is how many connections may wait, MaxConns how many there may be
	// at once, upgraded ones not counted; zero is no limit for the latter. A
	// request beyond it waits for its turn as long as its context lives.
	MaxIdle, MaxConns int
	// MaxHeader bounds the header of a reply, and its trailer, in bytes.
	MaxHeader int
	// Dial makes a connection; nil is a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

const keepAlive = 30 * time.Second

// Transport is an http.RoundTripper for one app. Many goroutines may use it.
type Transport struct {
	cfg  Config
	pool pool
}

// New returns a Transport; it connects when it has to.
func New(c Config) *Transport {
	if c.Dial == nil {
		c.Dial = (&net.Dialer{Timeout: c.DialTimeout, KeepAlive: keepAlive}).DialContext
	}
	t := &Transport{cfg: c}
	t.pool.t = t
	return t
}

// CloseIdleConnections closes what waits for its next request.
func (t *Transport) CloseIdleConnections() { t.pool.drain() }

// Interim sees the replies that come before the final one (RFC 9110, section
// 15.2). Its error ends the exchange.
type Interim interface {
	Interim(code int, header http.Header) error
}

// RoundTrip makes a Transport an http.RoundTripper. Interim replies go to the
// Got1xxResponse hook of httptrace.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if trace := httptrace.ContextClientTrace(req.Context()); trace != nil && trace.Got1xxResponse != nil {
		return t.Exchange(req, traced(trace.Got1xxResponse))
	}
	return t.Exchange(req, nil)
}

type traced func(code int, header textproto.MIMEHeader) error

func (f traced) Interim(code int, header http.Header) error {
	return f(code, textproto.MIMEHeader(header))
}

// Exchange sends a request and returns its reply once the header is there.
// The target is the request's RequestURI, byte for byte, or, without one, that
// of its URL. Header lines are sent as they are, in no order; User-Agent is
// not invented. Replies before it go to interim, nil if nobody wants them.
//
// The request's body is closed once. When Exchange has failed, or the reply's
// body was read to its end or closed, nobody reads it any more; therefore its
// Close must make a Read that waits return.
//
// The body of a 101 reply is an *Upgraded.
//
// An error is a *net.OpError of operation "dial" if there was no connection,
// the context's cause if it has ended, a *ReplyError if the app's reply makes
// no sense, a net.Error with Timeout if the app was too slow, ErrClosed if it
// hung up instead of replying, or that of the body or the connection.
func (t *Transport) Exchange(req *http.Request, interim Interim) (*http.Response, error) {
	s := getScratch()
	defer s.put()
	err := context.Cause(req.Context())
	if err == nil {
		err = s.request(req)
	}
	for fresh := false; err == nil; fresh = true {
		var c *conn
		if c, err = t.pool.get(req.Context(), fresh); err != nil {
			break
		}
		reused := c.used
		e := &exchange{t: t, c: c, req: req}
		if err = e.run(s, interim); err == nil {
			return &e.res, nil
		}
		again := reused && !fresh && e.repeatable()
		e.finish(false)
		if cause := context.Cause(req.Context()); cause != nil {
			err = cause
		} else if again {
			err = s.request(req) // the reply was read into the same memory
			continue
		}
		if e.up != nil {
			return nil, err // has closed the body
		}
	}
	if req.Body != nil {
		req.Body.Close()
	}
	return nil, err
}

// ErrClosed says that the app closed the connection instead of replying.
var ErrClosed = errors.New("transport: the app closed the connection without a reply")

// ReplyError is a reply that cannot be understood, and therefore not be passed
// on.
type ReplyError struct{ Reason string }

func (e *ReplyError) Error() string { return "transport: malformed reply: " + e.Reason }

// malformed quotes little of what the app sent: it may be a visitor's data.
func malformed(reason string, quoted ...string) error {
	for _, q := range quoted {
		reason += fmt.Sprintf(" %.40q", q)
	}
	return &ReplyError{reason}
}

// slowError is a header that did not come in time.
type slowError struct{ after time.Duration }

func (e slowError) Error() string { return fmt.Sprintf("transport: no reply within %v", e.after) }
func (slowError) Timeout() bool   { return true }
func (slowError) Temporary() bool { return true }
