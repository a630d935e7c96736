package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Answers that come before the request has ended.

// smuggled looks like requests, wherever one begins to read it.
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: {host}\r\nX-Wxgate-User: evil\r\n\r\n"

// framed announces a body of n bytes, and wraps what is sent of it.
func framed(chunked bool, n int) (field string, wrap func(string) string) {
	if chunked {
		return "Transfer-Encoding: chunked\n", func(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }
	}
	return fmt.Sprintf("Content-Length: %d\n", n), func(s string) string { return s }
}

// eachFraming runs a test for bodies of known length and chunked ones.
func eachFraming(t *testing.T, f func(t *testing.T, chunked bool)) {
	for _, chunked := range []bool{false, true} {
		t.Run(map[bool]string{false: "length", true: "chunked"}[chunked], func(t *testing.T) { f(t, chunked) })
	}
}

// notSmuggled looks for requests that were made of a body.
func (w *world) notSmuggled(heads <-chan *message) {
	w.t.Helper()
	for range len(heads) {
		if m := <-heads; strings.Contains(m.line, "smuggled") {
			w.t.Errorf("the app was sent %q", m.line)
		}
	}
	if text := w.log.String(); strings.Contains(text, "smuggled") {
		w.t.Errorf("a body was read as a request: %s", text)
	}
}

// An app that has read enough answers and hangs up. The client is still
// sending; it gets the whole answer, and nothing of its body is taken for
// another request.
func TestEarlyRefusalOfABigBody(t *testing.T) {
	const size = 10 << 20
	refusal := "HTTP/1.1 413 Too Large\r\nContent-Length: 7000\r\n\r\n" + strings.Repeat("too big", 1000)
	for name, hangUp := range map[string]func(c net.Conn){
		"in order": func(c net.Conn) { c.(*net.TCPConn).CloseWrite(); io.Copy(io.Discard, c) },
		"at once":  func(c net.Conn) {}, // with a reset, for it has not read everything
	} {
		t.Run(name, func(t *testing.T) {
			eachFraming(t, func(t *testing.T, chunked bool) {
				heads := make(chan *message, 100)
				w := newWorld(t, 1, nil, rules("public /"), upstreamAt(newHands(t, func(c net.Conn, br *bufio.Reader) {
					m, err := readHeadOf(br)
					if err != nil {
						return
					}
					heads <- m
					io.ReadFull(br, make([]byte, 1000))
					io.WriteString(c, refusal)
					hangUp(c)
				})))
				field, wrap := framed(chunked, size)
				c := w.call()
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					c.say("POST /big HTTP/1.1\nHost: {host}\n" + field + "\n")
					piece := wrap(strings.Repeat(strings.ReplaceAll(smuggled, "{host}", w.addr()), 1000))
					for n := 0; n < size; n += len(piece) {
						if _, err := io.WriteString(c, piece); err != nil {
							return
						}
					}
				}()
				m, _ := c.answer("POST")
				if m.status() != 413 || !m.has("Connection", "close") || len(m.body) != 7000 || !m.whole {
					t.Errorf("%s %q with %d bytes, whole: %v", m.line, m.fields, len(m.body), m.whole)
				}
				c.over()
				c.Close()
				<-sent
				w.settled()
				if line := w.records(1)[0]; !strings.Contains(line, `"status":413`) || !strings.Contains(line, `"path":"/big"`) {
					t.Error(line)
				}
				w.notSmuggled(heads)
			})
		})
	}
}

// The client has stopped in the middle of its body when the answer comes, and
// goes on when it has it.
func TestEarlyAnswerToAStalledClient(t *testing.T) {
	for _, body := range []string{"", "refused"} {
		eachFraming(t, func(t *testing.T, chunked bool) {
			heads, app := make(chan *message, 100), make(chan string, 1)
			w := newWorld(t, 1, nil, rules("public /"), upstreamAt(newHands(t, func(c net.Conn, br *bufio.Reader) {
				m, err := readHeadOf(br)
				if err != nil {
					return
				}
				heads <- m
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
				rest, _ := io.ReadAll(br) // it goes on reading
				app <- string(rest)
			})))
			late := strings.ReplaceAll(smuggled, "{host}", w.addr())
			field, wrap := framed(chunked, 100+len(late))
			c := w.call()
			c.say("POST /stall HTTP/1.1\nHost: {host}\n" + field + "\n")
			first := wrap(strings.Repeat("x", 100))
			io.WriteString(c, first)
			m, _ := c.answer("POST")
			if m.status() != 200 || m.body != body || !m.whole || !m.has("Connection", "close") {
				t.Errorf("%s %q %q", m.line, m.fields, m.body)
			}
			if chunked {
				late = "0\r\n\r\n" + late
			}
			io.WriteString(c, late)
			c.over()
			if got := <-app; !strings.HasPrefix(first, got) || strings.HasSuffix(got, "0\r\n\r\n") {
				t.Errorf("the app was sent %q, and its connection was closed", got)
			}
			w.settled()
			w.records(1)
			w.notSmuggled(heads)
		})
	}
}

