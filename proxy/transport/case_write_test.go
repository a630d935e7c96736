package transport_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"wxgate/proxy/transport"
)

// lines is a message with the lines of its header sorted: their order is of no
// meaning between fields of different names.
func lines(message string) string {
	head, body, _ := strings.Cut(message, "\r\n\r\n")
	fields := strings.Split(head, "\r\n")
	slices.Sort(fields[1:])
	return strings.Join(fields, "\n") + "\n\n" + body
}

func TestRequestBytes(t *testing.T) {
	body := func(s string) io.Reader { return struct{ io.Reader }{strings.NewReader(s)} }
	for _, c := range []struct {
		name, method, target string
		body                 io.Reader
		edit                 func(*http.Request)
		oursOnly             bool
		want                 string
	}{
		{name: "plain", method: "GET", target: "/x?y=1&z",
			want: "GET /x?y=1&z HTTP/1.1\nHost: app.test\n\n"},
		{name: "no method", target: "/", edit: func(r *http.Request) { r.Method = "" },
			want: "GET / HTTP/1.1\nHost: app.test\n\n"},
		{name: "no path", method: "HEAD",
			want: "HEAD / HTTP/1.1\nHost: app.test\n\n"},
		{name: "method of no list", method: "PROPFIND", target: "/",
			want: "PROPFIND / HTTP/1.1\nHost: app.test\n\n"},
		{name: "escaped path", method: "GET", target: "/a%2Fb%20c?q=%zz;1",
			want: "GET /a%2Fb%20c?q=%zz;1 HTTP/1.1\nHost: app.test\n\n"},
		{name: "target as it came", method: "GET", target: "/other", oursOnly: true,
			edit: func(r *http.Request) { r.RequestURI = "//a/../%2e%zz?b;c&%" },
			want: "GET //a/../%2e%zz?b;c&% HTTP/1.1\nHost: app.test\n\n"},
		{name: "asterisk", method: "OPTIONS", target: "/other", oursOnly: true,
			edit: func(r *http.Request) { r.RequestURI = "*" },
			want: "OPTIONS * HTTP/1.1\nHost: app.test\n\n"},
		{name: "host", method: "GET", target: "/", edit: func(r *http.Request) { r.Host = "other.test:8080" },
			want: "GET / HTTP/1.1\nHost: other.test:8080\n\n"},
		{name: "host of the URL", method: "GET", target: "/", edit: func(r *http.Request) { r.Host = "" },
			want: "GET / HTTP/1.1\nHost: app.test\n\n"},
		{name: "fields", method: "GET", target: "/", edit: func(r *http.Request) {
			r.Header = http.Header{"User-Agent": {"browser/1"}, "X-B": {"2", "1", ""}, "X-A": {" v\t"}, "x-low": {"as it is"}}
		}, want: "GET / HTTP/1.1\nHost: app.test\nUser-Agent: browser/1\nX-A: v\nX-B: \nX-B: 1\nX-B: 2\nx-low: as it is\n\n"},
		{name: "a field that frames is not taken from the header", method: "GET", target: "/", edit: func(r *http.Request) {
			r.Header = http.Header{"User-Agent": nil, "Content-Length": {"5"}, "Transfer-Encoding": {"chunked"}, "Trailer": {"X"}, "Host": {"evil"}}
		}, want: "GET / HTTP/1.1\nHost: app.test\n\n"},
		{name: "nor is one in other letters", method: "GET", target: "/", oursOnly: true, edit: func(r *http.Request) {
			r.Header = http.Header{"User-Agent": nil, "content-length": {"5"}, "transfer-ENCODING": {"chunked"}, "TRAILER": {"X"}, "hOst": {"evil"}}
		}, want: "GET / HTTP/1.1\nHost: app.test\n\n"},
		{name: "close", method: "GET", target: "/", edit: func(r *http.Request) { r.Close = true },
			want: "GET / HTTP/1.1\nConnection: close\nHost: app.test\n\n"},
		{name: "close in the header", method: "GET", target: "/", edit: func(r *http.Request) { r.Header.Set("Connection", "close") },
			want: "GET / HTTP/1.1\nConnection: close\nHost: app.test\n\n"},
		{name: "POST without body", method: "POST", target: "/",
			want: "POST / HTTP/1.1\nContent-Length: 0\nHost: app.test\n\n"},
		{name: "PUT with no body", method: "PUT", target: "/", body: http.NoBody,
			want: "PUT / HTTP/1.1\nContent-Length: 0\nHost: app.test\n\n"},
		{name: "DELETE without body", method: "DELETE", target: "/",
			want: "DELETE / HTTP/1.1\nHost: app.test\n\n"},
		{name: "GET with no body", method: "GET", target: "/", body: http.NoBody,
			want: "GET / HTTP/1.1\nHost: app.test\n\n"},
		{name: "known length", method: "POST", target: "/", body: body("hello"),
			edit: func(r *http.Request) { r.ContentLength = 5 },
			want: "POST / HTTP/1.1\nContent-Length: 5\nHost: app.test\n\nhello"},
		{name: "GET with a body", method: "GET", target: "/", body: body("hello"),
			edit: func(r *http.Request) { r.ContentLength = 5 },
			want: "GET / HTTP/1.1\nContent-Length: 5\nHost: app.test\n\nhello"},
		{name: "unknown length", method: "POST", target: "/", body: body("hello"),
			edit: func(r *http.Request) { r.ContentLength = -1 },
			want: "POST / HTTP/1.1\nHost: app.test\nTransfer-Encoding: chunked\n\n5\r\nhello\r\n0\r\n\r\n"},
		{name: "length 0 is unknown if there is a body", method: "POST", target: "/", body: body("hello"),
			edit: func(r *http.Request) { r.ContentLength = 0 },
			want: "POST / HTTP/1.1\nHost: app.test\nTransfer-Encoding: chunked\n\n5\r\nhello\r\n0\r\n\r\n"},
		{name: "unknown length that is none", method: "POST", target: "/", body: body(""),
			edit: func(r *http.Request) { r.ContentLength = -1 },
			want: "POST / HTTP/1.1\nHost: app.test\nTransfer-Encoding: chunked\n\n0\r\n\r\n"},
		{name: "as a server hands it on", method: "POST", target: "/", body: body("hello"),
			edit: func(r *http.Request) { r.ContentLength, r.TransferEncoding = -1, []string{"chunked"} },
			want: "POST / HTTP/1.1\nHost: app.test\nTransfer-Encoding: chunked\n\n5\r\nhello\r\n0\r\n\r\n"},
	} {
		run := func(t *testing.T, k kind) {
			if k.stock && c.oursOnly {
				return
			}
			up := newUpstream(t, func(p *peer) {
				p.take(len(strings.ReplaceAll(strings.SplitN(c.want, "\n\n", 2)[0], "\n", "\r\n")) + 4 + len(strings.SplitN(c.want, "\n\n", 2)[1]))
				p.say("HTTP/1.1 200 OK\nConnection: close\nContent-Length: 0\n\n")
				p.drain()
			})
			body := c.body
			if s, ok := body.(struct{ io.Reader }); ok {
				s.Reader.(*strings.Reader).Seek(0, io.SeekStart)
				body = newUpload(t, s)
			}
			req := newRequest(t, c.method, c.target, body)
			if c.edit != nil {
				c.edit(req)
			}
			do(t, k.open(t, up, transport.Config{}), req)
			if u, ok := body.(*upload); ok && !k.stock {
				u.atRest(t)
			}
			if got := lines(up.finish(t)[0]); got != c.want {
				t.Errorf("sent %q, want %q", got, c.want)
			}
		}
		t.Run(c.name, func(t *testing.T) { each(t, run) })
	}
}

