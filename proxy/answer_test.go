package proxy

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
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

// ours are lines of an answer that must not pass, and what must.
const ours = "Set-Cookie: wxgate=evil; Path=/\nSet-Cookie: a=1\nSet-Cookie: __Host-wxgate=evil\nSet-Cookie: wxgate-login=evil\nX-Wxgate-User: evil\nx_wxgate_user: evil\nx.wxgate.login.url: evil\nX-Other: yes\n"

func TestAnswersCannotSpeakForTheGateway(t *testing.T) {
	app := newRawApp(t, func(q rawRequest, c net.Conn) {
		switch q.target() {
		case "/interim":
			io.WriteString(c, crlf("HTTP/1.1 103 Early Hints\nLink: </a.css>; rel=preload\n"+ours+"\nHTTP/1.1 103 Early Hints\n"+ours+"\n"))
			fallthrough
		case "/final":
			io.WriteString(c, crlf("HTTP/1.1 200 OK\nContent-Length: 2\n"+ours+"\nok"))
		case "/trailers":
			io.WriteString(c, crlf("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTrailer: X-Other, X-Wxgate-User, Set-Cookie\n\n2\nok\n0\n"+ours+"\n"))
		case "/unannounced":
			io.WriteString(c, crlf("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n0\n"+ours+"\n"))
		case "/upgrade":
			io.WriteString(c, crlf("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: websocket\n"+ours+"\n"))
			c.Close()
		default:
			io.WriteString(c, rawOK)
		}
	})
	w := newWorld(t, 1, nil, upstreamAt(app.url), rules("public /"))
	for _, cookie := range []string{"", "Cookie: " + w.sessionCookie() + "\n"} {
		for path, finals := range map[string]int{"/interim": 3, "/final": 1, "/trailers": 1, "/unannounced": 1, "/upgrade": 1} {
			fields := cookie
			if path == "/upgrade" {
				fields += "Connection: Upgrade\nUpgrade: websocket\n"
			}
			_, got := w.ask("GET "+path, fields+"TE: trailers\n")
			if strings.Contains(got, "evil") {
				t.Errorf("%s: %s", path, got)
			}
			if n := strings.Count(got, "HTTP/1.1 "); n != finals {
				t.Errorf("%s: %d answers: %s", path, n, got)
			}
			if strings.Count(got, "X-Other: yes") != finals || strings.Count(got, "Set-Cookie: a=1") != finals {
				t.Errorf("%s: something of the app's own was lost: %s", path, got)
			}
			if path == "/interim" && strings.Count(got, "Link: </a.css>") != 1 {
				t.Errorf("%s: the hint was lost, or repeated: %s", path, got)
			}
		}
	}
}

// An https app may speak HTTP/2, where answers of known length have trailers.
func TestAnswersOverHTTP2(t *testing.T) {
	app := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 || r.URL.RawQuery != "a=1;b=%zz" {
			t.Errorf("the app saw %s %s", r.Proto, r.RequestURI)
		}
		if r.URL.Path == "/known" {
			w.Header().Set("Content-Length", "2")
		}
		w.Header().Set("Trailer", "X-Wxgate-Openid")
		w.Header().Set("X-Wxgate-User", "evil")
		io.WriteString(w, "ok")
		http.NewResponseController(w).Flush()
		w.Header().Set("X-Wxgate-Openid", "evil")
		w.Header().Set(http.TrailerPrefix+"X-Wxgate-User", "evil")
		w.Header().Set(http.TrailerPrefix+"Set-Cookie", "wxgate=evil")
		w.Header().Set(http.TrailerPrefix+"X-Other", "yes")
	}))
	app.EnableHTTP2 = true
	app.StartTLS()
	defer app.Close()
	target, _ := url.Parse(app.URL)
	w := newWorld(t, 1, nil, upstreamAt(target), rules("public /"))
	pool := x509.NewCertPool()
	pool.AddCert(app.Certificate())
	w.replicas[0].upstreams[0].app.(tlsApp).transport.TLSClientConfig = &tls.Config{RootCAs: pool, ServerName: "example.com"}
	for _, path := range []string{"/known", "/unknown"} {
		status, got := w.ask("GET "+path+"?a=1;b=%zz", "")
		if status != 200 || !strings.Contains(got, "ok") || strings.Contains(got, "evil") || path == "/unknown" && !strings.Contains(got, "X-Other: yes") {
			t.Errorf("%s: %s", path, got)
		}
	}
}

