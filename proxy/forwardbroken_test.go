package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// Requests and answers that never come to their end.

// A client that breaks off its body leaves a broken request at the app.
func TestClientBreaksOffItsBody(t *testing.T) {
	for _, c := range []struct {
		name, rest string
		leave      func(c *caller)
		answered   bool
	}{
		{"gone", "", func(c *caller) { c.Close() }, false},
		{"reset", "", func(c *caller) { c.Conn.(*net.TCPConn).SetLinger(0); c.Close() }, false},
		{"silent", "", func(c *caller) { c.Conn.(*net.TCPConn).CloseWrite() }, true},
		{"nonsense", "zz\r\nno chunk\r\n", func(*caller) {}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachFraming(t, func(t *testing.T, chunked bool) {
				if c.rest != "" && !chunked {
					return // every byte is as good as any other
				}
				begun, app := make(chan struct{}), make(chan *message, 1)
				w := newWorld(t, 1, nil, rules("public /"), upstreamAt(newHands(t, func(_ net.Conn, br *bufio.Reader) {
					m, err := readHeadOf(br)
					if err != nil {
						return
					}
					br.Peek(50)
					close(begun)
					m.readBody(br, false)
					app <- m
				})))
				field, wrap := framed(chunked, 1000)
				client := w.call()
				client.say("POST /x HTTP/1.1\nHost: {host}\n" + field + "\n")
				io.WriteString(client, wrap(strings.Repeat("x", 100)))
				<-begun
				io.WriteString(client, c.rest)
				c.leave(client)
				if m := <-app; m.whole || len(m.body) > 100 {
					t.Errorf("the app took %q for a whole request", m.body)
				}
				if c.answered {
					if m, _ := client.answer("POST"); m.status() != 400 || !m.has("Connection", "close") {
						t.Errorf("%s %q", m.line, m.fields)
					}
					client.over()
				}
				w.settled()
				line := w.records(1)[0]
				if !strings.Contains(line, `"outcome":"error"`) || !strings.Contains(line, "the client broke off its body") && !strings.Contains(line, `"status":499`) || strings.Contains(line, `"status":50`) {
					t.Error(line)
				}
			})
		})
	}
}

// A client that says that it will say no more may still listen. It is told
// nothing that the app has not said.
func TestClientClosesByHalves(t *testing.T) {
	for _, request := range []string{"GET /x HTTP/1.1\nHost: {host}\n\n", "POST /x HTTP/1.1\nHost: {host}\nContent-Length: 3\n\nabc"} {
		asked := make(chan struct{})
		w := newWorld(t, 1, nil, rules("public /"), upstreamAt(newHands(t, func(c net.Conn, br *bufio.Reader) {
			m, err := readHeadOf(br)
			if err != nil {
				return
			}
			m.readBody(br, false)
			close(asked)
			br.ReadByte()
		})))
		c := w.call()
		c.say(request)
		<-asked
		c.Conn.(*net.TCPConn).CloseWrite()
		if m, _, err := readAnswer(c.br, "GET"); err == nil && m.status() < 400 {
			t.Errorf("%.4s: %s %q", request, m.line, m.fields)
		}
		w.settled()
		w.records(1)
	}
}

