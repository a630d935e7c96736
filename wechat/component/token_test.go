package component_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"wxgate/session/boltstore"
	"wxgate/session/redisstore"
	"wxgate/session/storetest"
	"wxgate/wechat"
	"wxgate/wechat/component"
	"wxgate/wechat/wechattest"
)

// stores are the back ends as users have them.
var stores = map[string]func(*testing.T) keeper{
	"bolt": func(t *testing.T) keeper {
		s, err := boltstore.Open(filepath.Join(t.TempDir(), "platform.db"), boltstore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	},
	"redis": func(t *testing.T) keeper {
		r := storetest.StartRedis(t)
		s, err := redisstore.Open("redis://"+r.Addr, redisstore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	},
}

// Three replicas, and 10,000 requests for the account's token and for the
// platform's around every expiry: WeChat mints each once a period, and none because
// a ticket came.
func TestOneMintForAllReplicas(t *testing.T) {
	const requests, periods = 10_000, 3
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			store := open(t)
			var replicas []*component.Platform
			for range 3 {
				replicas = append(replicas, w.platform(store))
			}
			w.front.Store(replicas[0])
			w.ticket()
			w.authorize(accountID)

			ask := func(n int) {
				t.Helper()
				var wg sync.WaitGroup
				failed := make(chan error, n)
				for i := range n {
					wg.Go(func() {
						p := replicas[i%3]
						var err error
						if i%2 == 0 {
							_, err = p.Token(t.Context(), accountID)
						} else {
							err = p.WithToken(t.Context(), func(string) error { return nil })
						}
						if err != nil {
							failed <- err
						}
					})
				}
				wg.Wait()
				for _, p := range replicas {
					p.Wait()
				}
				select {
				case err := <-failed:
					t.Fatal(err)
				default:
				}
			}
			own := w.sim.ComponentState(platformID).Mints
			accounts := w.sim.ComponentState(platformID).Authorizations[0].Mints
			for period := range periods {
				// Up to just before the window in which tokens are renewed early,
				// then through it and over the end.
				steps := []time.Duration{105 * time.Minute, 4 * time.Minute, 2 * time.Minute, 8 * time.Minute, 2 * time.Minute}
				if period == 1 {
					steps = []time.Duration{121 * time.Minute} // nobody came until it was over
				}
				for _, step := range steps {
					w.sim.Advance(step)
					w.ticket()
					ask(requests / len(steps))
				}
				state := w.sim.ComponentState(platformID)
				if got, want := state.Mints-own, period+1; got != want {
					t.Errorf("after period %d the platform's token was minted %d times, want %d", period, got, want)
				}
				if got, want := state.Authorizations[0].Mints-accounts, period+1; got != want {
					t.Errorf("after period %d the account's token was minted %d times, want %d", period, got, want)
				}
			}
		})
	}
}

// The token is renewed while it works, and nobody waits for that.
func TestEarlyRenewal(t *testing.T) {
	w, p := ready(t)
	w.authorize(accountID)
	first, err := p.Token(t.Context(), accountID)
	if err != nil {
		t.Fatal(err)
	}
	hold := make(chan struct{})
	reached := make(chan struct{})
	w.sim.Inject(wechattest.AuthorizerTokenPath, wechattest.Fault{Hold: hold, Reached: func() { close(reached) }})
	w.sim.Advance(111 * time.Minute)
	again, err := p.Token(t.Context(), accountID)
	if err != nil || again != first {
		t.Fatalf("got another token, or %v, while the old one works", err)
	}
	<-reached
	close(hold)
	p.Wait()
	w.sim.Advance(2 * time.Second)
	if next, err := p.Token(t.Context(), accountID); err != nil || next == first {
		t.Fatalf("the renewed token is not handed out: %v", err)
	}
}

