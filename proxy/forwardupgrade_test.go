package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

const (
	opening   = "GET /ws HTTP/1.1\nHost: {host}\nConnection: keep-alive, Upgrade\nUpgrade: WebSocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\n\n"
	agreement = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: claw\r\n"
	// pipelined stands behind a handshake and is no request any more.
	pipelined = "GET /smuggled HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n"
)

// A WebSocket carries every byte, those right behind the handshakes too, and
// not before both sides have agreed. It is told of once, at its end.
func TestUpgradesForEveryKindOfApp(t *testing.T) {
	for _, kind := range appKinds {
		t.Run(kind, func(t *testing.T) {
			app, again := make(chan string, 1), make(chan struct{})
			w := newWorld(t, 1, nil, rules("public /"), handsOf(t, kind, func(c net.Conn, br *bufio.Reader) {
				m, err := readHeadOf(br)
				if err != nil {
					return
				}
				if !m.has("Connection", "Upgrade") || len(m.values("Connection")) != 1 || !m.has("Upgrade", "websocket") || len(m.values("Sec-WebSocket-Key")) != 1 {
					t.Errorf("the app was asked by %q", m.fields)
				}
				c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
				if b, err := br.Peek(1); !isTimeoutError(err) {
					t.Errorf("before it agreed the app was sent %q, %v", b, err)
				}
				c.SetReadDeadline(time.Now().Add(20 * time.Second))
				io.WriteString(c, agreement+"\r\nfirst")
				got := make([]byte, len(pipelined)+4)
				io.ReadFull(br, got)
				app <- string(got)
				io.WriteString(c, " second")
				<-again
			})).trust()
			c := w.call()
			io.WriteString(c, crlf(strings.ReplaceAll(opening, "{host}", w.addr()))+pipelined)
			m, interim := c.answer("GET")
			if m.status() != 101 || len(interim) > 0 || !m.has("Upgrade", "websocket") || !m.has("Connection", "Upgrade") || len(m.values("Connection")) != 1 ||
				!m.has("Sec-WebSocket-Accept", "x") || !m.has("Sec-WebSocket-Protocol", "claw") || len(m.fields) != 4 {
				t.Errorf("%s %q", m.line, m.fields)
			}
			read := func(want string) {
				got := make([]byte, len(want))
				if _, err := io.ReadFull(c.br, got); err != nil || string(got) != want {
					t.Errorf("%q, %v, not %q", got, err, want)
				}
			}
			read("first")
			if in, ws := w.gauges(); in != 1 || ws != 1 {
				t.Errorf("%v requests and %v WebSockets are counted", in, ws)
			}
			if text := w.log.String(); strings.Contains(text, `"msg":"request"`) {
				t.Errorf("it is logged before its end: %s", text)
			}
			io.WriteString(c, "more")
			if got := <-app; got != pipelined+"more" {
				t.Errorf("the app was sent %q", got)
			}
			read(" second")
			close(again)
			c.over()
			c.Close()
			w.settled()
			line := w.records(1)[0]
			for _, want := range []string{`"status":101,`, `"upgraded":true`, `"path":"/ws"`, `"outcome":"anonymous"`, fmt.Sprintf(`"in":%d,`, len(pipelined)+4), `"out":12,`} {
				if !strings.Contains(line, want) {
					t.Errorf("no %s in %s", want, line)
				}
			}
			w.notSmuggled(nil)
		})
	}
}

// An app may refuse. The connection stays one of requests, and what stands
// behind the handshake is one, judged like any other.
func TestRefusedUpgrades(t *testing.T) {
	for _, kind := range appKinds {
		for _, refusal := range []string{
			"HTTP/1.1 200 OK\nContent-Length: 2\n\nno", "HTTP/1.1 403 Forbidden\nTransfer-Encoding: chunked\n\n2\nno\n0\n\n",
			"HTTP/1.1 426 Upgrade Required\nConnection: Upgrade\nUpgrade: websocket\nContent-Length: 2\n\nno",
			"HTTP/1.1 103 Early Hints\nLink: x\n\nHTTP/1.1 404 Not Found\nContent-Length: 2\n\nno",
		} {
			lines := make(chan string, 10)
			w := newWorld(t, 1, nil, rules("public /ws"), handsOf(t, kind, func(c net.Conn, br *bufio.Reader) {
				for {
					m, err := readHeadOf(br)
					if err != nil {
						return
					}
					lines <- m.line
					io.WriteString(c, crlf(refusal))
				}
			})).trust()
			c := w.call()
			c.say(opening + "GET /secret HTTP/1.1\nHost: {host}\n\nGET /ws HTTP/1.1\nHost: {host}\nConnection: close\n\n")
			for i, want := range []int{0, 401, 0} {
				m, _ := c.answer("GET")
				if want == 0 && (m.body != "no" || m.status() == 502) || want != 0 && m.status() != want || !m.whole || i < 2 && m.has("Connection", "close") {
					t.Errorf("%s, %.12s, answer %d: %s %q %q", kind, refusal, i, m.line, m.fields, m.body)
				}
			}
			c.over()
			w.settled()
			w.records(3)
			for range 2 {
				if line := <-lines; line != "GET /ws HTTP/1.1" {
					t.Errorf("%s: the app was sent %s", kind, line)
				}
			}
			if len(lines) > 0 {
				t.Errorf("%s: the app was sent %s", kind, <-lines)
			}
		}
	}
}

