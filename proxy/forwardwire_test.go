package proxy

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What stands on the wire to apps of every kind, and back.

// handsOf is newHands for an app that is reached in a given way: http, unix,
// or https with HTTP/1.1.
func handsOf(t *testing.T, kind string, serve func(c net.Conn, br *bufio.Reader)) option {
	t.Helper()
	switch kind {
	case "http":
		return upstreamAt(newHands(t, serve))
	case "unix":
		socket := filepath.Join(t.TempDir(), "app.sock")
		ln, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		serveHands(t, ln, serve)
		return upstreamAt(&url.URL{Scheme: "unix", Path: socket})
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: testTLS(t).TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	serveHands(t, ln, serve)
	return upstreamAt(&url.URL{Scheme: "https", Host: ln.Addr().String()})
}

// testTLS is a server whose certificate the tests use.
func testTLS(t *testing.T) *httptest.Server {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	return s
}

// trust makes a gateway accept the certificates of httptest.
func (w *world) trust() *world {
	if app, ok := w.replicas[0].upstreams[0].app.(tlsApp); ok {
		pool := x509.NewCertPool()
		pool.AddCert(testTLS(w.t).Certificate())
		app.transport.TLSClientConfig = &tls.Config{RootCAs: pool, ServerName: "example.com"}
		w.t.Cleanup(app.transport.CloseIdleConnections)
	}
	return w
}

var appKinds = []string{"http", "unix", "https"}

// The app is asked for exactly what the client asked for.
func TestTargetsForEveryKindOfApp(t *testing.T) {
	targets := []string{"/", "/a", "//a//b", "///", "/%2f%41?a=1;b=%zz&&", "/a?", "/a??", "/?", "//evil.example/x?y", "/a%2Fb", "/%2e%2e/x", "/a/../b", "/x/中文", "/a?q=\"[1]\"&中",
		`/\back`, "/:80/@x", "//user:pw@evil.example:1/", "/a;b=c", "/http://evil.example/", "/?http://evil.example/", "/*", "/a#b"}
	for _, kind := range append(appKinds, "HTTP/2") {
		t.Run(kind, func(t *testing.T) {
			got := make(chan string, 10)
			var app option
			if kind == "HTTP/2" {
				s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					got <- fmt.Sprint(r.ProtoMajor, " ", r.Method, " ", r.RequestURI, " ", r.Host)
				}))
				s.EnableHTTP2 = true
				s.StartTLS()
				t.Cleanup(s.Close)
				u, _ := url.Parse(s.URL)
				app = upstreamAt(u)
			} else {
				app = handsOf(t, kind, func(c net.Conn, br *bufio.Reader) {
					for {
						m, err := readHeadOf(br)
						if err != nil {
							return
						}
						method, rest, _ := strings.Cut(strings.TrimSuffix(m.line, " HTTP/1.1"), " ")
						got <- fmt.Sprint("1 ", method, " ", rest, " ", strings.Join(m.values("Host"), "+"))
						io.WriteString(c, rawOK)
					}
				})
			}
			w := newWorld(t, 1, nil, app).trust()
			cookie := w.sessionCookie()
			for len(got) > 0 {
				<-got // what the login led to
			}
			for _, target := range targets {
				if status, answer := w.ask("GET "+target, "Cookie: "+cookie+"\n"); status != 200 {
					t.Errorf("%s: %.200s", target, answer)
					continue
				}
				version := map[bool]string{true: "2", false: "1"}[kind == "HTTP/2"]
				if arrived, want := <-got, version+" GET "+target+" "+w.addr(); arrived != want {
					t.Errorf("arrived as %q, not %q", arrived, want)
				}
			}
		})
	}
}

