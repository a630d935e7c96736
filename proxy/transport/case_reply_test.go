package transport_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wxgate/proxy/transport"
)

// Where a reply ends, and whether its connection may serve the next request
// (RFC 9112, sections 6.3 and 9.3).
func TestReplies(t *testing.T) {
	const unknown = -1
	for _, c := range []struct {
		name, method, reply string
		raw                 bool // the reply's line ends are as written
		status, body        string
		length              int64
		header              http.Header
		reused              bool
	}{
		{name: "length", reply: "HTTP/1.1 200 OK\nContent-Length: 5\nX-A: 1\nx-a: 2\n\nhello",
			status: "200 OK", body: "hello", length: 5, reused: true, header: http.Header{"Content-Length": {"5"}, "X-A": {"1", "2"}}},
		{name: "length 0", reply: "HTTP/1.1 404 Not Found\nContent-Length: 0\n\n",
			status: "404 Not Found", reused: true, header: http.Header{"Content-Length": {"0"}}},
		{name: "the same length twice", reply: "HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 2\n\nok",
			status: "200 OK", body: "ok", length: 2, reused: true, header: http.Header{"Content-Length": {"2"}}},
		{name: "no reason", reply: "HTTP/1.1 200\nContent-Length: 2\n\nok",
			status: "200", body: "ok", length: 2, reused: true, header: http.Header{"Content-Length": {"2"}}},
		{name: "empty reason", reply: "HTTP/1.1 200 \nContent-Length: 2\n\nok",
			status: "200 ", body: "ok", length: 2, reused: true, header: http.Header{"Content-Length": {"2"}}},
		{name: "status of no list", reply: "HTTP/1.1 799 What the app wants\nContent-Length: 2\n\nok",
			status: "799 What the app wants", body: "ok", length: 2, reused: true, header: http.Header{"Content-Length": {"2"}}},
		{name: "until it hangs up", reply: "HTTP/1.1 200 OK\n\nhello",
			status: "200 OK", body: "hello", length: unknown, header: http.Header{}},
		{name: "hangs up at once", reply: "HTTP/1.1 200 OK\n\n",
			status: "200 OK", length: unknown, header: http.Header{}},
		{name: "closed on purpose", reply: "HTTP/1.1 200 OK\nConnection: close\nContent-Length: 2\n\nok",
			status: "200 OK", body: "ok", length: 2, header: http.Header{"Content-Length": {"2"}}},
		{name: "close among others", reply: "HTTP/1.1 200 OK\nConnection: x, Close\nContent-Length: 2\n\nok",
			status: "200 OK", body: "ok", length: 2, header: http.Header{"Content-Length": {"2"}}},
		{name: "chunks", reply: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nhel\n2\nlo\n0\n\n",
			status: "200 OK", body: "hello", length: unknown, reused: true, header: http.Header{}},
		{name: "no chunk", reply: "HTTP/1.1 200 OK\nTransfer-Encoding: Chunked\n\n0\n\n",
			status: "200 OK", length: unknown, reused: true, header: http.Header{}},
		{name: "chunk extensions", reply: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n0003;a=b;c=\"d\"\nhel\n2 \nlo\n0;last\n\n",
			status: "200 OK", body: "hello", length: unknown, reused: true, header: http.Header{}},
		{name: "chunk sizes in both cases", reply: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nA\n0123456789\na\n0123456789\n0\n\n",
			status: "200 OK", body: "01234567890123456789", length: unknown, reused: true, header: http.Header{}},
		{name: "HTTP/1.0", reply: "HTTP/1.0 200 OK\nContent-Length: 2\n\nok",
			status: "200 OK", body: "ok", length: 2, header: http.Header{"Content-Length": {"2"}}},
		{name: "HTTP/1.0 that stays", reply: "HTTP/1.0 200 OK\nConnection: Keep-Alive\nContent-Length: 2\n\nok",
			status: "200 OK", body: "ok", length: 2, reused: true, header: http.Header{"Content-Length": {"2"}}},
		{name: "HTTP/1.0 that stays and cannot", reply: "HTTP/1.0 200 OK\nConnection: keep-alive\n\nok",
			status: "200 OK", body: "ok", length: unknown, header: http.Header{}},
		{name: "HEAD with a length", method: "HEAD", reply: "HTTP/1.1 200 OK\nContent-Length: 100\n\n",
			status: "200 OK", length: 100, reused: true, header: http.Header{"Content-Length": {"100"}}},
		{name: "HEAD with chunks", method: "HEAD", reply: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n",
			status: "200 OK", length: unknown, reused: true, header: http.Header{}},
		{name: "HEAD without either", method: "HEAD", reply: "HTTP/1.1 200 OK\n\n",
			status: "200 OK", length: unknown, reused: true, header: http.Header{}},
		{name: "204", reply: "HTTP/1.1 204 No Content\n\n",
			status: "204 No Content", reused: true, header: http.Header{}},
		{name: "204 with a length", reply: "HTTP/1.1 204 No Content\nContent-Length: 5\n\n",
			status: "204 No Content", reused: true, header: http.Header{"Content-Length": {"5"}}},
		{name: "304", reply: "HTTP/1.1 304 Not Modified\nEtag: \"x\"\n\n",
			status: "304 Not Modified", reused: true, header: http.Header{"Etag": {`"x"`}}},
		{name: "304 with a length", reply: "HTTP/1.1 304 Not Modified\nContent-Length: 100\n\n",
			status: "304 Not Modified", reused: true, header: http.Header{"Content-Length": {"100"}}},
		{name: "304 with chunks", reply: "HTTP/1.1 304 Not Modified\nTransfer-Encoding: chunked\n\n",
			status: "304 Not Modified", reused: true, header: http.Header{}},
		{name: "bare LF", raw: true, reply: "HTTP/1.1 200 OK\nContent-Length: 2\nX-A: a\n\nok",
			status: "200 OK", body: "ok", length: 2, reused: true, header: http.Header{"Content-Length": {"2"}, "X-A": {"a"}}},
		{name: "folded lines", reply: "HTTP/1.1 200 OK\nContent-Length: 2\nX-A: a\n \tb\n\tc\n\nok",
			status: "200 OK", body: "ok", length: 2, reused: true, header: http.Header{"Content-Length": {"2"}, "X-A": {"a b c"}}},
		{name: "space around values", reply: "HTTP/1.1 200 OK\nContent-Length: \t 2 \nX-A:a \t\nX-Empty:\n\nok",
			status: "200 OK", body: "ok", length: 2, reused: true, header: http.Header{"Content-Length": {"2"}, "X-A": {"a"}, "X-Empty": {""}}},
		{name: "text beyond ASCII", reply: "HTTP/1.1 200 Schön\nContent-Length: 2\nX-A: \xfc\xe9 ü\n\nok",
			status: "200 Schön", body: "ok", length: 2, reused: true, header: http.Header{"Content-Length": {"2"}, "X-A": {"\xfc\xe9 ü"}}},
	} {
		run := func(t *testing.T, k kind) {
			up := newUpstream(t, func(p *peer) {
				for strings.Contains(p.head(), " /second ") {
					p.say("HTTP/1.1 200 OK\nContent-Length: 3\n\nown")
				}
				if c.raw {
					p.raw(c.reply)
				} else {
					p.say(c.reply)
				}
				if c.length == unknown && !c.reused {
					p.hangUp()
				}
				p.head()
				p.say("HTTP/1.1 200 OK\nContent-Length: 3\n\nown")
				p.drain()
			})
			rt := k.open(t, up, transport.Config{})
			req := newRequest(t, c.method, "/first", nil)
			res, body := do(t, rt, req)
			if res.Status != c.status || fmt.Sprint(res.StatusCode) != c.status[:3] {
				t.Errorf("status %q, %d", res.Status, res.StatusCode)
			}
			if body != c.body || res.ContentLength != c.length {
				t.Errorf("body %q of length %d", body, res.ContentLength)
			}
			if res.Request != req {
				t.Error("the reply does not know its request")
			}
			delete(res.Header, "Connection") // is for the transport
			if diff := cmp.Diff(c.header, res.Header); diff != "" {
				t.Error(diff)
			}
			if n, err := res.Body.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Errorf("read after close: %d, %v", n, err)
			}
			if _, body := do(t, rt, newRequest(t, "GET", "/second", nil)); body != "own" {
				t.Errorf("the next request got %q", body)
			}
			if reused := up.count() == 1; reused != c.reused {
				t.Errorf("%d connections", up.count())
			}
		}
		t.Run(c.name, func(t *testing.T) { each(t, run) })
	}
}

