package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// What the tests of forwarding have in common: messages that are read as they
// stand on the wire, and an app that holds its connections in its own hands.

// message is a request or an answer, read to its end.
type message struct {
	line    string
	fields  []string // header lines as they came
	framing string   // length, chunked, close or none
	body    string   // without its framing
	trailer []string
	whole   bool // it came to its end
}

func (m *message) values(name string) []string { return rawRequest{fields: m.fields}.values(name) }

func (m *message) has(name, token string) bool {
	for _, value := range m.values(name) {
		for part := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

func (m *message) status() int { return statusOf(m.line) }

// readHeadOf reads a header, without its body.
func readHeadOf(br *bufio.Reader) (*message, error) {
	lines, err := readLines(br)
	if err == nil && len(lines) == 0 {
		err = errors.New("an empty line instead of a header")
	}
	if err != nil {
		return nil, err
	}
	return &message{line: lines[0], fields: lines[1:]}, nil
}

// readBody reads what belongs to a header; untilClose tells how one without
// framing ends. What breaks off is kept, and is not whole.
func (m *message) readBody(br *bufio.Reader, untilClose bool) {
	var body strings.Builder
	var err error
	length := m.values("Content-Length")
	switch {
	case m.has("Transfer-Encoding", "chunked"):
		m.framing = "chunked"
		if _, err = io.Copy(&body, httputil.NewChunkedReader(br)); err == nil {
			m.trailer, err = readLines(br)
		}
	case len(length) > 0:
		m.framing = "length"
		n, _ := strconv.ParseInt(length[0], 10, 64)
		_, err = io.CopyN(&body, br, n)
	case untilClose:
		m.framing = "close"
		_, err = io.Copy(&body, br)
	default:
		m.framing = "none"
	}
	m.body, m.whole = body.String(), err == nil
}

// readAnswer reads the final answer to a request, and tells how many came
// before it by their status.
func readAnswer(br *bufio.Reader, method string) (m *message, interim []*message, err error) {
	for {
		if m, err = readHeadOf(br); err != nil {
			return nil, interim, err
		}
		switch status := m.status(); {
		case status >= 100 && status < 200 && status != 101:
			interim = append(interim, m)
			continue
		case status == 101 || status == 204 || status == 304 || method == "HEAD":
			m.framing, m.whole = "none", true
		default:
			m.readBody(br, true)
		}
		return m, interim, nil
	}
}

// newHands is an app whose connections are served by the test itself.
func newHands(t *testing.T, serve func(c net.Conn, br *bufio.Reader)) *url.URL {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveHands(t, ln, serve)
	return &url.URL{Scheme: "http", Host: ln.Addr().String()}
}

func serveHands(t *testing.T, ln net.Listener, serve func(c net.Conn, br *bufio.Reader)) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(20 * time.Second))
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			wg.Go(func() {
				defer c.Close()
				serve(c, bufio.NewReader(c))
			})
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
}

// caller is a raw client of the gateway.
type caller struct {
	w *world
	net.Conn
	br *bufio.Reader
}

func (w *world) call() *caller {
	c := w.dial()
	return &caller{w, c, bufio.NewReader(c)}
}

// say sends a text whose line ends are \n, {host} being the gateway's.
func (c *caller) say(text string) {
	io.WriteString(c, crlf(strings.ReplaceAll(text, "{host}", c.w.addr())))
}

func (c *caller) answer(method string) (*message, []*message) {
	c.w.t.Helper()
	m, interim, err := readAnswer(c.br, method)
	if err != nil {
		c.w.t.Fatalf("no answer: %v", err)
	}
	return m, interim
}

// over reads up to the end of the connection, where nothing may follow.
func (c *caller) over() {
	c.w.t.Helper()
	rest, err := io.ReadAll(c.br)
	var timeout net.Error
	if len(rest) > 0 || errors.As(err, &timeout) && timeout.Timeout() {
		c.w.t.Errorf("the connection does not end here: %q, %v", rest, err)
	}
}

// records are the log's records of requests, once there are n of them.
func (w *world) records(n int) (lines []string) {
	w.t.Helper()
	eventually(w.t, fmt.Sprintf("%d records", n), func() bool {
		lines = lines[:0]
		for line := range strings.Lines(w.log.String()) {
			if strings.Contains(line, `"msg":"request"`) {
				lines = append(lines, line)
			}
		}
		return len(lines) >= n
	})
	if len(lines) != n {
		w.t.Errorf("%d records, not %d:\n%s", len(lines), n, strings.Join(lines, ""))
	}
	return lines
}

// gauges reads how many requests are with the app and how many WebSockets are
// open.
func (w *world) gauges() (inFlight, webSockets float64) {
	families, err := w.replicas[0].metrics.Registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		switch f.GetName() {
		case "wxgate_upstream_requests_in_flight":
			inFlight = f.GetMetric()[0].GetGauge().GetValue()
		case "wxgate_websockets_open":
			webSockets = f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return inFlight, webSockets
}

// settled waits until nothing is left of what was forwarded.
func (w *world) settled() {
	w.t.Helper()
	var left string
	eventually(w.t, "nothing is left", func() bool {
		if in, ws := w.gauges(); in != 0 || ws != 0 {
			left = fmt.Sprint(in, ws)
			return false
		}
		if keys := w.replicas[0].streams.keys(); len(keys) != 0 {
			left = fmt.Sprintf("streams of %q", keys)
			return false
		}
		left = stacks("transport.(*upload).", "proxy.(*Server).forward(", "proxy.(*tunnel).", "proxy.(*incoming).")
		return left == ""
	})
}

// stacks are those of the goroutines that stand in one of the functions.
func stacks(functions ...string) string {
	buf := make([]byte, 1<<20)
	var found []string
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		for _, f := range functions {
			if strings.Contains(stack, f) {
				found = append(found, stack)
				break
			}
		}
	}
	return strings.Join(found, "\n\n")
}

// nameOf is the canonical name of a header line.
func nameOf(line string) string {
	name, _, _ := strings.Cut(line, ":")
	return textproto.CanonicalMIMEHeaderKey(name)
}
