package transport_test

import (
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"wxgate/proxy/transport"
)

// An app that thinks for too long has the request: to ask it again would have it
// do its work twice, and the visitor wait twice.
func TestSlowReplyIsNotAskedForAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, k kind) {
		var asked atomic.Int32
		up := newPipeUpstream(t, func(p *peer) {
			for {
				req, _ := p.request()
				if req.URL.Path == "/slow" {
					asked.Add(1)
					p.drain()
					return
				}
				p.say(own)
			}
		})
		rt := k.open(t, up, transport.Config{HeaderTimeout: 5 * time.Second})
		do(t, rt, newRequest(t, "GET", "/fast", nil)) // only a used connection is given a second chance
		start := time.Now()
		_, err := rt.RoundTrip(newRequest(t, "GET", "/slow", nil))
		if took := time.Since(start); !isTimeout(err) || took < 5*time.Second || took > 6*time.Second {
			t.Errorf("error %v after %v", err, took)
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("the app was asked %d times", n)
		}
	})
}

// Once closed, a body has no part in its connection any more, which may serve
// somebody else.
func TestBodyClosedTwice(t *testing.T) {
	for name, whole := range map[string]bool{"read": true, "not read": false} {
		run := func(t *testing.T, k kind) {
			up := newPipeUpstream(t, func(p *peer) {
				for {
					req, _ := p.request()
					half := strings.Repeat(req.URL.Path[1:], 50)
					if half[0] == 'a' {
						p.say("HTTP/1.1 200 OK\nContent-Length: 100\n\n" + half + half)
						continue
					}
					p.say("HTTP/1.1 200 OK\nContent-Length: 100\n\n" + half)
					p.say(half)
				}
			})
			rt := k.open(t, up, transport.Config{})
			first, err := rt.RoundTrip(newRequest(t, "GET", "/a", nil))
			if err != nil {
				t.Fatal(err)
			}
			if whole {
				io.Copy(io.Discard, first.Body)
			}
			first.Body.Close()
			second, err := rt.RoundTrip(newRequest(t, "GET", "/b", nil))
			if err != nil {
				t.Fatal(err)
			}
			defer second.Body.Close()
			first.Body.Close()
			if got, err := io.ReadAll(second.Body); err != nil || string(got) != strings.Repeat("b", 100) {
				t.Errorf("the next body is %q, %v", got, err)
			}
			if n := up.count(); n != 1 && (whole || !k.stock) { // the stock one gives up what was not read
				t.Errorf("%d connections", n)
			}
		}
		t.Run(name, func(t *testing.T) { inBubble(t, run) })
	}
}
