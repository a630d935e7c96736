package proxy

import (
	"net/http"
	"strings"
	"testing"

	"wxgate/wechat/wechattest"
)

// Whatever comes back instead of code and state: the code is not used, and the
// visitor is logged in by a fresh attempt or reads a page.
func TestReturnsThatAreNotOurs(t *testing.T) {
	t.Parallel()
	const code, state = "0123456789abcdefghijABCDEFGHIJ01", "abcdefghijabcdefghijabcdefghij01"
	tests := map[string]struct {
		query func(code, state string) string // of a genuine callback
		page  int                             // status of the page, 0 if a fresh login follows
		next  string                          // where that ends
	}{
		"neither code nor state":       {func(c, s string) string { return "" }, 0, "/"},
		"no state":                     {func(c, s string) string { return "code=" + c }, 0, "/"},
		"empty state":                  {func(c, s string) string { return "code=" + c + "&state=" }, 0, "/"},
		"unknown state":                {func(c, s string) string { return "code=" + c + "&state=" + state }, 0, "/"},
		"state with junk behind it":    {func(c, s string) string { return "code=" + c + "&state=" + s + "https://junk.example" }, 0, "/"},
		"state in upper case":          {func(c, s string) string { return "code=" + c + "&state=" + strings.ToUpper(s) + "A" }, 0, "/"},
		"half a state":                 {func(c, s string) string { return "code=" + c + "&state=" + s[:16] }, 0, "/"},
		"endless state":                {func(c, s string) string { return "code=" + c + "&state=" + strings.Repeat(s, 1000) }, 0, "/"},
		"nasty state":                  {func(c, s string) string { return "code=" + c + "&state=%3Cscript%3E%00%0d%0a" }, 0, "/"},
		"no code":                      {func(c, s string) string { return "state=" + s }, 0, "/room/7"},
		"empty code":                   {func(c, s string) string { return "code=&state=" + s }, 0, "/room/7"},
		"code too long":                {func(c, s string) string { return "state=" + s + "&code=" + strings.Repeat(c, 20) }, 0, "/room/7"},
		"code with control bytes":      {func(c, s string) string { return "state=" + s + "&code=a%0d%0ab" }, 0, "/room/7"},
		"code with letters of Chinese": {func(c, s string) string { return "state=" + s + "&code=%E4%B8%AD" }, 0, "/room/7"},
		"code twice":                   {func(c, s string) string { return "code=" + c + "&state=" + s + "&code=" + code }, 400, ""},
		"code twice, the same":         {func(c, s string) string { return "code=" + c + "&state=" + s + "&code=" + c }, 400, ""},
		"state twice":                  {func(c, s string) string { return "state=" + state + "&code=" + c + "&state=" + s }, 400, ""},
		"state twice, one encoded":     {func(c, s string) string { return "%73tate=" + s + "&code=" + c + "&state=" + s }, 400, ""},
		"broken escape":                {func(c, s string) string { return "code=" + c + "&state=" + s + "&x=%zz" }, 400, ""},
		"semicolon":                    {func(c, s string) string { return "code=" + c + "&state=" + s + ";x=1" }, 400, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, nil)
			b := w.browser(iPhone)
			callback := b.begin("/room/7")
			genuine := codeOf(callback)
			_, state, _ := strings.Cut(callback, "state=")
			res := b.open("/.wxgate/callback?" + tt.query(genuine, state))
			if w.wechat.Exchanges()[genuine] != 0 {
				t.Error("the code was used")
			}
			if tt.page != 0 {
				res.page(t, tt.page, pageBadRequest)
				w.oncePerCode(t, 0)
				if b.open(callback).echoed(t).URI != "/room/7" {
					t.Error("the genuine callback does not work any more")
				}
				return
			}
			if e := res.echoed(t); e.URI != tt.next || e.Header.Get("X-Wxgate-User") == "" {
				t.Errorf("ended at %s as %q", e.URI, e.Header.Get("X-Wxgate-User"))
			}
			if n := b.asked("/.wxgate/login"); n != 1 {
				t.Errorf("%d fresh attempts, want 1", n)
			}
			w.oncePerCode(t, 1)
		})
	}
}

// A client that damages every return must not be sent round for ever.
func TestReturnsThatAreNeverOurs(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*wechattest.Behaviour){
		"neither code nor state": func(b *wechattest.Behaviour) { b.BareCallback = true },
		"junk behind the state":  func(b *wechattest.Behaviour) { b.StateJunk = "https://junk.example" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, nil)
			w.wechat.Set(spoil)
			b := w.browser(iPhone)
			b.open("/room/7").page(t, http.StatusBadRequest, pageStateLost)
			if n := w.authorizes(); n > 4 {
				t.Errorf("%d visits to WeChat", n)
			}
			w.oncePerCode(t, 0)
			w.wechat.Set(func(b *wechattest.Behaviour) { *b = wechattest.DefaultBehaviour() })
			if w.browser(iPhone).login() == "" {
				t.Error("nobody can log in afterwards")
			}
		})
	}
}

