package transport_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"wxgate/proxy/transport"
)

// A reply that broke off must not look complete: it would be cached so.
func TestBodiesThatBreakOff(t *testing.T) {
	const (
		length = "HTTP/1.1 200 OK\nContent-Length: 10\n\n"
		chunks = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n"
	)
	for _, c := range []struct {
		name, reply string
		want        error // nil: any
		body        string
	}{
		{"cut short of its length", length + "hello", io.ErrUnexpectedEOF, "hello"},
		{"nothing of its length", length, io.ErrUnexpectedEOF, ""},
		{"cut in a chunk", chunks + "5\nhel", io.ErrUnexpectedEOF, "hel"},
		{"cut behind a chunk", chunks + "5\nhello", io.ErrUnexpectedEOF, "hello"},
		{"cut behind a chunk's line end", chunks + "5\nhello\n", io.ErrUnexpectedEOF, "hello"},
		{"cut in a chunk's size", chunks + "5\nhello\n1", io.ErrUnexpectedEOF, "hello"},
		{"cut before the trailer", chunks + "5\nhello\n0\n", nil, "hello"},
		{"cut in the trailer", chunks + "5\nhello\n0\nX-A: 1\n", nil, "hello"},
		{"no chunk", chunks, io.ErrUnexpectedEOF, ""},
		{"no size", chunks + "\nhello\n0\n\n", nil, ""},
		{"size of letters", chunks + "xyz\nhello\n0\n\n", nil, ""},
		{"negative size", chunks + "-5\nhello\n0\n\n", nil, ""},
		{"size with a sign", chunks + "+5\nhello\n0\n\n", nil, ""},
		{"size with 0x", chunks + "0x5\nhello\n0\n\n", nil, ""},
		{"size with an underscore", chunks + "1_0\n0123456789abcdef\n0\n\n", nil, ""},
		{"size beyond 64 bits", chunks + "10000000000000005\nhello\n0\n\n", nil, ""},
		{"space before the size", chunks + " 5\nhello\n0\n\n", nil, ""},
		{"chunk longer than its size", chunks + "3\nhello\n0\n\n", nil, "hel"},
		{"chunk shorter than its size", chunks + "6\nhello\n0\n\n", nil, "hello\r"},
		{"endless extension", chunks + "5;" + strings.Repeat("x", 10000) + "\nhello\n0\n\n", nil, ""},
		{"bare LF behind a size", strings.ReplaceAll(chunks, "\n", "\r\n") + "\x00" + "5\nhello\r\n0\r\n\r\n", nil, ""},
		{"bare CR behind a size", chunks + "5\rhello\n0\n\n", nil, ""},
		{"malformed trailer", chunks + "5\nhello\n0\nX A\n\n", nil, "hello"},
		{"trailer with a control byte", chunks + "5\nhello\n0\nX-A: \x00\n\n", nil, "hello"},
		{"trailer beyond the limit", chunks + "5\nhello\n0\nX-A: " + strings.Repeat("x", 70<<10) + "\n\n", nil, "hello"},
	} {
		run := func(t *testing.T, k kind) {
			up := newUpstream(t, func(p *peer) {
				if strings.Contains(p.head(), "/next") {
					p.say("HTTP/1.1 200 OK\nContent-Length: 3\n\nown")
					p.drain()
				}
				if head, rest, raw := strings.Cut(c.reply, "\r\n\r\n\x00"); raw {
					p.raw(head + "\r\n\r\n" + rest)
				} else {
					p.say(c.reply)
				}
				p.hangUp()
			})
			rt := k.open(t, up, transport.Config{})
			res, err := rt.RoundTrip(newRequest(t, "GET", "/", nil))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			if err == nil || c.want != nil && err != c.want {
				t.Errorf("error %v", err)
			}
			if string(body) != c.body {
				t.Errorf("body %q", body)
			}
			if _, again := res.Body.Read(make([]byte, 1)); again == nil || again == io.EOF {
				t.Errorf("further reads give %v", again)
			}
			res.Body.Close()
			if _, body := do(t, rt, newRequest(t, "GET", "/next", nil)); body != "own" || up.count() != 2 {
				t.Errorf("the next request got %q over connection %d", body, up.count())
			}
		}
		t.Run(c.name, func(t *testing.T) { each(t, run) })
	}
}

