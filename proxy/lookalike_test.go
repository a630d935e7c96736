package proxy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// lookalikes are spellings that some back end reads as a header of ours.
func lookalikes() (names []string) {
	names = []string{
		"X-Wxgate-User", "x-wxgate-user", "X_Wxgate_User", "X-Wxgate_User", "X_WXGATE_USER", "x.wxgate.user", "XWxgateUser", "X-Wx-Gate-User",
		"X-W1xgate-User", "X1-Wxgate-User", "1X-Wxgate-User", "X-Wxgate2-User", "-X-Wxgate-User", "_X_Wxgate_User", "X--Wxgate--User", "X-Wxgate-User-",
		"X-Wxgate-Assertion", "X_Wxgate_Assertion", "X-Wxgate-Openid", "X-Wxgate-Unionid", "X-Wxgate-Name", "X-Wxgate-Yunxin-Token", "X-Wxgate-Snapshot",
		"X-Wxgate", "X-WxgateAnything", "X-Wxgate-Require", "X-Wxgate-Login-Url",
	}
	for c := byte(0); c < 0x7f; c++ {
		if isToken(c) && (c < '0' || c > '9' && c < 'A' || c > 'Z' && c < 'a' || c > 'z') {
			names = append(names, fmt.Sprintf("X%cWxgate%cUser", c, c))
		}
	}
	return names
}

// foreign are the headers of contract and folklore that speak of the client or
// of a user in somebody else's name.
var foreign = []string{
	"Forwarded", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Client-IP", "True-Client-IP", "Proxy-Client-IP", "WL-Proxy-Client-IP",
	"X-Original-URL", "X-Rewrite-URL", "Proxy", "Remote-User", "X-Remote-User", "X-WEBAUTH-USER",
	"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token",
	"X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Anything",
}

// poison are header lines of all look-alikes, each worth "evil".
func poison() string {
	var b strings.Builder
	for _, name := range lookalikes() {
		b.WriteString(name + ": evil\n")
	}
	for _, name := range append(slices.Clone(foreign), "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "X-Request-Id") {
		for _, spelling := range []string{name, strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "-", "."), strings.ToUpper(name), "_" + name} {
			b.WriteString(spelling + ": evil\n")
		}
	}
	return b.String()
}

// plainIdentity is what a base login without a profile may send.
var plainIdentity = []string{"X-Wxgate-Assertion", "X-Wxgate-User", "X-Wxgate-Channel", "X-Wxgate-Appid", "X-Wxgate-Openid", "X-Wxgate-Yunxin-Accid"}

// clean judges a request that reached the app: nothing evil, and of every
// reserved name at most one, exactly ours, exactly where there is a session.
func (q rawRequest) clean(t *testing.T, user string) {
	t.Helper()
	for _, line := range append(slices.Clone(q.fields), q.trailer...) {
		if strings.Contains(line, "evil") {
			t.Errorf("%s: the app was sent %q", q.line, line)
		}
	}
	seen := map[string]bool{}
	for _, line := range q.fields {
		name, _, _ := strings.Cut(line, ":")
		if !strings.HasPrefix(foldName(line), "xwxgate") {
			continue
		}
		if user == "" || seen[name] || !slices.Contains(plainIdentity, name) {
			t.Errorf("%s: the app was sent %q", q.line, line)
		}
		seen[name] = true
	}
	if user != "" && (!slices.Equal(q.values("X-Wxgate-User"), []string{user}) || len(q.values("X-Wxgate-Assertion")) != 1) {
		t.Errorf("%s: the app was told user %q, want %s", q.line, q.values("X-Wxgate-User"), user)
	}
	for _, name := range []string{"X-Forwarded-For", "X-Real-IP"} {
		if v := q.values(name); len(v) != 1 || v[0] != "127.0.0.1" {
			t.Errorf("%s: %s is %q", q.line, name, v)
		}
	}
	for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Proto", "X-Request-Id", "Traceparent"} {
		if v := q.values(name); len(v) != 1 || v[0] == "" {
			t.Errorf("%s: %s is %q", q.line, name, v)
		}
	}
}

