package proxy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"wxgate/identity"
	"wxgate/session"
	"wxgate/wechat"
	"wxgate/wechat/wechattest"
)

// bound makes the service account one of an open-platform account.
func (w *world) bound() *world {
	w.wechat.AddApp(wechattest.App{ID: testAppID, Secret: testSecret, CallbackHosts: []string{"127.0.0.1"}, Bound: true})
	return w
}

// askedAbout counts the questions about a player as a follower.
func (w *world) askedAbout(player string) (n int) {
	for _, e := range w.wechat.Calls(wechattest.FollowerPath) {
		if e.Query.Get("openid") == w.wechat.OpenID(player, testAppID) {
			n++
		}
	}
	return n
}

// A silent login brings no unionid; whoever follows the account is found out all
// the same, and is the same person on the PC.
func TestFollowerIsOnePersonOnTwoDevices(t *testing.T) {
	t.Parallel()
	w := newWebWorld(t, 2, "redirect").bound()
	phone, pc := w.browser(iPhone).as("xiaomei"), w.browser(desktop).as("xiaomei")
	user := phone.login()
	w.besides()
	if u := w.account("xiaomei"); u.ID != user || u.Unionids["default"] != w.wechat.UnionID("xiaomei", testAppID) {
		t.Fatalf("the user is %+v", u)
	}
	if there := pc.open(pc.scan("/")).user(t); there != user {
		t.Errorf("the phone is %s, the PC %s", user, there)
	}
	// Nothing is left to be asked.
	w.clock.advance(time.Hour)
	w.browser(android).as("xiaomei").login()
	w.besides()
	if n := w.askedAbout("xiaomei"); n != 1 {
		t.Errorf("WeChat was asked %d times", n)
	}
}

func TestFollowerMergesTwoUsers(t *testing.T) {
	t.Parallel()
	w := newWebWorld(t, 2, "redirect", announcing).bound()
	pc, phone := w.browser(desktop).as("xiaomei"), w.browser(iPhone).as("xiaomei")
	seat := pc.open(pc.scan("/")).user(t)
	hold := make(chan struct{})
	w.wechat.Inject(wechattest.FollowerPath, wechattest.Fault{Hold: hold})
	mobile := phone.login()
	close(hold)
	w.besides()
	w.clock.advance(cacheLife)
	if got := phone.open("/").echoed(t); got.Header.Get("X-Wxgate-User") != seat || mobile == seat {
		t.Errorf("the PC is %s, the phone was %s and is %s", seat, mobile, got.Header.Get("X-Wxgate-User"))
	} else if c := claims(t, got.Header.Get("X-Wxgate-Assertion")); !slices.Equal(c.MergedFrom, []string{mobile}) {
		t.Errorf("merged_from is %v", c.MergedFrom)
	}
	notices, err := w.replica(0).cfg.Users.Notices(t.Context(), seat)
	if err != nil || !slices.ContainsFunc(notices, func(n identity.Notice) bool {
		return n.Type == identity.NoticeMerged && n.From == mobile && n.Into == seat
	}) {
		t.Errorf("the app is told %+v, %v", notices, err)
	}
	if n := w.replica(0).metric(t, "wxgate_users_merged_total") + w.replica(1).metric(t, "wxgate_users_merged_total"); n != 1 {
		t.Errorf("%v merges counted", n)
	}
	// The page gets the survivor's account at Yunxin; that of the other is shut.
	if a := phone.im(); a.Account != seat || w.admitted(a) != 200 {
		t.Errorf("the phone is told %+v", a)
	}
}

// The local cache does not keep the merge waiting.
func TestFollowerIsKnownAtOnce(t *testing.T) {
	t.Parallel()
	w := newWebWorld(t, 1, "redirect").bound()
	pc, phone := w.browser(desktop).as("xiaomei"), w.browser(iPhone).as("xiaomei")
	seat := pc.open(pc.scan("/")).user(t)
	hold := make(chan struct{})
	w.wechat.Inject(wechattest.FollowerPath, wechattest.Fault{Hold: hold})
	mobile := phone.login()
	close(hold)
	w.besides()
	if mobile == seat {
		t.Fatal("one user already")
	}
	if got := phone.open("/").user(t); got != seat {
		t.Errorf("the phone is %s", got)
	}
	if c := claims(t, pc.open("/").echoed(t).Header.Get("X-Wxgate-Assertion")); !slices.Equal(c.MergedFrom, []string{mobile}) {
		t.Errorf("the PC's merged_from is %v", c.MergedFrom)
	}
}

