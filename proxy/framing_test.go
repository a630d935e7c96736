package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// A request whose end could be read in two ways must reach the app once, as
// one request, in one framing, or not at all; what stands behind it must never
// become a request of its own that the gateway has not judged.
func TestFramingHasOneReading(t *testing.T) {
	app := newRawApp(t, nil)
	w := newWorld(t, 1, nil, upstreamAt(app.url), rules("public /pub/"))
	const hidden = "GET /secret HTTP/1.1\nHost: {host}\nX-Wxgate-User: evil\n\n"
	for _, c := range []struct{ name, fields, body string }{
		{"CL and TE", "Content-Length: 6\nTransfer-Encoding: chunked\n", "0\n\n" + hidden},
		{"TE and CL", "Transfer-Encoding: chunked\nContent-Length: 100\n", "0\n\n" + hidden},
		{"two lengths", "Content-Length: 0\nContent-Length: 60\n", hidden},
		{"two equal lengths", "Content-Length: 1\nContent-Length: 1\n", "a" + hidden},
		{"a list of lengths", "Content-Length: 1, 1\n", "a" + hidden},
		{"signed length", "Content-Length: +1\n", "a" + hidden},
		{"negative length", "Content-Length: -1\n", hidden},
		{"hex length", "Content-Length: 0x1\n", "a" + hidden},
		{"space before colon", "Content-Length : 60\n", hidden},
		{"xchunked", "Transfer-Encoding: xchunked\n", "0\n\n" + hidden},
		{"chunked twice", "Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n", "0\n\n" + hidden},
		{"chunked, identity", "Transfer-Encoding: chunked, identity\n", "0\n\n" + hidden},
		{"gzip, chunked", "Transfer-Encoding: gzip, chunked\n", "0\n\n" + hidden},
		{"TE by underscore", "Transfer_Encoding: chunked\nContent-Length: 5\n", "0\n\n" + hidden},
		{"folded TE", "Transfer-Encoding:\n chunked\nContent-Length: 5\n", "0\n\n" + hidden},
		{"vertical tab", "Transfer-Encoding: \vchunked\n", "0\n\n" + hidden},
		{"chunk size with sign", "Transfer-Encoding: chunked\n", "+0\n\n" + hidden},
		{"chunk size that wraps", "Transfer-Encoding: chunked\n", "ffffffffffffffff1\n\n" + hidden},
		{"chunk without its end", "Transfer-Encoding: chunked\n", "1\naGET /secret HTTP/1.1\nHost: {host}\n\n" + hidden},
	} {
		before := app.count()
		got := w.talk(crlf("POST /pub/x HTTP/1.1\nHost: {host}\n" + c.fields + "\n" + c.body + "GET /pub/end HTTP/1.1\nHost: {host}\nConnection: close\n\n"))
		app.mu.Lock()
		arrived := slices.Clone(app.got[before:])
		app.mu.Unlock()
		for _, q := range arrived {
			if strings.Contains(q.line, "secret") || strings.Contains(q.body, "secret") && len(q.values("Content-Length")) == 0 && c.name != "chunk without its end" {
				t.Errorf("%s: %q arrived behind the gateway's back: %s", c.name, q.line, got)
			}
			if n := len(q.values("Content-Length")) + len(q.values("Transfer-Encoding")); n > 1 {
				t.Errorf("%s: framed %d times: %q", c.name, n, q.fields)
			}
			if strings.Contains(strings.Join(q.fields, "\n"), "evil") {
				t.Errorf("%s: %q", c.name, q.fields)
			}
		}
	}
}

func TestPipelinedRequestsAreJudgedOneByOne(t *testing.T) {
	app := newRawApp(t, nil)
	w := newWorld(t, 1, nil, upstreamAt(app.url), rules("public /pub/"))
	cookie := w.sessionCookie()
	user := w.userOf(cookie)
	before := app.count()
	got := w.talk(crlf("GET /pub/1 HTTP/1.1\nHost: {host}\nCookie: " + cookie + "\n\n" +
		"GET /secret HTTP/1.1\nHost: {host}\n\n" +
		"POST /pub/2 HTTP/1.1\nHost: {host}\nContent-Length: 3\nX-Wxgate-User: evil\n\nabc" +
		"GET /pub/3 HTTP/1.1\nHost: {host}\nConnection: close\n\n"))
	br := bufio.NewReader(strings.NewReader(got))
	for _, want := range []int{200, 401, 200, 200} {
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		if res.StatusCode != want {
			t.Errorf("status %d, want %d", res.StatusCode, want)
		}
	}
	app.mu.Lock()
	defer app.mu.Unlock()
	if len(app.got) != before+3 {
		t.Fatalf("%d requests arrived", len(app.got)-before)
	}
	app.got[before].clean(t, user)
	app.got[before+1].clean(t, "")
	app.got[before+2].clean(t, "")
}