func TestLookalikesNeverArrive(t *testing.T) {
	app := newRawApp(t, nil)
	w := newWorld(t, 1, nil, upstreamAt(app.url), rules("public /pub/; user /u/"))
	cookie := w.sessionCookie()
	user := w.userOf(cookie)
	named := "Connection: close, X-Wxgate-User, X_Wxgate_User, x.wxgate.user, X-Forwarded-For, X-Real-Ip, X-Request-Id, Cookie2\n"
	upgrade := "Connection: Upgrade, X-Wxgate-User\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\n"
	for _, c := range []struct {
		name, line, fields, user string
		arrives                  bool
	}{
		{"public, nobody", "GET /pub/x", "", "", true},
		{"public, a session", "GET /pub/x", "Cookie: " + cookie + "\n", user, true},
		{"public, named in Connection", "GET /pub/x", named, "", true},
		{"user, a session", "GET /u/x", "Cookie: " + cookie + "\n", user, true},
		{"user, named in Connection", "GET /u/x", "Cookie: " + cookie + "\n" + named, user, true},
		{"user, nobody", "GET /u/x", named, "", false},
		{"preflight", "OPTIONS /pub/x", "Origin: http://other.example\nAccess-Control-Request-Method: POST\n", "", true},
		{"public upgrade", "GET /pub/ws", upgrade, "", true},
		{"user upgrade", "GET /u/ws", upgrade + "Cookie: " + cookie + "\n", user, true},
		{"upgrade, nobody", "GET /u/ws", upgrade, "", false},
		{"own prefix", "GET /.wxgate/me", "Cookie: " + cookie + "\n", "", false},
		{"own prefix, unknown", "GET /.wxgate/x", "Cookie: " + cookie + "\n", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := app.count()
			_, got := w.ask(c.line, poison()+c.fields)
			if strings.Contains(got, "evil\r\n") {
				t.Errorf("came back: %s", got)
			}
			if arrived := app.count() > before; arrived != c.arrives {
				t.Fatalf("reached the app: %v; answer %.200s", arrived, got)
			}
			if c.arrives {
				app.last().clean(t, c.user)
			}
		})
	}
}

func TestLookalikesInTrailersNeverArrive(t *testing.T) {
	app := newRawApp(t, nil)
	w := newWorld(t, 1, nil, upstreamAt(app.url), rules("public /pub/"))
	cookie := w.sessionCookie()
	user := w.userOf(cookie)
	trailers := "Good: yes\nX-Wxgate-User: evil\nX_Wxgate_User: evil\nx.wxgate.user: evil\nX-Forwarded-For: evil\nRemote_User: evil\nSneaky: evil\nX-Wxgate-Openid: evil\n"
	for _, c := range []struct{ line, cookie, user, announced string }{
		{"POST /pub/x", "", "", "Good, X-Wxgate-User, X_Wxgate_User, x.wxgate.user, X-Forwarded-For, Remote_User"},
		{"POST /u", "Cookie: " + cookie + "\n", user, "X_Wxgate_User, Good, X-Wxgate-User"},
		{"POST /u", "Cookie: " + cookie + "\n", user, "Good"},
	} {
		text := c.line + " HTTP/1.1\nHost: {host}\nConnection: close\nTransfer-Encoding: chunked\n" + c.cookie + "Trailer: " + c.announced + "\n\n5\nhello\n0\n" + trailers + "\n"
		if got := w.talk(crlf(text)); statusOf(got) != 200 {
			t.Fatalf("%s: %s", c.line, got)
		}
		q := app.last()
		q.clean(t, c.user)
		if !slices.Equal(q.trailer, []string{"Good: yes"}) || !slices.Equal(q.values("Trailer"), []string{"Good"}) {
			t.Errorf("trailers %q announced as %q", q.trailer, q.values("Trailer"))
		}
		if q.body != "5\r\nhello\r\n0\r\n" {
			t.Errorf("body %q", q.body)
		}
	}
	// Nobody announced anything.
	w.talk(crlf("POST /pub/x HTTP/1.1\nHost: {host}\nConnection: close\nTransfer-Encoding: chunked\n\n1\na\n0\n" + trailers + "\n"))
	if q := app.last(); len(q.trailer) != 0 || len(q.values("Trailer")) != 0 {
		t.Errorf("unannounced trailers went on: %q", q.trailer)
	}
}