// The login does not wait.
func TestFollowerIsAskedBeside(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil).bound()
	reached, hold := make(chan struct{}, 1), make(chan struct{})
	w.wechat.Inject(wechattest.FollowerPath, wechattest.Fault{Hold: hold, Reached: func() { reached <- struct{}{} }})
	b := w.browser(iPhone).as("xiaomei")
	user := b.login()
	<-reached
	if b.me().User != user || w.account("xiaomei").Unionids["default"] != "" {
		t.Error("known before it is told")
	}
	close(hold)
	w.besides()
	if w.account("xiaomei").Unionids["default"] == "" {
		t.Error("never known")
	}
}

// Those who do not follow are asked about now and then, and no more than that;
// other ways of logging in ask nothing.
func TestWhoIsAskedAbout(t *testing.T) {
	t.Parallel()
	w := newNativeWorld(t, 1).bound()
	login := func() {
		t.Helper()
		w.browser(iPhone).as("aqiang").login()
		w.besides()
	}
	for range 3 {
		login()
	}
	if n := w.askedAbout("aqiang"); n != 1 {
		t.Errorf("asked %d times at once", n)
	}
	w.clock.advance(followerPause / 2)
	login()
	if n := w.askedAbout("aqiang"); n != 1 {
		t.Errorf("asked %d times within the pause", n)
	}
	w.clock.advance(followerPause / 2)
	login()
	if n := w.askedAbout("aqiang"); n != 2 {
		t.Errorf("asked %d times after the pause", n)
	}
	// Whoever became a follower meanwhile is found out by the next question.
	w.wechat.AddPlayer(wechattest.Player{ID: "aqiang", Follower: true})
	w.clock.advance(followerPause)
	login()
	if u := w.account("aqiang"); u.Unionids["default"] != w.wechat.UnionID("aqiang", testAppID) {
		t.Errorf("the user is %+v", u)
	}

	// Other ways of logging in tell by themselves, and another account has other
	// followers.
	for _, p := range []session.Pending{
		{Channel: identity.ChannelMP, AppID: testAppID, Scope: scopeUserInfo}, {Channel: identity.ChannelComponent, AppID: webAppID, Scope: scopeBase},
		{Channel: identity.ChannelMini, AppID: testMini.ID}, {Channel: identity.ChannelWeb, AppID: webAppID, Scope: scopeLogin},
	} {
		w.replica(0).followers.afterLogin(t.Context(), p, "o_of_somebody", &identity.User{})
	}
	w.browser(iPhone).as("faceless").consent()
	if _, res := w.exchangeCode("mini", w.wechat.IssueCode(testMini.ID, "nameless", ""), "mini"); res.StatusCode != 200 {
		t.Fatalf("answered %d %s", res.StatusCode, res.body)
	}
	w.besides()
	if n := len(w.wechat.Calls(wechattest.FollowerPath)); n != 3 {
		t.Errorf("%d questions", n)
	}
}

// An account that is bound to nothing has nothing to tell.
func TestUnboundAccountIsNotAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	for _, player := range []string{"xiaomei", "aqiang", "faceless"} {
		w.browser(iPhone).as(player).login()
		w.besides()
	}
	if n := len(w.wechat.Calls(wechattest.FollowerPath)); n != 1 {
		t.Errorf("asked %d times", n)
	}
	w.bound()
	w.clock.advance(followerPause)
	w.browser(iPhone).as("xiaomei").login()
	w.besides()
	if w.account("xiaomei").Unionids["default"] == "" {
		t.Error("a binding is never noticed")
	}
}

