package proxy

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	whatwg "github.com/nlnwa/whatwg-url/url"
)

func testHosts(scheme string) hosts {
	return newHosts(&url.URL{Scheme: scheme, Host: "Play.example.com"}, []string{"shop.example.com", "dev.example.com:8443"}, nil)
}

func TestFindHost(t *testing.T) {
	for header, want := range map[string]string{
		"play.example.com": "play.example.com", "PLAY.Example.COM": "play.example.com", "play.example.com.": "play.example.com", "play.example.com:443": "play.example.com",
		"shop.example.com": "shop.example.com", "dev.example.com:8443": "dev.example.com:8443",
		"": "", ".": "", ":443": "", "dev.example.com": "", "play.example.com:80": "", "play.example.com:4430": "", "evilplay.example.com": "", "play.example.com.evil.com": "",
		"play.example.com@evil.com": "", "play.example.com/": "", "play.example.com,evil.com": "", "example.com": "", "play.example.com:": "", "play.example.com..": "", "[play.example.com]": "",
	} {
		if got := testHosts("https").find(header); got != want {
			t.Errorf("%q is %q, want %q", header, got, want)
		}
	}
	if got := testHosts("http").find("play.example.com:80"); got != "play.example.com" {
		t.Errorf("the scheme's own port: %q", got)
	}
}

func TestServesOrigin(t *testing.T) {
	for origin, want := range map[string]bool{
		"https://play.example.com": true, "https://shop.example.com": true, "https://dev.example.com:8443": true, "https://play.example.com:443": true,
		"http://play.example.com": false, "https://play.example.com:8443": false, "https://evil.com": false, "null": false, "": false, "https://": false,
		"https://play.example.com.evil.com": false, "https://evilplay.example.com": false, "https://evil.com/play.example.com": false, "https://play.example.com@evil.com": false,
		"https:play.example.com": false, "https://evil.com#play.example.com": false, "wss://play.example.com": false, "play.example.com": false, "https://play.example.com%2eevil.com": false,
	} {
		if got := testHosts("https").serves(origin); got != want {
			t.Errorf("%q: %v", origin, got)
		}
	}
}

func TestReturnTo(t *testing.T) {
	const asked = "play.example.com"
	for next, want := range map[string]string{
		"":                                       asked + "/",
		"/":                                      asked + "/",
		"/room/7?a=1;b=2&c=%zz":                  asked + "/room/7?a=1;b=2&c=%zz",
		"/room#seat":                             asked + "/room",
		"/room?x#y?z":                            asked + "/room?x",
		"?x":                                     asked + "/",
		"room":                                   asked + "/",
		"/中文?名=字":                                asked + "/中文?名=字",
		"/x?next=//evil.com":                     asked + "/x?next=//evil.com",
		"https://play.example.com":               asked + "/",
		"https://play.example.com?x=1":           asked + "/?x=1",
		"https://PLAY.example.com/a":             asked + "/a",
		"https://shop.example.com/a?b":           "shop.example.com/a?b",
		"https://dev.example.com:8443/":          "dev.example.com:8443/",
		"https://play.example.com:443/a":         asked + "/a",
		"http://play.example.com/a":              asked + "/",
		"https://evil.com/":                      asked + "/",
		"https://play.example.com.evil.com/":     asked + "/",
		"https://play.example.com@evil.com/":     asked + "/",
		"https://play.example.com:x@evil.com/":   asked + "/",
		"https://evil.com#@play.example.com/":    asked + "/",
		`https://evil.com\@play.example.com/`:    asked + "/",
		"https://play.example.com//evil.com":     asked + "/",
		"HTTPS://evil.com":                       asked + "/",
		"https:evil.com":                         asked + "/",
		"https:/evil.com":                        asked + "/",
		"https:///evil.com":                      asked + "/",
		`https:\\evil.com`:                       asked + "/",
		"//evil.com":                             asked + "/",
		"///evil.com":                            asked + "/",
		`/\evil.com`:                             asked + "/",
		`\\evil.com`:                             asked + "/",
		`/./\evil.com`:                           asked + "/",
		"/\t/evil.com":                           asked + "/",
		"/\n/evil.com":                           asked + "/",
		"/a\r\nSet-Cookie: x=1":                  asked + "/",
		" /a":                                    asked + "/",
		"/a\x00":                                 asked + "/",
		"/a\x7f":                                 asked + "/",
		"/%2f/evil.com":                          asked + "/",
		"/%5cevil.com":                           asked + "/",
		"/..//evil.com":                          asked + "/..//evil.com", // a path of ours in every reading
		"javascript:alert(1)":                    asked + "/",
		"data:text/html,x":                       asked + "/",
		"/.wxgate/logout":                        asked + "/",
		"/.wxgate/login?next=/":                  asked + "/",
		"/x/../.wxgate/login":                    asked + "/",
		"/%2ewxgate/login":                       asked + "/",
		"/.WXGATE/login":                         asked + "/",
		"/.wxgate/pair/Ab-_9?x=1#y":              asked + "/.wxgate/pair/Ab-_9", // the phone's page, on its way through a login
		"/.wxgate/pair/":                         asked + "/",
		"/.wxgate/pair/Ab-_9/wait":               asked + "/",
		"/.wxgate/pair/../login":                 asked + "/",
		"/.wxgate/pair/%2e%2e":                   asked + "/",
		"https://shop.example.com/.wxgate/login": "shop.example.com/",
	} {
		host, path := testHosts("https").returnTo(next, asked)
		if host+path != want {
			t.Errorf("%q leads to %s%s, want %s", next, host, path, want)
		}
	}
}

