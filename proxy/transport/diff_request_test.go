package transport_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// diffGen makes up exchanges. The same seed makes up the same ones.
type diffGen struct{ *rand.Rand }

// in is true once in n times.
func (g diffGen) in(n int) bool { return g.IntN(n) == 0 }

func pick[T any](g diffGen, from ...T) T { return from[g.IntN(len(from))] }

// letters are n letters that differ from one call to the next.
func (g diffGen) letters(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = "abcdefghijklmnopqrstuvwxyz0123456789"[g.IntN(36)]
	}
	return string(b)
}

// size is small most of the time, and sometimes beyond every buffer.
func (g diffGen) size() int {
	switch g.IntN(12) {
	case 0:
		return 0
	case 1:
		return 2000 + g.IntN(8000)
	case 2:
		return 30_000 + g.IntN(100_000)
	default:
		return 1 + g.IntN(300)
	}
}

// pieces cuts b into what one read or write carries.
func (g diffGen) pieces(b []byte) (cut [][]byte) {
	most := pick(g, 7, 60, 5000, 1<<20)
	most = max(most, len(b)/50)
	for len(b) > 0 {
		n := min(len(b), 1+g.IntN(most))
		cut, b = append(cut, b[:n]), b[n:]
	}
	return cut
}

// diffRequest is what one request is built from, once for each transport.
type diffRequest struct {
	method, host string
	url          url.URL
	exact        bool // RequestURI says what URL says
	header       http.Header
	minor        int // of the client's HTTP version
	close        bool
	te           []string
	body         *diffUpload // nil: there is none
	length       int64
	trailer      http.Header
	broken       bool // will be refused, or its body fails
}

// diffUpload is how a request's body behaves.
type diffUpload struct {
	none, memory bool // http.NoBody; a reader the transport may know
	pieces       [][]byte
	eofWithLast  bool
	fails, gated bool // after its pieces; waits at once until it is closed
}

func (g diffGen) request(last bool) diffRequest {
	q := diffRequest{
		method: pick(g, "GET", "GET", "GET", "GET", "HEAD", "POST", "POST", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "get", "M-SEARCH", "!#$%&'*+-.^_`|~"),
		host:   pick(g, "app.test", "app.test", "app.test:8080", "", "[::1]:3000", "App.TEST", "a_b.test", "127.0.0.1"),
		url:    g.target(),
		exact:  g.in(3),
		header: g.requestHeader(),
		minor:  1,
		close:  g.in(40),
	}
	if q.method == "OPTIONS" && g.in(2) {
		q.url = url.URL{Path: "*"}
	}
	q.url.Scheme, q.url.Host = "http", "app.test"
	body := g.in(8)
	if q.method == "POST" || q.method == "PUT" || q.method == "PATCH" {
		body = !g.in(8)
	}
	if body {
		g.upload(&q, last)
	} else if g.in(3) {
		q.body = &diffUpload{none: true}
	}
	if q.body != nil && g.in(8) {
		q.header["Expect"] = []string{pick(g, "100-continue", "100-continue", "100-Continue", "200-ok")}
		if g.in(6) {
			q.minor = 0 // an old client does not wait
		}
	}
	if last && g.in(12) {
		g.spoil(&q)
	}
	return q
}

func (g diffGen) target() url.URL {
	raw := pick(g, "/", "/", "/"+g.letters(5), "/a/b?x=1&y=2", "//evil.test/x", "/a//b/../c/./", "/%2e%2e/%2F?%zz=1", "/a;b=c;d?e;f", "/p%20q+r?s+t%20u",
		"/?", "/?x?", "/"+strings.Repeat("long/", 300), "/%E5%BE%AE%E4%BF%A1?q=%E4%BF%A1", "/a?b=\"<>\\^`{|}", "/~!$&'()*+,;=:@-._", "/a%00b", "/:80", "/http://x/y", "/x%3fy%23z")
	u, err := url.ParseRequestURI(raw)
	if err != nil {
		panic(err)
	}
	switch g.IntN(30) {
	case 0:
		return url.URL{Path: "/a b/微信%/\"", RawQuery: "x=" + g.letters(3)} // as a handler may have written it
	case 1:
		return url.URL{Path: "/a/b", RawPath: "/a%2fb"}
	case 2:
		return url.URL{Opaque: "/opaque/%41?x"}
	case 3:
		return url.URL{}
	}
	return *u
}

func (g diffGen) requestHeader() http.Header {
	h := http.Header{}
	if g.in(2) {
		h["User-Agent"] = nil
	} else {
		h["User-Agent"] = []string{pick(g, "ua/1", " padded\t", "", "one"), "two"}[:1+g.IntN(2)]
	}
	for range g.IntN(6) {
		name := pick(g, "Accept", "Cookie", "X-"+g.letters(3), "x-lower", "X_Under", "X.Dot", "x-MiXed", "Te", "Via", "Connection", "Upgrade", "Referer", "Content-Type", "Accept-Encoding", "Cache-Control", "!#$%&'*+-.^_`|~9")
		for range 1 + g.IntN(3)/2 {
			h[name] = append(h[name], pick(g, "", "v", g.letters(8), " both sides ", "\ttabs\t", "a,b", "caf\xe9", "微信", "x\ty", `"q"`, "trailers", "keep-alive", "websocket", strings.Repeat("=;", 200)))
		}
	}
	switch g.IntN(40) {
	case 0:
		h["X-Large"] = []string{strings.Repeat("large", 4000)}
	case 1:
		for i := range 150 {
			h[fmt.Sprint("X-Many-", i)] = []string{g.letters(4)}
		}
	case 2:
		h["Empty-List"] = []string{}
	case 3: // not the header's to say: the framing is
		h["Content-Length"], h["Transfer-Encoding"], h["Trailer"], h["Host"] = []string{"9"}, []string{"gzip"}, []string{"X-T"}, []string{"other.test"}
	}
	return h
}

