package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"wxgate/proxy/transport"
)

const own = "HTTP/1.1 200 OK\nContent-Length: 3\n\nown"

// The app hangs up whenever it wants, most often because a connection was idle
// for too long. Nobody may notice, if the request may be repeated; none that
// may not is ever sent twice (RFC 9112, section 9.3.1).
func TestHungUpOnARequest(t *testing.T) {
	ends := map[string]func(*peer){
		"FIN": func(p *peer) { p.head() },
		"RST": func(p *peer) { p.head(); p.reset() },
	}
	key := func(r *http.Request) { r.Header.Set("Idempotency-Key", "1") }
	xkey := func(r *http.Request) { r.Header.Set("X-Idempotency-Key", "1") }
	upload := func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader("hello")), 5
	}
	for _, c := range []struct {
		method string
		edit   func(*http.Request)
		again  bool
	}{
		{"GET", nil, true}, {"HEAD", nil, true}, {"OPTIONS", nil, true}, {"TRACE", nil, true},
		{"POST", key, true}, {"DELETE", xkey, true},
		{"POST", nil, false}, {"PUT", nil, false}, {"DELETE", nil, false}, {"PATCH", nil, false}, {"get", nil, false}, {"REPORT", nil, false},
		{"GET", upload, false}, {"POST", upload, false},
	} {
		for name, end := range ends {
			run := func(t *testing.T, k kind) {
				up := newUpstream(t, func(p *peer) {
					p.head()
					p.say("HTTP/1.1 200 OK\nContent-Length: 0\n\n")
					if p.n == 0 {
						end(p)
						return
					}
					p.drain()
				})
				rt := k.open(t, up, transport.Config{})
				do(t, rt, newRequest(t, "GET", "/first", nil))
				req := newRequest(t, c.method, "/second", nil)
				if c.edit != nil {
					c.edit(req)
				}
				res, err := rt.RoundTrip(req)
				if err == nil {
					res.Body.Close()
				}
				if again := err == nil; again != c.again || up.count() != map[bool]int{true: 2, false: 1}[c.again] {
					t.Errorf("error %v over %d connections", err, up.count())
				}
			}
			t.Run(c.method+" "+name, func(t *testing.T) { each(t, run) })
		}
	}
}

// Once a byte of a reply was there, the request has been dealt with.
func TestHungUpInAReply(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		up := newUpstream(t, func(p *peer) {
			p.head()
			p.say(own)
			p.head()
			p.say("H")
		})
		rt := k.open(t, up, transport.Config{})
		do(t, rt, newRequest(t, "GET", "/first", nil))
		if res, err := rt.RoundTrip(newRequest(t, "GET", "/second", nil)); err == nil {
			t.Errorf("answered %s", res.Status)
		}
		if n := up.count(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// An app that takes a new connection and says nothing is broken, not tired.
func TestHungUpOnAFreshConnection(t *testing.T) {
	for name, end := range map[string]func(*peer){
		"at once":              func(p *peer) {},
		"reset at once":        (*peer).reset,
		"behind the request":   func(p *peer) { p.head() },
		"reset on the request": func(p *peer) { p.head(); p.reset() },
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, k kind) {
				up := newUpstream(t, end)
				res, err := k.open(t, up, transport.Config{}).RoundTrip(newRequest(t, "GET", "/", nil))
				if err == nil {
					t.Errorf("answered %s", res.Status)
				}
				up.stop()
				if n := up.count(); n != 1 {
					t.Errorf("%d connections", n)
				}
			})
		})
	}
}

// fill leaves n idle connections behind.
func fill(t *testing.T, rt http.RoundTripper, n int) {
	t.Helper()
	var replies []*http.Response
	for range n {
		res, err := rt.RoundTrip(newRequest(t, "GET", "/fill", nil))
		if err != nil {
			t.Fatal(err)
		}
		replies = append(replies, res)
	}
	for _, res := range replies {
		if res.Body.Read(make([]byte, 1)); res.Body.Close() != nil {
			t.Error("a reply could not be closed")
		}
	}
}

// All idle connections break on their next request, as when the app was
// replaced behind something that keeps connections: one try more has to do.
func TestManyConnectionsThatBreak(t *testing.T) {
	for _, alive := range []bool{true, false} {
		each(t, func(t *testing.T, k kind) {
			up := newUpstream(t, func(p *peer) {
				for {
					if strings.Contains(p.head(), "/fill") {
						p.say("HTTP/1.1 200 OK\nContent-Length: 1\n\nx")
					} else if p.n >= 3 && alive {
						p.say(own)
					} else {
						return
					}
				}
			})
			rt := k.open(t, up, transport.Config{})
			fill(t, rt, 3)
			if n := up.count(); n != 3 {
				t.Fatalf("%d connections", n)
			}
			res, err := rt.RoundTrip(newRequest(t, "GET", "/break", nil))
			if err == nil {
				res.Body.Close()
			}
			if (err == nil) != alive {
				t.Errorf("error %v", err)
			}
			rt.CloseIdleConnections()
			if sent := strings.Count(strings.Join(up.finish(t), ""), "GET /break"); sent > 4 || !k.stock && sent > 2 {
				t.Errorf("sent %d times", sent)
			}
		})
	}
}

// stubborn is a connection whose writes fail, from some time on, before any
// byte of them is sent.
type stubborn struct {
	net.Conn
	broken chan struct{}
}

func (s stubborn) Write(b []byte) (int, error) {
	select {
	case <-s.broken:
		return 0, &net.OpError{Op: "write", Err: syscall.EPIPE}
	default:
		return s.Conn.Write(b)
	}
}

// A request of which nothing was written was not seen by anybody.
func TestNothingWritten(t *testing.T) {
	for _, withBody := range []bool{false, true} {
		each(t, func(t *testing.T, k kind) {
			if k.stock && withBody {
				return // gives up, since it cannot rewind the body
			}
			up := newUpstream(t, func(p *peer) {
				for {
					if _, body := p.request(); (body == "hello") != withBody && p.n > 0 {
						t.Errorf("the body is %q", body)
					}
					p.say(own)
				}
			})
			broken := make(chan struct{})
			var dialed atomic.Int32
			up.dial = func(_ context.Context, network, address string) (net.Conn, error) {
				c, err := net.Dial(network, address)
				if err != nil || dialed.Add(1) > 1 {
					return c, err
				}
				return stubborn{c, broken}, nil
			}
			rt := k.open(t, up, transport.Config{})
			do(t, rt, newRequest(t, "GET", "/first", nil))
			close(broken)
			req := newRequest(t, "POST", "/second", nil)
			if withBody {
				req.Body, req.ContentLength = newUpload(t, strings.NewReader("hello")), 5
			}
			if _, body := do(t, rt, req); body != "own" {
				t.Errorf("body %q", body)
			}
			if n := up.count(); n != 2 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

func TestDialErrors(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		up := newUpstream(t, func(*peer) {})
		up.stop() // nobody listens any more
		body := newUpload(t, strings.NewReader("hello"))
		_, err := k.open(t, up, transport.Config{}).RoundTrip(newRequest(t, "POST", "/", body))
		var op *net.OpError
		if !errors.As(err, &op) || op.Op != "dial" || !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("error %v", err)
		}
		body.atRest(t)
	})
}
