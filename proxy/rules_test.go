package proxy

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func mustRules(t testing.TB, text string) Rules {
	t.Helper()
	rs, err := ParseRules(text)
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

func TestRules(t *testing.T) {
	rs := mustRules(t, `
		public /pub/ ; public /index.html
		user /pub/mine/
		user+token /pub/mine/room
		profile+token /shop/
		deny /host/
		public GET /api/
		deny DELETE /api/
		user+token POST /api/call`)
	for _, c := range []struct {
		method, path string
		level        level
		token        bool
	}{
		{"GET", "/", levelUser, false},
		{"GET", "/pub/", levelPublic, false},
		{"GET", "/pub", levelUser, false}, // the subtree begins behind its slash
		{"POST", "/pub/a.js", levelPublic, false},
		{"GET", "/pub/mine/x", levelUser, false},
		{"GET", "/pub/mine/room", levelUser, true},
		{"GET", "/pub/mine/room/1", levelUser, false},
		{"GET", "/shop/x", levelProfile, true},
		{"GET", "/index.html", levelPublic, false},
		{"GET", "/index.html/x", levelUser, false},
		{"GET", "/host/x", levelDeny, false},
		{"GET", "/api/x", levelPublic, false},
		{"HEAD", "/api/x", levelPublic, false},
		{"POST", "/api/x", levelUser, false},
		{"DELETE", "/api/x", levelDeny, false},
		{"POST", "/api/call", levelUser, true},
		{"GET", "/api/call", levelPublic, false},
		// One reading of them is stricter than the others.
		{"GET", "/pub/../shop/x", levelProfile, false},
		{"GET", "/pub/%2e%2e/host/x", levelDeny, false},
		{"GET", "/pub/..%2fhost%2fx", levelDeny, false},
		{"GET", "/pub/..;/host/x", levelDeny, false},
		{"GET", `/pub/..\host\x`, levelDeny, false},
		{"GET", "/HOST/x", levelDeny, false},
		{"GET", "//host/x", levelDeny, false},
		{"GET", "/host%2Fx", levelDeny, false},
		{"GET", "/host/x%00", levelDeny, false},
		{"GET", "/ho%73t/x", levelDeny, false},
		{"GET", "/ho%2573t/x", levelDeny, false},
		{"GET", "/pub/MINE/x", levelUser, false},
		{"GET", "/pub/mine;a=b/room", levelUser, false},
		// Odd by themselves: never public.
		{"GET", "/pub//a.js", levelUser, false},
		{"GET", "/pub/./a.js", levelUser, false},
		{"GET", "/pub/a%2fb", levelUser, false},
		{"GET", "/pub/a%5cb", levelUser, false},
		{"GET", "/pub/%61%2e", levelUser, false},
		{"GET", "/pub/a%00", levelUser, false},
		{"GET", "/pub/a#b", levelUser, false},
		{"GET", "/pub/a%23", levelUser, false},
		{"GET", "/pub/a%3f", levelUser, false},
		{"GET", "/pub/a%25", levelUser, false},
		{"GET", "/pub/a%0a", levelUser, false},
		// Unusual, with one meaning.
		{"GET", "/pub/中文.png", levelPublic, false},
		{"GET", "/pub/%E4%B8%AD.png", levelPublic, false},
		{"GET", "/pub/A%20b.PNG", levelPublic, false},
		{"GET", "/pub/(a)'b'[c]", levelPublic, false},
		{"GET", "/pub/.well-known", levelPublic, false},
		{"GET", "/pub/a;v=1", levelPublic, false},
	} {
		if d := rs.Match(c.method, c.path); d.level != c.level || d.token != c.token || d.reserved {
			t.Errorf("%s %s: %+v, want level %d, token %v", c.method, c.path, d, c.level, c.token)
		}
	}
}

// Spring, Django, Express and others serve /x/ by the handler of /x.
func TestRulesHoldWithATrailingSlash(t *testing.T) {
	rs := mustRules(t, "public /; user /me; deny /host/query; profile /shop; public /shop/; public GET /page; user /api/; public /api/list")
	for path, want := range map[string]level{
		"/me": levelUser, "/me/": levelUser, "/ME/": levelUser, "/me//": levelUser, "/me/x": levelPublic, "/host/query/": levelDeny, "/host/query": levelDeny,
		"/host/queryx": levelPublic, "/shop": levelProfile, "/shop/": levelPublic, "/page/": levelPublic, "/api/list": levelPublic, "/api/list/": levelUser,
	} {
		if d := rs.Match("GET", path); d.level != want {
			t.Errorf("%s: level %d, want %d", path, d.level, want)
		}
	}
}

// An app that ignores case serves /admin/ where the operator wrote /Admin/.
func TestRulesHoldForAppsThatIgnoreCase(t *testing.T) {
	rs := mustRules(t, "public /; user /Admin/; deny /Host; public /Static/")
	for path, want := range map[string]level{
		"/Admin/x": levelUser, "/admin/x": levelUser, "/ADMIN/x": levelUser, "/host": levelDeny, "/HOST": levelDeny,
		"/Static/x": levelPublic, "/static/x": levelPublic, "/other": levelPublic,
	} {
		if d := rs.Match("GET", path); d.level != want {
			t.Errorf("%s: level %d, want %d", path, d.level, want)
		}
	}
	// Of two rules that differ in case only, such an app may mean either.
	for _, text := range []string{"public /A; deny /a", "deny /a; public /A"} {
		if d := mustRules(t, text).Match("GET", "/A"); d.level != levelDeny {
			t.Errorf("%s: level %d for /A", text, d.level)
		}
	}
}

func TestReservedReadings(t *testing.T) {
	rs := mustRules(t, "public /")
	for _, path := range []string{
		"/.wxgate", "/.wxgate/", "/.wxgate/me", "/.WXGATE/me", "/.wxgate%2fme", "/%2ewxgate/me", "/%2Ewxgat%65/me", "//.wxgate/me", "/x/../.wxgate/me", "/./.wxgate",
		"/x/%2e%2e/.wxgate/me", `/.wxgate\me`, `\.wxgate/me`[:0] + `/\.wxgate/me`, "/.wxgate;x/me", "/;x/.wxgate/me", "/.wxgate%00", "/.wxgate#x", "/.wxgate%3fx", "/%252ewxgate/me",
	} {
		if d := rs.Match("GET", path); !d.reserved {
			t.Errorf("%s could be read as the gateway's own", path)
		}
	}
	for _, path := range []string{"/.wxgatex", "/wxgate/", "/x/.wxgate/", "/.wxgat", "/"} {
		if d := rs.Match("GET", path); d.reserved {
			t.Errorf("%s is the app's", path)
		}
	}
}

func TestParseRulesNamesAllFaults(t *testing.T) {
	_, err := ParseRules("public; private /x; public get /x; public CONNECT /x; public x; public /a/../b; public /a%2f; deny /.wxgate/x; user /.wxgate; public+token /x; deny+token /x; user /a b c d; public /%41; public /a\\b; public /中文; public //; public /a/.; user /dup; public /dup; user /ok; public /.well-known/; public /(a)/")
	if err == nil {
		t.Fatal("accepted")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 18 {
		t.Errorf("%d faults:\n%s", len(lines), err)
	}
	for _, want := range []string{`"public"`, `"private /x"`, "get is not a method", "CONNECT is not a method", "must begin with /", "must be plain ASCII", "/.wxgate/ is the gateway's own", "+token goes with", "want LEVEL", "stands there already"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %s in:\n%s", want, err)
		}
	}
}

// The gateway's own prefix: what is unknown there, in whatever spelling, is 404
// and never reaches the app, session or not.
func TestOwnPrefixIsNeverForwarded(t *testing.T) {
	app := newRawApp(t, nil)
	w := newWorld(t, 1, nil, upstreamAt(app.url), rules("public /; deny /host/"))
	cookie := w.sessionCookie()
	before := app.count()
	for _, path := range []string{
		"/.wxgate", "/.wxgate/", "/.wxgate/x", "/.wxgate/me/", "/.wxgate//me", "/.wxgate/../me", "/.wxgate/%6de", "/.WXGATE/me", "/.wxgate%2fme", "/%2ewxgate/me", "//.wxgate/me",
		"/x/../.wxgate/me", "/.wxgate;x/me", `/.wxgate\me`, "/.wxgate#x", "/.wxgate/..%2f..%2fx", "/host/x", "/x/../host/x", "/HOST/x", "//host/x",
	} {
		for _, fields := range []string{"", "Cookie: " + cookie + "\n", "Accept: text/html\n"} {
			if status, got := w.ask("GET "+path+"?q", fields); status != http.StatusNotFound || !strings.Contains(got, "Cache-Control: no-store") || !strings.Contains(got, "Referrer-Policy: no-referrer") {
				t.Errorf("%s: %.300s", path, got)
			}
		}
	}
	if n := app.count(); n != before {
		t.Errorf("%d of them reached the app, the last as %q", n-before, app.last().line)
	}
}

func BenchmarkRulesMatch(b *testing.B) {
	rs := mustRules(b, "public /assets/; public /index.html; user+token /room/; profile /shop/; deny /host/; public GET /api/list")
	for name, path := range map[string]string{"plain": "/room/7/queue.json", "mixed case": "/assets/Index-4f.JS", "odd": "/assets/%2e%2e/host/x"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				rs.Match("GET", path)
			}
		})
	}
}

