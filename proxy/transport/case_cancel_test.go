package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"wxgate/proxy/transport"
)

// zeros is a body that never ends.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// A request can be given up at every moment: the caller gets an answer at once,
// nothing of the request goes on, and the app sees its connection end.
func TestCancel(t *testing.T) {
	for _, c := range []struct {
		name   string
		script func(p *peer, reached func()) // says when the moment is there
		pipe   bool                          // writes wait for the app
		body   func() io.Reader
		header int  // bytes
		hangs  bool // the stock transport waits for the body's next piece
	}{
		{name: "connected and silent", script: func(p *peer, reached func()) { reached(); p.hang() }},
		{name: "writing the header", pipe: true, header: 1 << 20,
			script: func(p *peer, reached func()) { p.Read(make([]byte, 1)); reached(); p.hang() }},
		{name: "waiting for the reply",
			script: func(p *peer, reached func()) { p.head(); reached(); p.drain() }},
		{name: "in the status line",
			script: func(p *peer, reached func()) { p.head(); p.say("HTTP/1.1 2"); reached(); p.drain() }},
		{name: "in the header",
			script: func(p *peer, reached func()) { p.head(); p.say("HTTP/1.1 200 OK\nX-A: b\nX-"); reached(); p.drain() }},
		{name: "behind an interim reply",
			script: func(p *peer, reached func()) {
				p.head()
				p.say("HTTP/1.1 103 Early Hints\nLink: x\n\n")
				reached()
				p.drain()
			}},
		{name: "writing the body", body: func() io.Reader { return zeros{} },
			script: func(p *peer, reached func()) { p.head(); reached(); p.hang() }},
		{name: "within a piece of the body", pipe: true, body: func() io.Reader { return zeros{} },
			script: func(p *peer, reached func()) {
				p.Read(make([]byte, 4096))
				p.Read(make([]byte, 1))
				reached()
				p.hang()
			}},
		{name: "waiting for the body", hangs: true, body: func() io.Reader { r, _ := io.Pipe(); return r },
			script: func(p *peer, reached func()) { p.head(); reached(); p.drain() }},
		{name: "behind the body", body: func() io.Reader { return strings.NewReader("hello") },
			script: func(p *peer, reached func()) { p.head(); p.take(len("5\r\nhello\r\n0\r\n\r\n")); reached(); p.drain() }},
	} {
		for _, reused := range []bool{false, true} {
			run := func(t *testing.T, k kind) {
				if k.stock && c.hangs {
					return
				}
				moment := make(chan bool)
				listen := newUpstream
				if c.pipe {
					listen = newPipeUpstream
				}
				up := listen(t, func(p *peer) {
					if reused {
						p.head()
						p.say(own)
					}
					c.script(p, func() { close(moment) })
				})
				rt := k.open(t, up, transport.Config{})
				if reused {
					do(t, rt, newRequest(t, "GET", "/first", nil))
				}
				var body io.Reader
				if c.body != nil {
					body = newUpload(t, c.body())
				}
				req := newRequest(t, "POST", "/", body)
				req.Header.Set("X-Long", strings.Repeat("x", c.header))
				ctx, cancel := context.WithCancelCause(req.Context())
				why := errors.New("the visitor left")
				failed := make(chan error, 1)
				go func() {
					res, err := rt.RoundTrip(req.WithContext(ctx))
					if err == nil {
						res.Body.Close()
					}
					failed <- err
				}()
				await(t, moment, "the request")
				cancel(why)
				if err := await(t, failed, "RoundTrip"); !errors.Is(err, why) {
					t.Errorf("error %v", err)
				}
				if u, ok := body.(*upload); ok && !k.stock {
					u.atRest(t)
				}
				if n := up.count(); n != 1 {
					t.Errorf("%d connections", n)
				}
			}
			name := c.name
			if reused {
				name += ", reused"
			}
			t.Run(name, func(t *testing.T) { each(t, run) })
		}
	}
}

func TestCancelBeforeAnything(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		up := newUpstream(t, func(p *peer) { p.head(); p.say(own); p.drain() })
		rt := k.open(t, up, transport.Config{})
		do(t, rt, newRequest(t, "GET", "/first", nil))
		body := newUpload(t, strings.NewReader("hello"))
		req := newRequest(t, "POST", "/late", body)
		ctx, cancel := context.WithCancel(req.Context())
		cancel()
		if _, err := rt.RoundTrip(req.WithContext(ctx)); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		body.atRest(t)
		rt.CloseIdleConnections()
		if got := strings.Join(up.finish(t), ""); strings.Contains(got, "late") {
			t.Errorf("sent %q", got)
		}
	})
}

func TestCancelWhileDialing(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		up := newUpstream(t, func(p *peer) { p.head(); p.say(own); p.drain() })
		dialing, free := make(chan bool), make(chan bool)
		up.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			select {
			case dialing <- true:
				<-ctx.Done()
				return nil, ctx.Err()
			case <-free:
				return net.Dial(network, address)
			}
		}
		rt := k.open(t, up, transport.Config{MaxConns: 1})
		body := newUpload(t, strings.NewReader("hello"))
		req := newRequest(t, "POST", "/", body)
		ctx, cancel := context.WithCancel(req.Context())
		failed := make(chan error, 1)
		go func() {
			_, err := rt.RoundTrip(req.WithContext(ctx))
			failed <- err
		}()
		await(t, dialing, "the dial")
		cancel()
		if err := await(t, failed, "RoundTrip"); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		body.atRest(t)
		close(free)
		if k.stock {
			return // goes on dialing, for others
		}
		do(t, rt, newRequest(t, "GET", "/", nil)) // the only place is free again
	})
}

func TestContextDeadline(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		up := newUpstream(t, func(p *peer) {
			if strings.Contains(p.head(), "/body") {
				p.say("HTTP/1.1 200 OK\nContent-Length: 10\n\nhello")
			}
			p.drain()
		})
		rt := k.open(t, up, transport.Config{HeaderTimeout: patience})
		for _, target := range []string{"/header", "/body"} {
			req := newRequest(t, "GET", target, http.NoBody)
			ctx, cancel := context.WithTimeout(req.Context(), 20*time.Millisecond)
			defer cancel()
			res, err := rt.RoundTrip(req.WithContext(ctx))
			if err == nil {
				_, err = io.ReadAll(res.Body)
				res.Body.Close()
			}
			var timeout net.Error
			if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Errorf("%s: error %v", target, err)
			}
		}
	})
}
