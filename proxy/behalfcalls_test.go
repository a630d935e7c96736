package proxy

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"wxgate/identity"
	"wxgate/wechat"
	"wxgate/wechat/wechattest"
)

// elapse moves the gateway's time and WeChat's, which goes on pushing tickets.
func (w *world) elapse(d time.Duration) {
	w.clock.advance(d)
	w.wechat.Advance(d)
	w.ticket()
}

func TestRenewalOnBehalf(t *testing.T) {
	t.Parallel()
	w := newBehalfWorld(t, 1, func(c *Config) { c.ConsentLogin = true })
	w.wechat.Set(func(b *wechattest.Behaviour) { b.AutoConsent = true })
	b := w.browser(iPhone)
	b.open("/room/7").page(t, http.StatusOK, pageConsent)
	user := b.open("/.wxgate/login?profile=1&agreed=1&next=/").user(t)
	for range 5 {
		w.elapse(131 * time.Hour)
		b.fetch("/")
	}
	before := b.cookies()["wxgate"]
	res := b.open("/room/7?a=1")
	if e := res.echoed(t); e.URI != "/room/7?a=1" || e.Header.Get("X-Wxgate-User") != user || e.Header.Get("X-Wxgate-Channel") != "component" {
		t.Errorf("at %s the app was told %v", e.URI, e.Header)
	}
	if b.cookies()["wxgate"] == before {
		t.Error("not renewed")
	}
	w.behalfCodes(t, 2)
	links := w.wechat.Calls("/connect/oauth2/authorize")
	if scope := links[len(links)-1].Query.Get("scope"); scope != scopeBase {
		t.Errorf("renewed with %s", scope)
	}
}

// With shared cookies a session lives on hosts of other accounts too. Those do not
// renew it: by them the person might be another user.
func TestOthersDoNotRenew(t *testing.T) {
	t.Parallel()
	w, play, shop, _ := newSharing(t)
	b := w.browser(iPhone).local()
	b.open(shop + "/").user(t)
	for range 5 {
		w.elapse(131 * time.Hour)
		b.fetch(shop + "/")
	}
	if res := b.stay().open(play + "/room/7"); res.StatusCode != http.StatusOK {
		t.Errorf("the public host answers %d to %s", res.StatusCode, res.Header.Get("Location"))
	}
	if res := b.stay().open(shop + "/room/7"); res.StatusCode != http.StatusFound || !strings.HasPrefix(res.Header.Get("Location"), shop+"/.wxgate/login?") {
		t.Errorf("its own host answers %d to %s", res.StatusCode, res.Header.Get("Location"))
	}
}

// A session of the public host's account is renewed silently from hosts that share
// its cookies, also where other logins ask for consent.
func TestSharedSessionIsRenewedSilently(t *testing.T) {
	t.Parallel()
	w, _, _, _ := newSharing(t, func(c *Config) { c.ConsentLogin, c.AllowedHosts = true, []string{"www.example.com"} })
	w.wechat.Set(func(b *wechattest.Behaviour) { b.AutoConsent = true })
	const www = "http://www.example.com"
	b := w.browser(iPhone).local()
	user := b.open(www + "/.wxgate/login?profile=1&agreed=1&next=/").user(t)
	for range 5 {
		w.elapse(131 * time.Hour)
		b.fetch(www + "/")
	}
	exchanged := len(w.wechat.Exchanges())
	if res := b.open(www + "/room/7"); res.user(t) != user || res.Request.URL.Path != "/room/7" || len(w.wechat.Exchanges()) != exchanged+1 {
		t.Errorf("at %s, %d exchanges", res.Request.URL, len(w.wechat.Exchanges())-exchanged)
	}
}

func TestProfileIsReadAnewOnBehalf(t *testing.T) {
	t.Parallel()
	w := newBehalfWorld(t, 1, func(c *Config) { c.ProfileMaxAge = 24 * time.Hour })
	w.wechat.AddPlayer(wechattest.Player{ID: "renamed", Nickname: "old"})
	w.browser(iPhone).as("renamed").consent()
	w.wechat.AddPlayer(wechattest.Player{ID: "renamed", Nickname: "new"})
	w.elapse(25 * time.Hour)
	w.browser(iPhone).as("renamed").login()
	eventually(t, "the new name arrives", func() bool {
		u, _, err := w.replica(0).cfg.Users.Find(t.Context(), behalfAppID, w.wechat.OpenID("renamed", behalfAppID))
		return err == nil && u.Profile.Name == "new"
	})
	if n, own := len(w.wechat.Calls(wechattest.ComponentRefreshTokenPath)), len(w.wechat.Calls(wechattest.RefreshTokenPath)); n != 1 || own != 0 {
		t.Errorf("%d refreshes on behalf, %d with a secret", n, own)
	}
}