// What cannot work is tried now and then, and said once each time.
func TestWeChatDoesNotTellFollowers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		path  string
		fault wechattest.Fault
		pause time.Duration
		todo  string
	}{
		{"address", wechattest.StableTokenPath, wechattest.Fault{Errcode: 40164}, followerPause, "IP白名单"},
		{"right", wechattest.FollowerPath, wechattest.Fault{Errcode: 48001}, followerPause, "接口权限"},
		{"secret", wechattest.StableTokenPath, wechattest.Fault{Errcode: 40125}, followerPause, "WXGATE_MP_APP_SECRET"},
		{"quota", wechattest.FollowerPath, wechattest.Fault{Errcode: 45009}, followerPause, "quota"},
		{"no answer", wechattest.FollowerPath, wechattest.Fault{Status: 502}, followerOutage, ""},
		{"nonsense", wechattest.FollowerPath, wechattest.HTML, followerOutage, ""},
		{"somebody else", wechattest.FollowerPath, wechattest.Fault{Body: body(`{"subscribe":1,"openid":"o_of_somebody_else","unionid":"o_of_somebody_else"}`)}, followerOutage, ""},
	} {
		w := newWorld(t, 1, nil).bound()
		tt.fault.Times = -1
		w.wechat.Inject(tt.path, tt.fault)
		said := func() int { return strings.Count(w.log.String(), "does not tell who followers are") }
		login := func(player string) string {
			user := w.browser(iPhone).as(player).login()
			w.besides()
			return user
		}
		for _, player := range []string{"xiaomei", "aqiang", "faceless"} {
			if login(player) == "" {
				t.Errorf("%s: no login", tt.name)
			}
		}
		calls := len(w.wechat.Calls(tt.path))
		if said() != 1 || calls != 1 || !strings.Contains(w.log.String(), tt.todo) {
			t.Errorf("%s: asked %d times, said %d times: %s", tt.name, calls, said(), w.log)
		}
		w.clock.advance(tt.pause / 2)
		login("nameless")
		if len(w.wechat.Calls(tt.path)) != calls {
			t.Errorf("%s: asked within the pause", tt.name)
		}
		if log := w.log.String(); strings.Contains(log, w.wechat.OpenID("xiaomei", testAppID)) || strings.Contains(log, testSecret) || strings.Contains(log, "somebody_else") {
			t.Errorf("%s: the log is %s", tt.name, log)
		}
		// After the pause it is tried again, and then it works.
		w.wechat.ClearFaults()
		w.clock.advance(followerPause)
		w.restartTokens()
		login("xiaomei")
		if w.account("xiaomei").Unionids["default"] == "" || said() != 1 {
			t.Errorf("%s: it does not recover, said %d times", tt.name, said())
		}
	}
}

// restartTokens forgets a refusal that is remembered in real time.
func (w *world) restartTokens() {
	for _, g := range w.replicas {
		g.tokens = wechat.NewServerTokens(g.cfg.WeChat, nil)
	}
}

// One person of whom WeChat does not tell is no reason to stop.
func TestUnknownFollower(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil).bound()
	for player, code := range map[string]int{"aqiang": 40003, "faceless": 50002} {
		w.wechat.Inject(wechattest.FollowerPath, wechattest.Fault{Errcode: code})
		w.browser(iPhone).as(player).login()
		w.besides()
	}
	w.browser(iPhone).as("xiaomei").login()
	w.besides()
	if w.account("xiaomei").Unionids["default"] == "" || strings.Contains(w.log.String(), "does not tell who followers are") {
		t.Errorf("one person ends it all: %s", w.log)
	}
}