func TestTrailersGoBothWays(t *testing.T) {
	w := newWorld(t, 1, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		io.Copy(w, r.Body)
		w.Header().Set("X-Sum", r.Trailer.Get("X-Sum")+"!")
		w.Header().Set(http.TrailerPrefix+"X-Late", "late")
	}, rules("public /"))
	r, _ := http.NewRequest("POST", w.front.URL+"/", io.MultiReader(strings.NewReader("a"), strings.NewReader("b")))
	r.Trailer = http.Header{"X-Sum": {"42"}}
	res, err := direct.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || string(body) != "ab" || res.Trailer.Get("X-Sum") != "42!" || res.Trailer.Get("X-Late") != "late" {
		t.Errorf("%q %v %v", body, res.Trailer, err)
	}
}

func TestAnswersWithoutABody(t *testing.T) {
	app := newRawApp(t, func(q rawRequest, c net.Conn) {
		io.WriteString(c, crlf(map[string]string{
			"/204": "HTTP/1.1 204 No Content\nX-A: b\n\n", "/304": "HTTP/1.1 304 Not Modified\nEtag: \"x\"\nContent-Length: 9\n\n",
			"/head": "HTTP/1.1 200 OK\nContent-Length: 12345\n\n", "/range": "HTTP/1.1 206 Partial Content\nContent-Range: bytes 2-4/10\nContent-Length: 3\nAccept-Ranges: bytes\n\ncde",
			"/empty": "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
		}[q.target()]))
	})
	w := newWorld(t, 1, nil, upstreamAt(app.url), rules("public /"))
	for _, c := range []struct {
		line, fields string
		status       int
		contains     string
	}{
		{"GET /204", "", 204, "X-A: b"},
		{"GET /304", "If-None-Match: \"x\"\n", 304, `Etag: "x"`},
		{"HEAD /head", "", 200, "Content-Length: 12345"},
		{"GET /range", "Range: bytes=2-4\nIf-Range: \"x\"\n", 206, "Content-Range: bytes 2-4/10"},
		{"GET /empty", "", 200, "Content-Length: 0"},
	} {
		status, got := w.ask(c.line, c.fields)
		_, body, _ := strings.Cut(got, "\r\n\r\n")
		if status != c.status || !strings.Contains(got, c.contains) || body != map[int]string{206: "cde"}[c.status] {
			t.Errorf("%s: %q", c.line, got)
		}
		for line := range strings.Lines(c.fields) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			if !slices.Equal(app.last().values(name), []string{value}) {
				t.Errorf("%s: %s arrived as %q", c.line, name, app.last().values(name))
			}
		}
	}
}

func TestUnixSocketUpstream(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "app.sock")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	app := serveRaw(t, ln, &url.URL{Scheme: "unix", Path: socket}, nil)
	w := newWorld(t, 1, nil, upstreamAt(app.url))
	cookie := w.sessionCookie()
	if status, got := w.ask("GET /x?y=1", "Cookie: "+cookie+"\n"); status != 200 || app.last().target() != "/x?y=1" || app.last().values("Host")[0] != w.addr() {
		t.Errorf("%s; the app saw %q", got, app.last())
	}
}

func TestUpstreamsByPrefix(t *testing.T) {
	apps := map[string]*rawApp{"/": newRawApp(t, nil), "/api/": newRawApp(t, nil), "/api/v2/": newRawApp(t, nil)}
	w := newWorld(t, 1, nil, rules("public /"), func(c *Config) {
		c.Upstreams = nil
		for prefix, app := range apps {
			c.Upstreams = append(c.Upstreams, Upstream{Prefix: prefix, URL: app.url})
		}
	})
	for path, prefix := range map[string]string{"/": "/", "/api": "/", "/apix/": "/", "/api/": "/api/", "/api/x": "/api/", "/api/v2": "/api/", "/api/v2/x": "/api/v2/", "/x/api/": "/"} {
		before := apps[prefix].count()
		w.ask("GET "+path, "")
		if apps[prefix].count() != before+1 || apps[prefix].last().target() != path {
			t.Errorf("%s did not go unchanged to the app at %s", path, prefix)
		}
	}
	partial := newWorld(t, 1, nil, rules("public /"), func(c *Config) { c.Upstreams = []Upstream{{Prefix: "/api/", URL: apps["/api/"].url}} })
	if status, _ := partial.ask("GET /other", ""); status != 404 {
		t.Errorf("a path of no app: %d", status)
	}
}

