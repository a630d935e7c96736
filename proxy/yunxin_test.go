package proxy

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wxgate/identity"
	"wxgate/wechat/wechattest"
	"wxgate/yunxin"
	"wxgate/yunxin/yunxintest"
)

// speaking gives a replica a client of one generation of Yunxin's API.
func (w *world) speaking(api string) option {
	return func(c *Config) {
		base := w.yunxin.URL
		if api == "v1" {
			base += "/nimserver"
		}
		c.Yunxin.Client = yunxin.New(yunxin.Config{
			AppKey: yunxintest.AppKey, AppSecret: yunxintest.AppSecret, API: api, URLs: []string{base}, Now: w.clock.now,
		})
	}
}

// im asks for the caller's account until it is there.
func (b *browser) im() (a yunxinAnswer) {
	b.w.t.Helper()
	eventually(b.w.t, "the account at Yunxin", func() bool {
		res := b.fetch("/.wxgate/yunxin")
		if res.StatusCode == http.StatusServiceUnavailable {
			return false
		}
		if err := json.Unmarshal([]byte(res.body), &a); err != nil || res.StatusCode != http.StatusOK {
			b.w.t.Fatalf("answered %d %s", res.StatusCode, res.body)
		}
		return true
	})
	return a
}

// admitted is what Yunxin says to the page's SDK; 200 lets it in.
func (w *world) admitted(a yunxinAnswer) int {
	return w.yunxin.Login(a.AppKey, a.Account, a.Token, a.AuthType)
}

func (w *world) queued(t *testing.T) int {
	t.Helper()
	n, err := w.store.QueueLen(t.Context(), imQueue)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestYunxinAccountIsMadeOnce(t *testing.T) {
	t.Parallel()
	for _, api := range []string{"v1", "v2"} {
		t.Run(api, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, nil)
			w.restart(w.speaking(api))
			browsers := make([]*browser, 20)
			var wg sync.WaitGroup
			for i := range browsers {
				browsers[i] = w.browser(iPhone)
				wg.Go(func() { browsers[i].login() })
			}
			wg.Wait()
			b := browsers[0]
			a := b.im()
			user := b.me().User
			if a.AppKey != yunxintest.AppKey || a.Account != user || a.AuthType != 0 || a.ExpiresAt != nil || !strings.HasPrefix(a.Nick, "玩家") || a.Avatar != "" {
				t.Errorf("the page is told %+v", a)
			}
			if code := w.admitted(a); code != 200 {
				t.Errorf("Yunxin answers the page with %d", code)
			}
			for _, b := range browsers[1:] {
				if other := b.im(); other != a {
					t.Errorf("two pages of one person are told %+v and %+v", a, other)
				}
			}
			// Logins beyond the parallel attempts leave theirs to the queue.
			eventually(t, "nothing is left to do", func() bool {
				w.replica(0).im.round(t.Context())
				return w.queued(t) == 0
			})
			if n := len(w.yunxin.Journal(yunxintest.Create)); n != 1 || w.yunxin.Accounts() != 1 {
				t.Errorf("%d calls to create it, %d accounts", n, w.yunxin.Accounts())
			}
			w.clock.advance(cacheLife)
			e := b.open("/x").echoed(t)
			if c := claims(t, e.Header.Get("X-Wxgate-Assertion")); e.Header.Get("X-Wxgate-Yunxin-Accid") != user || c.Yunxin == nil || c.Yunxin.Accid != user {
				t.Errorf("the app is told %q and %+v", e.Header.Get("X-Wxgate-Yunxin-Accid"), c.Yunxin)
			}
			if m := b.me(); m.YunxinAccid != user {
				t.Errorf("me says %+v", m)
			}
			calls := len(w.yunxin.Journal(""))
			w.browser(android).login()
			if w.queued(t) != 0 || len(w.yunxin.Journal("")) != calls {
				t.Error("a later login asks Yunxin again")
			}
		})
	}
}

func TestYunxinEndpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil, rules("user+token /pay/"))
	b, other := w.browser(iPhone), w.browser(iPhone).as("aqiang")
	user, stranger := b.login(), other.login()
	a, theirs := b.im(), other.im()
	if a.Account != user || theirs.Account != stranger || a.Token == theirs.Token || len(a.Token) < 32 {
		t.Errorf("accounts %+v and %+v", a, theirs)
	}
	var fields map[string]any
	res := b.fetch("/.wxgate/yunxin")
	if err := json.Unmarshal([]byte(res.body), &fields); err != nil || len(fields) != 6 || fields["authType"] != 0.0 || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("answered %v %s, %v", res.Header, res.body, err)
	}
	for _, query := range []string{"?account=" + stranger, "?user=" + stranger + "&accid=" + stranger, "?X-Wxgate-User=" + stranger} {
		if got := b.fetch("/.wxgate/yunxin" + query); got.body != res.body {
			t.Errorf("%s: %s", query, got.body)
		}
	}
	if got := b.do(http.MethodGet, "/.wxgate/yunxin", "X-Wxgate-User", stranger, "Sec-Fetch-Dest", "empty"); got.body != res.body {
		t.Errorf("a header changes the account: %s", got.body)
	}
	if got := b.do(http.MethodPost, "/.wxgate/yunxin", "Sec-Fetch-Dest", "empty"); got.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", got.StatusCode)
	}
	// The token is nowhere else but on routes that ask for it.
	w.clock.advance(cacheLife)
	for _, path := range []string{"/x", "/.wxgate/me"} {
		if got := b.fetch(path); strings.Contains(got.body, a.Token) {
			t.Errorf("%s shows the token", path)
		}
	}
	if got := b.fetch("/pay/x").echoed(t).Header.Get("X-Wxgate-Yunxin-Token"); got != a.Token {
		t.Errorf("a +token route gets %q", got)
	}
	// It ends with the session that may ask for it.
	b.do(http.MethodPost, "/.wxgate/logout")
	if e := b.fetch("/.wxgate/yunxin").jsonError(t); e.Error != "login_required" {
		t.Errorf("after logout: %+v", e)
	}
}

func TestYunxinOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil, func(c *Config) { c.Yunxin = nil })
	b := w.browser(iPhone)
	if h := b.open("/x").echoed(t).Header; h.Get("X-Wxgate-User") == "" || h.Get("X-Wxgate-Yunxin-Accid") != "" {
		t.Errorf("the app is told %q", h)
	}
	if e := b.fetch("/.wxgate/yunxin").jsonError(t); e.Error != "not_found" {
		t.Errorf("%+v", e)
	}
	if n := len(w.yunxin.Journal("")); n != 0 {
		t.Errorf("%d calls to Yunxin", n)
	}
}

func TestYunxinIsNotOnTheWayOfALogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	// The call takes effect and its answer comes too late for anybody.
	w.yunxin.Inject(yunxintest.Fault{API: yunxintest.Create, Times: -1, Delay: time.Hour})
	b := w.browser(iPhone)
	e := b.open("/x").echoed(t)
	if e.Header.Get("X-Wxgate-User") == "" || e.Header.Get("X-Wxgate-Yunxin-Accid") != "" {
		t.Errorf("the app is told %q", e.Header)
	}
	eventually(t, "the account is being made", func() bool { return len(w.yunxin.Journal(yunxintest.Create)) > 0 })
	res := b.fetch("/.wxgate/yunxin")
	if e := res.jsonError(t); res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" || strings.Contains(res.body, "deadline") {
		t.Errorf("answered %d %+v, Retry-After %q", res.StatusCode, e, res.Header.Get("Retry-After"))
	}
	if w.queued(t) != 1 {
		t.Error("it would not be tried again")
	}
	w.yunxin.ClearFaults()
	w.restart()
	if code := w.admitted(b.im()); code != 200 {
		t.Errorf("Yunxin answers the page with %d", code)
	}
}

