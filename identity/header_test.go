package identity

import (
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// foldSlowly folds as the contract says it, without any of Strip's shortcuts.
func foldSlowly(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return -1
	}, name)
}

// reservedNames are the names that must not reach the upstream from outside, as documentation spells them.
var reservedNames = []string{
	HeaderAssertion, HeaderUser, HeaderChannel, HeaderAppID, HeaderOpenID, HeaderUnionID, HeaderName, HeaderAvatar,
	HeaderYunxinAccid, HeaderYunxinToken, HeaderSnapshot, HeaderRequire, HeaderLoginURL, "X-Wxgate", "X-Wxgate-Anything",
	"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix",
	"X-Real-IP", "X-Client-IP", "True-Client-IP", "Proxy-Client-IP", "WL-Proxy-Client-IP", "X-Original-URL", "X-Rewrite-URL", "Proxy",
	"Remote-User", "X-Remote-User", "X-WEBAUTH-USER",
	"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token",
	"X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Redirect", "X-Auth-Request",
}

// mustGo is the rule of Strip in slow words.
func mustGo(name string) bool {
	f := foldSlowly(name)
	if strings.HasPrefix(f, "xwxgate") || strings.HasPrefix(f, "xauthrequest") {
		return true
	}
	if f == "xrequestid" {
		return name != "X-Request-Id"
	}
	return slices.ContainsFunc(reservedNames, func(r string) bool { return foldSlowly(r) == f })
}

// ordinary is what a browser inside WeChat sends, and a little more that must survive.
func ordinary() http.Header {
	h := http.Header{}
	for _, name := range []string{
		"Accept", "Accept-Encoding", "Accept-Language", "Cache-Control", "Connection", "Content-Length", "Content-Type", "Cookie", "Origin",
		"Pragma", "Priority", "Purpose", "Range", "Referer", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Websocket-Key",
		"Te", "Traceparent", "Tracestate", "Transfer-Encoding", "Upgrade", "Upgrade-Insecure-Requests", "User-Agent", "X-Request-Id",
		"X-Requested-With", "X-Csrf-Token", "Authorization", "Proxy-Authorization", "X-Wx", "X-Forwarded", "X-Forwarded-Uri", "X-Forwarded-Preferred-Usernames", "Wxgate", "User", "X-User",
		"Forwarded-For", "X-Http-Method-Override", "X-Auth", "1", "-", "",
	} {
		h[name] = []string{"v-" + name}
	}
	return h
}

func TestStrip(t *testing.T) {
	for _, name := range reservedNames {
		for _, spelling := range []string{
			name, strings.ToLower(name), strings.ToUpper(name), textproto.CanonicalMIMEHeaderKey(name), strings.ReplaceAll(name, "-", "_"),
			strings.ReplaceAll(name, "-", "."), strings.ReplaceAll(name, "-", ""), strings.ReplaceAll(name, "-", "--"), strings.Replace(name, "-", "_", 1),
			"-" + name, "_" + name, "." + name, name + "_", name + "-1", "1" + name, name + strings.Repeat("~", 100), strings.ReplaceAll(name, "-", "\u212a"),
			strings.Join(strings.Split(name, ""), "'"), " " + name + " ",
		} {
			h := ordinary()
			h[spelling] = []string{"evil", "twice"}
			Strip(h)
			if diff := cmp.Diff(ordinary(), h); diff != "" {
				t.Errorf("%q: %s", spelling, diff)
			}
		}
	}
	for _, spelling := range []string{"X_Request_Id", "x-request-id", "X-Request-ID", "X-Requestid", "X-Request-Id-", "XRequestId"} {
		h := ordinary()
		h[spelling] = []string{"evil"}
		Strip(h)
		if diff := cmp.Diff(ordinary(), h); diff != "" {
			t.Errorf("%q: %s", spelling, diff)
		}
	}
	Strip(nil)
}

// All headers at once, and on a real request, whose names the server has put into canonical form.
func TestStripAll(t *testing.T) {
	h := ordinary()
	for _, name := range reservedNames {
		h.Set(name, "evil")
		h[strings.ReplaceAll(name, "-", "_")] = []string{"evil"}
	}
	Strip(h)
	if diff := cmp.Diff(ordinary(), h); diff != "" {
		t.Error(diff)
	}
}

