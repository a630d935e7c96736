package proxy

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"wxgate/wechat/wechattest"
)

func TestSilentLoginOnBehalf(t *testing.T) {
	t.Parallel()
	w := newBehalfWorld(t, 2)
	b := w.browser(iPhone)
	e := b.open("/room/7?a=%2F").echoed(t)
	h := e.Header
	if e.URI != "/room/7?a=%2F" || h.Get("X-Wxgate-Channel") != "component" || h.Get("X-Wxgate-Appid") != behalfAppID ||
		h.Get("X-Wxgate-Openid") != w.wechat.OpenID("xiaomei", behalfAppID) || len(h.Get("X-Wxgate-User")) != 26 {
		t.Errorf("at %s the app was told %v", e.URI, h)
	}
	w.behalfCodes(t, 1)
	links := w.wechat.Calls("/connect/oauth2/authorize")
	if len(links) != 1 {
		t.Fatalf("%d visits to WeChat", len(links))
	}
	q := links[0].Query
	if q.Get("appid") != behalfAppID || q.Get("component_appid") != behalfPlatformID || q.Has("connect_redirect") ||
		q.Get("redirect_uri") != w.front.URL+"/.wxgate/callback" || q.Get("scope") != scopeBase {
		t.Errorf("WeChat was asked %v", q)
	}
	for _, address := range b.trail {
		if strings.HasPrefix(address, w.public()) {
			t.Errorf("the login led over the public host: %s", address)
		}
	}
	g := []*Server{w.replica(0), w.replica(1)}
	if w.behalfSteps(g, stepCompleted) != 1 || w.steps(g, stepStarted) != 0 {
		t.Error("the login is counted for another channel")
	}
}

// A login that asks for name and picture, with our page, WeChat's, and a person
// who says no first: what comes back then is the state alone.
func TestConsentOnBehalf(t *testing.T) {
	t.Parallel()
	w := newBehalfWorld(t, 2)
	b := w.browser(iPhone)
	user := b.login()
	ours := b.open("/.wxgate/login?profile=1&next=/room/7")
	ours.page(t, http.StatusOK, pageConsent)
	stranger := w.browser(iPhone).as("aqiang")
	stranger.open("/.wxgate/login?profile=1&next=/room/7")
	res := stranger.answerConsent(stranger.open(ours.button()), "deny")
	res.page(t, http.StatusBadRequest, pageDenied)
	if back := res.Request.URL.Query(); back.Has("code") || back.Has("appid") || !back.Has("state") {
		t.Errorf("the refusal came as %v", back)
	}
	if !strings.HasPrefix(res.button(), w.front.URL+"/.wxgate/login?") {
		t.Errorf("the page offers %s", res.button())
	}

	e := b.answerConsent(b.open(ours.button()), "agree").echoed(t)
	name, _ := url.PathUnescape(e.Header.Get("X-Wxgate-Name"))
	if e.URI != "/room/7" || name != "小美" || e.Header.Get("X-Wxgate-User") != user || e.Header.Get("X-Wxgate-Unionid") != w.wechat.UnionID("xiaomei", behalfAppID) {
		t.Errorf("at %s the app was told %v", e.URI, e.Header)
	}
	w.behalfCodes(t, 2)
}

func TestSnapshotOnBehalf(t *testing.T) {
	t.Parallel()
	w := newBehalfWorld(t, 1)
	b := w.browser(iPhone).as("snapshot")
	b.open("/room/7").page(t, http.StatusOK, pageSnapshotGuide)
	if len(b.cookies()["wxgate"]) != 0 {
		t.Error("a snapshot visitor has a session")
	}
	reader := newBehalfWorld(t, 1, func(c *Config) { c.SnapshotVisitors = true })
	if e := reader.browser(iPhone).as("snapshot").open("/room/7").echoed(t); e.Header.Get("X-Wxgate-Snapshot") != "1" || e.Header.Get("X-Wxgate-User") != "" {
		t.Errorf("the app was told %v", e.Header)
	}
}

