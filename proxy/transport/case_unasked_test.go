package transport_test

import (
	"net/http"
	"strings"
	"testing"

	"wxgate/proxy/transport"
)

// Bytes on a connection that nobody has asked anything would be taken for the
// reply to the next request: one visitor would be shown another's page, and so
// would all that come after. The stock transport notices in most cases, and
// those are a matter of luck; ours must never hand them out.
func TestBytesThatNobodyAskedFor(t *testing.T) {
	const evil = "HTTP/1.1 200 OK\nContent-Length: 4\n\nevil"
	for _, c := range []struct {
		name, method  string
		reply, behind string // in one write
		later         string // when the reply has been read
		hangUp        bool
	}{
		{name: "a second reply behind the first", reply: own, behind: evil},
		{name: "a second reply later", reply: own, later: evil},
		{name: "a second reply, and FIN", reply: own, later: evil, hangUp: true},
		{name: "one byte", reply: own, behind: "\n"},
		{name: "one byte later", reply: own, later: "x"},
		{name: "request timeout", reply: own, later: "HTTP/1.1 408 Request Timeout\nConnection: close\nContent-Length: 4\n\nevil", hangUp: true},
		{name: "only FIN", reply: own, hangUp: true},
		{name: "100 later", reply: own, later: "HTTP/1.1 100 Continue\n\n"},
		{name: "more than the length", reply: "HTTP/1.1 200 OK\nContent-Length: 3\n\nown" + evil},
		{name: "length 0 with a body", reply: "HTTP/1.1 200 OK\nContent-Length: 0\n\n", behind: evil},
		{name: "chunks and more", reply: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nown\n0\n\n", behind: evil},
		{name: "chunks and more later", reply: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nown\n0\n\n", later: evil},
		{name: "chunks and a length", reply: "HTTP/1.1 200 OK\nContent-Length: 100\nTransfer-Encoding: chunked\n\n3\nown\n0\n\n", behind: evil},
		{name: "HEAD with a body", method: "HEAD", reply: "HTTP/1.1 200 OK\nContent-Length: 54\n\n", behind: evil},
		{name: "HEAD with a body later", method: "HEAD", reply: "HTTP/1.1 200 OK\nContent-Length: 54\n\n", later: evil},
		{name: "HEAD with chunks", method: "HEAD", reply: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n", behind: "4\nevil\n0\n\n"},
		{name: "204 with a body", reply: "HTTP/1.1 204 No Content\nContent-Length: 54\n\n", behind: evil},
		{name: "204 with a body later", reply: "HTTP/1.1 204 No Content\nContent-Length: 54\n\n", later: evil},
		{name: "304 with a body", reply: "HTTP/1.1 304 Not Modified\nContent-Length: 54\n\n", behind: evil},
		{name: "304 with chunks", reply: "HTTP/1.1 304 Not Modified\nTransfer-Encoding: chunked\n\n", behind: "4\nevil\n0\n\n"},
		{name: "as long as a buffer", reply: own, behind: strings.Repeat(" ", 64<<10) + evil},
	} {
		t.Run(c.name, func(t *testing.T) {
			nothingLeft(t)
			read, said := make(chan bool), make(chan bool)
			up := newUpstream(t, func(p *peer) {
				for !strings.Contains(p.head(), "/first ") {
					p.say(own)
				}
				p.say(c.reply + c.behind)
				<-read
				p.say(c.later)
				if c.hangUp {
					p.Close()
				}
				close(said)
				p.drain()
			})
			rt := ours.open(t, up, transport.Config{})
			method := c.method
			if method == "" {
				method = "GET"
			}
			do(t, rt, newRequest(t, method, "/first", nil))
			close(read)
			await(t, said, "the bytes")
			// A POST could not be repeated: the connection is not even tried.
			for _, method := range []string{"POST", "GET"} {
				res, err := rt.RoundTrip(newRequest(t, method, "/next", nil))
				if err != nil {
					t.Fatal(err)
				}
				body := make([]byte, 3)
				if res.Body.Read(body); string(body) != "own" || res.StatusCode != http.StatusOK {
					t.Errorf("%s got %s %q", method, res.Status, body)
				}
				res.Body.Close()
			}
			rt.CloseIdleConnections()
			if got := up.finish(t); strings.Contains(got[0], "/next") {
				t.Errorf("the connection was used again: %q", got[0])
			}
		})
	}
}

// Several idle connections that the app has closed are passed over, and their
// sockets are not kept.
func TestClosedIdleConnectionsArePassedOver(t *testing.T) {
	nothingLeft(t)
	hangUp, gone := make(chan bool), make(chan bool)
	up := newUpstream(t, func(p *peer) {
		p.head()
		if p.n < 3 {
			p.say("HTTP/1.1 200 OK\nContent-Length: 1\n\nx")
			<-hangUp
			p.Close()
			gone <- true
			return
		}
		p.say(own)
		p.drain()
	})
	rt := ours.open(t, up, transport.Config{})
	fill(t, rt, 3)
	close(hangUp)
	for range 3 {
		await(t, gone, "the connection's end")
	}
	if _, body := do(t, rt, newRequest(t, "POST", "/", nil)); body != "own" {
		t.Errorf("body %q", body)
	}
	if n := up.count(); n != 4 {
		t.Errorf("%d connections", n)
	}
}