func TestBadSessionCookies(t *testing.T) {
	t.Parallel()
	w, store := newSpied(t, 1, nil)
	one, two := w.browser(iPhone), w.browser(iPhone).as("aqiang")
	userOne, userTwo := one.login(), two.login()
	tokenOne, tokenTwo := one.cookies()["wxgate"], two.cookies()["wxgate"]
	tampered := []byte(tokenOne)
	tampered[len(tampered)/2] ^= 1
	login := one.cookies()["wxgate-login"]
	many := strings.Repeat("a=1; ", 3000)
	tests := map[string]struct {
		cookie, user string
	}{
		"none":                          {"", ""},
		"garbage":                       {"wxgate=garbage", ""},
		"empty":                         {"wxgate=", ""},
		"tampered":                      {"wxgate=" + string(tampered), ""},
		"cut":                           {"wxgate=" + tokenOne[:len(tokenOne)-8], ""},
		"oversized":                     {"wxgate=" + strings.Repeat("A", 30_000), ""},
		"the login cookie in its place": {"wxgate=" + login, ""},
		"wrong prefix":                  {"__Host-wxgate=" + tokenOne, ""},
		"genuine":                       {"wxgate=" + tokenOne, userOne},
		"genuine behind 3000":           {many + "wxgate=" + tokenOne, userOne},
		"genuine before 3000":           {"wxgate=" + tokenTwo + "; " + many, userTwo},
		"garbage, then genuine":         {"wxgate=garbage; wxgate=" + tokenOne, userOne},
		"genuine, then tampered":        {"wxgate=" + tokenOne + "; wxgate=" + string(tampered), userOne},
		"genuine twice":                 {"wxgate=" + tokenOne + "; wxgate=" + tokenOne, userOne},
		"two people's":                  {"wxgate=" + tokenOne + "; wxgate=" + tokenTwo, ""},
		"two people's and garbage":      {"wxgate=x; wxgate=" + tokenTwo + "; wxgate=" + tokenOne, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			reads := store.counted("Get s:")
			b := w.browser(iPhone)
			res := b.do(http.MethodGet, "/x", "Cookie", tt.cookie, "Sec-Fetch-Dest", "empty")
			if tt.user == "" {
				if e := res.jsonError(t); res.StatusCode != http.StatusUnauthorized || e.Error != "login_required" || e.LoginURL == "" {
					t.Errorf("answered %d %+v", res.StatusCode, e)
				}
				if n := store.counted("Get s:") - reads; n != 0 {
					t.Errorf("%d store reads for garbage", n)
				}
				// Such a cookie keeps nobody from logging in.
				page := b.stay().open("/x", "Cookie", tt.cookie)
				if page.StatusCode != http.StatusFound || page.Header.Get("Location") != w.front.URL+"/.wxgate/login?next=%2Fx" {
					t.Errorf("a page visit: %d to %s", page.StatusCode, page.Header.Get("Location"))
				}
				return
			}
			e := res.echoed(t)
			if e.Header.Get("X-Wxgate-User") != tt.user {
				t.Errorf("user %q, want %q", e.Header.Get("X-Wxgate-User"), tt.user)
			}
			if c := e.Header.Get("Cookie"); strings.Contains(c, "wxgate") || strings.HasPrefix(tt.cookie, "a=1") && strings.Count(c, "a=1") != 3000 {
				t.Errorf("the app got the cookies %.100q…", c)
			}
		})
	}
}

func TestBadLoginCookies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	b := w.browser(iPhone)
	callback := b.begin("/room/7")
	genuine := b.cookies()["wxgate-login"]
	tampered := []byte(genuine)
	tampered[len(tampered)/2] ^= 1
	g := w.replica(0)
	visit := func(cookie string) *http.Response {
		other := w.browser(iPhone)
		return other.peek(g, callback, "Cookie", cookie).Result()
	}
	for name, cookie := range map[string]string{
		"none": "a=1", "garbage": "wxgate-login=garbage", "tampered": "wxgate-login=" + string(tampered),
		"oversized": "wxgate-login=" + strings.Repeat("A", 30_000), "under another name": "wxgate=" + genuine,
		"too many": strings.Repeat("wxgate-login=x; ", 9) + "wxgate-login=" + genuine,
	} {
		if res := visit(cookie); res.StatusCode != http.StatusFound || res.Header.Get("Location") != w.front.URL+"/.wxgate/login?next=%2F&again=1" {
			t.Errorf("%s: %d to %s", name, res.StatusCode, res.Header.Get("Location"))
		}
	}
	w.oncePerCode(t, 0)
	for name, cookie := range map[string]string{
		"behind garbage": "wxgate-login=garbage; wxgate-login=" + genuine, "behind 3000": strings.Repeat("a=1; ", 3000) + "wxgate-login=" + genuine,
	} {
		if res := visit(cookie); res.StatusCode != http.StatusSeeOther || sessionOf(res) == "" {
			t.Errorf("%s: %d to %s", name, res.StatusCode, res.Header.Get("Location"))
		}
	}
	w.oncePerCode(t, 1)
}

func TestUnknownOwnPaths(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, func(http.ResponseWriter, *http.Request) { t.Error("the app was asked") })
	for _, path := range []string{"/.wxgate/", "/.wxgate/nothing", "/.wxgate/login/", "/.wxgate/Login", "/.wxgate/callback/x", "/.wxgate"} {
		res := w.browser(iPhone).open(path)
		res.page(t, http.StatusNotFound, pageNotFound)
		if e := w.browser(iPhone).fetch(path).jsonError(t); e.Error != "not_found" {
			t.Errorf("%s: %+v", path, e)
		}
	}
}