// FuzzNext asks a parser that reads URLs as browsers do: wherever a login leads
// back to is a served origin, and never the gateway's own prefix.
func FuzzNext(f *testing.F) {
	for _, next := range []string{
		"/room/7?a=1#b", "//evil.com", `/\evil.com`, "/\t/evil.com", "/./\\evil.com", "https://play.example.com@evil.com/", `https://evil.com\@play.example.com/`, "https:///evil.com",
		"/..//evil.com", "/.//evil.com", "/%2e%2e//evil.com", "/x/..//evil.com", "https://shop.example.com//evil.com", "https://play.example.com:443/x", "https://play.example.com\u3002evil.com/",
		"/x/%2e%2e/.wxgate/login", "/%2Ewxgate/login", "/x/..%2f.wxgate/x", "/é/\xff", "https://ⓟlay.example.com/", "https://shop.example.com?x", "/a;/../.wxgate/", "/%09/evil.com", "/a/%2e%2E/%2e./evil",
	} {
		f.Add(next)
	}
	h := testHosts("https")
	s := &Server{hosts: h}
	f.Fuzz(func(t *testing.T, next string) {
		host, path := h.returnTo(next, h.public)
		if h.find(host) != host || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\r\n\t\\ #\x00") {
			t.Fatalf("%q leads to %q on %q", next, path, host)
		}
		location := s.location(host, path)
		u, err := whatwg.Parse(location)
		if err != nil {
			t.Fatalf("%q leads to %q, which is no URL: %v", next, location, err)
		}
		if u.Protocol() != "https:" || h.find(u.Host()) != host || u.Username() != "" || u.Password() != "" {
			t.Errorf("%q leads to %q, which a browser takes for %s", next, location, u)
		}
		if reserved(strings.ToLower(u.Pathname())) && !isPairPath(u.Pathname()) {
			t.Errorf("%q leads into the gateway itself: %s", next, u)
		}
		// Even as a relative reference it stays.
		if r, err := whatwg.ParseRef(h.origin(host)+"/", path); err != nil || r.Host() != u.Host() || r.Protocol() != u.Protocol() {
			t.Errorf("%q leads to %q, which as a reference is %v, %v", next, path, r, err)
		}
	})
}

func TestReturnToOnHTTP(t *testing.T) {
	for next, want := range map[string]string{
		"http://shop.example.com/a": "shop.example.com/a", "https://shop.example.com/a": "play.example.com/", "http://shop.example.com:80/a": "shop.example.com/a",
	} {
		if host, path := testHosts("http").returnTo(next, "play.example.com"); host+path != want {
			t.Errorf("%q leads to %s%s", next, host, path)
		}
	}
}

