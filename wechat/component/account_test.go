package component_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wxgate/wechat/component"
	"wxgate/wechat/wechattest"
)

func (w *world) account(appid string) component.Authorizer {
	w.Helper()
	w.front.Load().Wait()
	a, _, err := w.front.Load().Authorizer(w.Context(), appid)
	if err != nil {
		w.Fatal(err)
	}
	return a
}

// state opens a link and returns what the browser comes back with.
func (w *world) state() string {
	w.Helper()
	p := w.front.Load()
	token, _, err := p.NewLink(w.Context(), component.Link{AuthType: 3})
	if err != nil {
		w.Fatal(err)
	}
	_, state, err := p.OpenLink(w.Context(), token, nobodys)
	if err != nil {
		w.Fatal(err)
	}
	return state
}

func nobodys(string) bool { return false }

// The code comes by push and with the browser: in either order, at once, or one of
// them only. It is exchanged once.
func TestCodeByPushAndBrowser(t *testing.T) {
	push := func(w *world, code string) {
		if _, err := w.sim.PushAuthorized(w.Context(), platformID, accountID, code, ""); err != nil {
			w.Error(err)
		}
	}
	browser := func(w *world, code, state string) {
		a, err := w.front.Load().Returned(w.Context(), state, code, time.Hour)
		if err != nil || a.AppID != accountID || a.Status != component.StatusAuthorized {
			w.Errorf("the browser's return: %+v, %v", a, err)
		}
	}
	for name, deliver := range map[string]func(w *world, code, state string){
		"push, browser": func(w *world, code, state string) { push(w, code); browser(w, code, state) },
		"browser, push": func(w *world, code, state string) { browser(w, code, state); push(w, code) },
		"push alone":    func(w *world, code, _ string) { push(w, code) },
		"browser alone": func(w *world, code, state string) { browser(w, code, state) },
		"push twice":    func(w *world, code, _ string) { push(w, code); push(w, code) },
		"browser twice": func(w *world, code, state string) { browser(w, code, state); browser(w, code, state) },
		"both at one time": func(w *world, code, state string) {
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() { push(w, code) })
				wg.Go(func() { browser(w, code, state) })
			}
			wg.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, p := ready(t)
			state := w.state()
			deliver(w, w.sim.Grant(platformID, accountID), state)
			a := w.settled(accountID)
			if a.Name != "甲" || a.UserName != "gh_0000000000a1" || a.Kind != component.KindMP || len(a.Functions) == 0 {
				t.Errorf("the account is %+v", a)
			}
			if n := w.calls(wechattest.QueryAuthPath); n != 1 {
				t.Errorf("the code was exchanged %d times", n)
			}
			if _, err := p.Token(t.Context(), accountID); err != nil {
				t.Error(err)
			}
			if n := w.calls(wechattest.AuthorizerTokenPath); n != 0 {
				t.Errorf("%d tokens were minted beside the one that came with the code", n)
			}
			events, err := p.Notices(t.Context(), accountID)
			if err != nil || len(events) != 1 || events[0].Type != component.NoticeAuthorized || events[0].AppID != accountID {
				t.Errorf("the app is told %+v, %v", events, err)
			}
		})
	}
}

// The browser brings a code that WeChat does not know, or an unknown state.
func TestRefusedReturns(t *testing.T) {
	w, p := ready(t)
	if _, err := p.Returned(t.Context(), "made up", "queryauthcode@@@x", time.Hour); !errors.Is(err, component.ErrLink) {
		t.Errorf("an unknown state: %v", err)
	}
	if n := w.calls(wechattest.QueryAuthPath); n != 0 {
		t.Errorf("WeChat was asked %d times for somebody whom nobody invited", n)
	}
	state := w.state()
	for i := range 6 {
		want := component.ErrCode
		if i == 5 {
			want = component.ErrLink // enough
		}
		if _, err := p.Returned(t.Context(), state, fmt.Sprint("queryauthcode@@@bogus", i), time.Hour); !errors.Is(err, want) {
			t.Errorf("code %d: %v, want %v", i, err, want)
		}
	}
	if n := w.calls(wechattest.QueryAuthPath); n != 5 {
		t.Errorf("asked %d times", n)
	}
	w.sim.Advance(25 * time.Hour)
	if _, err := p.Returned(t.Context(), state, "queryauthcode@@@bogus0", time.Hour); !errors.Is(err, component.ErrLink) {
		t.Errorf("a day later: %v", err)
	}
}

