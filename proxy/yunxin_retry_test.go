package proxy

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wxgate/identity"
	"wxgate/session"
	"wxgate/wechat"
	"wxgate/yunxin"
	"wxgate/yunxin/yunxintest"
)

func TestYunxinOutageOutlivesARestart(t *testing.T) {
	t.Parallel()
	for _, api := range []string{"v1", "v2"} {
		t.Run(api, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, nil)
			w.restart(w.speaking(api))
			w.yunxin.Inject(yunxintest.Fault{Times: -1, Status: http.StatusBadGateway})
			users := []string{w.browser(iPhone).login(), w.browser(iPhone).as("aqiang").login(), w.browser(iPhone).as("faceless").login()}
			eventually(t, "each was tried", func() bool { return len(w.yunxin.Journal(yunxintest.Create)) >= 6 })
			if w.queued(t) != 3 || w.yunxin.Accounts() != 0 {
				t.Fatalf("%d to do, %d accounts", w.queued(t), w.yunxin.Accounts())
			}
			// The process dies; another one begins with the same store.
			g := w.restart(w.speaking(api))
			w.clock.advance(imFirstRetry)
			calls := len(w.yunxin.Journal(""))
			if err := g.im.round(t.Context()); err == nil {
				t.Error("an outage is no failure")
			}
			if n := len(w.yunxin.Journal("")) - calls; n > 2 || w.queued(t) != 3 {
				t.Errorf("%d calls in one round of an outage, %d left to do", n, w.queued(t))
			}
			w.yunxin.ClearFaults()
			if err := g.im.round(t.Context()); err != nil {
				t.Error(err)
			}
			for _, u := range users {
				if _, found := w.yunxin.Account(u); !found {
					t.Errorf("%s has no account", u)
				}
			}
			if w.queued(t) != 0 {
				t.Errorf("%d left to do", w.queued(t))
			}
			b := w.browser(iPhone)
			b.login()
			if code := w.admitted(b.im()); code != 200 {
				t.Errorf("Yunxin answers the page with %d", code)
			}
		})
	}
}