func (g diffGen) upload(q *diffRequest, last bool) {
	b := []byte(g.letters(g.size()))
	q.body = &diffUpload{pieces: g.pieces(b), memory: g.in(4), eofWithLast: g.in(2)}
	q.length = int64(len(b))
	if q.length == 0 || g.in(2) {
		q.length = pick[int64](g, 0, -1) // both say unknown
		// Stock looks whether there is a body; ours takes the word for it.
		usual := q.method == "POST" || q.method == "PUT" || q.method == "PATCH"
		if g.in(2) || len(b) == 0 && !usual {
			q.te = []string{"chunked"}
		}
		if g.in(3) {
			q.trailer = http.Header{"X-Sum": {g.letters(4)}, "X-Twice": {"1", "2"}, "X-Unset": nil, "X-Empty": {""}}
		}
	}
}

// spoil makes a request that fails on the way out.
func (g diffGen) spoil(q *diffRequest) {
	q.broken = true
	switch g.IntN(8) {
	case 0:
		q.method = pick(g, "GET /x", "G\r\nX: y", "GÉT", "G:T")
	case 1:
		q.header[pick(g, "", "X Y", "X:", "X\r\nY", "Ü")] = []string{"v"}
	case 2:
		q.header["X-Bad"] = []string{pick(g, "a\r\nb: c", "a\nb", "a\x00b", "a\x7fb", "\r")}
	case 3:
		q.url = url.URL{Scheme: "http", Host: "app.test", Opaque: "/a\r\nb"}
	case 4:
		q.url = url.URL{Scheme: "http", Host: "app.test", Path: "/", RawQuery: "a=\x7f\n"}
	case 5:
		g.upload(q, true)
		q.length, q.te, q.trailer = -1, nil, http.Header{pick(g, "X Y", "Content-Length", "Trailer", "Transfer-Encoding"): {"v"}}
		if q.method == "HEAD" || len(q.body.pieces) == 0 {
			q.method, q.body.pieces = "POST", [][]byte{[]byte("b")}
		}
	case 6:
		q.method, q.body, q.length, q.te, q.trailer = "PUT", &diffUpload{pieces: [][]byte{[]byte("short")}}, 9, nil, nil
	case 7:
		q.method, q.body, q.length, q.te, q.trailer = "PUT", &diffUpload{pieces: [][]byte{[]byte("fails")}, fails: true}, pick[int64](g, 9, -1), nil, nil
	}
	delete(q.header, "Expect")
}

func (q *diffRequest) build(ctx context.Context) (*http.Request, *diffBody) {
	u := q.url
	req := &http.Request{Method: q.method, URL: &u, Host: q.host, Header: maps.Clone(q.header), ContentLength: q.length,
		Proto: fmt.Sprint("HTTP/1.", q.minor), ProtoMajor: 1, ProtoMinor: q.minor, Close: q.close, TransferEncoding: q.te}
	if q.exact {
		req.RequestURI = u.RequestURI()
	}
	if q.trailer != nil { // values come with the end of the body, as they do in a server
		req.Trailer = http.Header{}
		for k := range q.trailer {
			req.Trailer[k] = nil
		}
	}
	var b *diffBody
	switch {
	case q.body == nil:
	case q.body.none:
		req.Body = http.NoBody
	case q.body.memory && q.trailer == nil && !q.body.fails:
		req.Body = io.NopCloser(bytes.NewReader(bytes.Join(q.body.pieces, nil)))
	default:
		b = &diffBody{spec: q.body, left: slices.Clone(q.body.pieces), gone: make(chan struct{}), end: func() { maps.Copy(req.Trailer, q.trailer) }}
		req.Body = b
	}
	return req.WithContext(ctx), b
}

var errUpload = errors.New("the client went away")

// diffBody is a request's body as a client on the wire delivers it.
type diffBody struct {
	spec *diffUpload
	end  func()
	gone chan struct{} // closed by Close

	mu     sync.Mutex
	left   [][]byte
	inside int
	closes int
}

func (b *diffBody) Read(p []byte) (n int, err error) {
	b.mu.Lock()
	b.inside++
	b.mu.Unlock()
	defer func() { b.mu.Lock(); b.inside--; b.mu.Unlock() }()
	if b.spec.gated {
		<-b.gone
		return 0, errUpload
	}
	if len(b.left) > 0 {
		n = copy(p, b.left[0])
		if b.left[0] = b.left[0][n:]; len(b.left[0]) == 0 {
			b.left = b.left[1:]
		}
		if len(b.left) > 0 || !b.spec.eofWithLast {
			return n, nil
		}
	}
	if b.spec.fails {
		return n, errUpload
	}
	b.end()
	return n, io.EOF
}

func (b *diffBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closes++; b.closes == 1 {
		close(b.gone)
	}
	return nil
}