// WeChat on Android loads the callback twice, and on behalf of an account nothing
// keeps it from doing so with two codes.
func TestCallbackTwiceOnBehalf(t *testing.T) {
	t.Parallel()
	w := newBehalfWorld(t, 2)
	b := w.browser(android)
	stay := b.stay()
	page := stay.open(stay.open("/.wxgate/login?next=/room/7").Header.Get("Location"))
	callbacks := page.Header.Values(wechattest.CallbackHeader)
	if len(callbacks) != 2 || codeOf(callbacks[0]) == codeOf(callbacks[1]) || stateOf(callbacks[0]) != stateOf(callbacks[1]) {
		t.Fatalf("WeChat calls %q", callbacks)
	}
	var wg sync.WaitGroup
	tokens := make([]string, 4)
	for i := range tokens { // the first one by fetch, and repeated by the network
		wg.Go(func() { tokens[i] = sessionOf(b.peek(w.replica(i%2), callbacks[0]).Result()) })
	}
	wg.Wait()
	for _, token := range tokens {
		if token == "" || token != tokens[0] {
			t.Fatalf("one code gave the sessions %q", tokens)
		}
	}
	w.behalfCodes(t, 1)
	if e := b.open(callbacks[1]).echoed(t); e.URI != "/room/7" || e.Header.Get("X-Wxgate-Openid") != w.wechat.OpenID("xiaomei", behalfAppID) {
		t.Errorf("the second code: at %s %v", e.URI, e.Header)
	}
	w.behalfCodes(t, 2)
}

// A return that is not of this browser's logins begins anew, once, on this host;
// its code is never used.
func TestStrayedOnBehalf(t *testing.T) {
	t.Parallel()
	w := newBehalfWorld(t, 1)
	victim := w.browser(iPhone).as("xiaomei")
	foreign := w.browser(iPhone).as("aqiang").begin("/room/8") // of somebody else's browser
	e := victim.open(foreign).echoed(t)
	if e.URI != "/" || e.Header.Get("X-Wxgate-Openid") != w.wechat.OpenID("xiaomei", behalfAppID) {
		t.Errorf("at %s the app was told %v", e.URI, e.Header)
	}
	if w.wechat.Exchanges()[codeOf(foreign)] != 0 {
		t.Error("the foreign code was exchanged")
	}

	forgetful := w.browser(iPhone).loses("wxgate-login", -1)
	res := forgetful.open("/room/7")
	res.page(t, http.StatusBadRequest, pageStateLost)
	if !strings.HasPrefix(res.button(), w.front.URL+"/.wxgate/login?") {
		t.Errorf("the page offers %s", res.button())
	}
	if w.behalfSteps([]*Server{w.replica(0)}, stepStateLost) != 1 {
		t.Error("the lost login is counted for another channel")
	}
}

// WeChat names the account that it acted for. Another one's code is not used.
func TestReturnOfAnotherAccount(t *testing.T) {
	t.Parallel()
	w := newBehalfWorld(t, 1)
	w.wechat.Grant(behalfPlatformID, behalfOtherID)
	b := w.browser(iPhone)
	callback := b.begin("/room/7")
	state := stateOf(callback)
	code := w.wechat.IssueCodeOnBehalf(behalfPlatformID, behalfOtherID, "aqiang", scopeBase)

	stay := b.stay()
	for _, doubled := range []string{"&appid=" + behalfAppID + "&appid=" + behalfOtherID, "&appid=" + behalfAppID + "&appid=" + behalfAppID} {
		stay.open("/.wxgate/callback?code="+code+"&state="+state+doubled).page(t, http.StatusBadRequest, pageBadRequest)
	}
	for _, wrong := range []string{"&appid=" + behalfOtherID, "&appid=", "&appid=" + behalfPlatformID} {
		res := stay.open("/.wxgate/callback?code=" + code + "&state=" + state + wrong)
		to, _ := url.Parse(res.Header.Get("Location"))
		if res.StatusCode != http.StatusFound || to.Path != "/.wxgate/login" || to.Query().Get("next") != w.front.URL+"/room/7" || to.Query().Get("again") != "1" {
			t.Errorf("%s: %d to %s", wrong, res.StatusCode, to)
		}
	}
	w.oncePerCode(t, 0)
	if e := b.open(callback).echoed(t); e.URI != "/room/7" || e.Header.Get("X-Wxgate-Openid") != w.wechat.OpenID("xiaomei", behalfAppID) {
		t.Errorf("the true return: at %s %v", e.URI, e.Header)
	}
	// Who is logged in is not sent round.
	if res := stay.open("/.wxgate/callback?code=" + code + "&state=" + state + "&appid=" + behalfOtherID); res.Header.Get("Location") != w.front.URL+"/room/7" {
		t.Errorf("with a session: to %s", res.Header.Get("Location"))
	}
	w.behalfCodes(t, 1)
}