func TestClientAddress(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("127.0.0.1/32")}
	for _, c := range []struct {
		peer    string
		chain   []string
		trusted []netip.Prefix
		want    string
	}{
		{"203.0.113.9:1", nil, nil, "203.0.113.9"},
		{"203.0.113.9:1", []string{"1.1.1.1"}, nil, "203.0.113.9"},
		{"203.0.113.9:1", []string{"1.1.1.1"}, trusted, "203.0.113.9"},
		{"10.0.0.1:1", nil, trusted, "10.0.0.1"},
		{"10.0.0.1:1", []string{""}, trusted, "10.0.0.1"},
		{"10.0.0.1:1", []string{"1.1.1.1"}, trusted, "1.1.1.1"},
		{"10.0.0.1:1", []string{"6.6.6.6, 1.1.1.1"}, trusted, "1.1.1.1"},
		{"10.0.0.1:1", []string{"6.6.6.6", "1.1.1.1"}, trusted, "1.1.1.1"},
		{"10.0.0.1:1", []string{"6.6.6.6, 1.1.1.1, 10.9.9.9 ,10.8.8.8"}, trusted, "1.1.1.1"},
		{"10.0.0.1:1", []string{"10.2.2.2, 10.3.3.3"}, trusted, "10.2.2.2"},
		{"10.0.0.1:1", []string{"127.0.0.1, 1.1.1.1"}, trusted, "1.1.1.1"},
		{"10.0.0.1:1", []string{"127.0.0.1, unknown"}, trusted, "10.0.0.1"},
		{"10.0.0.1:1", []string{"127.0.0.1, unknown, 10.4.4.4"}, trusted, "10.4.4.4"},
		{"10.0.0.1:1", []string{"1.1.1.1,"}, trusted, "10.0.0.1"},
		{"10.0.0.1:1", []string{"1.1.1.1:4711"}, trusted, "1.1.1.1"},
		{"10.0.0.1:1", []string{"[2001:db8::7]:4711"}, trusted, "2001:db8::7"},
		{"10.0.0.1:1", []string{"[2001:db8::7]"}, trusted, "2001:db8::7"},
		{"10.0.0.1:1", []string{"2001:DB8::7%eth0"}, trusted, "2001:db8::7"},
		{"10.0.0.1:1", []string{"::ffff:1.1.1.1"}, trusted, "1.1.1.1"},
		{"10.0.0.1:1", []string{"1.1.1.1, ::ffff:10.1.1.1"}, trusted, "1.1.1.1"},
		{"10.0.0.1:1", []string{"0:0:0:0:0:0:0:1, 2001:db8::7"}, trusted, "2001:db8::7"},
		{"10.0.0.1:1", []string{"01.1.1.1"}, trusted, "10.0.0.1"},
		{"[::ffff:10.0.0.1]:1", []string{"1.1.1.1"}, trusted, "1.1.1.1"},
		{"[fd00::1]:1", []string{"1.1.1.1"}, trusted, "1.1.1.1"},
		{"[2001:db8::1]:1", []string{"1.1.1.1"}, trusted, "2001:db8::1"},
		{"[fe80::1%lo]:1", nil, trusted, "fe80::1"},
		{"[::ffff:1.1.1.1]:1", nil, nil, "1.1.1.1"},
		{"[2001:DB8:0::1]:1", nil, nil, "2001:db8::1"},
		{"@", nil, nil, "invalid IP"},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.chain}}
		addr := clientAddress(r, c.trusted)
		if got := addr.String(); got != c.want {
			t.Errorf("%s with %q: %s, want %s", c.peer, c.chain, got, c.want)
		}
		if got := addressText(addr, c.peer); got != c.want {
			t.Errorf("%s with %q: %s as text, want %s", c.peer, c.chain, got, c.want)
		}
	}
}

// On the wire it is one address in one header, whoever says what.
func TestOneClientAddressArrives(t *testing.T) {
	app := newRawApp(t, nil)
	trust := func(c *Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }
	believing, wary := newWorld(t, 1, nil, upstreamAt(app.url), rules("public /"), trust), newWorld(t, 1, nil, upstreamAt(app.url), rules("public /"))
	for fields, want := range map[string]string{
		"":                             "127.0.0.1",
		"X-Forwarded-For: 127.0.0.1\n": "127.0.0.1",
		"X-Forwarded-For: 127.0.0.1, 198.51.100.7\n":                                      "198.51.100.7",
		"X-Forwarded-For: 198.51.100.7\nX_Forwarded_For: 127.0.0.1\n":                     "198.51.100.7",
		"X-Forwarded-For: 6.6.6.6\nX-Forwarded-For: 198.51.100.7\nX-Real-IP: 127.0.0.1\n": "198.51.100.7",
		"X-Forwarded-For: 198.51.100.7, garbage\n":                                        "127.0.0.1",
		"X-Forwarded-For: [2001:db8::7]:443\nForwarded: for=127.0.0.1\n":                  "2001:db8::7",
	} {
		for w, want := range map[*world]string{believing: want, wary: "127.0.0.1"} {
			w.ask("GET /x", fields)
			q := app.last()
			if !slices.Equal(q.values("X-Forwarded-For"), []string{want}) || !slices.Equal(q.values("X-Real-IP"), []string{want}) {
				t.Errorf("%q: the app was told %q and %q, want %s", fields, q.values("X-Forwarded-For"), q.values("X-Real-IP"), want)
			}
		}
	}
}