// A follower's unionid is asked for with the account's token, and what WeChat
// refuses to one account silences no other.
func TestFollowersOnBehalf(t *testing.T) {
	t.Parallel()
	w := newBehalfWorld(t, 1)
	w.bound()
	w.known(behalfAppID, 1, 4) // without the permission set of user management
	w.wechat.Set(func(b *wechattest.Behaviour) { b.CheckFunctions = true })
	phone := w.browser(iPhone)
	user := phone.login()
	w.besides()
	find := func(appID string) *identity.User {
		u, found, err := w.replica(0).cfg.Users.Find(t.Context(), appID, w.wechat.OpenID("xiaomei", appID))
		if err != nil || !found {
			t.Fatal(err)
		}
		return u
	}
	if u := find(behalfAppID); len(u.Unionids) != 0 || !strings.Contains(w.log.String(), "用户管理") {
		t.Errorf("without the permission set: %+v\n%s", u, w.log.String())
	}

	there := phone.open(w.public() + "/").user(t)
	w.besides()
	if u := find(testAppID); u.ID != there || u.Unionids["default"] != w.wechat.UnionID("xiaomei", testAppID) {
		t.Errorf("one account's refusal silenced the other: %+v", u)
	}

	w.known(behalfAppID, 1, 2, 4)
	w.clock.advance(followerPause)
	w.browser(iPhone).login()
	w.besides()
	if u := find(behalfAppID); u.ID != there || user == there || len(u.Accounts) != 2 {
		t.Errorf("the unionid does not join the users: %+v", u)
	}
	if n := len(w.wechat.Calls(wechattest.StableTokenPath)); n != 1 {
		t.Errorf("%d tokens were got with a secret, want that of the public host's account", n)
	}

	// Who just became a follower is asked about with the right token too.
	w.browser(iPhone).as("aqiang").login()
	w.wechat.AddPlayer(wechattest.Player{ID: "aqiang", Nickname: "x", Follower: true})
	openID := w.wechat.OpenID("aqiang", behalfAppID)
	u, _, err := w.replica(0).cfg.Users.Find(t.Context(), behalfAppID, openID)
	if err != nil {
		t.Fatal(err)
	}
	w.besides()
	w.replica(0).followers.afterSubscribe(t.Context(), behalfAppID, openID, u)
	w.besides()
	if u, _, err = w.replica(0).cfg.Users.Find(t.Context(), behalfAppID, openID); err != nil || u.Unionids["default"] != w.wechat.UnionID("aqiang", behalfAppID) {
		t.Errorf("after subscribing: %+v, %v", u, err)
	}
}