func TestStripAnswer(t *testing.T) {
	h := http.Header{
		"X-Wxgate-Require": {"profile"}, "X_wxgate_user": {"x"}, "x.WXGATE": {"x"}, "Xwxgatefoo": {"x"},
		"Set-Cookie": {"a=b"}, "X-Forwarded-For": {"x"}, "Location": {"/"}, "Wxgate": {"x"}, "X-Wx-Gate2": {"x"}, "": {"x"},
	}
	StripAnswer(h)
	want := http.Header{"Set-Cookie": {"a=b"}, "X-Forwarded-For": {"x"}, "Location": {"/"}, "Wxgate": {"x"}, "": {"x"}}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Error(diff)
	}
	StripAnswer(nil)
}

func FuzzStrip(f *testing.F) {
	for _, name := range reservedNames {
		f.Add(name, strings.ReplaceAll(name, "-", "_"))
	}
	f.Add("X-Request-Id", "X_Request_Id")
	f.Add("Accept", "x\xffwx gate")
	f.Fuzz(func(t *testing.T, a, b string) {
		h := ordinary()
		h[a], h[b] = []string{"evil"}, []string{"evil"}
		want := maps.Clone(h)
		maps.DeleteFunc(want, func(name string, _ []string) bool { return mustGo(name) })
		Strip(h)
		if diff := cmp.Diff(want, h); diff != "" {
			t.Errorf("%q, %q: %s", a, b, diff)
		}
		// Every spelling that Strip lets through stays apart from the names that we add afterwards.
		for name := range h {
			if strings.HasPrefix(foldSlowly(name), "xwxgate") {
				t.Errorf("%q is left", name)
			}
		}
		h[a], h[b] = nil, nil
		StripAnswer(h)
		for _, name := range []string{a, b} {
			if _, left := h[name]; left == strings.HasPrefix(foldSlowly(name), "xwxgate") {
				t.Errorf("StripAnswer on %q: left %v", name, left)
			}
		}
	})
}

func fullIdentity() Identity {
	return Identity{
		Assertion: "a.b.c", User: userID, Channel: ChannelMP, AppID: "wx1", OpenID: "o1", UnionID: "u1", Name: "安 & 娜+\U0001f600\r\nX: y%",
		Avatar: "https://thirdwx.qlogo.cn/mmopen/x/132", YunxinAccid: userID, YunxinToken: "0123456789abcdef",
	}
}

func TestHeaders(t *testing.T) {
	full := http.Header{
		"X-Wxgate-Assertion": {"a.b.c"}, "X-Wxgate-User": {userID}, "X-Wxgate-Channel": {"mp"},
		"X-Wxgate-Appid": {"wx1"}, "X-Wxgate-Openid": {"o1"}, "X-Wxgate-Unionid": {"u1"},
		"X-Wxgate-Name":   {"%E5%AE%89%20%26%20%E5%A8%9C%2B%F0%9F%98%80%0D%0AX%3A%20y%25"},
		"X-Wxgate-Avatar": {"https://thirdwx.qlogo.cn/mmopen/x/132"}, "X-Wxgate-Yunxin-Accid": {userID}, "X-Wxgate-Yunxin-Token": {"0123456789abcdef"},
	}
	without := func(h http.Header, names ...string) http.Header {
		h = maps.Clone(h)
		for _, n := range names {
			if _, ok := h[n]; !ok {
				t.Fatalf("no %s to leave out", n)
			}
			delete(h, n)
		}
		return h
	}
	change := func(f func(*Identity)) Identity {
		id := fullIdentity()
		f(&id)
		return id
	}
	for _, tt := range []struct {
		name  string
		id    Identity
		plain bool
		want  http.Header
	}{
		{"all", fullIdentity(), true, full},
		{"nothing", Identity{}, true, http.Header{}},
		{"assertion only", change(func(id *Identity) { id.YunxinToken = "" }), false, http.Header{"X-Wxgate-Assertion": {"a.b.c"}}},
		{"assertion and the token that a route asked for", fullIdentity(), false, http.Header{"X-Wxgate-Assertion": {"a.b.c"}, "X-Wxgate-Yunxin-Token": {"0123456789abcdef"}}},
		{"silent", change(func(id *Identity) {
			id.UnionID, id.Name, id.Avatar, id.YunxinAccid, id.YunxinToken = "", "", "", "", ""
		}), true,
			without(full, "X-Wxgate-Unionid", "X-Wxgate-Name", "X-Wxgate-Avatar", "X-Wxgate-Yunxin-Accid", "X-Wxgate-Yunxin-Token")},
		{"snapshot visitor", change(func(id *Identity) { id.Snapshot = true }), true, http.Header{
			"X-Wxgate-Assertion": {"a.b.c"}, "X-Wxgate-Channel": {"mp"}, "X-Wxgate-Appid": {"wx1"}, "X-Wxgate-Snapshot": {"1"}}},
		{"snapshot visitor, assertion only", change(func(id *Identity) { id.Snapshot = true }), false, http.Header{"X-Wxgate-Assertion": {"a.b.c"}}},
		{"line break", change(func(id *Identity) { id.Avatar = "https://a/\r\nX-Admin: 1" }), true, without(full, "X-Wxgate-Avatar")},
		{"NUL", change(func(id *Identity) { id.OpenID = "o\x00" }), true, without(full, "X-Wxgate-Openid")},
		{"DEL", change(func(id *Identity) { id.YunxinToken = "\x7f" }), true, without(full, "X-Wxgate-Yunxin-Token")},
		{"tab", change(func(id *Identity) { id.UnionID = "u\t1" }), true, without(full, "X-Wxgate-Unionid")},
		{"space and not ASCII", change(func(id *Identity) { id.AppID, id.YunxinAccid = "wx 1", "é" }), true, without(full, "X-Wxgate-Appid", "X-Wxgate-Yunxin-Accid")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{}
			NewHeaders(tt.id, tt.plain).Apply(h)
			if diff := cmp.Diff(tt.want, h); diff != "" {
				t.Error(diff)
			}
			for name := range h {
				if name != http.CanonicalHeaderKey(name) {
					t.Errorf("%s is not canonical", name)
				}
			}
		})
	}
	if got, err := url.PathUnescape(full.Get(HeaderName)); err != nil || got != fullIdentity().Name {
		t.Errorf("decoded %q, %v", got, err)
	}
}