// An early renewal that fails is no reason to refuse the token that works, nor to
// ask with every request.
func TestEarlyRenewalThatFails(t *testing.T) {
	w, p := ready(t)
	w.authorize(accountID)
	first, _ := p.Token(t.Context(), accountID)
	w.sim.Inject(wechattest.AuthorizerTokenPath, wechattest.Fault{Errcode: 45009, Times: -1})
	w.sim.Advance(111 * time.Minute)
	before := w.calls(wechattest.AuthorizerTokenPath)
	for range 100 {
		if got, err := p.Token(t.Context(), accountID); err != nil || got != first {
			t.Fatalf("%v", err)
		}
		p.Wait()
		w.sim.Advance(50 * time.Millisecond)
	}
	if n := w.calls(wechattest.AuthorizerTokenPath) - before; n != 1 {
		t.Errorf("asked %d times within five seconds, want once", n)
	}
	w.sim.ClearFaults()
	w.sim.Advance(16 * time.Second)
	p.Token(t.Context(), accountID)
	p.Wait()
	w.sim.Advance(2 * time.Second)
	if got, err := p.Token(t.Context(), accountID); err != nil || got == first {
		t.Fatalf("not renewed after the pause: %v", err)
	}
}

// A void token is looked up in the store before another one is minted.
func TestVoidTokenIsReadAgainFirst(t *testing.T) {
	w, p := ready(t)
	w.authorize(accountID)
	other := w.platform(w.store)
	old, err := other.Token(t.Context(), accountID)
	if err != nil {
		t.Fatal(err)
	}
	w.sim.Advance(2 * time.Minute)
	p.Drop(accountID, "not the token that it has")
	if got, _ := p.Token(t.Context(), accountID); got != old {
		t.Fatal("a token that nobody has was dropped")
	}
	p.Drop(accountID, old)
	fresh, err := p.Token(t.Context(), accountID)
	if err != nil || fresh == old {
		t.Fatalf("not minted again: %v", err)
	}
	mints := w.sim.ComponentState(platformID).Authorizations[0].Mints
	other.Drop(accountID, old)
	if got, err := other.Token(t.Context(), accountID); err != nil || got != fresh {
		t.Fatalf("got %q, %v; want the one that is in the store", got, err)
	}
	if n := w.sim.ComponentState(platformID).Authorizations[0].Mints; n != mints {
		t.Errorf("minted %d times more", n-mints)
	}
}

// Somebody else with the same ticket, a developer's machine, voids our token. We
// get over that, but do not fight.
func TestForeignMint(t *testing.T) {
	w, p := ready(t)
	call := func() error {
		return p.WithToken(t.Context(), func(token string) error {
			_, _, err := w.client().PreAuthCode(t.Context(), token, platformID)
			return err
		})
	}
	foreign := func() {
		t.Helper()
		ticket := w.sim.ComponentState(platformID).Tickets[0].Value
		if _, err := w.client().ComponentToken(t.Context(), wechat.App{ID: platformID, Secret: "platform-secret"}, ticket); err != nil {
			t.Fatal(err)
		}
		w.sim.Advance(6 * time.Minute) // the former one dies after five
	}
	if err := call(); err != nil {
		t.Fatal(err)
	}
	foreign()
	if err := call(); err != nil {
		t.Fatalf("after a foreign mint: %v", err)
	}
	// A token that is void as soon as it was minted.
	w.sim.Inject(wechattest.PreAuthCodePath, wechattest.Fault{Errcode: 40001, Times: -1})
	before := w.calls(wechattest.ComponentTokenPath)
	for range 10 {
		if err := call(); err == nil {
			t.Fatal("no error")
		}
	}
	if n := w.calls(wechattest.ComponentTokenPath) - before; n > 1 {
		t.Errorf("minted %d times within a moment", n)
	}
	if err := call(); err == nil || !strings.Contains(err.Error(), "somebody else mints") {
		t.Errorf("the cause is not named: %v", err)
	}
	w.sim.ClearFaults()
	w.sim.Advance(2 * time.Minute)
	if err := call(); err != nil {
		t.Errorf("later: %v", err)
	}
}

func (w *world) client() *wechat.Client { return wechat.New(wechat.Config{APIURL: w.sim.URL}) }