// A flood of logins does not become a flood of questions.
func TestFollowersInParallel(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil).bound()
	g := w.replica(0)
	reached, hold := make(chan struct{}, 100), make(chan struct{})
	w.wechat.Inject(wechattest.FollowerPath, wechattest.Fault{Times: -1, Hold: hold, Reached: func() { reached <- struct{}{} }})
	login := func(i int) {
		u := &identity.User{ID: identity.NewID()}
		g.followers.afterLogin(t.Context(), session.Pending{Channel: identity.ChannelMP, Scope: scopeBase, AppID: testAppID}, fmt.Sprint("o", i), u)
	}
	for i := range 3 * maxFollowers {
		login(i)
	}
	for range maxFollowers {
		<-reached
	}
	close(hold)
	w.besides()
	if n := len(w.wechat.Calls(wechattest.FollowerPath)); n != maxFollowers {
		t.Errorf("%d questions at once", n)
	}
	// The others are asked about when they come again.
	login(3*maxFollowers - 1)
	w.besides()
	if n := len(w.wechat.Calls(wechattest.FollowerPath)); n != maxFollowers+1 {
		t.Errorf("%d questions", n)
	}
}

// Questions that are asked at once fail at once, and that is said once.
func TestFollowersFailTogether(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]wechattest.Fault{"refused": {Errcode: 48001}, "no answer": {Status: 502}} {
		w := newWorld(t, 1, nil).bound()
		reached, hold := make(chan struct{}, maxFollowers), make(chan struct{})
		fault.Times, fault.Hold, fault.Reached = -1, hold, func() { reached <- struct{}{} }
		w.wechat.Inject(wechattest.FollowerPath, fault)
		for i := range maxFollowers {
			p := session.Pending{Channel: identity.ChannelMP, Scope: scopeBase, AppID: testAppID}
			w.replica(0).followers.afterLogin(t.Context(), p, fmt.Sprint("o", i), &identity.User{})
		}
		for range maxFollowers {
			<-reached
		}
		close(hold)
		w.besides()
		if n := strings.Count(w.log.String(), "does not tell who followers are"); n != 1 {
			t.Errorf("%s: said %d times", name, n)
		}
	}
}

// What is remembered of people is bounded.
func TestFollowersMemory(t *testing.T) {
	w := newWorld(t, 1, nil)
	f := w.replica(0).followers.asker(account{identity.ChannelMP, testAppID})
	u := &identity.User{}
	for i := range maxFollowersAsked {
		if !f.begin(fmt.Sprint("o", i), u, false) {
			t.Fatalf("number %d is not asked about", i)
		}
		f.running--
	}
	if f.begin("one more", u, false) {
		t.Error("remembers more than it may")
	}
	w.clock.advance(followerPause)
	if !f.begin("one more", u, false) || len(f.asked) != 1 {
		t.Errorf("remembers %d", len(f.asked))
	}
}

// Whoever took the consent back is not looked up further.
func TestWithdrawnFollower(t *testing.T) {
	t.Parallel()
	w := newPushWorld(t, 1, wechattest.PushSafe, nil)
	w.browser(iPhone).as("aqiang").login()
	w.push("aqiang", wechattest.EventRevoke)
	w.push("aqiang", "subscribe")
	w.besides()
	if u := w.account("aqiang"); !u.Withdrawn() || len(u.Unionids) != 0 {
		t.Errorf("the user is %+v", u)
	}
	// The next login is a new consent.
	w.clock.advance(followerPause)
	w.browser(iPhone).as("aqiang").login()
	w.besides()
	if u := w.account("aqiang"); u.Withdrawn() || u.Unionids["default"] == "" {
		t.Errorf("the user is %+v", u)
	}
}

// A store that fails in between is told of, and the next login asks again.
func TestFollowerWithoutStore(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"Create n:", "Replace u:"} {
		w, store := newSpied(t, 1, nil)
		w.bound()
		store.failing(func(method, key string) error {
			if method+" "+key[:min(2, len(key))] == step {
				return errDown
			}
			return nil
		})
		b := w.browser(iPhone).as("xiaomei")
		b.login()
		w.besides()
		store.failing(nil)
		if !strings.Contains(w.log.String(), "a follower's unionid could not be stored") {
			t.Errorf("%s: the log does not say so", step)
		}
		w.clock.advance(followerPause)
		w.browser(android).as("xiaomei").login()
		w.besides()
		if w.account("xiaomei").Unionids["default"] == "" {
			t.Errorf("%s: never known", step)
		}
	}
}
