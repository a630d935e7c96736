package proxy

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"wxgate/identity"
	"wxgate/wechat/wechattest"
)

// answerConsent is a click on WeChat's consent page, at whose address the browser
// stands: consent is "agree" or "deny".
func (b *browser) answerConsent(page answer, consent string) answer {
	b.w.t.Helper()
	if !strings.Contains(page.body, "consent") || page.Request.URL.Host != strings.TrimPrefix(b.w.wechat.URL, "http://") {
		b.w.t.Fatalf("not at WeChat's consent page but at %s: %.300s", page.Request.URL, text(page.body))
	}
	r, err := http.NewRequest(http.MethodPost, page.Request.URL.String(), strings.NewReader("consent="+consent))
	if err != nil {
		b.w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("User-Agent", b.agent)
	r.Header.Set("Accept", "text/html")
	res, err := b.client.Do(r)
	if err != nil {
		b.w.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.w.t.Fatal(err)
	}
	return answer{res, string(body)}
}

// claims reads an assertion without a check; assertion_test.go has the checks.
func claims(t *testing.T, token string) (c identity.Claims) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no JWT: %.40q", token)
	}
	plain, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(plain, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func (b *browser) me() (m meAnswer) {
	b.w.t.Helper()
	res := b.fetch("/.wxgate/me")
	if err := json.Unmarshal([]byte(res.body), &m); err != nil || res.StatusCode != http.StatusOK {
		b.w.t.Fatalf("me answered %d %s", res.StatusCode, res.body)
	}
	return m
}

func TestConsentedLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, nil)
	w.wechat.AddApp(wechattest.App{ID: testAppID, Secret: testSecret, CallbackHosts: []string{"127.0.0.1"}, Bound: true})
	b := w.browser(iPhone)
	user := b.login() // silent, and named by default at Yunxin
	eventually(t, "the account at Yunxin", func() bool { a, found := w.yunxin.Account(user); return found && strings.HasPrefix(a.Name, "玩家") })

	starts := w.authorizes()
	ours := b.open("/.wxgate/login?profile=1&next=/room/7")
	ours.page(t, http.StatusOK, pageConsent)
	if w.authorizes() != starts {
		t.Error("WeChat was asked before the visitor was")
	}
	theirs := b.open(ours.button())
	e := b.answerConsent(theirs, "agree").echoed(t)
	w.clock.advance(cacheLife)
	e2 := b.open("/room/7").echoed(t)
	for _, e := range []echoed{e, e2} {
		name, err := url.PathUnescape(e.Header.Get("X-Wxgate-Name"))
		if e.URI != "/room/7" || err != nil || name != "小美" || !strings.HasPrefix(e.Header.Get("X-Wxgate-Avatar"), "https://thirdwx.qlogo.cn/") {
			t.Errorf("the app was told %q at %s", e.Header, e.URI)
		}
		if e.Header.Get("X-Wxgate-User") != user || e.Header.Get("X-Wxgate-Unionid") != w.wechat.UnionID("xiaomei", testAppID) {
			t.Errorf("the app was told %q", e.Header)
		}
		c := claims(t, e.Header.Get("X-Wxgate-Assertion"))
		if c.Subject != user || c.Name != "小美" || c.Picture != e.Header.Get("X-Wxgate-Avatar") || c.WeChat.Scope != "snsapi_userinfo" {
			t.Errorf("the assertion says %+v", c)
		}
	}
	if m := b.me(); !m.Profile || m.Name != "小美" || m.Avatar == "" || m.User != user || m.UnionID == "" {
		t.Errorf("me says %+v", m)
	}
	eventually(t, "name and picture at Yunxin", func() bool {
		a, _ := w.yunxin.Account(user)
		return a.Name == "小美" && a.Avatar == e.Header.Get("X-Wxgate-Avatar")
	})
	w.oncePerCode(t, 2)
}

func TestConsentWithoutASession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil, func(c *Config) { c.ConsentLogin = true })
	b := w.browser(iPhone)
	ours := b.open("/room/7?a=1")
	ours.page(t, http.StatusOK, pageConsent)
	if w.authorizes() != 0 {
		t.Error("a fresh visitor was bounced into WeChat's consent")
	}
	if len(button.FindAllString(ours.body, -1)) != 1 {
		t.Error("there is nowhere to go back to, yet the page offers it")
	}
	e := b.answerConsent(b.open(ours.button()), "agree").echoed(t)
	if e.URI != "/room/7?a=1" || e.Header.Get("X-Wxgate-Name") == "" {
		t.Errorf("ended at %s as %q", e.URI, e.Header.Get("X-Wxgate-Name"))
	}
	w.oncePerCode(t, 1)
}

