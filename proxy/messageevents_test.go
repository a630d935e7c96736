package proxy

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wxgate/identity"
	"wxgate/wechat"
	"wxgate/wechat/wechattest"
)

// A person who withdraws consent, or closes the account, is out within five
// seconds, on every replica, and is welcome again.
func TestRevoked(t *testing.T) {
	for _, mode := range pushModes {
		for _, event := range []string{wechat.EventRevoke, wechat.EventCancellation} {
			t.Run(string(mode)+"/"+event, func(t *testing.T) {
				app := &socketApp{ended: make(chan error, 64), say: make(chan websocket.StatusCode)}
				handler := func(rw http.ResponseWriter, r *http.Request) {
					if r.Header.Get("Upgrade") != "" {
						app.ServeHTTP(rw, r)
						return
					}
					echo(rw, r)
				}
				w := newPushWorld(t, 2, mode, handler, announcing)
				replicas := []*Server{w.replica(0), w.replica(1)}
				b, other := w.browser(iPhone).as("aqiang"), w.browser(iPhone).as("xiaomei")
				user := b.consent()
				other.login()
				im := b.im()
				if w.admitted(im) != 200 {
					t.Fatal("Yunxin does not let the person in")
				}
				var sockets []*websocket.Conn
				for _, g := range replicas {
					w.route(g)
					sockets = append(sockets, w.mustSocket("/", b.cookieHeader()))
				}
				theirs := w.mustSocket("/", other.cookieHeader())
				w.route(replicas...)

				w.push("aqiang", event)
				w.besides()
				w.clock.advance(cacheLife)
				for _, g := range replicas {
					w.route(g)
					if res := b.fetch("/x"); res.StatusCode != http.StatusUnauthorized {
						t.Errorf("the session lives on: %d %s", res.StatusCode, res.body)
					}
					g.watchStreams(t.Context())
				}
				w.route(replicas...)
				for _, c := range sockets {
					w.closing(c)
				}
				w.exchange(theirs, "still here")
				u := w.account("aqiang")
				if u.ID != user || u.Profile != nil || !u.Withdrawn() {
					t.Errorf("the user is %+v", u)
				}
				if _, found, err := replicas[0].cfg.Sessions.GetSealed(t.Context(), consentKey(testAppID, w.wechat.OpenID("aqiang", testAppID))); found || err != nil {
					t.Errorf("the tokens of the consent are still there: %v %v", found, err)
				}
				account, _ := w.yunxin.Account(im.Account)
				if !account.Blocked || account.Live != 0 || w.admitted(im) == 200 {
					t.Errorf("the account at Yunxin is %+v", account)
				}
				notices, err := replicas[1].cfg.Users.Notices(t.Context(), user)
				if n := len(notices); err != nil || n == 0 || notices[n-1].Type != identity.NoticeRevoked || notices[n-1].Reason != event || notices[n-1].Account.AppID != testAppID {
					t.Errorf("the app is told %+v, %v", notices, err)
				}

				// Whoever comes back does so silently, and has an account again.
				if e := b.open("/").echoed(t); e.Header.Get("X-Wxgate-User") != user || e.Header.Get("X-Wxgate-Name") != "" {
					t.Errorf("comes back as %v", e.Header)
				}
				if again := b.im(); again.Account != im.Account || again.Token == im.Token || w.admitted(again) != 200 {
					t.Errorf("the account at Yunxin is %+v, which answers %d", again, w.admitted(again))
				}
				if w.admitted(im) == 200 {
					t.Error("the former token works again")
				}
			})
		}
	}
}

// An event comes once, however often it is delivered.
func TestReplayedRevocation(t *testing.T) {
	t.Parallel()
	for _, mode := range pushModes {
		w := newPushWorld(t, 2, mode, nil, announcing)
		b := w.browser(iPhone).as("aqiang")
		user := b.login()
		message := w.wechat.EventMessage(testAppID, "aqiang", wechat.EventRevoke)
		first := w.wechat.Deliver(t.Context(), wechattest.Delivery{AppID: testAppID, Message: message})
		w.clock.advance(cacheLife)
		if first.Err != nil || b.fetch("/x").StatusCode != http.StatusUnauthorized {
			t.Fatalf("%s: %+v", mode, first)
		}
		if b.login() != user {
			t.Fatal("another user")
		}
		again := w.wechat.Redeliver(t.Context(), first.Attempts[0])
		anew := w.wechat.Deliver(t.Context(), wechattest.Delivery{AppID: testAppID, Message: message})
		if again.Answer != "success" || anew.Attempts[0].Answer != "success" {
			t.Errorf("%s: WeChat is not told that it is known: %+v, %+v", mode, again, anew)
		}
		w.clock.advance(cacheLife)
		w.besides()
		if got := b.me().User; got != user || w.account("aqiang").Withdrawn() {
			t.Errorf("%s: an old event ended a new session, user %q", mode, got)
		}
		notices, err := w.replica(0).cfg.Users.Notices(t.Context(), user)
		if n := len(slices.DeleteFunc(notices, func(n identity.Notice) bool { return n.Type != identity.NoticeRevoked })); err != nil || n != 1 {
			t.Errorf("%s: the app is told %d times, %v", mode, n, err)
		}
		// The next one is another one.
		w.clock.advance(time.Minute)
		w.wechat.Advance(time.Minute)
		w.push("aqiang", wechat.EventRevoke)
		w.clock.advance(cacheLife)
		if b.fetch("/x").StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: the next event has no effect", mode)
		}
	}
}