func TestYunxinRequired(t *testing.T) {
	t.Parallel()
	required := func(c *Config) { c.Yunxin.Required = true }
	t.Run("there", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, 1, nil, required)
		e := w.browser(iPhone).open("/x").echoed(t)
		if e.Header.Get("X-Wxgate-Yunxin-Accid") != e.Header.Get("X-Wxgate-User") || e.Header.Get("X-Wxgate-User") == "" || w.queued(t) != 0 {
			t.Errorf("the app is told %q", e.Header)
		}
	})
	for name, fault := range map[string]yunxintest.Fault{
		"down": {Status: 503}, "nonsense": {Status: 200, Body: "<html>"}, "wrong secret": {Code: 403}, "busy": {Code: 500}, "frequency": {Code: 416},
		"quota": {Code: 102434}, "refuses connections": {Reset: true}, "done, but the reply is lost": {Drop: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, store := newSpied(t, 1, nil, required)
			fault.Times = -1
			w.yunxin.Inject(fault)
			b := w.browser(iPhone)
			callback := b.begin("/room/7")
			var res answer
			for range 2 {
				res = b.open(callback)
				res.page(t, http.StatusServiceUnavailable, pageUpstreamUnavailable)
			}
			if n := len(store.keys(t, "s:")); n != 0 {
				t.Errorf("%d sessions without an account", n)
			}
			w.oncePerCode(t, 1)
			w.yunxin.ClearFaults()
			w.clock.advance(15 * time.Second) // 416 shuts the interface for ten
			w.restart(required, w.speaking("v2"))
			if e := b.open(res.button()).echoed(t); e.URI != "/room/7" || e.Header.Get("X-Wxgate-Yunxin-Accid") == "" {
				t.Errorf("the page's button leads to %s with %q", e.URI, e.Header)
			}
			if code := w.admitted(b.im()); code != 200 {
				t.Errorf("Yunxin answers the page with %d", code)
			}
		})
	}
}

// importAccid gives a user the account of another back end, as an import does.
func (w *world) importAccid(user, accid string) {
	w.t.Helper()
	_, err := w.replica(0).cfg.Users.Update(w.t.Context(), user, func(u *identity.User) error {
		u.Yunxin = identity.Yunxin{Accid: accid, State: identity.YunxinPending}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestYunxinKeepsAnImportedAccid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	b := w.browser(iPhone)
	user := b.login()
	b.im()
	w.yunxin.Add(yunxintest.Account{Accid: "old_player_7", Token: "whatever", Name: "老玩家"})
	w.importAccid(user, "old_player_7")
	w.clock.advance(cacheLife)
	w.browser(android).login()
	a := yunxinAnswer{}
	eventually(t, "the imported account is in use", func() bool { w.clock.advance(cacheLife); a = b.im(); return a.Account == "old_player_7" })
	if code := w.admitted(a); code != 200 {
		t.Errorf("Yunxin answers the page with %d", code)
	}
	if account, _ := w.yunxin.Account("old_player_7"); account.Name != "老玩家" {
		t.Errorf("its name became %q", account.Name)
	}
}

func TestYunxinRefusesAName(t *testing.T) {
	t.Parallel()
	for _, api := range []string{"v1", "v2"} {
		w := newWorld(t, 1, nil)
		w.restart(w.speaking(api))
		w.wechat.Set(func(b *wechattest.Behaviour) { b.AutoConsent = true })
		w.yunxin.Change(func(b *yunxintest.Behaviour) { b.AntispamWords = []string{"小美"} })
		b, silent := w.browser(iPhone), w.browser(android)
		silent.login() // has an account under the default name already
		silent.im()
		b.open("/.wxgate/login?profile=1&agreed=1&next=/")
		eventually(t, "the name was tried", func() bool {
			return slices.ContainsFunc(w.yunxin.Journal(yunxintest.UpdateProfile), func(e yunxintest.Entry) bool { return e.Params["name"] == "小美" })
		})
		a := b.im()
		if account, _ := w.yunxin.Account(a.Account); !strings.HasPrefix(account.Name, "玩家") || w.admitted(a) != 200 {
			t.Errorf("%s: the account is %+v, Yunxin answers %d", api, account, w.admitted(a))
		}
		eventually(t, "nothing is left to do", func() bool { return w.queued(t) == 0 })
	}
}