// A message that could be read in another way than it was meant is not sent at
// all.
func TestRefusedBeforeAnythingIsWritten(t *testing.T) {
	for _, c := range []struct {
		name     string
		edit     func(*http.Request)
		oursOnly bool
	}{
		{"line end in a value", func(r *http.Request) { r.Header["X"] = []string{"a\r\nY: b"} }, false},
		{"CR in a value", func(r *http.Request) { r.Header["X"] = []string{"a\rb"} }, false},
		{"LF in a value", func(r *http.Request) { r.Header["X"] = []string{"good", "a\nb"} }, false},
		{"NUL in a value", func(r *http.Request) { r.Header["X"] = []string{"a\x00b"} }, false},
		{"DEL in a value", func(r *http.Request) { r.Header["X"] = []string{"a\x7fb"} }, false},
		{"empty name", func(r *http.Request) { r.Header[""] = []string{"a"} }, false},
		{"space in a name", func(r *http.Request) { r.Header["X Y"] = []string{"a"} }, false},
		{"colon in a name", func(r *http.Request) { r.Header["X:"] = []string{"a"} }, false},
		{"line end in a name", func(r *http.Request) { r.Header["X: a\r\nY"] = []string{"b"} }, false},
		{"letters of no token", func(r *http.Request) { r.Header["Xé"] = []string{"b"} }, false},
		{"space in the method", func(r *http.Request) { r.Method = "GET /evil HTTP/1.1\r\nX:" }, false},
		{"line end in the query", func(r *http.Request) { r.URL.RawQuery = "a\r\nX: b" }, false},
		{"line end in the host", func(r *http.Request) { r.Host = "a\r\nX: b" }, true},
		{"line end in the target", func(r *http.Request) { r.RequestURI = "/ HTTP/1.1\r\nX: b" }, true},
		{"space in the target", func(r *http.Request) { r.RequestURI = "/a HTTP/1.1" }, true},
		{"line end in a trailer", func(r *http.Request) { r.Trailer = http.Header{"X": {"a\r\nY: b"}} }, false},
		{"space in a trailer's name", func(r *http.Request) { r.Trailer = http.Header{"X Y": {"a"}} }, false},
		{"a trailer that frames", func(r *http.Request) { r.Trailer = http.Header{"Content-Length": nil} }, false},
		{"no URL", func(r *http.Request) { r.URL = nil }, false},
		{"no host", func(r *http.Request) { r.URL.Host, r.Host = "", "" }, false},
		{"a length without a body", func(r *http.Request) { r.Body.Close(); r.Body, r.ContentLength = nil, 5 }, false},
	} {
		run := func(t *testing.T, k kind) {
			if k.stock && c.oursOnly {
				return
			}
			up := newUpstream(t, func(p *peer) { p.take(1) })
			req := newRequest(t, "POST", "/", newUpload(t, strings.NewReader("x")))
			c.edit(req)
			rt := k.open(t, up, transport.Config{})
			if res, err := rt.RoundTrip(req); err == nil {
				t.Errorf("answered: %s", res.Status)
			} else if strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("the error has several lines: %q", err)
			}
			rt.CloseIdleConnections()
			if got := strings.Join(up.finish(t), ""); got != "" {
				t.Errorf("sent %q", got)
			}
		}
		t.Run(c.name, func(t *testing.T) { each(t, run) })
	}
}