func TestOwnCookiesAreCut(t *testing.T) {
	app := newRawApp(t, nil)
	w := newWorld(t, 1, nil, upstreamAt(app.url), rules("public /pub/"))
	own := w.sessionCookie()
	for _, c := range []struct {
		sent, arrives []string
	}{
		{[]string{own}, nil},
		{[]string{own + "; a=1"}, []string{"a=1"}},
		{[]string{"a=1; " + own}, []string{"a=1"}},
		{[]string{"a=1; " + own + "; b=2"}, []string{"a=1; b=2"}},
		{[]string{`a=1;b="x y";  c=%zz,{}\;` + own + ";d==;e"}, []string{`a=1;b="x y";  c=%zz,{}\;d==;e`}},
		{[]string{"a=1", own, "b=2; wxgate-login=x"}, []string{"a=1", "b=2"}},
		{[]string{"  wxgate = x ;a=1"}, []string{"a=1"}},
		{[]string{"__Host-wxgate=x; __Host-wxgate-login=y; __Secure-wxgate=z", "wxgate=1; wxgate=2"}, nil},
		{[]string{"xwxgate=1; wxgate2=2; Wxgate=3; a=wxgate=4"}, []string{"xwxgate=1; wxgate2=2; Wxgate=3; a=wxgate=4"}},
		{[]string{"a=1;;  ; b"}, []string{"a=1;;  ; b"}},
		{[]string{own + strings.Repeat("; a=1", 4000)}, []string{strings.Repeat("; a=1", 4000)[2:]}},
	} {
		fields := ""
		for _, line := range c.sent {
			fields += "Cookie: " + line + "\n"
		}
		if status, got := w.ask("GET /pub/x", fields); status != 200 {
			t.Fatalf("%.100q: %s", c.sent, got)
		}
		if got := app.last().values("Cookie"); !slices.Equal(got, c.arrives) {
			t.Errorf("sent %.200q, arrived %.200q, want %.200q", c.sent, got, c.arrives)
		}
	}
}

func TestBearerTokensOfOursAreCut(t *testing.T) {
	app := newRawApp(t, nil)
	w := newWorld(t, 1, nil, upstreamAt(app.url), rules("public /pub/"))
	own := strings.TrimPrefix(w.sessionCookie(), "wxgate=")
	user := w.userOf("wxgate=" + own)
	for value, want := range map[string]string{
		"Bearer app-token": "Bearer app-token", "Basic dTpw": "Basic dTpw",
		"Bearer wxgate_" + own: "", "bearer wxgate_" + own: "", "Bearer wxgate_garbage": "",
	} {
		status, _ := w.ask("GET /pub/x", "Authorization: "+value+"\n")
		q := app.last()
		if got := strings.Join(q.values("Authorization"), "|"); status != 200 || got != want {
			t.Errorf("%.30s: %d, the app was sent %q", value, status, got)
		}
		wantUser := ""
		if strings.HasSuffix(value, own) {
			wantUser = user
		}
		q.clean(t, wantUser)
	}
}

func TestTraceContext(t *testing.T) {
	app := newRawApp(t, nil)
	w := newWorld(t, 1, nil, upstreamAt(app.url), rules("public /"))
	const valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for _, sent := range []string{
		valid, "", "x", valid + "-extra", strings.ToUpper(valid), "ff" + valid[2:], "00-" + strings.Repeat("0", 32) + valid[35:], valid[:36] + strings.Repeat("0", 16) + "-01",
		strings.Replace(valid, "-00f", "_00f", 1), valid + "\nTraceparent: " + valid,
	} {
		fields := "Tracestate: vendor=1\n"
		if sent != "" {
			fields += "traceparent: " + sent + "\n"
		}
		w.ask("GET /x", fields)
		q := app.last()
		got, state := q.values("Traceparent"), q.values("Tracestate")
		if len(got) != 1 || !validTraceParent(got[0]) {
			t.Errorf("%q became %q", sent, got)
			continue
		}
		if kept := got[0] == valid; kept != (sent == valid) || kept != (len(state) == 1) {
			t.Errorf("%q became %q with state %q", sent, got, state)
		}
	}
}