func TestProfileRule(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil, rules("profile /vip/"))
	b := w.browser(iPhone)
	b.login()
	if e := b.fetch("/vip/x").jsonError(t); e.Error != "profile_required" || !strings.Contains(e.LoginURL, "profile=1") {
		t.Errorf("a script is told %+v", e)
	}
	ours := b.open("/vip/x?a=1")
	ours.page(t, http.StatusOK, pageConsent)
	e := b.answerConsent(b.open(ours.button()), "agree").echoed(t)
	if e.URI != "/vip/x?a=1" || e.Header.Get("X-Wxgate-Name") == "" {
		t.Errorf("ended at %s as %q", e.URI, e.Header.Get("X-Wxgate-Name"))
	}
}

// A refusal brings nothing back; whatever the visitor does next leads on.
func TestConsentRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil, rules("profile /vip/"))
	b := w.browser(iPhone)
	user := b.login()
	ours := b.open("/.wxgate/login?profile=1&next=/room/7")
	all := button.FindAllStringSubmatch(ours.body, -1)
	b.answerConsent(b.open(ours.button()), "deny")
	if m := b.me(); m.User != user || m.Profile {
		t.Errorf("after the refusal the visitor is %+v", m)
	}
	if len(all) != 2 || b.open(all[1][1]).echoed(t).URI != "/room/7" {
		t.Errorf("our page offers %q", all)
	}
	// Asked again, our page is the first thing to come.
	b.open("/vip/").page(t, http.StatusOK, pageConsent)

	// Older clients are said to come back with the state alone.
	stranger := w.browser(iPhone).as("aqiang")
	ours = stranger.open("/.wxgate/login?profile=1&next=/room/7")
	_, state, _ := strings.Cut(stranger.open(ours.button()).Request.URL.RawQuery, "&state=")
	state, _, _ = strings.Cut(state, "&")
	said := stranger.open("/.wxgate/callback?state=" + state)
	said.page(t, http.StatusBadRequest, pageDenied)
	if !strings.Contains(said.button(), "profile=1") {
		t.Errorf("the page offers %s", said.button())
	}
	w.oncePerCode(t, 1)
}

func TestProfileIsNotThere(t *testing.T) {
	t.Parallel()
	other := wechattest.Fault{Body: func([]byte) []byte { return []byte(`{"openid":"o_somebody_else","nickname":"evil","headimgurl":""}`) }}
	for name, fault := range map[string]wechattest.Fault{
		"busy": wechattest.Busy, "HTML": wechattest.HTML, "500": {Status: 500}, "2 MiB": wechattest.Huge, "somebody else's": other,
		"token void": {Errcode: 40001}, "scope missing": {Errcode: 48001},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, nil, rules("profile /vip/"))
			w.wechat.Set(func(b *wechattest.Behaviour) { b.AutoConsent = true })
			w.wechat.Inject(wechattest.UserInfoPath, fault)
			b := w.browser(iPhone)
			// The person agreed and the code is used up: that is a login.
			e := b.open("/.wxgate/login?profile=1&agreed=1&next=/room/7").echoed(t)
			if e.URI != "/room/7" || e.Header.Get("X-Wxgate-User") == "" || e.Header.Get("X-Wxgate-Name") != "" {
				t.Errorf("ended at %s with %q", e.URI, e.Header)
			}
			w.oncePerCode(t, 1)
			// A page that needs the profile asks once more, however soon.
			for range 3 {
				w.wechat.Inject(wechattest.UserInfoPath, fault)
				ours := b.open("/vip/")
				ours.page(t, http.StatusOK, pageConsent)
				b.open(ours.button()).page(t, http.StatusOK, pageConsent)
			}
			if e := b.open(b.open("/vip/").button()).echoed(t); e.Header.Get("X-Wxgate-Name") == "" {
				t.Error("no profile even when WeChat has recovered")
			}
		})
	}
}

