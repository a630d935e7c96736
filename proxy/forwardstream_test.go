package proxy

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
)

// An answer of unknown length belongs to its session as long as it lasts, and
// not longer: the watch would look after it for ever.
func TestStreamsAreForgotten(t *testing.T) {
	for name, c := range map[string]struct{ method, answer string }{
		"chunked":             {"GET", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n"},
		"until close":         {"GET", "HTTP/1.1 200 OK\nConnection: close\n\nok"},
		"HEAD without length": {"HEAD", "HTTP/1.1 200 OK\nContent-Type: text/plain\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, nil, rules("public /pub/"), upstreamAt(newHands(t, func(conn net.Conn, br *bufio.Reader) {
				for {
					q, err := readHeadOf(br)
					if err != nil {
						return
					}
					if !strings.Contains(q.line, "/stream ") { // what a login ends with
						io.WriteString(conn, crlf("HTTP/1.1 200 OK\nContent-Length: 0\n\n"))
						continue
					}
					io.WriteString(conn, crlf(c.answer))
					if name == "until close" {
						return
					}
				}
			})))
			cookie := "Cookie: " + w.sessionCookie() + "\n"
			for range 3 {
				for _, start := range []string{" /pub/stream HTTP/1.1\n", " /stream HTTP/1.1\n" + cookie} {
					client := w.call()
					client.say(c.method + start + "Host: {host}\n\n")
					if m, _ := client.answer(c.method); m.status() != 200 || !m.whole {
						t.Errorf("%q %q", m.line, m.body)
					}
					client.Close()
				}
			}
			w.settled()
		})
	}
}

// What concerns the app's connection is not the client's business, before the
// answer as in it.
func TestInterimAnswersLoseHopByHopFields(t *testing.T) {
	for _, kind := range appKinds {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, 1, nil, rules("public /"), handsOf(t, kind, func(c net.Conn, br *bufio.Reader) {
				if _, err := readHeadOf(br); err != nil {
					return
				}
				io.WriteString(c, crlf("HTTP/1.1 103 Early Hints\nLink: </a.css>\nConnection: X-Hop\nX-Hop: 1\nUpgrade: h2c\nKeep-Alive: timeout=5\n"+
					"Proxy-Connection: keep-alive\nTrailer: X-Sum\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nok"))
			})).trust()
			c := w.call()
			c.say("GET / HTTP/1.1\nHost: {host}\n\n")
			m, interim := c.answer("GET")
			if m.status() != 200 || len(interim) != 1 || interim[0].status() != 103 {
				t.Fatalf("%q behind %d others", m.line, len(interim))
			}
			if got := strings.Join(interim[0].fields, "\n"); got != "Link: </a.css>" {
				t.Errorf("the client got\n%s", got)
			}
			c.Close()
			w.settled()
		})
	}
}

// leaving is a client that goes away with its first interim answer.
type leaving struct {
	leave       func()
	over        atomic.Bool // Exchange has returned
	calls, late atomic.Int32
}

func (l *leaving) Interim(int, http.Header) error {
	l.calls.Add(1)
	l.leave()
	for range 1000 { // time enough for a return that would not wait
		if l.over.Load() {
			l.late.Add(1)
			break
		}
		runtime.Gosched()
	}
	return nil
}

// net/http takes the writer back when the handler returns, so that nothing
// may tell of interim answers behind that.
func TestInterimAnswersEndWithTheExchange(t *testing.T) {
	hints := strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n", 50)
	w := newWorld(t, 1, nil, handsOf(t, "https", func(c net.Conn, br *bufio.Reader) {
		if _, err := readHeadOf(br); err != nil {
			return
		}
		for {
			if _, err := io.WriteString(c, hints); err != nil {
				return
			}
		}
	})).trust()
	app := w.replicas[0].upstreams[0].app.(tlsApp)
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r, _ := http.NewRequestWithContext(ctx, "GET", "/", nil)
		r.RequestURI = "/"
		l := &leaving{leave: cancel}
		res, err := app.Exchange(r, l)
		l.over.Store(true)
		if err == nil {
			res.Body.Close()
			t.Fatal("answered ", res.Status)
		}
		eventually(t, "the connection is not read any more", func() bool { return stacks("http.(*persistConn).readResponse(") == "" })
		if calls, late := l.calls.Load(), l.late.Load(); calls == 0 || late > 0 {
			t.Fatalf("%d interim answers, %d of them too late", calls, late)
		}
	}
}
