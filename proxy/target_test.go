package proxy

import (
	"slices"
	"strings"
	"testing"
)

func TestTargetByteForByte(t *testing.T) {
	app := newRawApp(t, nil)
	w := newWorld(t, 1, nil, upstreamAt(app.url))
	cookie := w.sessionCookie()
	for _, target := range []string{
		"/?a=1;b=2", "/?c=%zz", "/a?", "/a??", "/a?b?c#d", "/a#b", "/double//slash", "//double/x", "/a%2Fb", "/a%2fb", "/%2e%2e/x", "/a/../b", "/a/./b",
		"/a;x=1/b;y", "/x/中文/\xff\xfe", `/"quoted"/<tag>/{a}|b^c`, "/[brackets]/(x)'y'", "/a?q=[1]&\"x\"&中=\xff", "/a?=&&=&;;&%", "/a=b&c", "/a%00b", "/%41%61", "/a/",
		"/?" + strings.Repeat("a=1&", 11000), `/\back\slash`, "/:80/@x", "/~u/a+b,c!d$e*f",
	} {
		before := app.count()
		status, got := w.ask("GET "+target, "Cookie: "+cookie+"\n")
		if status != 200 || app.count() != before+1 {
			t.Errorf("%.80s: %.200s", target, got)
			continue
		}
		if arrived := app.last().target(); arrived != target {
			t.Errorf("sent %.80q, arrived %.80q", target, arrived)
		}
	}
	for method := range methods {
		if status, _ := w.ask(method+" /m", "Cookie: "+cookie+"\n"); status != 200 || app.last().line != method+" /m HTTP/1.1" {
			t.Errorf("%s: %d, arrived as %q", method, status, app.last().line)
		}
	}
}

func TestHostGoesOnAsItIs(t *testing.T) {
	app := newRawApp(t, nil)
	w := newWorld(t, 1, nil, upstreamAt(app.url), rules("public /"), func(c *Config) { c.AllowedHosts = []string{"play.example.com"} })
	for _, host := range []string{"play.example.com", "Play.EXAMPLE.com", "play.example.com.", "play.example.com:80", w.addr()} {
		w.talk("GET /x HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n")
		q := app.last()
		if !slices.Equal(q.values("Host"), []string{host}) || !slices.Equal(q.values("X-Forwarded-Host"), []string{host}) {
			t.Errorf("%s: the app was told %v, %v", host, q.values("Host"), q.values("X-Forwarded-Host"))
		}
	}
}

func TestHostsAndTargetsThatAreRefused(t *testing.T) {
	app := newRawApp(t, nil)
	w := newWorld(t, 1, nil, upstreamAt(app.url), rules("public /"), func(c *Config) {
		c.AllowedHosts = []string{"play.example.com"}
		c.VerifyFiles = map[string]string{"v.txt": "proof"}
	})
	for _, c := range []struct {
		request string
		status  int
	}{
		{"GET / HTTP/1.1\nHost: evil.example\n", 421},
		{"GET / HTTP/1.1\nHost: play.example.com.evil.example\n", 421},
		{"GET / HTTP/1.1\nHost: play.example.com:81\n", 421},
		{"GET / HTTP/1.1\nHost: user@play.example.com\n", 400},
		{"GET / HTTP/1.1\nHost: .\n", 421},
		{"GET / HTTP/1.1\nHost: \n", 421},
		{"GET / HTTP/1.0\n", 421},
		{"GET / HTTP/1.1\n", 400},
		{"GET / HTTP/1.1\nHost: {host}\nHost: evil.example\n", 400},
		{"GET http://evil.example/ HTTP/1.1\nHost: {host}\n", 421},
		{"GET gopher://{host}/ HTTP/1.1\nHost: evil.example\n", 400},
		{"GET http://{host}/ HTTP/1.1\nHost: evil.example\n", 400},
		{"GET /v.txt HTTP/1.1\nHost: evil.example\n", 421},
		{"GET /.wxgate/login HTTP/1.1\nHost: evil.example\n", 421},
		{"CONNECT evil.example:443 HTTP/1.1\nHost: {host}\n", 421},
		{"CONNECT evil.example:443 HTTP/1.1\nHost: evil.example:443\n", 421},
		{"CONNECT {host} HTTP/1.1\nHost: {host}\n", 405},
		{"CONNECT /x HTTP/1.1\nHost: {host}\n", 405},
		{"PRI * HTTP/2.0\n\nSM\n\n", 0},
		{"PRI /x HTTP/1.1\nHost: {host}\n", 405},
		{"get /x HTTP/1.1\nHost: {host}\n", 405},
		{"post /x HTTP/1.1\nHost: {host}\n", 405},
		{"TRACE /x HTTP/1.1\nHost: {host}\n", 405},
		{"TRACK /x HTTP/1.1\nHost: {host}\n", 405},
		{"BREW /x HTTP/1.1\nHost: {host}\n", 405},
		{"GET * HTTP/1.1\nHost: {host}\n", 400},
		{"OPTIONS * HTTP/1.1\nHost: {host}\n", 200}, // net/http answers for itself
		{"GET x HTTP/1.1\nHost: {host}\n", 400},
		{"GET /a\x00b HTTP/1.1\nHost: {host}\n", 400},
		{"GET /a\x7fb HTTP/1.1\nHost: {host}\n", 400},
		{"GET /a b HTTP/1.1\nHost: {host}\n", 400},
		{"GET /%zz HTTP/1.1\nHost: {host}\n", 400},
		{"GET /x HTTP/1.1\nHost: {host}\nX-Wxgate User: evil\n", 400},
		{"GET /x HTTP/1.1\nHost: {host}\nX-Wxgate-User : evil\n", 400},
	} {
		got := w.talk(crlf(c.request + "Connection: close\n\n"))
		if status := statusOf(got); c.status != 0 && status != c.status || status/100 == 2 && c.status != 200 {
			t.Errorf("%q: %d, want %d", c.request, status, c.status)
		}
	}
	if n := app.count(); n != 0 {
		t.Errorf("%d of them reached the app, the last as %q", n, app.last().line)
	}
}
