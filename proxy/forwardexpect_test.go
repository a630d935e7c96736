package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"wxgate/proxy/transport"
)

// TestExpectedContinue is about "Expect: 100-continue" (RFC 9110, section
// 10.1.1): the client gets one 100 if its body is wanted, and none if not.
func TestExpectedContinue(t *testing.T) {
	const accept, interim, final = "HTTP/1.1 100 Continue\n\n", "HTTP/1.1 103 Early Hints\nX-A: b\n\n", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok"
	for _, c := range []struct {
		name         string
		before       string // the app says it before it has the body, and
		after        string // behind it
		early        bool   // the client does not wait
		interim      []int  // the client gets it before it has sent its body, or
		late         []int  // behind it
		body, closes bool   // whether the app gets the body; whether the client's connection ends
	}{
		{name: "wanted", before: accept, after: final, interim: []int{100}, body: true},
		{name: "wanted twice", before: accept + accept, after: accept + final, interim: []int{100}, body: true},
		{name: "wanted, with hints behind it", before: accept, after: interim + final, interim: []int{100}, late: []int{103}, body: true},
		{name: "wanted, with hints before it", before: interim + accept, after: final, interim: []int{100}, body: true},
		{name: "read without a word", after: final, interim: []int{100}, body: true},
		{name: "the client does not wait", before: accept, after: final, early: true, interim: []int{100}, body: true},
		{name: "refused", before: strings.Replace(final, "200 OK", "413 Too Large", 1), closes: true},
		{name: "refused without a body", before: "HTTP/1.1 417 No\nContent-Length: 0\n\n", closes: true},
		{name: "refused, of unknown length", before: "HTTP/1.1 413 Too Large\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n", closes: true},
		{name: "refused behind hints", before: interim + strings.Replace(final, "200 OK", "403 No", 1), closes: true},
		{name: "refused, the client does not wait", before: strings.Replace(final, "200 OK", "413 Too Large", 1), early: true, closes: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachFraming(t, func(t *testing.T, chunked bool) {
				app, rest := make(chan *message, 2), make(chan int, 2)
				target := newHands(t, func(conn net.Conn, br *bufio.Reader) {
					for {
						m, err := readHeadOf(br)
						if err != nil {
							return
						}
						if len(m.values("Expect")) == 0 {
							io.WriteString(conn, rawOK)
							continue
						}
						io.WriteString(conn, crlf(c.before))
						if c.body {
							m.readBody(br, false)
							io.WriteString(conn, crlf(c.after))
						} else {
							n, _ := io.Copy(io.Discard, br) // the gateway has to hang up
							rest <- int(n)
						}
						app <- m
					}
				})
				w := newWorld(t, 1, nil, rules("public /"), upstreamAt(target))
				if c.before == "" {
					w.replicas[0].upstreams[0].app = transport.New(transport.Config{Network: "tcp", Address: target.Host,
						DialTimeout: time.Second, ContinueTimeout: time.Millisecond, IdleTimeout: time.Minute, MaxIdle: 1, MaxHeader: 4096})
				}
				content := strings.ReplaceAll(smuggled, "{host}", w.addr())
				field, wrap := framed(chunked, len(content))
				body := wrap(content)
				if chunked {
					body += "0\r\n\r\n"
				}
				client := w.call()
				client.say("POST /x HTTP/1.1\nHost: {host}\nExpect: 100-continue\n" + field + "\n")
				if c.early {
					io.WriteString(client, body)
				}
				var interim []int
				for range c.interim {
					m, err := readHeadOf(client.br)
					if err != nil {
						t.Fatal(err)
					}
					interim = append(interim, m.status())
				}
				if !c.early && !c.closes {
					io.WriteString(client, body)
				}
				m, more := client.answer("POST")
				for _, late := range more {
					interim = append(interim, late.status())
				}
				if want := append(slices.Clone(c.interim), c.late...); !slices.Equal(interim, want) {
					t.Errorf("before the answer came %v, not %v", interim, want)
				}
				if !m.whole || m.has("Connection", "close") != c.closes || c.closes != (m.status() >= 400) {
					t.Errorf("%s %q", m.line, m.fields)
				}
				if c.closes {
					io.WriteString(client, body) // there is nobody any more who could take it for requests
					client.over()
					if n := <-rest; n != 0 && !c.early || strings.HasPrefix(c.name, "wanted") {
						t.Errorf("the app was sent %d bytes that it did not want", n)
					}
				} else {
					client.say("GET /y HTTP/1.1\nHost: {host}\nConnection: close\n\n")
					if m, _ := client.answer("GET"); m.status() != 200 {
						t.Errorf("the next request: %s", m.line)
					}
					client.over()
				}
				if got := <-app; c.body && (!got.whole || got.body != content) || !slices.Equal(got.values("Expect"), []string{"100-continue"}) {
					t.Errorf("the app got %q, %q", got.fields, got.body)
				}
				w.settled()
				line := w.records(1 + btoi(!c.closes))[0]
				if !strings.Contains(line, fmt.Sprintf(`"status":%d,`, m.status())) {
					t.Error(line)
				}
				w.notSmuggled(nil)
			})
		})
	}
}