// An app that is willing to speak h2c must not be asked to: the tunnel would
// lead past every rule.
func TestOnlyWebSocketsUpgrade(t *testing.T) {
	app := newRawApp(t, func(q rawRequest, c net.Conn) {
		if len(q.values("Upgrade")) == 0 {
			io.WriteString(c, rawOK)
			return
		}
		io.WriteString(c, crlf("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: "+q.values("Upgrade")[0]+"\n\n"))
		c.Close()
	})
	w := newWorld(t, 1, nil, upstreamAt(app.url), rules("public /"))
	for _, c := range []struct {
		fields  string
		upgrade bool
	}{
		{"Connection: Upgrade\nUpgrade: websocket\n", true},
		{"Connection: keep-alive, upgrade\nUpgrade: websocket\n", true},
		{"Connection: Upgrade, HTTP2-Settings\nUpgrade: websocket\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\n", true},
		{"Upgrade: websocket\n", false},
		{"Connection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\n", false},
		{"Connection: Upgrade\nUpgrade: H2C\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\n", false},
		{"Connection: Upgrade\nUpgrade: h2c, websocket\n", false},
		{"Connection: Upgrade\nUpgrade: websocket, h2c\n", false},
		{"Connection: Upgrade\nUpgrade: websocket\nUpgrade: h2c\n", false},
		{"Connection: Upgrade\nUpgrade: h2c\nUpgrade: websocket\n", false},
		{"Connection: Upgrade\nUpgrade: TLS/1.0\n", false},
		{"Connection: Upgrade\nUpgrade: \n", false},
		{"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\n", false},
	} {
		before := app.count()
		got := w.talk(crlf("GET /ws HTTP/1.1\nHost: {host}\n" + c.fields + "\n" + strings.Repeat("GET /end HTTP/1.1\nHost: {host}\nConnection: close\n\n", btoi(!c.upgrade))))
		app.mu.Lock()
		q := app.got[before]
		app.mu.Unlock()
		up := q.values("Upgrade")
		if upgraded := statusOf(got) == 101; upgraded != c.upgrade || c.upgrade != slices.Equal(up, []string{"websocket"}) || !c.upgrade && len(up) > 0 {
			t.Errorf("%q: the app was asked for %q and answered %.40q", c.fields, up, got)
		}
		if len(q.values("HTTP2-Settings")) > 0 {
			t.Errorf("%q: HTTP2-Settings arrived", c.fields)
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// An app that switches protocols unasked gets no tunnel either.
func TestUnaskedSwitchIsAnError(t *testing.T) {
	for _, head := range []string{"", "Connection: Upgrade\nUpgrade: h2c\n", "Upgrade: websocket\n"} {
		app := newRawApp(t, func(_ rawRequest, c net.Conn) {
			io.WriteString(c, crlf("HTTP/1.1 101 Switching Protocols\n"+head+"\n"))
			c.Close()
		})
		w := newWorld(t, 1, nil, upstreamAt(app.url), rules("public /"))
		if status, got := w.ask("GET /x", ""); status != 502 {
			t.Errorf("%q: %s", head, got)
		}
	}
}

func TestEmptyBodiesKeepTheirLength(t *testing.T) {
	app := newRawApp(t, nil)
	w := newWorld(t, 1, nil, upstreamAt(app.url), rules("public /"))
	for _, method := range []string{"POST", "PUT", "PATCH"} {
		w.ask(method+" /x", "Content-Length: 0\n")
		if q := app.last(); !slices.Equal(q.values("Content-Length"), []string{"0"}) || len(q.values("Transfer-Encoding")) > 0 {
			t.Errorf("%s: %q", method, q.fields)
		}
	}
	w.ask("GET /x", "")
	if q := app.last(); len(q.values("Content-Length"))+len(q.values("Transfer-Encoding")) > 0 {
		t.Errorf("GET: %q", q.fields)
	}
	w.talk(crlf("POST /x HTTP/1.1\nHost: {host}\nConnection: close\nTransfer-Encoding: chunked\n\n0\n\n"))
	if q := app.last(); !slices.Equal(q.values("Transfer-Encoding"), []string{"chunked"}) {
		t.Errorf("chunked: %q", q.fields)
	}
	// Nothing is added that the client did not say.
	for _, name := range []string{"User-Agent", "Accept-Encoding", "Accept"} {
		if v := app.last().values(name); len(v) > 0 {
			t.Errorf("%s: %q was made up", name, v)
		}
	}
}