func TestLocationIsCorrected(t *testing.T) {
	s := &Server{hosts: newHosts(&url.URL{Scheme: "https", Host: "play.example.com"}, []string{"shop.example.com"}, nil)}
	v := &visit{host: "shop.example.com", target: &upstream{scheme: "http", host: "127.0.0.1:3000"}}
	plain := &visit{host: "shop.example.com", target: &upstream{scheme: "http", host: "app:80"}}
	for loc, want := range map[string]string{
		"http://127.0.0.1:3000/a?b#c": "https://shop.example.com/a?b#c", "http://127.0.0.1:3000": "https://shop.example.com", "HTTP://127.0.0.1:3000?x": "https://shop.example.com?x",
		"http://play.example.com/a": "https://play.example.com/a", "http://PLAY.example.com:80/a": "https://play.example.com/a", "https://play.example.com/a": "https://play.example.com/a",
		"/a": "/a", "a": "a", "//play.example.com/a": "//play.example.com/a", "https://other.example/": "https://other.example/", "http://127.0.0.1:3001/": "http://127.0.0.1:3001/",
		"http://127.0.0.1:3000@evil.com/": "http://127.0.0.1:3000@evil.com/", "http://play.example.com.evil.com/": "http://play.example.com.evil.com/", "weixin://dl/x": "weixin://dl/x",
		"/?next=http://127.0.0.1:3000/": "/?next=http://127.0.0.1:3000/",
	} {
		if got := s.correctLocation(v, loc); got != want {
			t.Errorf("%s became %s, want %s", loc, got, want)
		}
	}
	for _, loc := range []string{"http://app/x", "http://app:80/x", "http://APP/x"} {
		if got := s.correctLocation(plain, loc); got != "https://shop.example.com/x" {
			t.Errorf("%s became %s", loc, got)
		}
	}
}

func TestLocationOnTheWire(t *testing.T) {
	var app *rawApp
	app = newRawApp(t, func(_ rawRequest, c net.Conn) {
		io.WriteString(c, crlf("HTTP/1.1 302 Found\nLocation: "+app.url.String()+"/next?a=%zz\nContent-Length: 0\n\n"))
	})
	w := newWorld(t, 1, nil, upstreamAt(app.url), rules("public /"))
	if _, got := w.ask("GET /x", ""); !strings.Contains(got, "Location: "+w.front.URL+"/next?a=%zz\r\n") {
		t.Error(got)
	}
}

func TestExpectContinue(t *testing.T) {
	app := newRawApp(t, func(q rawRequest, c net.Conn) {
		if q.target() == "/reject" {
			io.WriteString(c, crlf("HTTP/1.1 413 Too Large\nContent-Length: 0\nConnection: close\n\n"))
			c.Close()
			return
		}
		io.WriteString(c, crlf("HTTP/1.1 100 Continue\n\n"))
		body := make([]byte, 5)
		io.ReadFull(c, body)
		io.WriteString(c, crlf("HTTP/1.1 200 OK\nContent-Length: 5\n\n")+string(body))
	})
	w := newWorld(t, 1, nil, upstreamAt(app.url), rules("public /"))
	for path, statuses := range map[string][]int{"/accept": {100, 200}, "/reject": {413}} {
		c := w.dial()
		io.WriteString(c, crlf("POST "+path+" HTTP/1.1\nHost: "+w.addr()+"\nContent-Length: 5\nExpect: 100-continue\n\n"))
		br := bufio.NewReader(c)
		for _, want := range statuses {
			res, err := http.ReadResponse(br, nil)
			if err != nil || res.StatusCode != want {
				t.Fatalf("%s: %v %v, want %d", path, res, err, want)
			}
			if want == 100 {
				io.WriteString(c, "hello")
			} else if body, _ := io.ReadAll(res.Body); want == 200 && string(body) != "hello" {
				t.Errorf("%s: %q", path, body)
			}
		}
	}
}