// One account that cannot be made must not stand before all others.
func TestYunxinQueueIsNotBlockedByOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	w.yunxin.Inject(yunxintest.Fault{Times: -1, Status: http.StatusBadGateway})
	blocked, erased, refused, good := w.browser(iPhone).login(), w.browser(iPhone).as("aqiang").login(), w.browser(iPhone).as("faceless").login(), w.browser(iPhone).as("wxuser").login()
	eventually(t, "each was tried", func() bool { return len(w.yunxin.Journal(yunxintest.Create)) >= 8 })
	w.setStatus(blocked, identity.StatusBlocked)
	w.setStatus(erased, identity.StatusErased)
	w.clock.advance(imFirstRetry)
	// In this order, the user that was deleted from the store first.
	for i, id := range []string{"aaaaaaaaaaaaaaaaaaaaaaaaaa", blocked, erased, refused, good} {
		if err := w.store.Schedule(t.Context(), imQueue, id, w.clock.now().Add(time.Duration(i-10)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	w.yunxin.ClearFaults()
	w.yunxin.Inject(yunxintest.Fault{API: yunxintest.Create, Code: 102434, Text: "limit of accounts exceeded"})
	g := w.restart()
	if err := g.im.round(t.Context()); err != nil {
		t.Errorf("the round ended early: %v", err)
	}
	if _, found := w.yunxin.Account(good); !found {
		t.Error("the one behind the others has no account")
	}
	if w.yunxin.Accounts() != 1 || w.queued(t) != 1 {
		t.Errorf("%d accounts, %d left to do", w.yunxin.Accounts(), w.queued(t))
	}
	calls := len(w.yunxin.Journal(""))
	if err := g.im.round(t.Context()); err != nil || len(w.yunxin.Journal("")) != calls {
		t.Errorf("the refused one is tried again at once: %v", err)
	}
	w.clock.advance(imGiveTime)
	if err := g.im.round(t.Context()); err != nil {
		t.Error(err)
	}
	if _, found := w.yunxin.Account(refused); !found || w.queued(t) != 0 {
		t.Errorf("later it has an account: %v, %d left to do", found, w.queued(t))
	}
}

func TestYunxinRetryWithoutAStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	w.yunxin.Inject(yunxintest.Fault{Times: -1, Status: http.StatusBadGateway})
	user := w.browser(iPhone).login()
	eventually(t, "it was tried", func() bool { return len(w.yunxin.Journal(yunxintest.Create)) >= 2 })
	w.clock.advance(imFirstRetry)
	w.yunxin.ClearFaults()
	g := w.restart()
	w.store.down.Store(true)
	if err := g.im.round(t.Context()); err == nil {
		t.Error("a store that is down is no failure")
	}
	w.store.down.Store(false)
	w.clock.advance(imLease)
	if err := g.im.round(t.Context()); err != nil {
		t.Error(err)
	}
	if _, found := w.yunxin.Account(user); !found || w.queued(t) != 0 {
		t.Errorf("account there: %v, %d left to do", found, w.queued(t))
	}
}

// inProcess carries calls to a simulator without a network, so that the time
// of a synctest bubble can pass.
type inProcess struct{ http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	p.ServeHTTP(rec, r)
	return rec.Result(), nil
}

func TestYunxinBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := openSpy(t)
		sim := yunxintest.New(yunxintest.Config{})
		sim.Inject(yunxintest.Fault{Times: -1, Status: http.StatusBadGateway})
		log := &logBuffer{}
		users := identity.NewDirectory(identity.DirectoryConfig{Store: store})
		sessions, err := session.NewManager(session.Config{Store: store, Secrets: [][]byte{worldSecret}, TTL: time.Hour, Idle: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		tmpl, err := identity.ParseNameTemplate("玩家{{.Digits}}")
		if err != nil {
			t.Fatal(err)
		}
		public := &url.URL{Scheme: "https", Host: "play.example"}
		g, err := New(Config{
			PublicURL: public, Upstreams: []Upstream{{Prefix: "/", URL: public}}, LoginRate: Rate{N: 1, Per: time.Second},
			WeChat: wechat.New(wechat.Config{}), Sessions: sessions, Users: users, DefaultName: tmpl,
			Ping: store.Ping, Queue: store, Logger: slog.New(slog.NewJSONHandler(log, nil)), Metrics: NewMetrics("test", "go"),
			Yunxin: &Yunxin{
				Client:  yunxin.New(yunxin.Config{AppKey: yunxintest.AppKey, AppSecret: yunxintest.AppSecret, URLs: []string{"http://yunxin.example"}, HTTP: &http.Client{Transport: inProcess{sim}}}),
				Secrets: [][]byte{worldSecret},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			res, err := users.Resolve(t.Context(), identity.Login{Platform: "default", Channel: "mp", AppID: "wx1", OpenID: fmt.Sprint("o", i)})
			if err != nil {
				t.Fatal(err)
			}
			if err := store.Schedule(t.Context(), imQueue, res.User.ID, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		ctx, stop := context.WithCancel(t.Context())
		ran := make(chan struct{})
		go func() {
			defer close(ran)
			g.im.run(ctx)
		}()
		time.Sleep(5 * time.Minute) // of the bubble
		var at []int
		for _, e := range sim.Journal("") {
			if s := int(e.Time.Sub(start) / time.Second); !slices.Contains(at, s) {
				at = append(at, s)
			}
		}
		// Pauses of 1, 2, 4, … 60 seconds, and one account a round.
		if want := []int{1, 3, 7, 15, 31, 63, 123, 183, 243}; !slices.Equal(at, want) {
			t.Errorf("tried after %v seconds, want %v", at, want)
		}
		if n := len(sim.Journal("")); n != 2*len(at) {
			t.Errorf("%d calls in %d rounds", n, len(at))
		}
		if n := strings.Count(log.String(), "cannot be made at the moment"); n != len(at) {
			t.Errorf("%d log records of %d failed rounds", n, len(at))
		}
		sim.ClearFaults()
		time.Sleep(imPauseMax + 5*time.Second)
		if n, err := store.QueueLen(t.Context(), imQueue); n != 0 || err != nil || sim.Accounts() != 20 {
			t.Errorf("after the outage %d are left to do, %d accounts, %v", n, sim.Accounts(), err)
		}
		stop()
		<-ran
	})
}