// A token may be void at once, too: then there is another one, but not another and
// another.
func TestFreshTokenThatIsVoid(t *testing.T) {
	w, p := ready(t)
	w.authorize(accountID)
	first, err := p.Token(t.Context(), accountID)
	if err != nil {
		t.Fatal(err)
	}
	p.Drop(accountID, first)
	second, err := p.Token(t.Context(), accountID)
	if err != nil || second == first {
		t.Fatalf("no other token: %v", err)
	}
	p.Drop(accountID, second)
	if _, err := p.Token(t.Context(), accountID); !errors.Is(err, component.ErrVoidAtOnce) {
		t.Errorf("got %v", err)
	}
	w.sim.Advance(time.Minute + time.Second)
	if third, err := p.Token(t.Context(), accountID); err != nil || third == second {
		t.Errorf("a minute later: %v", err)
	}
}

// A replica that dies while it mints is waited for no longer than its lease.
func TestLeaseOfADeadReplica(t *testing.T) {
	w, _ := ready(t)
	dead := w.platform(w.store)
	w.sim.Inject(wechattest.ComponentTokenPath, wechattest.Fault{Drop: true, Reached: func() { w.store.die(1) }})
	if err := dead.WithToken(t.Context(), func(string) error { return nil }); err == nil {
		t.Fatal("no error")
	}
	if !w.store.restart() {
		t.Fatal("it did not die")
	}
	p := w.platform(w.store)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.WithToken(ctx, func(string) error { return nil }); err == nil {
		t.Fatal("the lease was not respected")
	}
	w.sim.Advance(21 * time.Second)
	if err := p.WithToken(t.Context(), func(string) error { return nil }); err != nil {
		t.Fatal(err)
	}
}

// A replica that took longer than its lease does not overwrite what its successor
// stored.
func TestSlowReplicaIsFencedOff(t *testing.T) {
	w, _ := ready(t)
	slow, quick := w.platform(w.store), w.platform(w.store)
	hold, reached := make(chan struct{}), make(chan struct{})
	w.sim.Inject(wechattest.ComponentTokenPath, wechattest.Fault{Processed: true, Hold: hold, Reached: func() { close(reached) }})
	var got, want string
	var wg sync.WaitGroup
	wg.Go(func() { slow.WithToken(t.Context(), func(token string) error { got = token; return nil }) })
	<-reached
	w.sim.Advance(21 * time.Second)
	if err := quick.WithToken(t.Context(), func(token string) error { want = token; return nil }); err != nil {
		t.Fatal(err)
	}
	close(hold)
	wg.Wait()
	if got == "" || got != want {
		t.Errorf("the slow replica uses %.8s…, the quick one %.8s…", got, want)
	}
}

// A refusal is passed on for a moment, so that a wrong secret is not asked about
// with every request.
func TestRefusalIsRemembered(t *testing.T) {
	w, p := ready(t)
	w.sim.Inject(wechattest.ComponentTokenPath, wechattest.Fault{Errcode: 40125, Times: -1})
	for range 20 {
		err := p.WithToken(t.Context(), func(string) error { return nil })
		var api *wechat.APIError
		if !errors.As(err, &api) || api.Code != 40125 {
			t.Fatalf("got %v", err)
		}
	}
	if n := w.calls(wechattest.ComponentTokenPath); n != 1 {
		t.Errorf("asked %d times", n)
	}
	w.sim.ClearFaults()
	w.sim.Advance(11 * time.Second)
	if err := p.WithToken(t.Context(), func(string) error { return nil }); err != nil {
		t.Error(err)
	}
}

// Whatever WeChat answers instead of a token is an error that names no secret.
func TestNonsenseInsteadOfAToken(t *testing.T) {
	for name, f := range map[string]wechattest.Fault{
		"nothing": wechattest.Empty, "a page": wechattest.HTML, "huge": wechattest.Huge, "busy": wechattest.Busy, "cut": wechattest.Drop,
		"no token": {Body: func([]byte) []byte { return []byte(`{"expires_in":7200}`) }},
		"502":      {Status: http.StatusBadGateway},
	} {
		t.Run(name, func(t *testing.T) {
			w, p := ready(t)
			w.sim.Inject(wechattest.ComponentTokenPath, f)
			err := p.WithToken(t.Context(), func(string) error { return nil })
			if err == nil || strings.Contains(fmt.Sprint(err), "platform-secret") || strings.Contains(fmt.Sprint(err), "ticket@@@") {
				t.Fatalf("got %v", err)
			}
			w.sim.Advance(11 * time.Second)
			if err := p.WithToken(t.Context(), func(string) error { return nil }); err != nil {
				t.Errorf("the next attempt: %v", err)
			}
		})
	}
}

