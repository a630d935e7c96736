package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"testing"

	"github.com/coder/websocket"

	"wxgate/identity"
	"wxgate/yunxin/yunxintest"
)

// These tests are about what follows from an operator's decision: at the
// sessions that run, on every replica, and at Yunxin.

// lasting is an app with WebSockets and events.
type lasting struct {
	socketApp
	gone chan string // users whose events ended
}

func newLasting() *lasting {
	return &lasting{socketApp{ended: make(chan error, 64), say: make(chan websocket.StatusCode)}, make(chan string, 64)}
}

func (a *lasting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/events":
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: 1\n\n")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
		a.gone <- r.Header.Get("X-Wxgate-User")
	case r.Header.Get("Upgrade") != "":
		a.socketApp.ServeHTTP(w, r)
	default:
		echo(w, r)
	}
}

// everywhere asks every replica as this browser and wants the same everywhere.
func (b *browser) everywhere(check func(answer)) {
	b.w.t.Helper()
	for _, g := range b.w.replicas {
		rec := b.peek(g, "/x", "Sec-Fetch-Dest", "empty", "Accept", "*/*")
		check(answer{rec.Result(), rec.Body.String()})
	}
}

func (b *browser) refusedEverywhere(word string) {
	b.w.t.Helper()
	b.everywhere(func(a answer) {
		b.w.t.Helper()
		if e := a.jsonError(b.w.t); e.Error != word {
			b.w.t.Errorf("%d %+v, want %s", a.StatusCode, e, word)
		}
	})
}

func (b *browser) knownEverywhere(user string) {
	b.w.t.Helper()
	b.everywhere(func(a answer) {
		b.w.t.Helper()
		if got := a.user(b.w.t); got != user {
			b.w.t.Errorf("known as %s, want %s", got, user)
		}
	})
}

func TestStreamsEndByTheOperator(t *testing.T) {
	t.Parallel()
	for what, decide := range map[string]struct{ method, path, refused string }{
		"block":        {"POST", "/block", "user_blocked"},
		"end sessions": {"DELETE", "/sessions", "login_required"},
		"erase":        {"DELETE", "", "login_required"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			app := newLasting()
			w, o, _ := newPeopleWorld(t, 3, app.ServeHTTP)
			b, other := w.browser(iPhone), w.browser(android).as("aqiang")
			user, stranger := b.login(), other.login()
			mine, theirs := "wxgate="+b.cookies()["wxgate"], "wxgate="+other.cookies()["wxgate"]
			var sockets []*websocket.Conn
			for range 8 { // on all replicas, most likely
				sockets = append(sockets, w.mustSocket("/", mine))
			}
			events := w.stream("/events", mine)
			kept, keptEvents := w.mustSocket("/", theirs), w.stream("/events", theirs)
			b.knownEverywhere(user)

			if res := o.call(decide.method, "/admin/users/"+user+decide.path, ""); res.StatusCode/100 != 2 {
				t.Fatalf("answered %d %s", res.StatusCode, res.body)
			}
			w.watchAfter(settled - watchEvery)
			for _, c := range sockets {
				if code := w.closing(c); code != websocket.StatusGoingAway {
					t.Errorf("a WebSocket ended with %d", code)
				}
				<-app.ended
			}
			if rest, err := io.ReadAll(events); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the events ended with %q %v", rest, err)
			}
			if got := <-app.gone; got != user {
				t.Errorf("the events of %s ended", got)
			}
			w.clock.advance(watchEvery)
			b.refusedEverywhere(decide.refused)
			if _, _, err := w.socket("/", mine); err == nil {
				t.Error("a new WebSocket was accepted")
			}
			w.exchange(kept, "still here")
			other.knownEverywhere(stranger)
			_ = keptEvents
		})
	}
}

