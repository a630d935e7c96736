package proxy

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// socketApp echoes messages until the connection ends and reports how it did.
type socketApp struct {
	ended chan error
	say   chan websocket.StatusCode // makes the app close
}

func (a *socketApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/refuse":
		w.Header().Set("Upgrade", "websocket")
		http.Error(w, "not with me", http.StatusUpgradeRequired)
		return
	case "/forbid":
		http.Error(w, "no seat", http.StatusForbidden)
		return
	}
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true, Subprotocols: []string{"claw.v2"}})
	if err != nil {
		return
	}
	defer c.CloseNow()
	c.SetReadLimit(8 << 20)
	if r.URL.Path == "/hello" {
		c.Write(r.Context(), websocket.MessageText, []byte(r.Header.Get("X-Wxgate-User")))
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case code := <-a.say:
			c.Close(code, "because")
		case <-ctx.Done():
		}
	}()
	for {
		kind, data, err := c.Read(ctx)
		if err != nil {
			a.ended <- err
			return
		}
		if err := c.Write(ctx, kind, data); err != nil {
			a.ended <- err
			return
		}
	}
}

func newSocketWorld(t *testing.T, n int, opts ...option) (*world, *socketApp) {
	app := &socketApp{ended: make(chan error, 64), say: make(chan websocket.StatusCode)}
	return newWorld(t, n, app.ServeHTTP, opts...), app
}

// socket opens a WebSocket; fields are pairs of header names and values.
func (w *world) socket(path, cookie string, fields ...string) (*websocket.Conn, *http.Response, error) {
	h := http.Header{}
	if cookie != "" {
		h.Set("Cookie", cookie)
	}
	for i := 0; i < len(fields); i += 2 {
		h.Set(fields[i], fields[i+1])
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	c, res, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(w.front.URL, "http")+path, &websocket.DialOptions{HTTPHeader: h, Subprotocols: []string{"claw.v1", "claw.v2"}})
	if c != nil {
		c.SetReadLimit(8 << 20)
		w.t.Cleanup(func() { c.CloseNow() })
	}
	return c, res, err
}

func (w *world) mustSocket(path, cookie string) *websocket.Conn {
	w.t.Helper()
	c, _, err := w.socket(path, cookie)
	if err != nil {
		w.t.Fatal(err)
	}
	w.exchange(c, "hello")
	return c
}

func (w *world) exchange(c *websocket.Conn, text string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	if err := c.Write(ctx, websocket.MessageBinary, []byte(text)); err != nil {
		w.t.Fatal(err)
	}
	if _, got, err := c.Read(ctx); err != nil || string(got) != text {
		w.t.Fatalf("%d bytes came back of %d: %v", len(got), len(text), err)
	}
}

// closing waits for the end of a WebSocket and tells its close status.
func (w *world) closing(c *websocket.Conn) websocket.StatusCode {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	_, _, err := c.Read(ctx)
	if err == nil || ctx.Err() != nil {
		w.t.Fatalf("the WebSocket did not end: %v", err)
	}
	return websocket.CloseStatus(err)
}

func TestWebSocket(t *testing.T) {
	w, app := newSocketWorld(t, 1)
	cookie := w.sessionCookie()
	c, res, err := w.socket("/hello", cookie)
	if err != nil {
		t.Fatal(err)
	}
	if c.Subprotocol() != "claw.v2" || res.StatusCode != 101 {
		t.Errorf("subprotocol %q", c.Subprotocol())
	}
	if _, user, err := c.Read(t.Context()); err != nil || string(user) != w.userOf(cookie) {
		t.Errorf("the app was told %q, %v", user, err)
	}
	for _, size := range []int{0, 1, 125, 126, 65535, 65536, 3 << 20} {
		w.exchange(c, strings.Repeat("x", size))
	}
	c.Close(4321, "bye")
	if err := <-app.ended; websocket.CloseStatus(err) != 4321 {
		t.Errorf("the app saw %v", err)
	}
	c = w.mustSocket("/", cookie)
	app.say <- 4002
	if code := w.closing(c); code != 4002 {
		t.Errorf("the client saw %d", code)
	}
	<-app.ended
	c = w.mustSocket("/", cookie)
	c.CloseNow()
	if err := <-app.ended; err == nil {
		t.Error("the app did not see the client go")
	}
}

func TestWebSocketRefusals(t *testing.T) {
	w, app := newSocketWorld(t, 1, rules("public /pub/; public /refuse; public /forbid"), func(c *Config) {
		c.AllowedOrigins = []string{"https://partner.example"}
		c.AllowedHosts = []string{"play.example.com"}
	})
	cookie := w.sessionCookie()
	for _, c := range []struct {
		path, cookie, origin string
		status               int
	}{
		{"/", cookie, "", 101},
		{"/", cookie, w.front.URL, 101},
		{"/", cookie, "http://play.example.com", 101},
		{"/", cookie, "https://partner.example", 101},
		{"/", cookie, "https://evil.example", 403},
		{"/", cookie, "null", 403},
		{"/", cookie, "https://partner.example.evil.example", 403},
		{"/", cookie, strings.Replace(w.front.URL, "http", "https", 1), 403},
		{"/pub/", "", "https://evil.example", 403},
		{"/pub/", "", "", 101},
		{"/", "", "", 401},
		{"/", "wxgate=garbage", "", 401},
		{"/refuse", cookie, "", 426},
		{"/forbid", cookie, "", 403},
	} {
		var fields []string
		if c.origin != "" {
			fields = []string{"Origin", c.origin}
		}
		conn, res, err := w.socket(c.path, c.cookie, fields...)
		if res == nil || res.StatusCode != c.status {
			t.Errorf("%s from %q: %v %v, want %d", c.path, c.origin, res, err, c.status)
		}
		if conn != nil {
			conn.CloseNow()
			<-app.ended
		}
	}
}

// Bytes that travel right behind the handshake arrive, either way.
func TestWebSocketEarlyBytes(t *testing.T) {
	got := make(chan string, 1)
	app := newRawApp(t, func(_ rawRequest, c net.Conn) {
		io.WriteString(c, crlf("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: websocket\n\n")+"\x81\x05early")
		buf := make([]byte, 10)
		io.ReadFull(c, buf)
		got <- string(buf)
	})
	w := newWorld(t, 1, nil, upstreamAt(app.url), rules("public /"))
	c := w.dial()
	io.WriteString(c, crlf("GET /ws HTTP/1.1\nHost: "+w.addr()+"\nConnection: Upgrade\nUpgrade: websocket\n\n")+"0123")
	br := bufio.NewReader(c)
	if res, err := http.ReadResponse(br, nil); err != nil || res.StatusCode != 101 {
		t.Fatal(res, err)
	}
	frame := make([]byte, 7)
	if _, err := io.ReadFull(br, frame); err != nil || string(frame) != "\x81\x05early" {
		t.Errorf("%q %v", frame, err)
	}
	io.WriteString(c, "456789")
	if sent := <-got; sent != "0123456789" {
		t.Errorf("the app was sent %q", sent)
	}
}
