package component_test

import (
	"strings"
	"testing"
	"time"

	"wxgate/wechat/component"
	"wxgate/wechat/wechattest"
)

// A wrong AppSecret is said once in a while, with what to do, and WeChat is not
// asked all the time.
func TestWithoutATokenTheLogSaysWhatToDo(t *testing.T) {
	w, p := ready(t)
	w.sim.Inject(wechattest.ComponentTokenPath, wechattest.Fault{Errcode: 40125, Times: -1})
	look := p.Caretaker()
	for range 2 * 30 { // half an hour
		look(t.Context())
		w.sim.Advance(30 * time.Second)
		if w.sim.Now().Sub(w.ticketAt()) > 9*time.Minute {
			w.ticket()
		}
	}
	log := w.log.String()
	if n := strings.Count(log, "there is no token of the third-party platform"); n < 2 || n > 4 {
		t.Errorf("said %d times within half an hour", n)
	}
	if !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "WXGATE_COMPONENT_APP_SECRET") {
		t.Errorf("the log does not say what to do:\n%s", log)
	}
	if n := w.calls(wechattest.ComponentTokenPath); n > 15 {
		t.Errorf("WeChat was asked %d times", n)
	}
	w.sim.ClearFaults()
	w.sim.Advance(6 * time.Minute)
	look(t.Context())
	if log := w.log.String(); !strings.Contains(log, "has its token again") || !strings.Contains(log, "accounts can be authorized now") {
		t.Errorf("the log does not say that it is over:\n%s", log)
	}
}

// Another secret, and the one before forgotten: the refresh tokens come back from
// WeChat before anybody needs them.
func TestLostSecretIsNoticedAtTheStart(t *testing.T) {
	w, _ := ready(t)
	w.authorize(accountID)
	w.authorize(programID)
	w.seal = newSealer(t, w.store, 8)
	p := w.platform(w.store)
	w.front.Store(p)
	w.ticketAgain()
	p.Care(t.Context())
	for _, appid := range []string{accountID, programID} {
		if a := w.account(appid); !a.HasRefreshToken {
			t.Errorf("%s has no refresh token:\n%s", appid, w.log)
		}
	}
	if !strings.Contains(w.log.String(), "refresh tokens do not open") {
		t.Errorf("the log says nothing:\n%s", w.log)
	}
}

// A customer who comes back waits like a new one, and what WeChat then refuses is
// no authorization.
func TestReturningCustomer(t *testing.T) {
	for name, f := range map[string]wechattest.Fault{"busy": wechattest.Busy, "refused": {Errcode: 61003}} {
		t.Run(name, func(t *testing.T) {
			w, p := ready(t)
			w.authorize(accountID)
			w.sim.Advance(time.Minute)
			if _, err := w.sim.Deauthorize(t.Context(), platformID, accountID); err != nil {
				t.Fatal(err)
			}
			if a := w.account(accountID); a.Status != component.StatusUnauthorized || len(a.Functions) != 0 {
				t.Fatalf("the account is %+v", a)
			}
			w.sim.Advance(time.Minute)
			hold, asked := make(chan struct{}), make(chan struct{})
			f.Hold, f.Reached = hold, func() { close(asked) }
			w.sim.Inject(wechattest.QueryAuthPath, f)
			code := w.sim.Grant(platformID, accountID)
			if _, err := w.sim.PushAuthorized(t.Context(), platformID, accountID, code, ""); err != nil {
				t.Fatal(err)
			}
			<-asked
			if a, _, _ := p.Authorizer(t.Context(), accountID); a.Status != component.StatusPending {
				t.Errorf("while WeChat is asked the account is %s", a.Status)
			}
			close(hold)
			p.Wait()
			if name == "refused" {
				if a := w.account(accountID); a.Status != component.StatusUnauthorized {
					t.Errorf("after WeChat's refusal the account is %s", a.Status)
				}
				return
			}
			if !strings.Contains(w.log.String(), `is tried again" appid=`+accountID) {
				t.Errorf("the log does not name the account:\n%s", w.log)
			}
			w.sim.Advance(time.Minute)
			w.settled(accountID)
			events, _ := p.Notices(t.Context(), accountID)
			if len(events) != 3 || events[2].Type != component.NoticeAuthorized {
				t.Errorf("the app is told %+v", events)
			}
		})
	}
}