func TestBlocking(t *testing.T) {
	t.Parallel()
	for _, api := range []string{"v1", "v2"} {
		t.Run(api, func(t *testing.T) {
			t.Parallel()
			w, o, store := newPeopleWorld(t, 1, nil)
			w.restart(operated, w.speaking(api))
			w.add(w.upstreamURL(), operated, w.speaking(api))
			b, second := w.browser(iPhone), w.browser(android)
			user := b.login()
			second.login()
			im := b.im()
			if w.admitted(im) != 200 {
				t.Fatal("Yunxin does not let the player in")
			}
			w.clock.advance(settled)
			b.knownEverywhere(user)
			for range 2 { // blocking a blocked user is fine
				if u := o.user("POST", "/admin/users/"+user+"/block", ""); u.ID != user || u.Status != identity.StatusBlocked || u.Yunxin.State != identity.YunxinBlocked {
					t.Errorf("answered %+v", u)
				}
			}
			w.clock.advance(settled)
			b.refusedEverywhere("user_blocked")
			second.refusedEverywhere("user_blocked")
			if account, _ := w.yunxin.Account(im.Account); !account.Blocked || account.Live != 0 || account.Kicked != 1 || w.admitted(im) == 200 {
				t.Errorf("at Yunxin it is %+v", account)
			}
			if w.browser(iPhone).open("/").page(t, http.StatusForbidden, pageUserBlocked); len(o.listed(user)) != 2 || len(store.keys(t, "s:")) != 2 {
				t.Errorf("the sessions are %+v", o.listed(user))
			}
			if u := o.user("POST", "/admin/users/"+user+"/unblock", ""); u.Status != identity.StatusActive || u.Yunxin.State != identity.YunxinReady {
				t.Errorf("answered %+v", u)
			}
			w.clock.advance(settled)
			b.knownEverywhere(user)
			if code := w.admitted(im); code != 302 {
				t.Errorf("Yunxin answers the token from before with %d", code)
			}
			if fresh := b.im(); fresh.Account != im.Account || w.admitted(fresh) != 200 {
				t.Errorf("Yunxin answers %+v with %d", fresh, w.admitted(fresh))
			}
			history := o.user("GET", "/admin/users/"+user, "").History
			if n := len(history); n != 3 || history[n-2].Type != identity.EventBlocked || history[n-1].Type != identity.EventUnblocked {
				t.Errorf("the history is %+v", history)
			}
		})
	}
}

// Yunxin is down when somebody is blocked: here it holds at once, there as soon
// as it can be.
func TestBlockingWhileYunxinIsDown(t *testing.T) {
	t.Parallel()
	w, o, _ := newPeopleWorld(t, 1, nil)
	b := w.browser(iPhone)
	user := b.login()
	im := b.im()
	w.admitted(im)
	w.yunxin.Inject(yunxintest.Fault{Times: -1, Status: http.StatusBadGateway})
	if u := o.user("POST", "/admin/users/"+user+"/block", ""); u.Status != identity.StatusBlocked || u.Yunxin.State == identity.YunxinBlocked {
		t.Errorf("answered %+v", u)
	}
	w.clock.advance(settled)
	b.refusedEverywhere("user_blocked")
	w.yunxin.ClearFaults()
	w.clock.advance(imFirstRetry)
	if err := w.replica(0).im.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if account, _ := w.yunxin.Account(im.Account); !account.Blocked || account.Live != 0 {
		t.Errorf("at Yunxin it is %+v", account)
	}
	if u := o.user("GET", "/admin/users/"+user, ""); u.Yunxin.State != identity.YunxinBlocked || w.queued(t) != 0 {
		t.Errorf("%+v, %d left to do", u, w.queued(t))
	}
}

func TestEndedSessionsAtYunxin(t *testing.T) {
	t.Parallel()
	w, o, _ := newPeopleWorld(t, 2, nil)
	b := w.browser(iPhone)
	user := b.login()
	im := b.im()
	w.admitted(im)
	w.clock.advance(settled)
	b.knownEverywhere(user)
	if res := o.call("DELETE", "/admin/users/"+user+"/sessions", ""); res.StatusCode != http.StatusNoContent {
		t.Fatalf("answered %d %s", res.StatusCode, res.body)
	}
	account, _ := w.yunxin.Account(im.Account)
	if code := w.admitted(im); code != 302 || account.Live != 0 || account.Kicked != 1 || account.Blocked {
		t.Errorf("Yunxin answers the token from before with %d; %+v", code, account)
	}
	w.clock.advance(settled)
	b.refusedEverywhere("login_required")
	if b.login() != user {
		t.Error("came back as somebody else")
	}
	if fresh := b.im(); fresh.Account != im.Account || w.admitted(fresh) != 200 {
		t.Errorf("Yunxin answers %+v with %d", fresh, w.admitted(fresh))
	}
}

