package proxy

import (
	"bufio"
	"io"
	"log/slog"
	"maps"
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
	"wxgate/wechat"
)

// leanApp answers two bytes to requests without a body, on a goroutine per
// connection and without an allocation of its own.
func leanApp(b testing.TB) *url.URL {
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
				answer := []byte(rawOK)
				for br := bufio.NewReader(c); ; {
					line, err := br.ReadSlice('\n')
					if err == nil && len(line) == len("\r\n") {
						_, err = c.Write(answer)
					}
					if err != nil {
						return
					}
				}
			}()
		}
	}()
	return &url.URL{Scheme: "http", Host: ln.Addr().String()}
}

// benchGate is a gateway for benchmarks: it writes its log into nothing, has a
// session in its store, and an app that costs next to nothing.
func benchGate(b testing.TB) (g *Server, cookie string) {
	b.Helper()
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
	users := identity.NewDirectory(identity.DirectoryConfig{Store: store, Queue: store})
	res, err := users.Resolve(b.Context(), identity.Login{Platform: "default", Channel: identity.ChannelMP, AppID: testAppID, OpenID: "o1", At: time.Now()})
	if err != nil {
		b.Fatal(err)
	}
	token, _, err := sessions.Create(b.Context(), session.Session{User: res.User.ID, Channel: identity.ChannelMP, AppID: testAppID, OpenID: "o1"})
	if err != nil {
		b.Fatal(err)
	}
	g, err = New(Config{
		PublicURL: &url.URL{Scheme: "https", Host: "play.example.com"}, Upstreams: []Upstream{{Prefix: "/", URL: leanApp(b)}},
		UpstreamTimeout: time.Minute, Rules: mustRules(b, "public /assets/; deny /host/"), LoginRate: Rate{N: 60, Per: time.Minute},
		WeChat: wechat.New(wechat.Config{}), MP: wechat.App{ID: testAppID, Secret: testSecret}, Platform: "default",
		Sessions: sessions, Users: users, Queue: store, Signer: signer, PlainHeaders: true, Ping: store.Ping, Logger: slog.New(slog.NewJSONHandler(io.Discard, nil)), Metrics: NewMetrics("bench", "go"),
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

// weChatHeader is what WeChat's browser on Android sends with a request, apart
// from what says whether it is a page or a script's call.
const weChatHeader = "Host: play.example.com\r\nConnection: keep-alive\r\nUser-Agent: " + android + "\r\n" +
	"Accept-Encoding: gzip, deflate\r\nAccept-Language: zh-CN,zh;q=0.9,en-US;q=0.8\r\nX-Requested-With: com.tencent.mm\r\n" +
	`Sec-Ch-Ua: "Android WebView";v="111", "Not(A:Brand";v="8"` + "\r\nSec-Ch-Ua-Mobile: ?1\r\nSec-Ch-Ua-Platform: \"Android\"\r\n" +
	"Referer: https://play.example.com/room/7\r\n"

const (
	callHeader = weChatHeader + "Accept: */*\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n"
	pageHeader = weChatHeader + "Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8\r\nUpgrade-Insecure-Requests: 1\r\n" +
		"Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n"
)

func benchRequest(b testing.TB, header string) *http.Request {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET /room/7?seat=1 HTTP/1.1\r\n" + header + "\r\n")))
	if err != nil {
		b.Fatal(err)
	}
	r.RemoteAddr = "192.0.2.1:4711"
	return r
}

// benchEach hands f the request again and again as it was at first, and a
// writer with an empty header. What it does itself allocates nothing.
func benchEach(b *testing.B, r *http.Request, f func(w *sink, r *http.Request)) {
	header := r.Header.Clone()
	out := sink{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(r.Header)
		maps.Copy(r.Header, header)
		clear(out.header)
		out.status = 0
		f(&out, r)
	}
}

func benchServe(b *testing.B, g *Server, r *http.Request, want int) {
	benchEach(b, r, func(w *sink, r *http.Request) {
		if g.ServeHTTP(w, r); w.status != want {
			b.Fatalf("status %d", w.status)
		}
	})
}

// BenchmarkForward is a small reply to a request with a session that is in the
// cache: the hot path, without the front listener.
func BenchmarkForward(b *testing.B) {
	g, cookie := benchGate(b)
	benchServe(b, g, benchRequest(b, callHeader+"Cookie: a=1; "+cookie+"\r\n"), http.StatusOK)
}

// BenchmarkRedirectToLogin is what an anonymous page visit costs.
func BenchmarkRedirectToLogin(b *testing.B) {
	g, _ := benchGate(b)
	benchServe(b, g, benchRequest(b, pageHeader), http.StatusFound)
}

// steps takes a request with a session all the way but to the app and back.
func (s *Server) steps(t testing.TB, w http.ResponseWriter, r *http.Request) {
	v := s.begin(w, r)
	asked := s.question(r)
	identity.Strip(r.Header)
	keepWebSocketOnly(r.Header)
	p, err := s.locate(v)
	if asked != nil || p != nil || err != nil || reserved(v.path) {
		t.Fatal(asked, p, err)
	}
	d, p, err := s.judge(v)
	if p != nil || err != nil || v.live == nil || s.renew(v, v.live) {
		t.Fatal(p, err)
	}
	withhold(r.Header)
	s.tell(v, r.Header)
	s.identify(v, r.Header, d.token)
	v.outcome, v.status = outcomeForwarded, http.StatusOK
	s.end(v)
}

// BenchmarkSteps is BenchmarkForward without the way to the app and back.
func BenchmarkSteps(b *testing.B) {
	g, cookie := benchGate(b)
	benchEach(b, benchRequest(b, callHeader+"Cookie: a=1; "+cookie+"\r\n"), func(w *sink, r *http.Request) { g.steps(b, w, r) })
}

func BenchmarkBegin(b *testing.B) {
	g, _ := benchGate(b)
	r := benchRequest(b, callHeader)
	b.ReportAllocs()
	for b.Loop() {
		g.begin(nil, r)
	}
}

func BenchmarkJudge(b *testing.B) {
	g, cookie := benchGate(b)
	r := benchRequest(b, callHeader+"Cookie: a=1; "+cookie+"\r\n")
	v := g.begin(nil, r)
	b.ReportAllocs()
	for b.Loop() {
		if p, err := g.locate(v); p != nil || err != nil {
			b.Fatal(p, err)
		}
		if _, p, err := g.judge(v); p != nil || err != nil {
			b.Fatal(p, err)
		}
	}
}

// BenchmarkTell is the header that the app gets: ours out, and what we say in.
func BenchmarkTell(b *testing.B) {
	g, cookie := benchGate(b)
	r := benchRequest(b, callHeader+"Cookie: a=1; "+cookie+"\r\n")
	v := g.begin(nil, r)
	if l, err := g.session(v); l == nil || err != nil {
		b.Fatal(l, err)
	}
	cookies := r.Header["Cookie"]
	b.ReportAllocs()
	for b.Loop() {
		r.Header["Cookie"] = cookies
		delete(r.Header, "Traceparent")
		withhold(r.Header)
		g.tell(v, r.Header)
		g.identify(v, r.Header, false)
	}
}

// BenchmarkEnd is the log record, written into nothing by slog's own handler,
// and the counters.
func BenchmarkEnd(b *testing.B) {
	g, cookie := benchGate(b)
	v := g.begin(nil, benchRequest(b, callHeader+"Cookie: a=1; "+cookie+"\r\n"))
	if _, err := g.locate(v); err != nil {
		b.Fatal(err)
	}
	if l, err := g.session(v); l == nil || err != nil {
		b.Fatal(l, err)
	}
	v.outcome, v.status = outcomeForwarded, http.StatusOK
	b.ReportAllocs()
	for b.Loop() {
		g.end(v)
	}
}
