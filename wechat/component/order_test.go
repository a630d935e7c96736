package component_test

import (
	"sync"
	"testing"
	"time"

	"wxgate/wechat/component"
	"wxgate/wechat/wechattest"
)

// The clocks of replicas differ. A lease is held all the same.
func TestLeaseByAnotherClock(t *testing.T) {
	for _, ahead := range []time.Duration{-5 * time.Second, -50 * time.Millisecond, 50 * time.Millisecond, 5 * time.Second} {
		t.Run(ahead.String(), func(t *testing.T) {
			w, one := ready(t)
			store := w.store.another()
			two := w.platformAt(store, ahead)
			hold, reached := make(chan struct{}), make(chan struct{})
			w.sim.Inject(wechattest.ComponentTokenPath, wechattest.Fault{Hold: hold, Reached: func() { close(reached) }})
			var wg sync.WaitGroup
			ask := func(p *component.Platform) {
				wg.Go(func() {
					if err := p.WithToken(t.Context(), func(string) error { return nil }); err != nil {
						t.Error(err)
					}
				})
			}
			ask(one)
			<-reached
			ask(two)
			w.until("the other one looked again, or did not wait", func() bool {
				store.mu.Lock()
				defer store.mu.Unlock()
				return store.ops >= 3
			})
			close(hold)
			wg.Wait()
			if n := w.sim.ComponentState(platformID).Mints; n != 1 {
				t.Errorf("minted %d times", n)
			}
		})
	}
}

// An account takes its authorization back and grants another one. The browser
// brings the new one before the push about the end of the old one comes.
func TestEndOfTheAuthorizationBefore(t *testing.T) {
	w, p := ready(t)
	w.authorize(accountID)
	w.sim.Advance(time.Minute)
	end := w.sim.Now()
	w.sim.Set(func(b *wechattest.Behaviour) { b.EventAttempts = 1 })
	w.sim.Inject(wechattest.EventPushes, wechattest.Fault{Drop: true})
	w.sim.Deauthorize(t.Context(), platformID, accountID)
	w.sim.Advance(time.Minute)
	code := w.sim.Grant(platformID, accountID)
	if _, err := p.Returned(t.Context(), w.state(), code, time.Hour); err != nil {
		t.Fatal(err)
	}
	late := wechattest.ComponentPush{InfoType: "unauthorized", Fields: []string{"AuthorizerAppid", accountID}, CreateTime: end}
	if _, err := w.sim.PushComponent(t.Context(), platformID, late); err != nil {
		t.Fatal(err)
	}
	if a := w.account(accountID); a.Status != component.StatusAuthorized {
		t.Fatalf("the account is %s by a push about the authorization before", a.Status)
	}
	// One that is meant ends it.
	w.sim.Advance(time.Minute)
	if _, err := w.sim.Deauthorize(t.Context(), platformID, accountID); err != nil {
		t.Fatal(err)
	}
	if a := w.account(accountID); a.Status != component.StatusUnauthorized || a.HasRefreshToken {
		t.Errorf("the account is %+v", a)
	}
}

// What changes while WeChat's list is read is newer than the list.
func TestSyncWithAnOldList(t *testing.T) {
	for name, change := range map[string]func(w *world, p *component.Platform){
		"renewed": func(w *world, p *component.Platform) {
			if _, err := p.Token(w.Context(), accountID); err != nil {
				w.Fatal(err)
			}
		},
		// WeChat tells times in whole seconds, by its own clock.
		"ended": func(w *world, p *component.Platform) {
			push := wechattest.ComponentPush{InfoType: "unauthorized", Fields: []string{"AuthorizerAppid", accountID}, CreateTime: w.sim.Now().Add(-2 * time.Second)}
			if _, err := w.sim.PushComponent(w.Context(), platformID, push); err != nil {
				w.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, p := ready(t)
			w.sim.Set(func(b *wechattest.Behaviour) { b.RotateRefresh = true })
			w.authorize(accountID)
			w.sim.Advance(121 * time.Minute)
			w.ticket()
			other := w.platformAt(w.store, -3*time.Second) // its clock is slow
			if err := other.WithToken(t.Context(), func(string) error { return nil }); err != nil {
				t.Fatal(err)
			}
			hold, reached := make(chan struct{}), make(chan struct{})
			w.sim.Inject(wechattest.AuthorizerListPath, wechattest.Fault{Processed: true, Hold: hold, Reached: func() { close(reached) }})
			var wg sync.WaitGroup
			var report component.SyncReport
			wg.Go(func() { report, _ = p.Sync(t.Context()) })
			<-reached
			change(w, other)
			close(hold)
			wg.Wait()
			if report.Added+report.Restored != 0 {
				t.Errorf("the old list was taken for the newer one: %+v", report)
			}
		})
	}
}

// The account took it back before its code was exchanged, and the push was lost.
func TestCodeOfOneWhoIsGone(t *testing.T) {
	w, p := ready(t)
	w.sim.Set(func(b *wechattest.Behaviour) { b.EventAttempts = 1 })
	w.sim.Inject(wechattest.QueryAuthPath, wechattest.Busy)
	code := w.sim.Grant(platformID, accountID)
	if _, err := w.sim.PushAuthorized(t.Context(), platformID, accountID, code, ""); err != nil {
		t.Fatal(err)
	}
	p.Wait()
	w.sim.Inject(wechattest.EventPushes, wechattest.Fault{Drop: true})
	w.sim.Deauthorize(t.Context(), platformID, accountID)
	w.sim.Advance(2 * time.Minute)
	p.Work(t.Context())
	if _, err := p.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := w.account(accountID); a.Status != component.StatusUnauthorized {
		t.Errorf("the account is %s", a.Status)
	}
}