func TestMergeByTheOperator(t *testing.T) {
	t.Parallel()
	app := newLasting()
	w, o, _ := newPeopleWorld(t, 2, app.ServeHTTP)
	b, other := w.browser(iPhone), w.browser(android).as("aqiang")
	into, from := b.login(), other.login()
	im, theirs := b.im(), other.im()
	w.admitted(im)
	w.admitted(theirs)
	w.clock.advance(settled)
	other.knownEverywhere(from)
	socket := w.mustSocket("/", "wxgate="+other.cookies()["wxgate"])

	u := o.user("POST", "/admin/users/"+into+"/merge", `{"from":"`+from+`"}`)
	if u.ID != into || !slices.Equal(u.Aliases, []string{from}) || len(u.Accounts) != 2 || u.History[len(u.History)-1].Type != identity.EventMerged || u.History[len(u.History)-1].From != from {
		t.Errorf("answered %+v", u)
	}
	w.watchAfter(settled)
	w.exchange(socket, "a merge ends nothing")
	b.knownEverywhere(into)
	other.everywhere(func(a answer) {
		c := claims(t, a.echoed(t).Header.Get("X-Wxgate-Assertion"))
		if c.Subject != into || !slices.Equal(c.MergedFrom, []string{from}) || c.WeChat.OpenID != w.wechat.OpenID("aqiang", testAppID) || c.Yunxin == nil || c.Yunxin.Accid != im.Account {
			t.Errorf("the app is told %+v", c)
		}
	})
	if a := other.im(); a.Account != im.Account || w.admitted(a) != 200 {
		t.Errorf("the merged user's page gets %+v, Yunxin answers %d", a, w.admitted(a))
	}
	if account, _ := w.yunxin.Account(theirs.Account); w.admitted(theirs) != 302 || account.Live != 0 {
		t.Errorf("the merged user's own account lives on: %+v", account)
	}
	if list := o.listed(into); len(list) != 2 || len(o.listed(from)) != 2 {
		t.Errorf("the sessions are %+v", list)
	}
	if again := w.browser(android).as("aqiang").login(); again != into {
		t.Errorf("logs in as %s", again)
	}
	if got := o.user("GET", "/admin/users/"+from, ""); got.ID != into {
		t.Errorf("the former id answers %s", got.ID)
	}
	if res := o.call("DELETE", "/admin/users/"+from+"/sessions", ""); res.StatusCode != http.StatusNoContent {
		t.Errorf("answered %d %s", res.StatusCode, res.body)
	}
	w.watchAfter(settled)
	if code := w.closing(socket); code != websocket.StatusGoingAway {
		t.Errorf("the WebSocket ended with %d", code)
	}
	b.refusedEverywhere("login_required")
	other.refusedEverywhere("login_required")
	if len(o.listed(into)) != 0 {
		t.Errorf("the sessions are %+v", o.listed(into))
	}
}

// split takes a player's account at the mini program away from a user.
func (o *operator) split(user, player string) (former, fresh identity.User) {
	o.w.t.Helper()
	var a struct{ User, Split identity.User }
	o.into(&a, "POST", "/admin/users/"+user+"/split", string(must(json.Marshal(map[string]any{
		"account": map[string]string{"appid": testMini.ID, "openid": o.w.wechat.OpenID(player, testMini.ID)},
	}))))
	return a.User, a.Split
}