func TestEveryNickname(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	w.wechat.Set(func(b *wechattest.Behaviour) { b.AutoConsent = true })
	players := append(wechattest.SamplePlayers(),
		wechattest.Player{ID: "spaces", Nickname: " \t\u3000\u00a0 "},
		wechattest.Player{ID: "bidi", Nickname: "a\u202etxt.exe\u2066\u200b"},
		wechattest.Player{ID: "header", Nickname: "a\r\nX-Wxgate-User: evil"},
		wechattest.Player{ID: "quotes", Nickname: `"},{"x":"` + "`${a}{{.}}%00%0a'\\"},
		wechattest.Player{ID: "zalgo", Nickname: "z" + strings.Repeat("\u0301", 500)},
		wechattest.Player{ID: "surrogate", Nickname: strings.Repeat("🎮", 40)},
	)
	people := 0
	for _, p := range players {
		if p.Refused != 0 || p.Snapshot {
			continue
		}
		people++
		t.Run(p.ID, func(t *testing.T) {
			w.wechat.AddPlayer(p)
			b := w.browser(iPhone).as(p.ID)
			e := b.open("/.wxgate/login?profile=1&agreed=1&next=/room/7").echoed(t)
			user := e.Header.Get("X-Wxgate-User")
			for name, values := range e.Header {
				if strings.HasPrefix(name, "X-Wxgate-") && (len(values) != 1 || strings.ContainsFunc(values[0], func(r rune) bool { return r <= ' ' || r > '~' })) {
					t.Errorf("%s: %q", name, values)
				}
			}
			name, err := url.PathUnescape(e.Header.Get("X-Wxgate-Name"))
			bad := func(r rune) bool {
				return unicode.IsControl(r) || r == utf8.RuneError || unicode.Is(unicode.Bidi_Control, r)
			}
			if err != nil || !utf8.ValidString(name) || strings.ContainsFunc(name, bad) || len(utf16.Encode([]rune(name))) > 64 || name != strings.TrimSpace(name) {
				t.Errorf("name %q, %v", name, err)
			}
			if p.Nickname == "小美" && name != "小美" || p.ID == "script" && name != p.Nickname || p.ID == "broken" && name != "坏码" || p.ID == "control" && name != "糖糖" {
				t.Errorf("%q became %q", p.Nickname, name)
			}
			c := claims(t, e.Header.Get("X-Wxgate-Assertion"))
			if m := b.me(); m.Name != name || m.User != user || !m.Profile || c.Name != name || c.Picture != m.Avatar || p.NoAvatar && m.Avatar != "" {
				t.Errorf("me says %+v, the assertion %+v, the header %q", m, c, name)
			}
			var im yunxinAnswer
			eventually(t, "the account at Yunxin", func() bool {
				res := b.fetch("/.wxgate/yunxin")
				return res.StatusCode == http.StatusOK && json.Unmarshal([]byte(res.body), &im) == nil
			})
			a, _ := w.yunxin.Account(user)
			if a.Name == "" || a.Name != im.Nick || strings.ContainsFunc(a.Name, bad) || name == "" && !strings.HasPrefix(a.Name, "玩家") {
				t.Errorf("Yunxin has the name %q, the page %q", a.Name, im.Nick)
			}
		})
	}
	if w.yunxin.Accounts() != people {
		t.Errorf("%d accounts of %d people", w.yunxin.Accounts(), people)
	}
}

func TestSnapshotVisitor(t *testing.T) {
	t.Parallel()
	w, store := newSpied(t, 2, nil)
	b := w.browser(iPhone).as("snapshot")
	callback := b.begin("/room/7")
	for range 2 {
		res := b.open(callback)
		res.page(t, http.StatusOK, pageSnapshotGuide)
		if sessionOf(res.Response) != "" {
			t.Error("a session of nobody")
		}
	}
	w.oncePerCode(t, 1)
	for _, kind := range []string{"s:", "u:", "a:", "n:"} {
		if keys := store.keys(t, kind); len(keys) != 0 {
			t.Errorf("stored %q", keys)
		}
	}
	if n, err := store.QueueLen(t.Context(), imQueue); n != 0 || err != nil || w.yunxin.Accounts() != 0 {
		t.Errorf("%d to do for Yunxin, %d accounts there, %v", n, w.yunxin.Accounts(), err)
	}
	// 使用完整服务 opens the page as the person.
	b.as("xiaomei")
	if b.open(b.open(callback).button()).user(t) == "" {
		t.Error("the full page does not log in")
	}
	// A consented login in snapshot mode brings no profile either.
	w.wechat.Set(func(b *wechattest.Behaviour) { b.Snapshot = true })
	users := store.keys(t, "u:")
	w.browser(iPhone).as("aqiang").open("/.wxgate/login?profile=1&agreed=1&next=/").page(t, http.StatusOK, pageSnapshotGuide)
	if got := store.keys(t, "u:"); !slices.Equal(got, users) || len(w.wechat.Calls(wechattest.UserInfoPath)) != 0 {
		t.Errorf("users %q, before %q", got, users)
	}
}
