package transport_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wxgate/proxy/transport"
)

// filling is a body at whose end the trailers become known.
type filling struct {
	io.Reader
	fill func()
}

func (f filling) Read(b []byte) (int, error) {
	n, err := f.Reader.Read(b)
	if err == io.EOF {
		f.fill()
	}
	return n, err
}

func TestRequestTrailers(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		up := newUpstream(t, func(p *peer) {
			req, body := p.request()
			if want := (http.Header{"X-Sum": {"1", "2"}, "X-Other": {"a b"}}); cmp.Diff(want, req.Trailer) != "" || body != "hello" {
				t.Errorf("body %q, trailer %q", body, req.Trailer)
			}
			p.say(own)
			p.head()
			p.say(own)
			p.drain()
		})
		rt := k.open(t, up, transport.Config{})
		trailer := http.Header{"X-Sum": nil, "X-Other": nil}
		req := newRequest(t, "POST", "/", newUpload(t, filling{strings.NewReader("hello"), func() {
			trailer["X-Sum"], trailer["X-Other"] = []string{"1", "2"}, []string{" a b "}
		}}))
		req.Trailer = trailer
		do(t, rt, req)
		do(t, rt, newRequest(t, "GET", "/", nil))
		if got := up.got(0); !strings.Contains(got, "\r\nTrailer: X-Other,X-Sum\r\n") || up.count() != 1 {
			t.Errorf("sent %q over %d connections", got, up.count())
		}
	})
}

// A trailer that is no field would be the beginning of another request.
func TestRequestTrailerThatIsNone(t *testing.T) {
	for _, value := range []string{"a\r\n\r\nGET /evil HTTP/1.1\r\nHost: x", "a\nb", "\x00"} {
		nothingLeft(t)
		up := newUpstream(t, func(p *peer) {
			p.head()
			p.drain()
		})
		rt := ours.open(t, up, transport.Config{})
		trailer := http.Header{"X-Sum": nil}
		req := newRequest(t, "POST", "/", newUpload(t, filling{strings.NewReader("hello"), func() { trailer["X-Sum"] = []string{value} }}))
		req.Trailer = trailer
		if res, err := rt.RoundTrip(req); err == nil {
			t.Errorf("answered %s", res.Status)
		}
		if got := strings.Join(up.finish(t), ""); strings.Contains(got, "evil") || strings.HasSuffix(got, "\r\n\r\n") {
			t.Errorf("sent %q", got)
		}
	}
}

// Names that a client added behind its body, without having told of them, go
// along: the server's reader puts them into the same map.
func TestRequestTrailersOfNoAnnouncement(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		up := newUpstream(t, func(p *peer) {
			if _, body := p.request(); body != "hello" {
				t.Errorf("body %q", body)
			}
			p.say(own)
			p.drain()
		})
		req := newRequest(t, "POST", "/", nil)
		req.Trailer = http.Header{}
		req.ContentLength = -1
		req.Body = newUpload(t, filling{strings.NewReader("hello"), func() { req.Trailer["X-Late"] = []string{"1"} }})
		do(t, k.open(t, up, transport.Config{}), req)
	})
}

func TestReplyTrailers(t *testing.T) {
	for _, c := range []struct {
		name, header, trailer string
		before, after         http.Header
	}{
		{"announced", "Trailer: X-A, x-b\n", "X-A: 1\nX-A: 2\nX-B: b\n",
			http.Header{"X-A": nil, "X-B": nil}, http.Header{"X-A": {"1", "2"}, "X-B": {"b"}}},
		{"announced in two lines", "Trailer: X-A\nTrailer: X-B\n", "X-A: 1\nX-B: 2\n",
			http.Header{"X-A": nil, "X-B": nil}, http.Header{"X-A": {"1"}, "X-B": {"2"}}},
		{"announced and not sent", "Trailer: X-A\n", "",
			http.Header{"X-A": nil}, http.Header{"X-A": nil}},
		{"not announced", "", "X-A: 1\n", nil, http.Header{"X-A": {"1"}}},
		{"some announced", "Trailer: X-A\n", "X-B: 2\nX-A: 1\n", http.Header{"X-A": nil}, http.Header{"X-A": {"1"}, "X-B": {"2"}}},
		{"none", "", "", nil, nil},
	} {
		run := func(t *testing.T, k kind) {
			up := newUpstream(t, func(p *peer) {
				p.head()
				p.say("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n" + c.header + "\n5\nhello\n0\n" + c.trailer + "\n")
				p.head()
				p.say(own)
				p.drain()
			})
			rt := k.open(t, up, transport.Config{})
			res, err := rt.RoundTrip(newRequest(t, "GET", "/", nil))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.before, res.Trailer); diff != "" {
				t.Error(diff)
			}
			if v, ok := res.Header["Trailer"]; ok {
				t.Errorf("the header still has Trailer: %q", v)
			}
			if body, err := io.ReadAll(res.Body); err != nil || string(body) != "hello" {
				t.Errorf("%q, %v", body, err)
			}
			if diff := cmp.Diff(c.after, res.Trailer); diff != "" {
				t.Error(diff)
			}
			res.Body.Close()
			if _, body := do(t, rt, newRequest(t, "GET", "/", nil)); body != "own" || up.count() != 1 {
				t.Errorf("the next request got %q over connection %d", body, up.count())
			}
		}
		t.Run(c.name, func(t *testing.T) { each(t, run) })
	}
}

// A field that says where a message ends comes too late in a trailer, and the
// next hop might believe it.
func TestReplyTrailersThatFrame(t *testing.T) {
	for _, name := range []string{"Content-Length", "transfer-encoding", "Trailer"} {
		nothingLeft(t)
		up := newUpstream(t, func(p *peer) {
			p.head()
			p.say("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\n0\n" + name + ": 5\nX-A: 1\n\n")
			p.drain()
		})
		res, err := ours.open(t, up, transport.Config{}).RoundTrip(newRequest(t, "GET", "/", nil))
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if v, ok := res.Trailer[http.CanonicalHeaderKey(name)]; ok {
			t.Errorf("trailer %s: %q", name, v)
		}
	}
}
