package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// bareStage has a folder and nothing else.
func bareStage(t *testing.T) *stage {
	s := &stage{stderr: io.Discard, dir: t.TempDir()}
	s.ctx, s.stop = context.WithCancel(t.Context())
	t.Cleanup(s.close)
	return s
}

func withApp(t *testing.T) *stage {
	s := bareStage(t)
	var err error
	if s.app, err = s.startRole("app", nil); err != nil {
		t.Fatal(err)
	}
	if s.app.addr, err = s.app.line(); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestReplySize(t *testing.T) {
	for _, c := range []struct {
		reply        string
		status, size int
		wrong        string
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", 200, 43, ""},
		{"HTTP/1.1 302 Found\r\nConnection: x\r\nC: y\r\ncontent-length:0\r\nCookie: z\r\n\r\n", 302, 72, ""},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", 0, 0, ""},
		{"", 0, 0, ""},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n", 0, 0, "without Content-Length"},
		{"hello\r\n\r\n", 0, 0, "no reply"},
		{"HTTP/1.1 abc OK\r\n\r\n", 0, 0, "no reply"},
		{"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n", 200, 0, "five"},
	} {
		status, size, err := replySize([]byte(c.reply))
		switch {
		case c.wrong != "":
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%q: %v", c.reply, err)
			}
		case err != nil || status != c.status || size != c.size:
			t.Errorf("%q: %d, %d, %v", c.reply, status, size, err)
		}
	}
}