func TestReplyOfMegabytes(t *testing.T) {
	content := strings.Repeat("0123456789abcdef", 1<<16)
	each(t, func(t *testing.T, k kind) {
		up := newUpstream(t, func(p *peer) {
			for {
				if strings.Contains(p.head(), "/chunks") {
					p.say("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n")
					for rest := content; rest != ""; rest = rest[min(len(rest), 10000):] {
						piece := rest[:min(len(rest), 10000)]
						p.raw(fmt.Sprintf("%x\r\n%s\r\n", len(piece), piece))
					}
					p.raw("0\r\n\r\n")
					continue
				}
				p.say(fmt.Sprintf("HTTP/1.1 200 OK\nContent-Length: %d\n\n", len(content)))
				p.raw(content)
			}
		})
		rt := k.open(t, up, transport.Config{})
		for _, target := range []string{"/chunks", "/length", "/chunks"} {
			if _, got := do(t, rt, newRequest(t, "GET", target, nil)); got != content {
				t.Errorf("%s: %d bytes", target, len(got))
			}
		}
		if n := up.count(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// A page that comes in pieces is shown in pieces.
func TestReplyIsNotHeldBack(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		more := make(chan bool)
		up := newUpstream(t, func(p *peer) {
			p.head()
			p.say("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n")
			for range 3 {
				<-more
				p.say("2\nab\n")
			}
			p.say("0\n\n")
			p.drain()
		})
		res, err := k.open(t, up, transport.Config{}).RoundTrip(newRequest(t, "GET", "/", nil))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		for range 3 {
			more <- true
			b := make([]byte, 2)
			if _, err := io.ReadFull(res.Body, b); err != nil || string(b) != "ab" {
				t.Fatalf("%q, %v", b, err)
			}
		}
		if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 {
			t.Errorf("%q, %v", rest, err)
		}
	})
}
