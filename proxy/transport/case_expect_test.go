package transport_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wxgate/proxy/transport"
)

// expecting is a request whose client waits to be asked for the body.
func expecting(t *testing.T, body *upload) *http.Request {
	req := newRequest(t, "POST", "/", body)
	req.ContentLength = 5
	req.Header.Set("Expect", "100-continue")
	return req
}

func TestExpectContinue(t *testing.T) {
	for _, interim := range []string{
		"HTTP/1.1 100 Continue\n\n",
		"HTTP/1.1 100 Go\nX-A: b\n\n",
		"HTTP/1.1 103 Early Hints\n\nHTTP/1.1 100 Continue\n\n",
		"HTTP/1.1 100 Continue\n\nHTTP/1.1 100 Continue\n\n",
	} {
		each(t, func(t *testing.T, k kind) {
			up := newUpstream(t, func(p *peer) {
				for range 2 {
					if head := p.head(); !strings.Contains(head, "\r\nExpect: 100-continue\r\n") || p.R.Buffered() > 0 {
						t.Errorf("sent %q and %d bytes more", head, p.R.Buffered())
					}
					p.say(interim)
					p.take(5)
					p.say(own)
				}
				p.drain()
			})
			rt := k.open(t, up, transport.Config{})
			for range 2 {
				if _, got := do(t, rt, expecting(t, newUpload(t, strings.NewReader("hello")))); got != "own" {
					t.Errorf("got %q", got)
				}
			}
			if n := up.count(); n != 1 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// An app that answers without asking for the body does not get it. It may wait
// for it nevertheless: the next request would be taken for it. (The stock
// transport sends it in some of these cases, late.)
func TestExpectContinueAndNotAsked(t *testing.T) {
	for _, reply := range []string{
		"HTTP/1.1 417 Expectation Failed\nContent-Length: 2\n\nno",
		"HTTP/1.1 401 Unauthorized\nContent-Length: 2\nConnection: close\n\nno",
		"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nno\n0\n\n",
		"HTTP/1.1 403 Forbidden\n\nno",
	} {
		t.Run(reply[9:12], func(t *testing.T) {
			nothingLeft(t)
			up := newUpstream(t, func(p *peer) {
				if strings.HasPrefix(p.head(), "GET") {
					p.say(own)
				} else {
					p.say(reply)
				}
				if !strings.Contains(reply, "Content-Length") {
					p.hangUp()
				}
				p.drain()
			})
			rt := ours.open(t, up, transport.Config{})
			body := newUpload(t, strings.NewReader("hello"))
			if _, got := do(t, rt, expecting(t, body)); got != "no" {
				t.Errorf("got %q", got)
			}
			body.atRest(t)
			do(t, rt, newRequest(t, "GET", "/next", nil))
			rt.CloseIdleConnections()
			if got := up.finish(t); len(got) != 2 || strings.Contains(got[0], "hello") {
				t.Errorf("sent %q", got)
			}
		})
	}
}

// An app of HTTP/1.0, or one that never heard of it, waits for the body. The
// clock of this test is not the world's.
func TestExpectContinueAndNobodyAnswers(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			up := newPipeUpstream(t, func(p *peer) {
				p.head()
				p.take(1)
				if waited := time.Since(start); waited != 3*time.Second {
					t.Errorf("the body came after %v", waited)
				}
				p.take(4)
				p.say(own)
				p.drain()
			})
			rt := k.open(t, up, transport.Config{ContinueTimeout: 3 * time.Second})
			if _, got := do(t, rt, expecting(t, newUpload(t, strings.NewReader("hello")))); got != "own" {
				t.Errorf("got %q", got)
			}
		})
	})
}

func TestExpectContinueGivenUp(t *testing.T) {
	for name, end := range map[string]func(*peer){
		"FIN":     func(p *peer) { p.head() },
		"garbage": func(p *peer) { p.head(); p.say("what?\n\n"); p.drain() },
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, k kind) {
				up := newUpstream(t, end)
				body := newUpload(t, strings.NewReader("hello"))
				if res, err := k.open(t, up, transport.Config{}).RoundTrip(expecting(t, body)); err == nil {
					t.Errorf("answered %s", res.Status)
				}
				await(t, body.closed, "the body's end")
			})
		})
	}
}

// Without a body there is nothing to wait for.
func TestExpectContinueWithoutBody(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		up := newUpstream(t, func(p *peer) { p.head(); p.say(own); p.drain() })
		req := newRequest(t, "POST", "/", http.NoBody)
		req.Header.Set("Expect", "100-continue")
		if res, got := do(t, k.open(t, up, transport.Config{}), req); got != "own" || res.Body == nil {
			t.Errorf("got %q", got)
		}
	})
}

// Another expectation is the app's to judge.
func TestExpectSomethingElse(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		up := newUpstream(t, func(p *peer) { p.request(); p.say(own); p.drain() })
		req := newRequest(t, "POST", "/", newUpload(t, strings.NewReader("hello")))
		req.Header.Set("Expect", "200-ok")
		res, err := k.open(t, up, transport.Config{}).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
	})
}