func TestSplit(t *testing.T) {
	t.Parallel()
	w, o, store := newPeopleWorld(t, 2, nil)
	phone, mini := w.native("mobile", "xiaomei"), w.native("mini", "xiaomei")
	user := phone.user
	if mini.user != user {
		t.Fatal("one unionid is two users")
	}
	known := func(c *nativeClient, as string) {
		t.Helper()
		for range 6 { // on either replica
			if got := c.fetch("/x").user(t); got != as {
				t.Fatalf("known as %s, want %s", got, as)
			}
		}
	}
	over := func(c *nativeClient) {
		t.Helper()
		for range 6 {
			if e := c.fetch("/x").jsonError(t); e.Error != "login_required" {
				t.Fatalf("%+v", e)
			}
		}
	}
	sid := func(c *nativeClient) string {
		t.Helper()
		return claims(t, c.fetch("/x").echoed(t).Header.Get("X-Wxgate-Assertion")).SessionID
	}
	onlyListed := func(user string, c *nativeClient) {
		t.Helper()
		if list := o.listed(user); len(list) != 1 || list[0].SID != sid(c) {
			t.Errorf("the sessions of %s are %+v", user, list)
		}
	}
	known(phone, user)
	known(mini, user)

	former, fresh := o.split(user, "xiaomei")
	if former.ID != user || len(former.Accounts) != 1 || former.Accounts[0].AppID != testMobile.ID || former.Unionids["default"] == "" {
		t.Errorf("the former user is %+v", former)
	}
	if fresh.ID == user || len(fresh.Accounts) != 1 || fresh.Accounts[0].AppID != testMini.ID || len(fresh.Unionids) != 0 || fresh.Status != identity.StatusActive {
		t.Errorf("the new user is %+v", fresh)
	}
	w.clock.advance(settled)
	known(phone, user)
	known(mini, fresh.ID)
	onlyListed(user, phone)
	onlyListed(fresh.ID, mini)
	var im, theirs yunxinAnswer
	if err := json.Unmarshal([]byte(mini.fetch("/.wxgate/yunxin").body), &im); err != nil || im.Account != fresh.ID || w.admitted(im) != 200 {
		t.Errorf("the new user's page gets %+v", im)
	}
	if err := json.Unmarshal([]byte(phone.fetch("/.wxgate/yunxin").body), &theirs); err != nil || theirs.Account != user || w.admitted(theirs) != 200 {
		t.Errorf("the former user's page gets %+v", theirs)
	}
	// The unionid comes with each login, and does not put them together.
	for range 2 {
		if a, b := w.native("mini", "xiaomei"), w.native("mobile", "xiaomei"); a.user != fresh.ID || b.user != user {
			t.Errorf("log in as %s and %s", a.user, b.user)
		}
	}
	if u := o.user("GET", "/admin/users?unionid="+w.wechat.UnionID("xiaomei", testMini.ID), ""); u.ID != user {
		t.Errorf("the unionid is %s's", u.ID)
	}

	// Ending the sessions of one leaves the other's, though they began under the same id.
	o.call("DELETE", "/admin/users/"+fresh.ID+"/sessions", "")
	w.clock.advance(settled)
	over(mini)
	known(phone, user)
	mini = w.native("mini", "xiaomei")
	o.call("DELETE", "/admin/users/"+user+"/sessions", "")
	w.clock.advance(settled)
	over(phone)
	known(mini, fresh.ID)
	onlyListed(fresh.ID, mini)
	if list := o.listed(user); len(list) != 0 {
		t.Errorf("the sessions are %+v", list)
	}
	phone = w.native("mobile", "xiaomei")

	// An operator may undo it, and do it again.
	if u := o.user("POST", "/admin/users/"+user+"/merge", `{"from":"`+fresh.ID+`"}`); len(u.Accounts) != 2 {
		t.Errorf("put together again: %+v", u)
	}
	w.clock.advance(settled)
	known(mini, user)
	known(phone, user)
	if a := w.native("mini", "xiaomei"); a.user != user {
		t.Errorf("logs in as %s", a.user)
	}
	mini = w.native("mini", "xiaomei") // begins under the common id
	_, fresh = o.split(user, "xiaomei")
	w.clock.advance(settled)
	known(mini, fresh.ID)

	// Who is erased takes the sessions of the account along, and nobody else's.
	if res := o.call("DELETE", "/admin/users/"+fresh.ID, ""); res.StatusCode != http.StatusNoContent {
		t.Fatalf("answered %d %s", res.StatusCode, res.body)
	}
	openID := w.wechat.OpenID("xiaomei", testMini.ID)
	for _, key := range store.keys(t, "s:") {
		value, _, err := store.Store.Get(t.Context(), key)
		if err != nil || bytes.Contains(value, []byte(openID)) {
			t.Errorf("a session of the erased person is stored: %s, %v", value, err)
		}
	}
	w.clock.advance(settled)
	over(mini)
	known(phone, user)
}