// An app that reads the method from a header must not be led around the rules.
func TestMethodOverrideMeetsBothRules(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil, rules("public POST /comments; user DELETE /comments; deny PUT /comments"))
	b := w.browser(iPhone)
	if res := b.do(http.MethodPost, "/comments"); res.StatusCode != http.StatusOK {
		t.Errorf("POST: %d", res.StatusCode)
	}
	for _, name := range []string{"X-HTTP-Method-Override", "X-Http-Method", "X_Method_Override", "x.http.method.override"} {
		if res := b.do(http.MethodPost, "/comments", name, "delete"); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: DELETE: %d", name, res.StatusCode)
		}
		if res := b.do(http.MethodPost, "/comments", name, "PUT"); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: PUT: %d", name, res.StatusCode)
		}
	}
	if got := b.do(http.MethodPost, "/comments", "X-HTTP-Method-Override", "POST").echoed(t).Header.Get("X-Http-Method-Override"); got != "POST" {
		t.Errorf("the header itself arrived as %q", got)
	}
}

// Nor to a call that the gateway answers in its place, where no rule names a
// method.
func TestMethodOverrideMeetsAnswers(t *testing.T) {
	t.Parallel()
	answers, err := ParseAnswers(`POST /login = {"user":"{{.User}}"}`)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, 1, nil, rules("public /"), func(c *Config) { c.Answers = answers })
	b := w.browser(iPhone)
	if res := b.do(http.MethodPut, "/login"); res.StatusCode != http.StatusOK {
		t.Errorf("PUT: %d", res.StatusCode)
	}
	if res := b.do(http.MethodPut, "/login", "X-HTTP-Method-Override", "post"); res.StatusCode != http.StatusNotFound {
		t.Errorf("PUT that an app may read as POST: %d", res.StatusCode)
	}
}

// FuzzOverridesMethod holds the look at a header's name against the rule in
// slow words.
func FuzzOverridesMethod(f *testing.F) {
	for _, name := range []string{
		"X-Http-Method-Override", "X-HTTP-Method", "X_METHOD_OVERRIDE", "x.http--method", "X-Http-Methods", "X-Http-Method-Override-2", "X-Http-Method-Overridex",
		"X-Requested-With", "XHttpMethod", "-X-Http-Method", "X1Http2Method3", "", "x", "X-\u212aHttp-Method", "X-\xffHttp-Method", "X-Method-Overridden",
	} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		letters := strings.Map(func(r rune) rune {
			switch {
			case 'A' <= r && r <= 'Z':
				return r + 'a' - 'A'
			case 'a' <= r && r <= 'z':
				return r
			}
			return -1
		}, name)
		want := len(name) >= len("X-Http-Method") && (name[0] == 'X' || name[0] == 'x') &&
			slices.Contains([]string{"xhttpmethodoverride", "xhttpmethod", "xmethodoverride"}, letters)
		if got := overridesMethod(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	})
}