// A client that leaves takes its request along.
func TestClientLeaves(t *testing.T) {
	for _, c := range []struct{ name, request, reply string }{
		{"GET, the app thinks", "GET /x HTTP/1.1\nHost: {host}\n\n", ""},
		{"POST, the app thinks", "POST /x HTTP/1.1\nHost: {host}\nContent-Length: 3\n\nabc", ""},
		{"chunked POST, the app thinks", "POST /x HTTP/1.1\nHost: {host}\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n", ""},
		{"the app gives hints", "GET /x HTTP/1.1\nHost: {host}\n\n", "HTTP/1.1 103 Early Hints\n\n"},
		{"the app is in the middle", "GET /x HTTP/1.1\nHost: {host}\n\n", "HTTP/1.1 200 OK\nContent-Length: 100000000\n\n" + strings.Repeat("x", 10000)},
		{"the app streams", "GET /x HTTP/1.1\nHost: {host}\n\n", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n1\nx\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked, ended := make(chan struct{}), make(chan error, 1)
			w := newWorld(t, 1, nil, rules("public /"), upstreamAt(newHands(t, func(conn net.Conn, br *bufio.Reader) {
				m, err := readHeadOf(br)
				if err != nil {
					return
				}
				m.readBody(br, false)
				io.WriteString(conn, crlf(c.reply))
				close(asked)
				_, err = br.ReadByte()
				ended <- err
			})))
			client := w.call()
			client.say(c.request)
			<-asked
			if c.reply != "" {
				client.br.Peek(12)
			}
			client.Close()
			if err := <-ended; err == nil || isTimeoutError(err) {
				t.Errorf("the app saw no end: %v", err)
			}
			w.settled()
			if line := w.records(1)[0]; strings.Contains(line, `"status":50`) || strings.Contains(line, `"status":499`) != strings.HasSuffix(c.name, "thinks") && c.name != "the app gives hints" {
				t.Error(line)
			}
		})
	}
}

func isTimeoutError(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}

// An answer that broke off must not look like a whole one.
func TestAppDiesInTheMiddle(t *testing.T) {
	big := strings.Repeat("x", 20000)
	for name, reply := range map[string]string{
		"length":           "HTTP/1.1 200 OK\nContent-Length: 30000\n\n" + big,
		"short length":     "HTTP/1.1 200 OK\nContent-Length: 30\n\nx",
		"length, no byte":  "HTTP/1.1 200 OK\nContent-Length: 30\n\n",
		"between chunks":   "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n4e20\n" + big + "\n",
		"inside a chunk":   "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5000\n" + big,
		"no chunk":         "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n",
		"no trailer":       "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTrailer: X-Sum\n\n1\nx\n0\n",
		"half a trailer":   "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n1\nx\n0\nX-Sum: 4",
		"nonsense chunk":   "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n1\nx\nzz\n",
		"a chunk too long": "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n1\nxyz\n0\n\n",
	} {
		for _, reset := range []bool{false, true} {
			t.Run(fmt.Sprint(name, reset), func(t *testing.T) {
				w := newWorld(t, 1, nil, rules("public /"), upstreamAt(newHands(t, func(c net.Conn, br *bufio.Reader) {
					if _, err := readHeadOf(br); err != nil {
						return
					}
					io.WriteString(c, crlf(reply))
					if reset {
						c.(*net.TCPConn).SetLinger(0)
					}
				})))
				c := w.call()
				c.say("GET /x HTTP/1.1\nHost: {host}\n\n")
				m, _, err := readAnswer(c.br, "GET")
				// A reset may overtake the answer.
				if overtaken := err == nil && reset && m.status() == 502; err == nil && (m.whole || m.status() != 200) && !overtaken {
					t.Errorf("%s, %d bytes, whole: %v", m.line, len(m.body), m.whole)
				}
				c.over()
				w.settled()
				w.records(1)
			})
		}
	}
}

// An app without a reply is an error of the app's, not an empty answer.
func TestAppDiesBeforeItsReply(t *testing.T) {
	for _, part := range []string{"", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 103 Early Hints\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"} {
		w := newWorld(t, 1, nil, rules("public /"), upstreamAt(newHands(t, func(c net.Conn, br *bufio.Reader) {
			if m, err := readHeadOf(br); err == nil {
				m.readBody(br, false)
				io.WriteString(c, part)
			}
		})))
		c := w.call()
		c.say("POST /x HTTP/1.1\nHost: {host}\nContent-Length: 3\n\nabcGET /x HTTP/1.1\nHost: {host}\nConnection: close\n\n")
		for _, method := range []string{"POST", "GET"} {
			if m, _ := c.answer(method); m.status() != 502 || !m.whole {
				t.Errorf("%q: %s", part, m.line)
			}
		}
		c.over()
		w.settled()
		w.records(2)
	}
}