func TestExchange(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
	for _, c := range []struct {
		name   string
		pieces []string
		wrong  string
	}{
		{"at once", []string{ok + "hello"}, ""},
		{"in pieces", []string{ok[:20], ok[20:], "he", "llo"}, ""},
		{"another status", []string{"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"}, "status 503 instead of 200"},
		{"too much", []string{ok + "hello!"}, "1 bytes after the end"},
		{"cut off", []string{ok + "he", ""}, "EOF"},
		{"no end", []string{"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 20<<10)}, "more than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			here, there := net.Pipe()
			defer here.Close()
			go func() {
				defer there.Close()
				there.Read(make([]byte, 100))
				for _, piece := range c.pieces {
					io.WriteString(there, piece)
				}
			}()
			one := client{conn: here, in: make([]byte, 16<<10)}
			err := one.exchange([]byte("GET / HTTP/1.1\r\n\r\n"), 200)
			if c.wrong == "" && err != nil || c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	s := withApp(t)
	good := job{Addr: s.app.addr, Request: appRequest(s.app.addr, "a=b"), Status: 200, Conns: 3, Span: 500 * time.Millisecond}
	calls := ""
	res, err := s.cleanLoad(good, func() { calls += "begin " }, func() { calls += "end" })
	if err != nil || res.Requests == 0 || res.P50 <= 0 || res.P99 < res.P50 || res.Took < good.Span || calls != "begin end" {
		t.Errorf("%+v, %v, %s", res, err, calls)
	}
	paced := good
	paced.PerSecond, paced.Warm, paced.Span = 100, 500*time.Millisecond, 500*time.Millisecond
	if res, err := s.cleanLoad(paced, nil, nil); err != nil || res.Requests > 60 {
		t.Errorf("at 100/s for half a second: %+v, %v", res, err)
	}
	once := good
	once.Once, once.Conns = true, 7
	if res, err := s.cleanLoad(once, nil, nil); err != nil || res.Requests != 7 {
		t.Errorf("once: %+v, %v", res, err)
	}
	wrong := good
	wrong.Status = 302
	if _, err := s.cleanLoad(wrong, nil, nil); err == nil || !strings.Contains(err.Error(), "status 200 instead of 302") {
		t.Errorf("a wrong status: %v", err)
	}
	nobody := good
	nobody.Addr = "127.0.0.1:1"
	if _, err := s.cleanLoad(nobody, nil, nil); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody listens: %v", err)
	}
}

func TestCookiesTakeTurns(t *testing.T) {
	g := &generator{job: job{Request: "GET / HTTP/1.1\r\nCookie: " + cookieHole + "\r\n\r\n"}, cookies: []string{"a=1", "a=2", "a=33"}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	g.Addr = l.Addr().String()
	c, err := g.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.conn.Close()
	seen := map[string]int{}
	for range 1000 {
		request, found := strings.CutPrefix(string(g.fill(c)), "GET / HTTP/1.1\r\nCookie: ")
		if cookie, whole := strings.CutSuffix(request, "\r\n\r\n"); found && whole {
			seen[cookie]++
		}
	}
	if len(seen) != 3 || seen["a=1"]+seen["a=2"]+seen["a=33"] != 1000 {
		t.Errorf("sent: %v", seen)
	}
	busy := 0
	for range 10_000 {
		if n := pick(1000); n < 0 || n >= 1000 {
			t.Fatalf("drew %d of 1000", n)
		} else if n < 10 {
			busy++
		}
	}
	if busy < 4500 || busy > 5600 {
		t.Errorf("%d of 10000 draws were among the busy ones", busy)
	}
}

func TestOtherLoad(t *testing.T) {
	if !onPath("echo") {
		t.Skip("echo is not on PATH")
	}
	s := bareStage(t)
	s.span, s.conns, s.cookie = 2*time.Second, 64, "wxgate=x"
	s.load = "echo {conns} requests in {seconds}s, {url} {cookie}"
	calls := ""
	res, err := s.loadByOther("127.0.0.1:80", func() { calls += "begin " }, func() { calls += "end" })
	if err != nil || res.Requests != 64 || res.Took != 2*time.Second || calls != "begin end" {
		t.Errorf("%+v, %v, %s", res, err, calls)
	}
	s.load = "echo {url} {cookie}"
	if _, err := s.loadByOther("127.0.0.1:80", func() {}, func() {}); err == nil || !strings.Contains(err.Error(), "http://127.0.0.1:80/api/room/7?seat=1 Cookie: wxgate=x") {
		t.Errorf("%v", err)
	}
	s.load = " "
	if _, err := s.loadByOther("", func() {}, func() {}); err == nil {
		t.Error("an empty command was run")
	}
}

func TestParseWrk(t *testing.T) {
	const out = `Running 2s test @ http://127.0.0.1:8080/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.45ms  601.22us  20.33ms   91.20%
    Req/Sec    44.81k     1.66k   47.21k    80.00%
  Latency Distribution
     50%    1.38ms
     75%    1.60ms
     90%    1.92ms
     99%  980.50us
  89432 requests in 2.01s, 15.35MB read
Requests/sec:  44493.21
`
	want := loadResult{Requests: 89432, Took: 2010 * time.Millisecond, P50: 1380 * time.Microsecond, P99: 980500 * time.Nanosecond}
	if got, err := parseWrk(out); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "0 requests in 2.00s", out + "  Non-2xx or 3xx responses: 7\n", out + "  Socket errors: connect 0, read 3, write 0, timeout 0\n"} {
		if got, err := parseWrk(bad); err == nil {
			t.Errorf("%q: %+v", bad, got)
		}
	}
}

func TestApp(t *testing.T) {
	s := withApp(t)
	for _, move := range transfers {
		s.size = 1<<20 + 7
		if _, err := s.move(s.app, move); err != nil {
			t.Errorf("%s: %v", move.name, err)
		}
	}
	holder, err := s.openSockets(s.app, 5)
	if err != nil {
		t.Fatal(err)
	}
	s.app.stop()
	holder.stdin.Close()
	if text, err := holder.line(); err != nil || text == "" {
		t.Errorf("the holder said %q, %v", text, err)
	}
	if _, err := s.openSockets(s.app, 1); err == nil {
		t.Error("a WebSocket was opened through a process that is gone")
	}
}

func TestReadRequest(t *testing.T) {
	for _, c := range []struct {
		text  string
		want  request
		wrong bool
	}{
		{"GET /api HTTP/1.1\r\nHost: a\r\nCookie: content-length: 9\r\n\r\n", request{}, false},
		{"POST /up HTTP/1.1\r\ncontent-LENGTH:  12\r\n\r\n", request{length: 12}, false},
		{"GET /down/5 HTTP/1.1\r\n\r\n", request{path: "/down/5"}, false},
		{"GET /ws HTTP/1.1\r\nSec-WebSocket-Key: abc\r\n\r\n", request{path: "/ws", socketKey: "abc"}, false},
		{"POST /up HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", request{}, true},
		{"POST /up HTTP/1.1\r\nContent-Length: x\r\n\r\n", request{}, true},
		{"GET / HTTP/1.1\r\nHost", request{}, true},
	} {
		got, err := readRequest(bufio.NewReader(strings.NewReader(c.text)))
		if c.wrong != (err != nil) || err == nil && got != c.want {
			t.Errorf("%q: %+v, %v", c.text, got, err)
		}
	}
}

// The example is that of RFC 6455, sections 1.3 and 5.7.
func TestWebSocketWords(t *testing.T) {
	if got := string(acceptSocket("dGhlIHNhbXBsZSBub25jZQ==")); !strings.Contains(got, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") {
		t.Errorf("%q", got)
	}
	for _, frame := range []string{"\x81\x05Hello", "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", string(maskedText("Hello"))} {
		if got, err := readText(bufio.NewReader(strings.NewReader(frame))); err != nil || string(got) != "Hello" {
			t.Errorf("%q: %q, %v", frame, got, err)
		}
	}
	for _, frame := range []string{"", "\x81\x05Hell", "\x81\x7e\x00\x80", "\x88\x00"} {
		if got, err := readText(bufio.NewReader(strings.NewReader(frame))); err == nil {
			t.Errorf("%q: %q", frame, got)
		}
	}
}

func TestMachine(t *testing.T) {
	for _, c := range []struct{ said, mark, want string }{
		{"nginx version: nginx/1.22.1\n", "nginx/", "1.22.1"},
		{"HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/", "version ", "2.6.12"},
		{"Redis server v=7.0.15 sha=0:0 malloc=jemalloc", "v=", "7.0.15"},
		{"no such option", "v=", ""},
	} {
		if got := versionAfter(c.said, c.mark); got != c.want {
			t.Errorf("%q: %q", c.said, got)
		}
	}
	if got := cpuModel("processor\t: 0\nmodel\t\t: 17\nmodel name\t: A  Processor\n"); got != "A Processor" {
		t.Errorf("%q", got)
	}
	said := machine()
	if host, err := os.Hostname(); err == nil && len(host) > 3 && strings.Contains(said, host) || strings.Contains(said, "/") || said == "" {
		t.Errorf("%q", said)
	}
}