// Nobody reads the body where there is no app, and what is left of it is no
// request either.
func TestBodyWithoutAnApp(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := newHands(t, nil)
	gone.Host = ln.Addr().String()
	ln.Close()
	eachFraming(t, func(t *testing.T, chunked bool) {
		w := newWorld(t, 1, nil, rules("public /"), upstreamAt(gone))
		field, wrap := framed(chunked, 10000)
		c := w.call()
		c.say("POST /x HTTP/1.1\nHost: {host}\n" + field + "\n")
		io.WriteString(c, wrap(strings.Repeat("x", 100)))
		m, _ := c.answer("POST")
		if m.status() != 502 || !m.whole || !m.has("Connection", "close") {
			t.Errorf("%s %q", m.line, m.fields)
		}
		if chunked {
			c.say("0\n\n")
		}
		c.say(smuggled)
		c.over()
		w.settled()
		w.records(1)
		w.notSmuggled(nil)
	})
}

// Request and answer may flow at the same time, each waiting for the other.
func TestAnswerAndRequestInTurns(t *testing.T) {
	eachFraming(t, func(t *testing.T, chunked bool) {
		const turns = 30
		w := newWorld(t, 1, nil, rules("public /"), upstreamAt(newHands(t, func(c net.Conn, br *bufio.Reader) {
			m, err := readHeadOf(br)
			if err != nil {
				return
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			var body io.Reader = io.LimitReader(br, turns*10)
			if m.has("Transfer-Encoding", "chunked") {
				body = httputil.NewChunkedReader(br)
			}
			for piece := make([]byte, 10); ; {
				if _, err := io.ReadFull(body, piece); err != nil {
					break
				}
				fmt.Fprintf(c, "a\r\n%s\r\n", piece)
			}
			io.WriteString(c, "0\r\n\r\n")
		})))
		field, wrap := framed(chunked, turns*10)
		c := w.call()
		c.say("POST /echo HTTP/1.1\nHost: {host}\n" + field + "\n")
		m, err := readHeadOf(c.br)
		if err != nil || m.status() != 200 {
			t.Fatal(m, err) // before anything of the body was sent
		}
		echo := httputil.NewChunkedReader(c.br)
		for i := range turns {
			said := fmt.Sprintf("piece %04d", i)
			io.WriteString(c, wrap(said))
			got := make([]byte, len(said))
			if _, err := io.ReadFull(echo, got); err != nil || string(got) != said {
				t.Fatalf("%q, %v", got, err)
			}
		}
		if chunked {
			c.say("0\n\n")
		}
		if rest, err := io.ReadAll(echo); len(rest) > 0 || err != nil {
			t.Error(rest, err)
		}
		if lines, err := readLines(c.br); len(lines) > 0 || err != nil {
			t.Error(lines, err)
		}
		c.over()
		w.settled()
		if line := w.records(1)[0]; !strings.Contains(line, `"in":300,`) || !strings.Contains(line, `"out":300,`) {
			t.Error(line)
		}
	})
}

// patient notes what a request asks of its client's connection.
type patient struct {
	*httptest.ResponseRecorder
	deadline time.Time
}

func (p *patient) SetReadDeadline(t time.Time) error { p.deadline = t; return nil }

// A client that is not done with its body when its answer is has some time to
// take the answer, however little is left of the body.
func TestUnwantedBodiesAreReadForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{metrics: NewMetrics("test", "go")}
		begin := func() (*visit, *patient) {
			p := &patient{ResponseRecorder: httptest.NewRecorder()}
			v := &visit{w: p, s: s, r: httptest.NewRequest(http.MethodPost, "/", strings.NewReader("abc"))}
			v.body = newIncoming(v, nil)
			return v, p
		}
		v, p := begin()
		v.body.Close()
		if got := time.Until(p.deadline); got != unreadPatience {
			t.Errorf("a Read that waits goes on for %v", got)
		}
		s.landed(v)
		if got := time.Until(p.deadline); got != lingerPatience {
			t.Errorf("the client has %v", got)
		}
		v, p = begin()
		io.ReadAll(v.body)
		v.body.Close()
		s.landed(v)
		if !p.deadline.IsZero() {
			t.Error("a deadline for what has been read")
		}
		v, p = begin()
		v.upgraded = true
		s.landed(v)
		if !p.deadline.IsZero() {
			t.Error("a deadline for a tunnel")
		}
	})
}