// WeChat may hold an event back. One that the person's next consent overtook is
// no news; one about data from before it is.
func TestHeldBackRevocation(t *testing.T) {
	t.Parallel()
	w := newPushWorld(t, 1, wechattest.PushSafe, nil)
	later := func(d time.Duration) {
		w.clock.advance(d)
		w.wechat.Advance(d)
	}
	b := w.browser(iPhone).as("aqiang")
	b.consent()
	modified := w.wechat.EventMessage(testAppID, "aqiang", wechat.EventUserInfoModified)
	revoked := w.wechat.EventMessage(testAppID, "aqiang", wechat.EventRevoke)
	deliver := func(message string) {
		t.Helper()
		// Anew each time, or it would be known.
		message = strings.Replace(message, "</xml>", fmt.Sprintf("<Try>%d</Try></xml>", w.clock.now().UnixNano()), 1)
		if p := w.wechat.Deliver(t.Context(), wechattest.Delivery{AppID: testAppID, Message: message}); p.Err != nil {
			t.Fatal(p.Err)
		}
		later(cacheLife)
	}

	later(2 * time.Hour)
	b.consent()
	deliver(revoked)
	deliver(modified)
	if res := b.fetch("/x"); res.StatusCode != http.StatusOK || w.account("aqiang").Profile == nil || w.account("aqiang").Withdrawn() {
		t.Errorf("events from before the consent undo it: %d", res.StatusCode)
	}
	if !strings.Contains(w.log.String(), "it is left alone") {
		t.Error("the log does not say so")
	}

	// The person came back since, but only silently: the data is from before.
	modified = w.wechat.EventMessage(testAppID, "aqiang", wechat.EventUserInfoModified)
	later(2 * time.Hour)
	if w.browser(android).as("aqiang").login() == "" {
		t.Fatal("no login")
	}
	deliver(modified)
	if w.account("aqiang").Profile != nil || b.fetch("/x").StatusCode != http.StatusOK {
		t.Error("a name that WeChat removed is still shown, or the session is gone")
	}
	b.consent()
	revoked = w.wechat.EventMessage(testAppID, "aqiang", wechat.EventRevoke)
	later(2 * time.Hour)
	w.browser(android).as("aqiang").login()
	deliver(revoked)
	if b.fetch("/x").StatusCode != http.StatusUnauthorized || w.account("aqiang").Profile != nil {
		t.Error("a consent that was taken back still holds")
	}
}