// An answer without a life, or with a short one, makes no token that is renewed
// all the time.
func TestShortLives(t *testing.T) {
	w, p := ready(t)
	w.sim.Inject(wechattest.ComponentTokenPath, wechattest.Fault{Body: func(b []byte) []byte {
		return []byte(strings.Replace(string(b), "7200", "600", 1))
	}})
	for range 50 {
		if err := p.WithToken(t.Context(), func(string) error { return nil }); err != nil {
			t.Fatal(err)
		}
		w.sim.Advance(9 * time.Second)
	}
	p.Wait()
	if n := w.calls(wechattest.ComponentTokenPath); n != 1 {
		t.Errorf("%d mints within the first three quarters of a life of ten minutes", n)
	}
}

// What cannot be had is asked for once in a while and not with every request: the
// requests may be anybody's.
func TestNothingToBeHadCostsLittle(t *testing.T) {
	for name, lose := range map[string]func(w *world){
		"a code that nobody exchanged": func(w *world) {
			w.sim.Grant(platformID, accountID)
			if _, err := w.front.Load().Sync(w.Context()); err != nil {
				w.Fatal(err)
			}
			w.front.Load().Wait()
		},
		"a refresh token that is void, and told again": func(w *world) {
			w.authorize(accountID)
			w.sim.Advance(121 * time.Minute)
			w.ticket()
			w.sim.Inject(wechattest.AuthorizerTokenPath, wechattest.Fault{Errcode: 61023, Times: -1})
		},
		"WeChat is away": func(w *world) {
			w.authorize(accountID)
			w.front.Load().Wait()
			w.sim.Advance(121 * time.Minute)
			w.ticket()
			w.sim.Inject(wechattest.ComponentTokenPath, wechattest.Fault{Drop: true, Times: -1})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, p := ready(t)
			lose(w)
			calls, ops := len(w.sim.Journal()), w.store.ops
			for range 200 {
				if _, err := p.Token(t.Context(), accountID); err == nil {
					t.Fatal("there is a token")
				}
			}
			p.Wait()
			if n := len(w.sim.Journal()) - calls; n > 4 {
				t.Errorf("%d calls of WeChat for 200 requests", n)
			}
			if n := w.store.ops - ops; n > 20 {
				t.Errorf("%d store operations for 200 requests", n)
			}
		})
	}
}

func TestWithoutATicketCostsLittle(t *testing.T) {
	w := newWorld(t)
	for range 200 {
		if err := w.front.Load().WithToken(t.Context(), func(string) error { return nil }); !errors.Is(err, component.ErrNoTicket) {
			t.Fatalf("got %v", err)
		}
	}
	if w.store.ops > 10 {
		t.Errorf("%d store operations for 200 requests", w.store.ops)
	}
}

// Many want to know what an account is that WeChat does not describe.
func TestDescribeAsksOnce(t *testing.T) {
	w, p := ready(t)
	w.sim.Inject(wechattest.AuthorizerInfoPath, wechattest.Fault{Errcode: -1, Times: -1})
	code := w.sim.Grant(platformID, accountID)
	if _, err := w.sim.PushAuthorized(t.Context(), platformID, accountID, code, ""); err != nil {
		t.Fatal(err)
	}
	p.Wait()
	before := w.calls(wechattest.AuthorizerInfoPath)
	for range 100 {
		if a, found, err := p.Describe(t.Context(), accountID); !found || err == nil || a.UserName != "" {
			t.Fatalf("%+v, %v, %v", a, found, err)
		}
	}
	if n := w.calls(wechattest.AuthorizerInfoPath) - before; n != 1 {
		t.Errorf("asked %d times", n)
	}
	w.sim.ClearFaults()
	w.sim.Advance(11 * time.Second)
	if a, _, err := p.Describe(t.Context(), accountID); err != nil || a.UserName == "" {
		t.Errorf("%+v, %v", a, err)
	}
}