// Nothing that a client says of its connection takes away what we say.
func TestConnectionListsTakeNothingOfOurs(t *testing.T) {
	for _, kind := range appKinds {
		got := make(chan *message, 10)
		w := newWorld(t, 1, nil, handsOf(t, kind, func(c net.Conn, br *bufio.Reader) {
			for {
				m, err := readHeadOf(br)
				if err != nil {
					return
				}
				got <- m
				io.WriteString(c, rawOK)
			}
		})).trust()
		cookie := w.sessionCookie()
		user := w.userOf(cookie)
		for len(got) > 0 {
			<-got
		}
		added := []string{"X-Forwarded-For", "X-Real-Ip", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Request-Id", "Traceparent", "X-Wxgate-User", "X-Wxgate-Assertion", "X-Wxgate-Channel"}
		for _, connection := range []string{
			"close, " + strings.Join(added, ", "), strings.ToLower(strings.Join(added, ",")), "X-Wxgate-User\nConnection: X-Forwarded-For", " ,,X-Real-IP , x-request-id,\"X-Wxgate-User\"",
			"Upgrade, X-Forwarded-For, Cookie, X-Wxgate-User\nUpgrade: websocket", "Host, Content-Length, X-Wxgate-User, X_Wxgate_User",
		} {
			w.ask("GET /x", poison()+"Cookie: a=1; "+cookie+"\nX-Hop: 1\nConnection: X-Hop\nConnection: "+connection+"\n")
			m := <-got
			rawRequest{line: m.line, fields: m.fields}.clean(t, user)
			if slices.ContainsFunc(m.fields, func(f string) bool { return strings.HasPrefix(f, "X-Hop") }) || len(m.values("Host")) != 1 {
				t.Errorf("%s: Connection: %s: %q", kind, connection, m.fields)
			}
			if named := strings.Contains(connection, "Cookie"); named != (len(m.values("Cookie")) == 0) || strings.Contains(strings.Join(m.values("Cookie"), ""), "wxgate") {
				t.Errorf("%s: Connection: %s: cookies %q", kind, connection, m.values("Cookie"))
			}
		}
	}
}

// Hints pass with what the app says in them. What somebody else has already
// said of the final answer waits for that.
func TestHintsKeepTheFinalHeader(t *testing.T) {
	const hint = "HTTP/1.1 103 Early Hints\nLink: </a.css>; rel=preload\nLink: </b.js>; rel=preload\nX-Both: hint\nX-Ours: hint\nSet-Cookie: a=1\n\n"
	for _, kind := range appKinds {
		w := newWorld(t, 1, nil, rules("public /"), handsOf(t, kind, func(c net.Conn, br *bufio.Reader) {
			for {
				if _, err := readHeadOf(br); err != nil {
					return
				}
				io.WriteString(c, crlf(hint+"HTTP/1.1 102 Processing\n\n"+hint+"HTTP/1.1 200 OK\nContent-Length: 2\nX-Both: final\nVary: Accept\n\nok"))
			}
		})).trust()
		around := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("X-Ours", "1")
			rw.Header().Set("Vary", "Origin")
			w.replicas[0].ServeHTTP(rw, r)
		}))
		defer around.Close()
		conn, err := net.Dial("tcp", strings.TrimPrefix(around.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		br := bufio.NewReader(conn)
		for _, version := range []string{"1.1", "1.1", "1.0"} {
			io.WriteString(conn, "GET /x HTTP/"+version+"\r\nHost: "+w.addr()+"\r\n\r\n")
			m, interim, err := readAnswer(br, "GET")
			if err != nil {
				t.Fatal(err)
			}
			var seen []string
			for _, i := range interim {
				seen = append(seen, fmt.Sprint(i.status(), i.fields))
			}
			said := fmt.Sprint(103, []string{"Link: </a.css>; rel=preload", "Link: </b.js>; rel=preload", "Set-Cookie: a=1", "X-Both: hint", "X-Ours: hint"})
			want := []string{said, "102 []", said}
			if version == "1.0" {
				want = nil // HTTP/1.0 has none (RFC 9110, section 15.2): such a client would take it for the answer
			}
			if !slices.Equal(seen, want) {
				t.Errorf("%s, HTTP/%s: %q", kind, version, seen)
			}
			if !slices.Equal(m.values("X-Ours"), []string{"1"}) || !slices.Equal(m.values("Vary"), []string{"Origin", "Accept"}) || !slices.Equal(m.values("X-Both"), []string{"final"}) ||
				len(m.values("Link"))+len(m.values("Set-Cookie")) > 0 || m.status() != 200 || m.body != "ok" {
				t.Errorf("%s, HTTP/%s: %s %q %q", kind, version, m.line, m.fields, m.body)
			}
		}
	}
}

// An answer is told apart from what the app says of its own connection.
func TestAnswersLoseWhatConcernsTheApp(t *testing.T) {
	for _, kind := range appKinds {
		w := newWorld(t, 1, nil, rules("public /"), handsOf(t, kind, func(c net.Conn, br *bufio.Reader) {
			for {
				if _, err := readHeadOf(br); err != nil {
					return
				}
				io.WriteString(c, crlf("HTTP/1.1 200 OK\nContent-Length: 2\nConnection: X-Hop, x-other\nX-Hop: 1\nX-Other: 1\nKeep-Alive: timeout=1\nProxy-Authenticate: x\nProxy-Connection: x\nTe: x\nTrailer: X-T\nUpgrade: h2c\nX-Stays: 1\n\nok"))
			}
		})).trust()
		c := w.call()
		for range 2 {
			c.say("GET /x HTTP/1.1\nHost: {host}\n\n")
			m, _ := c.answer("GET")
			names := map[string]bool{}
			for _, f := range m.fields {
				names[nameOf(f)] = true
			}
			if len(names) != 3 || !names["X-Stays"] || !names["Content-Length"] || !names["Date"] {
				t.Errorf("%s: %q", kind, m.fields)
			}
		}
		w.settled()
	}
}
