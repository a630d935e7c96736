package component_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"wxgate/wechat/component"
	"wxgate/wechat/wechattest"
)

// The process dies before any one of its store operations, in each part of the life
// of an authorization. WeChat sends again what was not acknowledged, and nothing
// that was acknowledged is missing when another process goes on.
func TestDeathAtEveryStep(t *testing.T) {
	type part struct {
		name    string
		prepare func(w *world) // with a living process
		run     func(w *world) // until it dies, or to its end
		check   func(w *world)
	}
	push := func(w *world, do func() (wechattest.Pushed, error)) {
		// One attempt meets the process that is about to die, the second one the
		// next.
		if _, err := do(); err != nil {
			w.survive()
			if _, err := do(); err != nil {
				w.Fatalf("refused by a living process: %v", err)
			}
		}
	}
	repeatable := func(w *world, p wechattest.ComponentPush) func() (wechattest.Pushed, error) {
		p.Attempts, p.CreateTime = 1, w.sim.Now()
		return func() (wechattest.Pushed, error) { return w.sim.PushComponent(w.Context(), platformID, p) }
	}
	authorized := func(w *world, kind, code string) func() (wechattest.Pushed, error) {
		return repeatable(w, wechattest.ComponentPush{InfoType: kind, Fields: []string{
			"AuthorizerAppid", accountID, "AuthorizationCode", code, "AuthorizationCodeExpiredTime", "3600", "PreAuthCode", "p",
		}})
	}
	hasToken := func(w *world) {
		w.until("its tokens are there", func() bool {
			a, _, err := w.front.Load().Authorizer(w.Context(), accountID)
			return err == nil && a.Status == component.StatusAuthorized && a.HasRefreshToken && a.UserName != ""
		})
		if _, err := w.front.Load().Token(w.Context(), accountID); err != nil {
			w.Errorf("its token: %v", err)
		}
	}
	told := func(w *world, want ...string) {
		w.Helper()
		w.front.Load().Wait()
		events, err := w.front.Load().Notices(w.Context(), accountID)
		var got []string
		for _, e := range events {
			got = append(got, e.Type)
			if _, queued := w.store.queues["hooks"][component.NoticeKey(accountID, e.ID)]; !queued {
				w.Errorf("nobody will deliver the event %s", e.Type)
			}
		}
		if err != nil || !slices.Equal(got, want) {
			w.Errorf("the app is told %v, %v; want %v", got, err, want)
		}
	}
	rotate := func(w *world) { w.sim.Set(func(b *wechattest.Behaviour) { b.RotateRefresh = true }) }
	parts := []part{
		{"ticket", func(w *world) {}, func(w *world) {
			push(w, func() (wechattest.Pushed, error) { return w.pushTicketOnce() })
		}, func(w *world) {
			if w.ticketAt().IsZero() {
				w.Error("the ticket is gone")
			}
		}},
		{"authorized by push", (*world).ticket, func(w *world) {
			push(w, authorized(w, "authorized", w.sim.Grant(platformID, accountID)))
		}, func(w *world) { hasToken(w); told(w, component.NoticeAuthorized) }},
		{"authorized by the browser", func(w *world) { w.ticket(); w.opened = w.state() }, func(w *world) {
			// The browser comes with the code once; if it is told of a failure, it
			// may come again.
			state, code := w.opened, w.sim.Grant(platformID, accountID)
			if _, err := w.front.Load().Returned(w.Context(), state, code, time.Hour); err != nil {
				w.survive()
				w.front.Load().Returned(w.Context(), state, code, time.Hour)
			}
		}, func(w *world) { hasToken(w); told(w, component.NoticeAuthorized) }},
		{"updated", func(w *world) { w.ticket(); w.authorize(accountID); w.sim.Advance(time.Minute) }, func(w *world) {
			push(w, authorized(w, "updateauthorized", w.sim.Grant(platformID, accountID, 1, 4)))
		}, func(w *world) {
			w.until("it has its new permission sets", func() bool {
				w.front.Load().Wait()
				return slices.Equal(w.account(accountID).Functions, []int{1, 4})
			})
			hasToken(w)
			told(w, component.NoticeAuthorized, component.NoticeUpdated)
		}},
		{"unauthorized", func(w *world) { w.ticket(); w.authorize(accountID); w.sim.Advance(time.Minute) }, func(w *world) {
			push(w, repeatable(w, wechattest.ComponentPush{InfoType: "unauthorized", Fields: []string{"AuthorizerAppid", accountID}}))
		}, func(w *world) {
			if a := w.account(accountID); a.Status != component.StatusUnauthorized || a.HasRefreshToken {
				w.Errorf("the account is %+v", a)
			}
			told(w, component.NoticeAuthorized, component.NoticeUnauthorized)
		}},
		{"renewed", func(w *world) {
			rotate(w)
			w.ticket()
			w.authorize(accountID)
			w.sim.Advance(121 * time.Minute)
			w.ticket()
		}, func(w *world) {
			w.front.Load().Token(w.Context(), accountID)
		}, func(w *world) { hasToken(w); told(w, component.NoticeAuthorized) }},
		{"renewed early", func(w *world) { rotate(w); w.ticket(); w.authorize(accountID); w.sim.Advance(112 * time.Minute) }, func(w *world) {
			w.front.Load().Token(w.Context(), accountID)
			w.front.Load().Wait()
		}, func(w *world) { hasToken(w); told(w, component.NoticeAuthorized) }},
		{"release test", func(w *world) {
			w.ticket()
			w.authorize(accountID)
			w.sim.Advance(time.Minute)
			w.opened, w.tester = w.sim.Grant(platformID, accountID, 1, 9), w.openID(accountID)
		}, func(w *world) {
			if err := w.front.Load().ReplyLater(w.Context(), accountID, w.tester, w.opened); err != nil {
				w.survive()
				if err := w.front.Load().ReplyLater(w.Context(), accountID, w.tester, w.opened); err != nil {
					w.Fatal(err)
				}
			}
		}, func(w *world) {
			w.until("the message was sent", func() bool {
				w.front.Load().Wait()
				return w.calls("/cgi-bin/message/custom/send") > 0
			})
			hasToken(w)
			told(w, component.NoticeAuthorized, component.NoticeUpdated)
		}},
		{"refilled", func(w *world) {
			w.ticket()
			w.authorize(accountID)
			w.store = newMemory(w.sim.Now)
			w.front.Store(w.platform(w.store))
			w.ticketAgain()
		}, func(w *world) {
			if _, err := w.front.Load().Sync(w.Context()); err != nil {
				w.survive()
				w.front.Load().Sync(w.Context())
			}
		}, func(w *world) { hasToken(w); told(w, component.NoticeAuthorized) }},
	}
	for _, part := range parts {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			for at := 1; ; at++ {
				died := false
				t.Run(fmt.Sprint(at), func(t *testing.T) {
					w := newWorld(t)
					w.sim.Set(func(b *wechattest.Behaviour) { b.EventAttempts = 1 })
					part.prepare(w)
					w.front.Load().Wait()
					w.store.die(at)
					part.run(w)
					w.front.Load().Wait()
					died = w.survive() || w.died
					part.check(w)
				})
				if !died || t.Failed() {
					if at < 3 {
						t.Errorf("there are but %d steps to die at", at)
					}
					return
				}
			}
		})
	}
}

func (w *world) pushTicketOnce() (wechattest.Pushed, error) {
	w.sim.Advance(time.Second)
	return w.sim.PushTicket(w.Context(), platformID)
}

// survive waits for the end of a process that died, and starts another one when
// its leases are over.
func (w *world) survive() (died bool) {
	w.front.Load().Wait()
	if died = w.store.restart(); died {
		w.died = true
		w.front.Store(w.platform(w.store))
		w.sim.Advance(2 * time.Minute)
	}
	return died
}