// An app that switches to what nobody asked for gets no tunnel, and loses its
// connection; the client's goes on.
func TestForeignSwitches(t *testing.T) {
	const unasked = "GET /x HTTP/1.1\nHost: {host}\n\n"
	for _, kind := range appKinds {
		for _, c := range []struct{ request, reply string }{
			{opening, "Connection: Upgrade\nUpgrade: h2c\n"},
			{opening, "Connection: Upgrade\nUpgrade: websocket, h2c\n"},
			{opening, "Connection: Upgrade\nUpgrade: websocket\nUpgrade: h2c\n"},
			{opening, "Connection: Upgrade\n"},
			{opening, ""},
			{unasked, "Connection: Upgrade\nUpgrade: websocket\n"},
			{unasked, "Connection: Upgrade\nUpgrade: h2c\n"},
			{unasked, ""},
			{strings.Replace(unasked, "\n\n", "\nUpgrade: websocket\n\n", 1), "Connection: Upgrade\nUpgrade: websocket\n"},
			{strings.Replace(unasked, "\n\n", "\nConnection: Upgrade\n\n", 1), "Connection: Upgrade\nUpgrade: websocket\n"},
			{strings.Replace(unasked, "\n\n", "\nConnection: Upgrade\nUpgrade: h2c\n\n", 1), "Connection: Upgrade\nUpgrade: h2c\n"},
		} {
			ended := make(chan error, 2)
			w := newWorld(t, 1, nil, rules("public /"), handsOf(t, kind, func(conn net.Conn, br *bufio.Reader) {
				if _, err := readHeadOf(br); err != nil {
					return
				}
				io.WriteString(conn, crlf("HTTP/1.1 101 Switching Protocols\n"+c.reply+"\n")+"raw bytes")
				_, err := br.ReadByte()
				ended <- err
			})).trust()
			client := w.call()
			client.say(c.request + "GET /.wxgate/me HTTP/1.1\nHost: {host}\nConnection: close\n\n")
			if m, _ := client.answer("GET"); m.status() != 502 || !m.whole || strings.Contains(m.body, "raw bytes") {
				t.Errorf("%s, %q, %q: %s", kind, c.request, c.reply, m.line)
			} else if m, _ := client.answer("GET"); m.status() != 401 {
				t.Errorf("%s, %q: afterwards %s", kind, c.reply, m.line)
			}
			client.Close()
			if err := <-ended; err == nil || isTimeoutError(err) {
				t.Errorf("%s, %q: the app's connection goes on: %v", kind, c.reply, err)
			}
			w.settled()
			w.records(2)
		}
	}
}

// A client that is gone before its 101 leaves nothing behind.
func TestClientLeavesItsUpgrade(t *testing.T) {
	for _, kind := range appKinds {
		asked, ended := make(chan struct{}), make(chan error, 1)
		w := newWorld(t, 1, nil, rules("public /"), handsOf(t, kind, func(c net.Conn, br *bufio.Reader) {
			if _, err := readHeadOf(br); err != nil {
				return
			}
			close(asked)
			_, err := br.ReadByte()
			ended <- err
		})).trust()
		c := w.call()
		c.say(opening)
		<-asked
		c.Close()
		if err := <-ended; err == nil || isTimeoutError(err) {
			t.Errorf("%s: %v", kind, err)
		}
		w.settled()
		if line := w.records(1)[0]; strings.Contains(line, `"upgraded"`) || !strings.Contains(line, `"status":499`) {
			t.Error(kind, line)
		}
	}
}