// What happened to an account, in every order of delivery and with repetitions:
// what counts is the order in which it happened.
func TestPushesInAnyOrder(t *testing.T) {
	type event struct {
		kind string
		at   int // minutes
	}
	stories := map[string][]event{
		"authorized, unauthorized":             {{"authorized", 0}, {"unauthorized", 2}},
		"authorized, unauthorized, authorized": {{"authorized", 0}, {"unauthorized", 2}, {"authorized", 4}},
		"authorized, updated":                  {{"authorized", 0}, {"updateauthorized", 2}},
	}
	for name, story := range stories {
		want := component.StatusAuthorized
		if story[len(story)-1].kind == "unauthorized" {
			want = component.StatusUnauthorized
		}
		for order := range permutations(len(story)) {
			for _, twice := range []bool{false, true} {
				t.Run(fmt.Sprint(name, order, twice), func(t *testing.T) {
					w, _ := ready(t)
					w.sim.Set(func(b *wechattest.Behaviour) { b.EventAttempts = 1 })
					begin := w.sim.Now()
					codes := make([]string, len(story))
					for i, e := range story {
						w.sim.Advance(time.Duration(e.at)*time.Minute - w.sim.Now().Sub(begin))
						if e.kind == "unauthorized" {
							w.sim.Inject(wechattest.EventPushes, wechattest.Fault{Drop: true})
							w.sim.Deauthorize(t.Context(), platformID, accountID)
						} else {
							codes[i] = w.sim.Grant(platformID, accountID, 1, 2+i)
						}
					}
					if twice {
						order = slices.Concat(order, order)
					}
					for _, i := range order {
						e := story[i]
						push := wechattest.ComponentPush{
							InfoType: e.kind, Fields: []string{"AuthorizerAppid", accountID}, CreateTime: begin.Add(time.Duration(e.at) * time.Minute),
						}
						if codes[i] != "" {
							push.Fields = append(push.Fields, "AuthorizationCode", codes[i], "AuthorizationCodeExpiredTime", "3600", "PreAuthCode", "p")
						}
						if _, err := w.sim.PushComponent(t.Context(), platformID, push); err != nil {
							t.Fatal(err)
						}
						w.front.Load().Wait()
					}
					a := w.account(accountID)
					if a.Status != want {
						t.Fatalf("the account is %s, want %s", a.Status, want)
					}
					if a.HasRefreshToken != (want == component.StatusAuthorized) {
						t.Errorf("its refresh token is there: %v", a.HasRefreshToken)
					}
					_, err := w.front.Load().Token(t.Context(), accountID)
					if (err == nil) != (want == component.StatusAuthorized) {
						t.Errorf("its token: %v", err)
					}
					if err != nil && !errors.Is(err, component.ErrNotAuthorized) {
						t.Errorf("got %v", err)
					}
				})
			}
		}
	}
}

func permutations(n int) func(yield func([]int) bool) {
	return func(yield func([]int) bool) {
		var rec func(done []int) bool
		rec = func(done []int) bool {
			if len(done) == n {
				return yield(slices.Clone(done))
			}
			for i := range n {
				if !slices.Contains(done, i) && !rec(append(slices.Clone(done), i)) {
					return false
				}
			}
			return true
		}
		rec(nil)
	}
}

// WeChat's answer to the exchange is lost: the code is used up, and the
// authorization is read back.
func TestLostAnswerOfTheExchange(t *testing.T) {
	w, p := ready(t)
	w.sim.Inject(wechattest.QueryAuthPath, wechattest.Drop)
	code := w.sim.Grant(platformID, accountID)
	if _, err := w.sim.PushAuthorized(t.Context(), platformID, accountID, code, ""); err != nil {
		t.Fatal(err)
	}
	p.Wait()
	if a := w.account(accountID); a.Status != component.StatusPending {
		t.Fatalf("the account is %+v", a)
	}
	w.sim.Advance(2 * time.Minute)
	w.settled(accountID)
	if _, err := p.Token(t.Context(), accountID); err != nil {
		t.Error(err)
	}
}

// The same, but only the browser brought the code, so that nobody knows whose it
// was: the list tells.
func TestLostAnswerToTheBrowser(t *testing.T) {
	w, p := ready(t)
	w.sim.Inject(wechattest.QueryAuthPath, wechattest.Drop)
	if _, err := p.Returned(t.Context(), w.state(), w.sim.Grant(platformID, accountID), time.Hour); err == nil {
		t.Fatal("no error")
	}
	w.sim.Advance(2 * time.Minute)
	w.settled(accountID)
	if _, err := p.Token(t.Context(), accountID); err != nil {
		t.Error(err)
	}
}

