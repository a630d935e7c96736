package transport_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"wxgate/proxy/transport"
)

// An app may answer before it has read the request, and often must: too large,
// not allowed. The reply arrives whatever becomes of the upload, and the upload
// ends with it.
func TestEarlyReply(t *testing.T) {
	const tooLarge = "HTTP/1.1 413 Content Too Large\nContent-Length: 3\n\nbig"
	for _, c := range []struct {
		name   string
		script func(*peer)
	}{
		{"and goes on reading", func(p *peer) { p.head(); p.say(tooLarge); p.drain() }},
		{"and never reads", func(p *peer) { p.head(); p.say(tooLarge); p.hang() }},
		{"and hangs up", func(p *peer) { p.head(); p.say(tooLarge); p.hangUp() }},
		{"and says that it will close", func(p *peer) {
			p.head()
			p.say(strings.Replace(tooLarge, "\n", "\nConnection: close\n", 1))
			p.hangUp()
		}},
		{"before the header is there", func(p *peer) { p.take(10); p.say(tooLarge); p.drain() }},
		{"in chunks", func(p *peer) {
			p.head()
			p.say("HTTP/1.1 413 Content Too Large\nTransfer-Encoding: chunked\n\n3\nbig\n0\n\n")
			p.drain()
		}},
		{"until it hangs up", func(p *peer) { p.head(); p.say("HTTP/1.1 413 Content Too Large\n\nbig"); p.hangUp() }},
	} {
		for bodyName, body := range map[string]func() io.Reader{
			"endless":  func() io.Reader { return zeros{} },
			"stalling": func() io.Reader { r, _ := io.Pipe(); return r },
		} {
			for _, length := range []int64{-1, 1 << 40} {
				run := func(t *testing.T, k kind) {
					if k.stock && bodyName == "stalling" {
						return // would wait for the body's next piece
					}
					up := newUpstream(t, func(p *peer) {
						if p.n > 0 {
							p.head()
							p.say(own)
							p.drain()
							return
						}
						c.script(p)
					})
					rt := k.open(t, up, transport.Config{})
					upload := newUpload(t, body())
					req := newRequest(t, "POST", "/", upload)
					req.ContentLength = length
					res, got := do(t, rt, req)
					if res.StatusCode != http.StatusRequestEntityTooLarge || got != "big" {
						t.Errorf("got %s %q", res.Status, got)
					}
					await(t, upload.closed, "the end of the upload")
					if !k.stock {
						upload.atRest(t)
					}
					if _, got := do(t, rt, newRequest(t, "GET", "/next", nil)); got != "own" || up.count() != 2 {
						t.Errorf("the next request got %q over connection %d", got, up.count())
					}
				}
				t.Run(c.name+", "+bodyName, func(t *testing.T) { each(t, run) })
			}
		}
	}
}

// An app that closes a connection with unread bytes resets it. The reply is
// here by then, though writing fails. (With the stock transport it is a matter
// of luck which of the two is told.)
func TestEarlyReplyAndReset(t *testing.T) {
	nothingLeft(t)
	up := newUpstream(t, func(p *peer) {
		p.head()
		p.say("HTTP/1.1 413 Content Too Large\nConnection: close\nContent-Length: 3\n\nbig")
	})
	upload := newUpload(t, zeros{})
	res, got := do(t, ours.open(t, up, transport.Config{}), newRequest(t, "POST", "/", upload))
	if res.StatusCode != http.StatusRequestEntityTooLarge || got != "big" {
		t.Errorf("got %s %q", res.Status, got)
	}
	upload.atRest(t)
}

// Whoever closes the reply's body early ends the upload too.
func TestEarlyReplyClosed(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		up := newUpstream(t, func(p *peer) {
			p.head()
			p.say("HTTP/1.1 200 OK\nContent-Length: 1000000\n\nhello")
			p.hang()
		})
		upload := newUpload(t, zeros{})
		res, err := k.open(t, up, transport.Config{}).RoundTrip(newRequest(t, "POST", "/", upload))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		await(t, upload.closed, "the end of the upload")
		if !k.stock {
			upload.atRest(t)
		}
	})
}

// A reply that has begun does not stop the upload: both directions may flow at
// the same time for as long as the app wants.
func TestBothWaysAtOnce(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		up := newUpstream(t, func(p *peer) {
			for {
				p.head()
				p.say("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n")
				for {
					size, err := p.R.ReadString('\n')
					if err != nil {
						return
					}
					if size == "0\r\n" {
						break
					}
					p.raw(size + p.take(len("ping\r\n")))
				}
				p.take(2)
				p.say("0\n\n")
			}
		})
		rt := k.open(t, up, transport.Config{})
		for range 2 {
			r, w := io.Pipe()
			upload := newUpload(t, r)
			go io.WriteString(w, "ping")
			res, err := rt.RoundTrip(newRequest(t, "POST", "/", upload))
			if err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 4)
			for range 5 {
				if _, err := io.ReadFull(res.Body, b); err != nil || string(b) != "ping" {
					t.Fatalf("%q, %v", b, err)
				}
				io.WriteString(w, "ping")
			}
			w.Close()
			if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != "ping" {
				t.Errorf("%q, %v", rest, err)
			}
			res.Body.Close()
			upload.atRest(t)
		}
		if n := up.count(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// A reply whose request was not sent to its end leaves a connection on which
// the app still waits for the rest.
func TestEarlyReplyAndTheRest(t *testing.T) {
	nothingLeft(t)
	up := newUpstream(t, func(p *peer) {
		p.head()
		p.say(own)
		p.drain()
	})
	rt := ours.open(t, up, transport.Config{})
	r, w := io.Pipe()
	upload := newUpload(t, r)
	go io.WriteString(w, "hello")
	do(t, rt, newRequest(t, "POST", "/", upload))
	upload.atRest(t)
	do(t, rt, newRequest(t, "GET", "/evil", nil))
	rt.CloseIdleConnections()
	if got := up.finish(t); strings.Contains(got[0], "evil") || strings.Contains(got[0], "0\r\n\r\n") {
		t.Errorf("sent %q", got[0])
	}
}