// Events name the app that they are about.
func TestRevokedElsewhere(t *testing.T) {
	t.Parallel()
	newWorld := func() (*world, *browser, string) {
		w := newWebWorld(t, 1, "redirect", receiving(wechattest.PushSafe))
		w.pushFrom(wechattest.PushSafe)
		b := w.browser(desktop).as("aqiang")
		return w, b, b.open(b.scan("/")).user(t)
	}
	deliver := func(w *world, message string) {
		t.Helper()
		if p := w.wechat.Deliver(t.Context(), wechattest.Delivery{AppID: testAppID, Message: message}); p.Err != nil || p.Attempts[0].Answer != "success" {
			t.Fatalf("%+v", p)
		}
		w.clock.advance(cacheLife)
	}
	revoke := func(w *world, appID, openID string) string {
		m := w.wechat.EventMessage(testAppID, "aqiang", wechat.EventRevoke)
		return strings.NewReplacer(testAppID, appID, w.wechat.OpenID("aqiang", testAppID), openID).Replace(m)
	}
	t.Run("website app", func(t *testing.T) {
		w, b, _ := newWorld()
		openID := w.wechat.OpenID("aqiang", webAppID)
		// Not about that openid: it means nothing at another account.
		deliver(w, revoke(w, testAppID, openID))
		deliver(w, revoke(w, "wx00000000000000ff", openID))
		deliver(w, revoke(w, "", openID))
		if res := b.fetch("/x"); res.StatusCode != http.StatusOK {
			t.Errorf("the openid of one app counts at another: %d", res.StatusCode)
		}
		deliver(w, revoke(w, webAppID, openID))
		if res := b.fetch("/x"); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("the session lives on: %d", res.StatusCode)
		}
	})
	t.Run("an app that is not ours", func(t *testing.T) {
		w, _, _ := newWorld()
		b := w.browser(iPhone).as("aqiang")
		b.login()
		deliver(w, revoke(w, "wx00000000000000ff", w.wechat.OpenID("aqiang", testAppID)))
		if res := b.fetch("/x"); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("the session lives on: %d", res.StatusCode)
		}
	})
	t.Run("only a sender", func(t *testing.T) {
		w, _, _ := newWorld()
		b := w.browser(iPhone).as("aqiang")
		b.login()
		deliver(w, strings.Replace(w.wechat.EventMessage(testAppID, "aqiang", "CLICK"), "CLICK", wechat.EventRevoke, 1))
		if res := b.fetch("/x"); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("the session lives on: %d", res.StatusCode)
		}
	})
}

func TestUserInfoModified(t *testing.T) {
	t.Parallel()
	w := newPushWorld(t, 2, wechattest.PushSafe, nil)
	b := w.browser(iPhone).as("aqiang")
	user := b.consent()
	im := b.im()
	if account, _ := w.yunxin.Account(im.Account); strings.HasPrefix(account.Name, "玩家") || account.Name == "" {
		t.Fatalf("the name at Yunxin is %q", account.Name)
	}
	w.push("aqiang", wechat.EventUserInfoModified)
	w.besides()
	w.clock.advance(cacheLife)
	e := b.open("/").echoed(t)
	if e.Header.Get("X-Wxgate-User") != user || e.Header.Get("X-Wxgate-Name") != "" || e.Header.Get("X-Wxgate-Avatar") != "" {
		t.Errorf("the app is told %v", e.Header)
	}
	account, _ := w.yunxin.Account(im.Account)
	if !strings.HasPrefix(account.Name, "玩家") || account.Avatar != "" || account.Blocked || w.admitted(b.im()) != 200 {
		t.Errorf("the account at Yunxin is %+v", account)
	}
	// The person may consent again.
	b.consent()
	if w.account("aqiang").Profile == nil {
		t.Error("no profile any more")
	}
}

// First on the phone, silently, then on the PC by QR code: two users, until the
// person follows the account.
func TestSubscribeMerges(t *testing.T) {
	t.Parallel()
	w := newWebWorld(t, 2, "redirect", receiving(wechattest.PushSafe), announcing)
	w.pushFrom(wechattest.PushSafe)
	phone, pc := w.browser(iPhone).as("aqiang"), w.browser(desktop).as("aqiang")
	mobile := phone.login()
	w.besides()
	seat := pc.open(pc.scan("/")).user(t)
	if mobile == seat {
		t.Fatal("one user already")
	}
	asked := len(w.wechat.Calls(wechattest.FollowerPath))
	w.push("aqiang", "subscribe")
	w.besides()
	if n := len(w.wechat.Calls(wechattest.FollowerPath)); n != asked+1 {
		t.Errorf("WeChat is asked %d times", n-asked)
	}
	w.clock.advance(cacheLife)
	a := phone.open("/").echoed(t)
	if got, there := a.Header.Get("X-Wxgate-User"), pc.open("/").user(t); got != seat || there != seat {
		t.Errorf("the phone is %s, the PC %s, before %s and %s", got, there, mobile, seat)
	}
	if c := claims(t, a.Header.Get("X-Wxgate-Assertion")); !slices.Equal(c.MergedFrom, []string{mobile}) {
		t.Errorf("merged_from is %v", c.MergedFrom)
	}
	if n := w.replica(0).metric(t, "wxgate_users_merged_total") + w.replica(1).metric(t, "wxgate_users_merged_total"); n != 1 {
		t.Errorf("%v merges counted", n)
	}
	// Leaving changes nothing.
	w.push("aqiang", "unsubscribe")
	if got := phone.open("/").user(t); got != seat {
		t.Errorf("the phone is %s", got)
	}
}