// Nobody exchanged the code in time: WeChat hides the refresh token, and the
// operator is told what to do.
func TestCodeThatNobodyExchanged(t *testing.T) {
	w, p := ready(t)
	w.sim.Inject(wechattest.QueryAuthPath, wechattest.Fault{Errcode: -1, Times: -1})
	code := w.sim.Grant(platformID, accountID)
	if _, err := w.sim.PushAuthorized(t.Context(), platformID, accountID, code, ""); err != nil {
		t.Fatal(err)
	}
	p.Wait()
	w.sim.ClearFaults()
	w.sim.Advance(2 * time.Hour)
	w.ticket()
	w.until("the code was given up", func() bool {
		p.Wait()
		return w.account(accountID).Error != ""
	})
	if a := w.account(accountID); !strings.Contains(a.Error, "authorize again") {
		t.Errorf("the operator is told %q", a.Error)
	}
	report, err := p.Sync(t.Context())
	if err != nil || !slices.Contains(report.Missing, accountID) {
		t.Errorf("%+v, %v", report, err)
	}
	if _, err := p.Token(t.Context(), accountID); err == nil {
		t.Error("there is a token")
	}
	// The way out.
	code = w.sim.Grant(platformID, accountID, 1, 3)
	if _, err := w.sim.PushAuthorized(t.Context(), platformID, accountID, code, ""); err != nil {
		t.Fatal(err)
	}
	w.settled(accountID)
	if a := w.account(accountID); a.Error != "" {
		t.Errorf("still told %q", a.Error)
	}
}

// Every way in which a refresh token is lost after the exchange.
func TestRefreshTokenIsReadBack(t *testing.T) {
	rotating := func(b *wechattest.Behaviour) { b.RotateRefresh = true }
	for name, lose := range map[string]func(w *world){
		"the answer with the rotated one was lost": func(w *world) {
			w.sim.Inject(wechattest.AuthorizerTokenPath, wechattest.Drop)
			if _, err := w.front.Load().Token(w.Context(), accountID); err == nil {
				w.Fatal("no error")
			}
			w.sim.Advance(10 * time.Minute) // the old one works for five
		},
		"it does not open": func(w *world) {
			w.seal = newSealer(w.T, w.store, 8)
			w.front.Store(w.platform(w.store))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := ready(t)
			w.sim.Set(rotating)
			w.authorize(accountID)
			w.sim.Advance(121 * time.Minute)
			w.ticket()
			lose(w)
			w.ticketAgain()
			if _, err := w.front.Load().Token(t.Context(), accountID); err != nil {
				t.Fatal(err)
			}
			w.sim.Advance(121 * time.Minute)
			w.ticket()
			if _, err := w.front.Load().Token(t.Context(), accountID); err != nil {
				t.Fatalf("with the one that was read back: %v", err)
			}
		})
	}
}

// ticketAgain is a ticket under the present secret.
func (w *world) ticketAgain() {
	w.Helper()
	w.sim.Advance(time.Second)
	w.ticket()
}

// The store is gone; what was exchanged once comes back from WeChat's list.
func TestSyncRefillsAnEmptyStore(t *testing.T) {
	w, _ := ready(t)
	w.authorize(accountID)
	w.authorize(programID)
	w.sim.Grant(platformID, otherID) // its code was never exchanged
	w.store = newMemory(w.sim.Now)
	w.front.Store(w.platform(w.store))
	w.sim.Advance(time.Second)
	w.ticket()
	p := w.front.Load()
	report, err := p.Sync(t.Context())
	if err != nil || report.Listed != 3 || report.Added != 3 || !slices.Equal(report.Missing, []string{otherID}) {
		t.Fatalf("%+v, %v", report, err)
	}
	for _, appid := range []string{accountID, programID} {
		if _, err := p.Token(t.Context(), appid); err != nil {
			t.Errorf("%s: %v", appid, err)
		}
	}
	if a := w.settled(programID); a.Kind != component.KindMini {
		t.Errorf("the mini program is %+v", a)
	}
	again, err := p.Sync(t.Context())
	if err != nil || again.Added+again.Restored+again.Gone != 0 {
		t.Errorf("a second time: %+v, %v", again, err)
	}
}

