package proxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Go's client and server tidy up what they send and show, so the questions of
// this file are asked with a raw TCP client and answered by a raw TCP app that
// keeps every byte.

// rawApp is an app that keeps what it was sent, byte for byte.
type rawApp struct {
	t     *testing.T
	url   *url.URL
	reply func(q rawRequest, c net.Conn) // nil answers 200

	mu  sync.Mutex
	got []rawRequest
}

type rawRequest struct {
	line    string   // the request line
	fields  []string // header lines as they came
	body    string   // with its chunk framing, if it has one
	trailer []string
}

const rawOK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func newRawApp(t *testing.T, reply func(rawRequest, net.Conn)) *rawApp {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveRaw(t, ln, &url.URL{Scheme: "http", Host: ln.Addr().String()}, reply)
}

func serveRaw(t *testing.T, ln net.Listener, u *url.URL, reply func(rawRequest, net.Conn)) *rawApp {
	a := &rawApp{t: t, url: u, reply: reply}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			wg.Go(func() { a.serve(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return a
}

func (a *rawApp) serve(c net.Conn) {
	defer c.Close()
	br := bufio.NewReader(c)
	for {
		q, err := readRaw(br)
		if err != nil {
			return
		}
		a.mu.Lock()
		a.got = append(a.got, q)
		a.mu.Unlock()
		if a.reply == nil {
			answer := rawOK
			if strings.HasPrefix(q.line, "HEAD ") {
				answer = strings.TrimSuffix(answer, "ok")
			}
			io.WriteString(c, answer)
		} else {
			a.reply(q, c)
		}
	}
}

// last is the newest request, which is there before its answer is.
func (a *rawApp) last() rawRequest {
	a.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.got) == 0 {
		a.t.Fatal("nothing reached the app")
	}
	return a.got[len(a.got)-1]
}

func (a *rawApp) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.got)
}

func upstreamAt(u *url.URL) option {
	return func(c *Config) { c.Upstreams = []Upstream{{Prefix: "/", URL: u}} }
}

func readLines(br *bufio.Reader) (lines []string, err error) {
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			return nil, err
		}
		if line = strings.TrimSuffix(line, "\r\n"); line == "" {
			return lines, nil
		}
		lines = append(lines, line)
	}
}

func readRaw(br *bufio.Reader) (q rawRequest, err error) {
	lines, err := readLines(br)
	if err != nil || len(lines) == 0 {
		return q, errors.Join(err, io.EOF)
	}
	q.line, q.fields = lines[0], lines[1:]
	if len(q.values("Expect")) > 0 {
		return q, nil // the body comes when the app has said so
	}
	if slices.Contains(q.values("Transfer-Encoding"), "chunked") {
		for {
			size, err := br.ReadString('\n')
			if err != nil {
				return q, err
			}
			q.body += size
			n, err := strconv.ParseInt(strings.TrimSpace(size), 16, 64)
			if err != nil {
				return q, err
			}
			if n == 0 {
				q.trailer, err = readLines(br)
				return q, err
			}
			chunk := make([]byte, n+2)
			if _, err := io.ReadFull(br, chunk); err != nil {
				return q, err
			}
			q.body += string(chunk)
		}
	}
	if lengths := q.values("Content-Length"); len(lengths) > 0 {
		n, err := strconv.Atoi(lengths[0])
		if err != nil {
			return q, err
		}
		body := make([]byte, n)
		_, err = io.ReadFull(br, body)
		q.body = string(body)
		return q, err
	}
	return q, nil
}

// values are those of a header, whatever its case.
func (q rawRequest) values(name string) (values []string) {
	for _, f := range q.fields {
		if n, v, _ := strings.Cut(f, ":"); strings.EqualFold(n, name) {
			values = append(values, strings.TrimPrefix(v, " "))
		}
	}
	return values
}

// foldName is the sloppiest reading of a header name: letters only.
func foldName(line string) string {
	name, _, _ := strings.Cut(line, ":")
	return strings.Map(func(r rune) rune {
		if r = r | 0x20; r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, name)
}

func (q rawRequest) target() string {
	_, rest, _ := strings.Cut(q.line, " ")
	return strings.TrimSuffix(rest, " HTTP/1.1")
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func (w *world) addr() string { return strings.TrimPrefix(w.front.URL, "http://") }

// dial opens a raw connection to the gateway.
func (w *world) dial() net.Conn {
	w.t.Helper()
	c, err := net.Dial("tcp", w.addr())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// talk sends bytes on a fresh connection and returns all that comes back until
// the gateway closes it. {host} stands for the served host.
func (w *world) talk(text string) string {
	w.t.Helper()
	c := w.dial()
	if _, err := io.WriteString(c, strings.ReplaceAll(text, "{host}", w.addr())); err != nil {
		w.t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil && !strings.Contains(err.Error(), "reset") {
		w.t.Fatalf("the gateway did not close: %v after %q", err, got)
	}
	return string(got)
}

// ask sends one request with the given request line and header lines (each
// ended by a newline) and returns status and answer.
func (w *world) ask(line, fields string) (int, string) {
	w.t.Helper()
	got := w.talk(line + " HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n" + crlf(fields) + "\r\n")
	return statusOf(got), got
}

func statusOf(answer string) int {
	if len(answer) < 12 {
		return 0
	}
	n, _ := strconv.Atoi(answer[9:12])
	return n
}

// sessionCookie logs a visitor in and returns the Cookie line that proves it.
func (w *world) sessionCookie() string {
	w.t.Helper()
	b := w.browser(iPhone)
	b.open("/.wxgate/login?next=/")
	value := b.cookies()["wxgate"]
	if value == "" {
		w.t.Fatal("the visitor is not logged in")
	}
	return "wxgate=" + value
}

// userOf asks the gateway whose session a cookie is.
func (w *world) userOf(cookie string) string {
	w.t.Helper()
	_, got := w.ask("GET /.wxgate/me", "Cookie: "+cookie+"\n")
	_, rest, ok := strings.Cut(got, `"user":"`)
	if !ok {
		w.t.Fatalf("no session: %s", got)
	}
	return rest[:26]
}

func isToken(c byte) bool {
	return c > 0x20 && c < 0x7f && !strings.ContainsRune(`()<>@,;:\"/[]?={}`, rune(c))
}