// The account was taken from the host, or the host from the account, while
// somebody was at WeChat.
func TestAccountChangesOnTheWay(t *testing.T) {
	t.Parallel()
	w := newBehalfWorld(t, 1)
	w.wechat.Grant(behalfPlatformID, behalfOtherID)
	g := w.replica(0)
	b := w.browser(iPhone)
	callback := b.begin("/room/7")
	assigned := maps.Clone(g.hosts.accounts)
	for host := range g.hosts.accounts {
		g.hosts.accounts[host] = behalfOtherID
	}
	e := b.open(callback).echoed(t)
	if e.URI != "/room/7" || e.Header.Get("X-Wxgate-Appid") != behalfOtherID {
		t.Errorf("at %s the app was told %v", e.URI, e.Header)
	}
	w.behalfCodes(t, 1)
	if w.wechat.Exchanges()[codeOf(callback)] != 0 {
		t.Error("the former account's code was exchanged")
	}

	g.hosts.accounts = assigned
	late := w.browser(iPhone)
	callback = late.begin("/room/7")
	g.hosts.accounts = map[string]string{}
	if e := late.open(callback).echoed(t); e.Header.Get("X-Wxgate-Channel") != "mp" {
		t.Errorf("the app was told %v", e.Header)
	}
	if w.wechat.Exchanges()[codeOf(callback)] != 0 {
		t.Error("the code of an account that serves no host was exchanged")
	}
}

// An operator's matters: the account does not authorize any more, or no ticket
// arrives.
func TestLoginOnBehalfIsRefused(t *testing.T) {
	t.Parallel()
	w := newBehalfWorld(t, 1)
	g := w.replica(0)
	b := w.browser(iPhone)
	callback := b.begin("/room/7")
	if _, err := w.wechat.Deauthorize(t.Context(), behalfPlatformID, behalfAppID); err == nil {
		t.Fatal("the platform has no URL for events here")
	}
	res := b.open(callback)
	res.page(t, http.StatusServiceUnavailable, pageWeChatMisconfigured)
	if !strings.HasPrefix(res.button(), w.front.URL+"/.wxgate/login?") || w.behalfSteps([]*Server{g}, stepFailed) != 1 {
		t.Errorf("the page offers %s", res.button())
	}
	if log := w.log.String(); !strings.Contains(log, "61003") || strings.Contains(log, codeOf(callback)) || strings.Contains(log, w.wechat.ComponentState(behalfPlatformID).AccessToken) {
		t.Errorf("the log does not say why, or says too much: %s", log)
	}

	early := newTicketless(t, 1)
	visitor := early.browser(iPhone)
	visitor.open("/room/7").page(t, http.StatusServiceUnavailable, pageWeChatUnavailable)
	early.ticket()
	if e := visitor.open("/room/7").echoed(t); e.URI != "/room/7" {
		t.Errorf("with a ticket: at %s", e.URI)
	}
}

// Whoever is known by the account of one host is the same person on the other.
func TestOnePersonOnTwoHosts(t *testing.T) {
	t.Parallel()
	w := newBehalfWorld(t, 2)
	w.bound()
	b := w.browser(iPhone)
	e := b.open(b.consentURL(w.public())).echoed(t)
	there := b.open(b.consentURL(w.front.URL)).echoed(t)
	if e.Header.Get("X-Wxgate-Channel") != "mp" || there.Header.Get("X-Wxgate-Channel") != "component" || e.Header.Get("X-Wxgate-User") != there.Header.Get("X-Wxgate-User") {
		t.Errorf("the public host says %v, the other %v", e.Header, there.Header)
	}
	u, found, err := w.replica(0).cfg.Users.User(t.Context(), e.Header.Get("X-Wxgate-User"))
	if err != nil || !found || len(u.Accounts) != 2 {
		t.Fatalf("%+v, %v", u, err)
	}
	channels := []string{u.Accounts[0].Channel, u.Accounts[1].Channel}
	if slices.Sort(channels); !slices.Equal(channels, []string{"component", "mp"}) {
		t.Errorf("the accounts are of %v", channels)
	}

	// The owner of another open-platform account knows other unionids.
	w.wechat.AddApp(wechattest.App{ID: behalfAppID, Secret: "x", Bound: true, OpenAccount: "another owner"})
	if other := w.browser(iPhone).open(b.consentURL(w.front.URL)).user(t); other != u.ID {
		t.Errorf("the account that is known became %s", other)
	}
	if other := w.browser(iPhone).as("aqiang").open(b.consentURL(w.front.URL)).user(t); other == w.browser(iPhone).as("aqiang").open(b.consentURL(w.public())).user(t) {
		t.Error("two people's unionids are mixed up")
	}
}