// One request's changes to its header must not reach another's.
func TestApplyIsRepeatable(t *testing.T) {
	headers := NewHeaders(fullIdentity(), true)
	one, two := http.Header{"X-Wxgate-User": {"evil", "evil"}, "Accept": {"*/*"}}, http.Header{}
	headers.Apply(one)
	if got := one["X-Wxgate-User"]; len(got) != 1 || got[0] != userID {
		t.Errorf("got %q", got)
	}
	one.Add(HeaderUser, "more")
	one.Set(HeaderName, "other")
	headers.Apply(two)
	if two.Get(HeaderName) == "other" || len(two[HeaderUser]) != 1 {
		t.Errorf("got %v", two)
	}
	Headers{}.Apply(nil)
}

func FuzzHeaders(f *testing.F) {
	f.Add("安娜\r\n", "o1", "https://a/\x00")
	f.Add("", "", "")
	f.Fuzz(func(t *testing.T, name, openid, avatar string) {
		h := http.Header{}
		NewHeaders(Identity{Assertion: "a.b.c", User: userID, OpenID: openid, Name: name, Avatar: avatar}, true).Apply(h)
		for key, v := range h {
			if len(v) != 1 || v[0] == "" || strings.ContainsFunc(v[0], func(r rune) bool { return r <= ' ' || r > '~' }) {
				t.Errorf("%s: %q", key, v)
			}
		}
		if got, err := url.QueryUnescape(h.Get(HeaderName)); err != nil || got != name {
			t.Errorf("name %q came back as %q, %v", name, got, err)
		}
	})
}

func TestNoAllocations(t *testing.T) {
	h := ordinary()
	headers := NewHeaders(fullIdentity(), true)
	spoofed := []string{"spoofed"}
	headers.Apply(h) // the map has grown
	if n := testing.AllocsPerRun(100, func() {
		h["X_Wxgate_User"], h["X-Forwarded-Preferred-Username"] = spoofed, spoofed
		Strip(h)
		headers.Apply(h)
		StripAnswer(h)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkStrip(b *testing.B) {
	browser := http.Header{}
	for _, name := range []string{
		"Accept", "Accept-Encoding", "Accept-Language", "Cookie", "Priority", "Referer", "Sec-Ch-Ua", "Sec-Fetch-Dest", "Sec-Fetch-Mode",
		"Sec-Fetch-Site", "Upgrade-Insecure-Requests", "User-Agent", "X-Requested-With",
	} {
		browser[name] = []string{"v"}
	}
	b.Run("browser", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Strip(browser)
		}
	})
	b.Run("behind a proxy", func(b *testing.B) {
		v := []string{"v"}
		b.ReportAllocs()
		for b.Loop() {
			browser["X-Forwarded-For"], browser["X-Forwarded-Proto"], browser["X-Real-Ip"] = v, v, v
			Strip(browser)
		}
	})
}

func BenchmarkApply(b *testing.B) {
	headers := NewHeaders(fullIdentity(), true)
	h := ordinary()
	b.ReportAllocs()
	for b.Loop() {
		headers.Apply(h)
	}
}