func TestResetInTheBody(t *testing.T) {
	for _, framing := range []string{"Content-Length: 10\n", "Transfer-Encoding: chunked\n", ""} {
		each(t, func(t *testing.T, k kind) {
			read := make(chan bool)
			up := newUpstream(t, func(p *peer) {
				p.head()
				p.say("HTTP/1.1 200 OK\n" + framing + "\n5\nhe")
				<-read
				p.reset()
			})
			res, err := k.open(t, up, transport.Config{}).RoundTrip(newRequest(t, "GET", "/", nil))
			if err != nil {
				t.Fatal(err)
			}
			close(read)
			if _, err := io.ReadAll(res.Body); err == nil {
				t.Error("no error")
			}
			res.Body.Close()
		})
	}
}

// A rest that is not here yet is not waited for: its connection is closed, and
// the app learns that nobody wants more.
func TestBodyNotReadToItsEnd(t *testing.T) {
	for _, c := range []struct{ name, framing, first string }{
		{"by length", "Content-Length: 1000000\n", "hello"},
		{"by chunks", "Transfer-Encoding: chunked\n", "5\nhello\n"},
		{"by its end", "", "hello"},
	} {
		for _, read := range []int64{0, 3} {
			run := func(t *testing.T, k kind) {
				gone := make(chan bool)
				up := newUpstream(t, func(p *peer) {
					if strings.Contains(p.head(), "/next") {
						p.say("HTTP/1.1 200 OK\nContent-Length: 3\n\nown")
						p.drain()
						return
					}
					p.say("HTTP/1.1 200 OK\n" + c.framing + "\n" + c.first)
					p.drain()
					close(gone)
				})
				rt := k.open(t, up, transport.Config{})
				res, err := rt.RoundTrip(newRequest(t, "GET", "/", nil))
				if err != nil {
					t.Fatal(err)
				}
				io.CopyN(io.Discard, res.Body, read)
				for range 2 {
					if err := res.Body.Close(); err != nil {
						t.Error(err)
					}
				}
				if n, err := res.Body.Read(make([]byte, 1)); n != 0 || err == nil || err == io.EOF {
					t.Errorf("read after close: %d, %v", n, err)
				}
				await(t, gone, "the connection's end")
				if _, body := do(t, rt, newRequest(t, "GET", "/next", nil)); body != "own" {
					t.Errorf("the next request got %q", body)
				}
			}
			t.Run(c.name, func(t *testing.T) { each(t, run) })
		}
	}
}

// A small rest that came with the header costs less than a new connection.
func TestSmallRestIsDropped(t *testing.T) {
	nothingLeft(t)
	up := newUpstream(t, func(p *peer) {
		for {
			p.head()
			p.say("HTTP/1.1 200 OK\nContent-Length: 5\n\nhello")
		}
	})
	rt := ours.open(t, up, transport.Config{})
	for range 3 {
		res, err := rt.RoundTrip(newRequest(t, "GET", "/", nil))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	if n := up.count(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// Whoever closes a body may do so while another goroutine waits in Read.
func TestCloseEndsARead(t *testing.T) {
	for _, framing := range []string{"Content-Length: 10\n", "Transfer-Encoding: chunked\n", ""} {
		each(t, func(t *testing.T, k kind) {
			up := newUpstream(t, func(p *peer) {
				p.head()
				p.say("HTTP/1.1 200 OK\n" + framing + "\n")
				p.drain()
			})
			res, err := k.open(t, up, transport.Config{}).RoundTrip(newRequest(t, "GET", "/", nil))
			if err != nil {
				t.Fatal(err)
			}
			read := make(chan error)
			begun := make(chan bool)
			go func() {
				close(begun)
				_, err := res.Body.Read(make([]byte, 10))
				read <- err
			}()
			<-begun
			res.Body.Close()
			if err := await(t, read, "the end of Read"); err == nil || errors.Is(err, io.EOF) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// A client that says it will close has closed, whatever the app makes of it.
func TestConnectionCloseOfARequest(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		up := newUpstream(t, func(p *peer) {
			for {
				p.head()
				p.say(own)
			}
		})
		rt := k.open(t, up, transport.Config{})
		for range 2 {
			req := newRequest(t, "GET", "/", nil)
			req.Close = true
			do(t, rt, req)
		}
		if n := up.count(); n != 2 {
			t.Errorf("%d connections", n)
		}
	})
}
