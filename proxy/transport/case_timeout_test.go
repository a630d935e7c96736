package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wxgate/proxy/transport"
)

// inBubble runs a case against both transports where time is not the world's:
// it stands still while anybody works, so that sleeping is exact and free.
func inBubble(t *testing.T, run func(t *testing.T, k kind)) {
	t.Helper()
	each(t, func(t *testing.T, k kind) {
		synctest.Test(t, func(t *testing.T) { run(t, k) })
	})
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func TestHeaderTimeout(t *testing.T) {
	for _, c := range []struct {
		name   string
		script func(*peer)
	}{
		{"silence", func(p *peer) { p.head(); p.drain() }},
		{"half a header", func(p *peer) { p.head(); p.say("HTTP/1.1 200 OK\nX-A: b\n"); p.drain() }},
		{"byte by byte", func(p *peer) {
			p.head()
			for _, b := range []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") {
				time.Sleep(time.Second / 2)
				if _, err := p.Write([]byte{b}); err != nil {
					return
				}
			}
			p.drain()
		}},
		{"interim replies", func(p *peer) {
			p.head()
			for range 10 {
				time.Sleep(time.Second)
				p.say("HTTP/1.1 103 Early Hints\n\n")
			}
			p.say(own)
			p.drain()
		}},
	} {
		run := func(t *testing.T, k kind) {
			up := newPipeUpstream(t, c.script)
			rt := k.open(t, up, transport.Config{HeaderTimeout: 5 * time.Second})
			start := time.Now()
			res, err := rt.RoundTrip(newRequest(t, "GET", "/", nil))
			if err == nil {
				t.Fatalf("answered %s", res.Status)
			}
			if took := time.Since(start); !isTimeout(err) || took != 5*time.Second {
				t.Errorf("error %v after %v", err, took)
			}
		}
		t.Run(c.name, func(t *testing.T) { inBubble(t, run) })
	}
}

// A reply may come in pieces of any size, and is the same as in one.
func TestReplyByteByByte(t *testing.T) {
	for _, pause := range []time.Duration{time.Millisecond, 7 * time.Millisecond, time.Second} {
		inBubble(t, func(t *testing.T, k kind) {
			up := newPipeUpstream(t, func(p *peer) {
				for {
					p.request()
					for _, b := range []byte("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nX-A: b\r\n c\r\n" +
						"Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n") {
						p.Write([]byte{b})
						time.Sleep(pause)
					}
				}
			})
			rt := k.open(t, up, transport.Config{HeaderTimeout: 5 * time.Minute})
			for _, body := range []io.Reader{nil, strings.NewReader("hello"), nil} {
				req := newRequest(t, "POST", "/", body).WithContext(context.Background())
				res, got := do(t, rt, req)
				if res.StatusCode != 200 || res.Header.Get("X-A") != "b c" || got != "ok" || res.Trailer.Get("X-Sum") != "1" {
					t.Errorf("%s %q %q %q", res.Status, res.Header, got, res.Trailer)
				}
			}
		})
	}
}

// A header in time frees the body from the clock.
func TestSlowBody(t *testing.T) {
	for _, framing := range []string{"Content-Length: 5\n\nh|ello", "Transfer-Encoding: chunked\n\n1\nh\n|4\nello\n0|\n\n", "\nh|ello"} {
		inBubble(t, func(t *testing.T, k kind) {
			up := newPipeUpstream(t, func(p *peer) {
				for range 2 {
					p.head()
					time.Sleep(2 * time.Second)
					p.say("HTTP/1.1 200 OK\n")
					for piece := range strings.SplitSeq(framing, "|") {
						time.Sleep(2500 * time.Millisecond)
						p.say(piece)
					}
					if framing[0] == '\n' {
						return
					}
				}
				p.drain()
			})
			rt := k.open(t, up, transport.Config{HeaderTimeout: 5 * time.Second})
			for range 2 {
				req := newRequest(t, "GET", "/", nil).WithContext(context.Background())
				if _, body := do(t, rt, req); body != "hello" {
					t.Errorf("got %q", body)
				}
			}
		})
	}
}

// slowly is a body of pieces between which time passes.
type slowly struct {
	pieces int
	pause  time.Duration
}

func (s *slowly) Read(b []byte) (int, error) {
	if s.pieces == 0 {
		return 0, io.EOF
	}
	time.Sleep(s.pause)
	s.pieces--
	return copy(b, "x"), nil
}