// An account that took its authorization back is not asked for with every login.
func TestFollowersOfALapsedAccount(t *testing.T) {
	t.Parallel()
	w := newBehalfWorld(t, 1) // the platform has no token of the account
	for _, player := range []string{"xiaomei", "aqiang"} {
		w.browser(iPhone).as(player).login()
		w.besides()
	}
	if n := strings.Count(w.log.String(), "authorize the third-party platform again"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

// A page is signed for by the account of its own host, wherever it is asked for.
func TestJSSDKOnBehalf(t *testing.T) {
	t.Parallel()
	w := newBehalfWorld(t, 1)
	w.scripting()
	w.known(behalfAppID)
	b := w.browser(android)
	for page, appID := range map[string]string{w.front.URL + "/room/7?a=1": behalfAppID, w.public() + "/room/7?a=1": testAppID} {
		for _, at := range []string{w.front.URL, w.public()} {
			res := b.fetch(at + "/.wxgate/jssdk?url=" + url.QueryEscape(page+"#seat"))
			if res.StatusCode != http.StatusOK {
				t.Fatalf("%s at %s: %d %s", page, at, res.StatusCode, res.body)
			}
		}
		_, a := b.sign(page)
		if a.AppID != appID {
			t.Errorf("%s is signed for by %s", page, a.AppID)
		}
		if err := w.accepts(a, page); err != nil {
			t.Errorf("%s: WeChat says %v", page, err)
		}
	}
	if n := len(w.wechat.Calls(wechattest.TicketPath)); n != 2 {
		t.Errorf("%d tickets for two accounts", n)
	}
}

func TestJSSDKOfALapsedAccount(t *testing.T) {
	t.Parallel()
	w := newBehalfWorld(t, 1)
	if res, _ := w.browser(android).sign(w.front.URL + "/"); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("answered %d %s", res.StatusCode, res.body)
	}
	bare := newBehalfWorld(t, 1, func(c *Config) { c.MP = wechat.App{} })
	if res, _ := bare.browser(android).sign(bare.public() + "/"); res.StatusCode != http.StatusNotFound {
		t.Errorf("a host without an account: %d %s", res.StatusCode, res.body)
	}
}

// The codes of a mini program that authorized the platform, on the host that is
// assigned to it; elsewhere they are those of our own.
func TestMiniProgramOnBehalf(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, nil, behalfOf(map[string]string{"localhost": behalfMiniID}), func(c *Config) { c.Mini = testMini })
	w.wechat.AddApp(wechattest.App{ID: testMini.ID, Secret: testMini.Secret, Kind: wechattest.MiniProgram, Bound: true})
	w.behalfAccounts("localhost")
	w.ticket()
	public := w.front.URL
	w.front.URL = w.other()

	// Before it authorized the platform, WeChat says so.
	if _, res := w.exchangeCode("mini", w.wechat.IssueCodeOnBehalf(behalfPlatformID, behalfMiniID, "xiaomei", ""), "app/1.0"); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("not authorized: %d %s", res.StatusCode, res.body)
	}
	w.known(behalfMiniID)
	code := w.wechat.IssueCodeOnBehalf(behalfPlatformID, behalfMiniID, "xiaomei", "")
	a, res := w.exchangeCode("mini", code, "app/1.0")
	if res.StatusCode != http.StatusOK || a.User.Channel != "component" || a.User.AppID != behalfMiniID || a.User.UnionID != w.wechat.UnionID("xiaomei", behalfMiniID) {
		t.Errorf("%d %s", res.StatusCode, res.body)
	}
	if again, _ := w.exchangeCode("mini", code, "app/1.0"); again.SessionToken != a.SessionToken || w.wechat.Exchanges()[code] != 1 {
		t.Error("one code gave two sessions")
	}
	if _, res := w.exchangeCode("mini", code, "thief/6.6"); res.jsonError(t).Error != "invalid_code" {
		t.Errorf("another client with the same code: %d %s", res.StatusCode, res.body)
	}
	if strings.Contains(w.log.String()+res.body, "session_key") || strings.Contains(w.log.String(), code) {
		t.Error("the log or the answer has what nobody needs to know")
	}
	for _, path := range []string{w.front.URL, public} {
		r, _ := http.NewRequest(http.MethodPost, path+"/.wxgate/exchange", strings.NewReader(`{"client":"mini","code":"`+w.wechat.IssueCode(testMini.ID, "xiaomei", "")+`"}`))
		got, err := direct.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if body := readAll(t, got); (got.StatusCode == http.StatusOK) != (path == public) || path == public && !strings.Contains(body, `"channel":"mini"`) {
			t.Errorf("a code of our own mini program at %s: %d %s", path, got.StatusCode, body)
		}
	}
}

// On the host of a service account native clients are those of the operator.
func TestOwnMiniProgramOnBehalfHost(t *testing.T) {
	t.Parallel()
	w := newBehalfWorld(t, 1, func(c *Config) { c.Mini = testMini })
	w.wechat.AddApp(wechattest.App{ID: testMini.ID, Secret: testMini.Secret, Kind: wechattest.MiniProgram, Bound: true})
	w.known(behalfAppID)
	if a, res := w.exchangeCode("mini", w.wechat.IssueCode(testMini.ID, "xiaomei", ""), "app/1.0"); res.StatusCode != http.StatusOK || a.User.Channel != "mini" {
		t.Errorf("%d %s", res.StatusCode, res.body)
	}
	w.store.down.Store(true)
	if _, res := w.exchangeCode("mini", w.wechat.IssueCode(testMini.ID, "xiaomei", ""), "app/1.0"); res.StatusCode != http.StatusServiceUnavailable || res.jsonError(t).Error != "store_unavailable" {
		t.Errorf("without the store: %d %s", res.StatusCode, res.body)
	}
	w.store.down.Store(false)
}
