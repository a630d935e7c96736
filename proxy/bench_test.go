package proxy

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wxgate/identity"
	"wxgate/session"
	"wxgate/session/boltstore"
)

// benchGate is a gateway for benchmarks: no log, no simulators, a session in
// its store, and an app that answers two bytes on a goroutine per connection.
func benchGate(b *testing.B) (g *Server, cookie string) {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for br := bufio.NewReader(c); ; {
					if _, err := readRaw(br); err != nil {
						return
					}
					io.WriteString(c, rawOK)
				}
			}()
		}
	}()
	store, err := boltstore.Open(filepath.Join(b.TempDir(), "wxgate.db"), boltstore.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	secrets := [][]byte{[]byte(strings.Repeat("k", 32))}
	sessions, err := session.NewManager(session.Config{Store: store, Secrets: secrets, TTL: time.Hour, Idle: time.Hour, Secure: true})
	if err != nil {
		b.Fatal(err)
	}
	signer, err := identity.NewSigner(identity.SignerConfig{Secrets: secrets, Issuer: "https://play.example.com", Audience: "play.example.com", TTL: 5 * time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	users := identity.NewDirectory(identity.DirectoryConfig{Store: store})
	res, err := users.Resolve(b.Context(), identity.Login{Platform: "default", Channel: identity.ChannelMP, AppID: testAppID, OpenID: "o1", At: time.Now()})
	if err != nil {
		b.Fatal(err)
	}
	token, _, err := sessions.Create(b.Context(), session.Session{User: res.User.ID, Channel: identity.ChannelMP, AppID: testAppID, OpenID: "o1"})
	if err != nil {
		b.Fatal(err)
	}
	g, err = New(Config{
		PublicURL: &url.URL{Scheme: "https", Host: "play.example.com"}, Upstreams: []Upstream{{Prefix: "/", URL: &url.URL{Scheme: "http", Host: ln.Addr().String()}}},
		UpstreamTimeout: time.Minute, Rules: mustRules(b, "public /assets/; deny /host/"), LoginRate: Rate{N: 60, Per: time.Minute},
		Sessions: sessions, Users: users, Signer: signer, PlainHeaders: true, Ping: store.Ping, Logger: slog.New(slog.DiscardHandler), Metrics: NewMetrics("bench", "go"),
	})
	if err != nil {
		b.Fatal(err)
	}
	return g, "__Host-wxgate=" + token
}

// sink is a ResponseWriter that costs next to nothing.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) WriteHeader(status int)      { s.status = status }

func benchRequest(b *testing.B, fields ...string) *http.Request {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET /room/7?seat=1 HTTP/1.1\r\nHost: play.example.com\r\n" + strings.Join(fields, "\r\n") + "\r\n\r\n")))
	if err != nil {
		b.Fatal(err)
	}
	r.RemoteAddr = "192.0.2.1:4711"
	return r
}

func benchServe(b *testing.B, g *Server, r *http.Request, want int) {
	b.ReportAllocs()
	header := r.Header
	for b.Loop() {
		out := sink{header: http.Header{}}
		r.Header = header.Clone() // the server would have made a new one
		g.ServeHTTP(&out, r)
		if out.status != want {
			b.Fatalf("status %d", out.status)
		}
	}
}

// BenchmarkForward is a small reply to a request with a session that is in the
// cache: the hot path, without the front listener.
func BenchmarkForward(b *testing.B) {
	g, cookie := benchGate(b)
	benchServe(b, g, benchRequest(b, "Cookie: a=1; "+cookie, "User-Agent: "+iPhone, "Accept: */*", "Accept-Language: zh-CN"), http.StatusOK)
}

// BenchmarkRedirectToLogin is what an anonymous page visit costs.
func BenchmarkRedirectToLogin(b *testing.B) {
	g, _ := benchGate(b)
	benchServe(b, g, benchRequest(b, "User-Agent: "+iPhone, "Accept: text/html,*/*;q=0.8"), http.StatusFound)
}