// Nothing is acknowledged that is not stored.
func TestPushWithoutStore(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"Create m:", "Put m:", "Get a:", "Get u:", "Schedule yu", "Schedule ho", "Delete p:", "Replace u:"} {
		w, store := newSpied(t, 1, nil, receiving(wechattest.PushSafe), announcing)
		w.pushFrom(wechattest.PushSafe)
		b := w.browser(iPhone).as("aqiang")
		b.consent()
		b.im()
		store.failing(func(method, key string) error {
			if method+" "+key[:min(2, len(key))] == step {
				return errDown
			}
			return nil
		})
		p := w.wechat.PushEvent(t.Context(), testAppID, "aqiang", wechat.EventRevoke)
		if len(p.Attempts) != 3 || p.Attempts[2].Status != http.StatusServiceUnavailable || strings.Contains(p.Attempts[2].Answer, "success") {
			t.Errorf("%s: %+v", step, p)
		}
		store.failing(nil)
		message := p.Attempts[2]
		if again := w.wechat.Redeliver(t.Context(), message); again.Answer != "success" {
			t.Errorf("%s: afterwards %+v", step, again)
		}
		w.besides()
		w.clock.advance(cacheLife)
		if res := b.fetch("/x"); res.StatusCode != http.StatusUnauthorized || !w.account("aqiang").Withdrawn() {
			t.Errorf("%s: the event is lost: %d", step, res.StatusCode)
		}
	}
	plain, store := newSpied(t, 1, nil, receiving(wechattest.PushPlain))
	plain.pushFrom(wechattest.PushPlain)
	store.failing(func(_, key string) error {
		if strings.HasPrefix(key, "b:") {
			return errDown
		}
		return nil
	})
	if res := plain.callPush(http.MethodGet, signedQuery(plain.clock.now(), "1")+"&echostr=1", ""); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("GET answered %d %s", res.StatusCode, res.body)
	}
	if p := plain.wechat.PushText(t.Context(), testAppID, "aqiang", "x"); p.Attempts[0].Status != http.StatusServiceUnavailable {
		t.Errorf("POST answered %+v", p)
	}
}

// heldRevocation makes the next revocation wait where it is decided.
func (s *spy) heldRevocation(t *testing.T) (reached <-chan struct{}, release func()) {
	began, hold := make(chan struct{}, 1), make(chan struct{})
	first := true
	s.failing(func(method, key string) error {
		if method == "Replace" && strings.HasPrefix(key, "u:") && first {
			first = false
			began <- struct{}{}
			s.mu.Unlock() // others go on
			<-hold
			s.mu.Lock()
		}
		return nil
	})
	release = sync.OnceFunc(func() { close(hold) })
	t.Cleanup(release)
	return began, release
}

// An event that one replica is at is not acknowledged by another one.
func TestEventAtTwoReplicas(t *testing.T) {
	t.Parallel()
	w, store := newSpied(t, 2, nil, receiving(wechattest.PushSafe))
	w.pushFrom(wechattest.PushSafe)
	w.browser(iPhone).as("aqiang").login()
	w.besides()
	reached, release := store.heldRevocation(t)
	message := w.wechat.EventMessage(testAppID, "aqiang", wechat.EventRevoke)
	results := make(chan wechattest.Attempt, 2)
	go func() { results <- w.once(message) }()
	<-reached
	looked := store.counted("Get m:")
	go func() { results <- w.once(message) }()
	eventually(t, "the second delivery has looked", func() bool { return store.counted("Get m:") > looked })
	if len(results) != 0 {
		t.Error("acknowledged before it is stored")
	}
	release()
	for range 2 {
		if a := <-results; a.Err != nil || a.Answer != "success" {
			t.Errorf("%+v", a)
		}
	}
	if n := len(slices.DeleteFunc(w.account("aqiang").History, func(e identity.Event) bool { return e.Type != identity.EventRevoked })); n != 1 {
		t.Errorf("%d revocations", n)
	}
}

// What an event asks for is carried through, even if WeChat does not wait.
func TestEventIsCarriedThrough(t *testing.T) {
	t.Parallel()
	w, store := newSpied(t, 1, nil, receiving(wechattest.PushSafe))
	w.pushFrom(wechattest.PushSafe)
	w.browser(iPhone).as("aqiang").login()
	w.besides()
	reached, release := store.heldRevocation(t)
	if a := w.hangingUp(w.wechat.EventMessage(testAppID, "aqiang", wechat.EventRevoke), reached); a.Status != 0 {
		t.Errorf("answered %+v", a)
	}
	for range 10 {
		w.push("xiaomei", "CLICK") // so that it is known that nobody waits
	}
	release()
	eventually(t, "it is stored", func() bool { return w.account("aqiang").Withdrawn() })
}