// An authorization ended, and the push was lost.
func TestSyncNoticesWhoIsGone(t *testing.T) {
	w, p := ready(t)
	w.authorize(accountID)
	w.authorize(otherID)
	w.sim.Set(func(b *wechattest.Behaviour) { b.EventAttempts = 1 })
	w.sim.Inject(wechattest.EventPushes, wechattest.Fault{Drop: true})
	w.sim.Deauthorize(t.Context(), platformID, accountID)
	if a := w.account(accountID); a.Status != component.StatusAuthorized {
		t.Fatal("the push came")
	}
	w.sim.Advance(time.Minute)
	report, err := p.Sync(t.Context())
	if err != nil || report.Gone != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	if a := w.account(accountID); a.Status != component.StatusUnauthorized || a.HasRefreshToken {
		t.Errorf("the account is %+v", a)
	}
	events, _ := p.Notices(t.Context(), accountID)
	if len(events) != 2 || events[1].Type != component.NoticeUnauthorized {
		t.Errorf("the app is told %+v", events)
	}
	if a := w.account(otherID); a.Status != component.StatusAuthorized {
		t.Errorf("the other one is %+v", a)
	}
}

// The same, noticed by the refusal of a token.
func TestTokenOfOneWhoIsGone(t *testing.T) {
	w, p := ready(t)
	w.authorize(accountID)
	w.sim.Set(func(b *wechattest.Behaviour) { b.EventAttempts = 1 })
	w.sim.Inject(wechattest.EventPushes, wechattest.Fault{Drop: true})
	w.sim.Deauthorize(t.Context(), platformID, accountID)
	w.sim.Advance(121 * time.Minute)
	w.ticket()
	if _, err := p.Token(t.Context(), accountID); !errors.Is(err, component.ErrNotAuthorized) {
		t.Fatalf("got %v", err)
	}
	if a := w.account(accountID); a.Status != component.StatusUnauthorized {
		t.Errorf("the account is %+v", a)
	}
	w.authorize(accountID)
	if _, err := p.Token(t.Context(), accountID); err != nil {
		t.Errorf("after another authorization: %v", err)
	}
}

func TestTokenOfAStranger(t *testing.T) {
	w, p := ready(t)
	keys := len(w.store.values)
	if _, err := p.Token(t.Context(), accountID); !errors.Is(err, component.ErrNotAuthorized) {
		t.Errorf("got %v", err)
	}
	if len(w.store.values) != keys {
		t.Error("asking about a stranger left a record")
	}
}

// What an account grants anew reaches the record and the app.
func TestPermissionSetsChange(t *testing.T) {
	w, p := ready(t)
	w.authorize(accountID)
	w.sim.Advance(time.Minute)
	code := w.sim.Grant(platformID, accountID, 1, 4)
	if _, err := w.sim.PushAuthorized(t.Context(), platformID, accountID, code, ""); err != nil {
		t.Fatal(err)
	}
	p.Wait()
	if a := w.account(accountID); !slices.Equal(a.Functions, []int{1, 4}) {
		t.Errorf("granted are %v", a.Functions)
	}
	events, _ := p.Notices(t.Context(), accountID)
	if len(events) != 2 || events[1].Type != component.NoticeUpdated || !slices.Equal(events[1].Functions, []int{1, 4}) {
		t.Errorf("the app is told %+v", events)
	}
	if err := p.Delivered(t.Context(), accountID, events[0].ID); err != nil {
		t.Fatal(err)
	}
	if left, _ := p.Notices(t.Context(), accountID); len(left) != 1 || left[0].ID != events[1].ID {
		t.Errorf("left are %+v", left)
	}
}

// A mini program that WeChat registered for us brings its authorization with it.
func TestFastRegistration(t *testing.T) {
	w, p := ready(t)
	push := func(status, code string) {
		t.Helper()
		_, err := w.sim.PushComponent(t.Context(), platformID, wechattest.ComponentPush{
			InfoType: "notify_third_fasteregister",
			Fields:   []string{"appid", programID, "status", status, "auth_code", code, "msg", "OK"},
			Raw:      "<info><name>甲公司</name><code>91440300MA5XXXXXXX</code></info>",
		})
		if err != nil {
			t.Fatal(err)
		}
		p.Wait()
	}
	push("100001", "")
	if !strings.Contains(w.log.String(), "24 hours") {
		t.Errorf("the log does not say why it failed:\n%s", w.log)
	}
	push("0", w.sim.Grant(platformID, programID))
	if a := w.settled(programID); a.Kind != component.KindMini {
		t.Errorf("the mini program is %+v", a)
	}
}