// The clock of the app starts when it has the whole request, not when a phone
// begins to send a photograph.
func TestHeaderTimeoutBeginsBehindTheBody(t *testing.T) {
	for _, late := range []time.Duration{4 * time.Second, 6 * time.Second} {
		inBubble(t, func(t *testing.T, k kind) {
			up := newPipeUpstream(t, func(p *peer) {
				p.request()
				time.Sleep(late)
				p.say(own)
				p.drain()
			})
			rt := k.open(t, up, transport.Config{HeaderTimeout: 5 * time.Second})
			req := newRequest(t, "POST", "/", newUpload(t, &slowly{10, 3 * time.Second})).WithContext(context.Background())
			start := time.Now()
			res, err := rt.RoundTrip(req)
			if err == nil {
				res.Body.Close()
			}
			if took := time.Since(start); late < 5*time.Second && (err != nil || took != 30*time.Second+late) ||
				late > 5*time.Second && (!isTimeout(err) || took != 35*time.Second) {
				t.Errorf("error %v after %v", err, took)
			}
		})
	}
}

// Without limits the app may think for a day; the context still ends it.
func TestNoHeaderTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, k kind) {
		up := newPipeUpstream(t, func(p *peer) {
			for {
				p.head()
				select {
				case <-time.After(24 * time.Hour):
					p.say(own)
				case <-p.up.over:
				}
			}
		})
		rt := k.open(t, up, transport.Config{})
		for range 2 {
			do(t, rt, newRequest(t, "GET", "/", nil).WithContext(context.Background()))
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		if _, err := rt.RoundTrip(newRequest(t, "GET", "/", nil).WithContext(ctx)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

func TestIdleTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, k kind) {
		const limit = 90 * time.Second
		closed := make(chan time.Time, 10)
		up := newPipeUpstream(t, func(p *peer) {
			defer func() { closed <- time.Now() }()
			for {
				p.head()
				p.say(own)
			}
		})
		rt := k.open(t, up, transport.Config{IdleTimeout: limit})
		for range 3 { // each use begins it anew
			do(t, rt, newRequest(t, "GET", "/", nil))
			time.Sleep(limit - time.Second)
		}
		if n := up.count(); n != 1 {
			t.Errorf("%d connections", n)
		}
		do(t, rt, newRequest(t, "GET", "/", nil))
		last := time.Now()
		time.Sleep(2 * limit)
		select {
		case at := <-closed:
			if idle := at.Sub(last); idle < limit || idle > limit+limit/4 {
				t.Errorf("closed after %v", idle)
			}
		default:
			t.Error("still open")
		}
		do(t, rt, newRequest(t, "GET", "/", nil))
		if n := up.count(); n != 2 {
			t.Errorf("%d connections", n)
		}
	})
}

// A connection that is too old is not used, even if nobody has closed it yet.
func TestIdleTimeoutAtTheVeryMoment(t *testing.T) {
	nothingLeft(t)
	synctest.Test(t, func(t *testing.T) {
		up := newPipeUpstream(t, func(p *peer) {
			for {
				p.head()
				p.say(own)
			}
		})
		rt := ours.open(t, up, transport.Config{IdleTimeout: time.Minute})
		do(t, rt, newRequest(t, "GET", "/", nil))
		time.Sleep(time.Minute)
		do(t, rt, newRequest(t, http.MethodPost, "/", nil))
		if n := up.count(); n != 2 {
			t.Errorf("%d connections", n)
		}
	})
}

// An app that takes neither the request nor anything else is too slow as well.
// (The stock transport would wait for ever.)
func TestHeaderTimeoutOfAStuckUpload(t *testing.T) {
	for name, body := range map[string]func() io.Reader{
		"endless": func() io.Reader { return zeros{} },
		"short":   func() io.Reader { return strings.NewReader("hello") },
	} {
		t.Run(name, func(t *testing.T) {
			nothingLeft(t)
			synctest.Test(t, func(t *testing.T) {
				up := newPipeUpstream(t, func(p *peer) {
					p.head()
					p.hang()
				})
				rt := ours.open(t, up, transport.Config{HeaderTimeout: 5 * time.Second})
				upload := newUpload(t, body())
				req := newRequest(t, "POST", "/", upload).WithContext(context.Background())
				start := time.Now()
				if _, err := rt.RoundTrip(req); !isTimeout(err) || time.Since(start) > 10*time.Second {
					t.Errorf("error %v after %v", err, time.Since(start))
				}
				upload.atRest(t)
			})
		})
	}
}
