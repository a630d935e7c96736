package proxy

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wxgate/identity"
)

// hookRaw is a peer that answers every connection with these bytes, and with a
// nil slice not at all.
func hookRaw(t *testing.T, answer []byte) (address string, conns *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	conns, ended := &atomic.Int64{}, make(chan struct{})
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			open.Go(func() {
				<-ended
				c.Close()
			})
			open.Go(func() {
				defer c.Close()
				if answer == nil {
					<-ended
					return
				}
				for in := bufio.NewReader(c); ; {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					io.Copy(io.Discard, r.Body)
					if _, err := c.Write(answer); err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 ")) {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		close(ended)
		l.Close()
		open.Wait()
	})
	return "http://" + l.Addr().String(), conns
}

// Whatever comes instead of a 2xx, the event stays, is tried again, and is
// warned of; and the log has nothing of the address, the event's openid, or what
// was answered.
func TestHookBadAnswers(t *testing.T) {
	t.Parallel()
	var followed atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	t.Cleanup(elsewhere.Close)
	location := "Location: " + elsewhere.URL + "/?answered-secret\r\nContent-Length: 0\r\n\r\n"
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	t.Cleanup(secure.Close)
	for _, c := range []struct {
		name    string
		answer  []byte
		address string
		want    string // in the warning
		taken   bool
		alone   bool // says nothing about other events
	}{
		{name: "ok", answer: []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), taken: true},
		{name: "accepted, with a body that never ends", answer: []byte("HTTP/1.1 202 Accepted\r\nContent-Length: 9999\r\n\r\nanswered-secret"), taken: true},
		{name: "a body far too large", answer: fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n%1000000d", 1), taken: true},
		{name: "301", answer: []byte("HTTP/1.1 301 Moved\r\n" + location), want: `"status":301`, alone: true},
		{name: "303", answer: []byte("HTTP/1.1 303 See Other\r\n" + location), want: `"status":303`, alone: true},
		{name: "307", answer: []byte("HTTP/1.1 307 Temporary\r\n" + location), want: `"status":307`, alone: true},
		{name: "400", answer: []byte("HTTP/1.1 400 answered-secret\r\nContent-Length: 15\r\n\r\nanswered-secret"), want: `"status":400`, alone: true},
		{name: "401", answer: []byte("HTTP/1.1 401 No\r\nWWW-Authenticate: answered-secret\r\nContent-Length: 0\r\n\r\n"), want: `"status":401`, alone: true},
		{name: "429", answer: []byte("HTTP/1.1 429 No\r\nContent-Length: 0\r\n\r\n"), want: `"status":429`},
		{name: "500", answer: []byte("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"), want: `"status":500`, alone: true},
		{name: "503", answer: []byte("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"), want: `"status":503`},
		{name: "switching protocols", answer: []byte("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: answered-secret\r\n\r\n"), want: `"status":101`, alone: true},
		{name: "closed", answer: []byte{}, want: "closed without an answer"},
		{name: "garbage", answer: []byte("answered-secret\r\n\r\n"), want: "no HTTP"},
		{name: "garbage as a header", answer: []byte("HTTP/1.1 200 OK\r\nanswered-secret\r\n\r\n"), want: "no HTTP"},
		{name: "a length of garbage", answer: []byte("HTTP/1.1 200 OK\r\nContent-Length: answered-secret\r\n\r\n"), want: "no HTTP"},
		{name: "endless headers", answer: []byte("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("answered-secret", 10000) + "\r\n\r\n"), want: "no HTTP"},
		{name: "silence", want: "no answer in time"},
		{name: "a foreign certificate", address: secure.URL, want: "certificate"},
		{name: "plain text from https", address: "https://" + strings.TrimPrefix(elsewhere.URL, "http://"), want: "HTTP response to HTTPS client"},
		{name: "an address that is none", address: "http://127.0.0.1:notaport", want: "no URL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			conns := &atomic.Int64{}
			if c.address == "" {
				c.address, conns = hookRaw(t, c.answer)
			}
			scheme, host, _ := strings.Cut(c.address, "://")
			w, _ := newSpied(t, 1, nil, func(cfg *Config) {
				cfg.HookURL = scheme + "://hookuser:hook-password-1@" + host + "/events?token=hook-token-2"
			})
			g := w.replica(0)
			g.hooks.client.Timeout = 300 * time.Millisecond
			openIDs := []string{"o-of-the-first", "o-of-the-second"}
			for _, id := range openIDs {
				w.person(id, "")
			}
			g.hooks.failing = true // one after the other
			r := w.round(g)
			log := w.log.String()
			if c.taken {
				if r.delivered != 2 || w.events(t) != 0 || r.failure != nil {
					t.Errorf("%d taken, %d pending, %v", r.delivered, w.events(t), r.failure)
				}
				return
			}
			tried := 1
			if c.alone {
				tried = 2
			}
			if r.delivered != 0 || r.failed != tried || w.events(t) != 2 {
				t.Errorf("%d taken, %d of %d failed, %d pending", r.delivered, r.failed, tried, w.events(t))
			}
			if n := conns.Load(); conns != nil && n > int64(2*tried) {
				t.Errorf("%d connections", n)
			}
			w.clock.advance(hookLease)
			w.deliver(g, time.Second)
			warned := w.hookLog(slog.LevelWarn)
			if len(warned) != 1 || !strings.Contains(warned[0], c.want) {
				t.Errorf("warned %q, want %q", warned, c.want)
			}
			log += w.log.String()
			for _, secret := range append(openIDs, "hook-password-1", "hook-token-2", "hookuser", "answered-secret", "eyJ") {
				if strings.Contains(log, secret) {
					t.Errorf("the log has %q: %s", secret, log)
				}
			}
		})
	}
	t.Cleanup(func() {
		if n := followed.Load(); n != 0 {
			t.Errorf("%d redirects were followed", n)
		}
	})
}

// An app that refuses everything for an hour is asked seldom, and gets all of it
// afterwards, in order.
func TestHookOutageOfAnHour(t *testing.T) {
	t.Parallel()
	const people = 8
	for _, c := range []struct {
		status int
		most   int // attempts in the hour
	}{{500, 400}, {404, 400}, {503, 90}} {
		t.Run(fmt.Sprint(c.status), func(t *testing.T) {
			t.Parallel()
			w, _, app := hookedWorld(t, 1)
			g := w.replica(0)
			app.says(c.status)
			var users []string
			for i := range people {
				user := w.person(fmt.Sprint("o", i), "")
				if _, err := g.cfg.Users.Block(t.Context(), user); err != nil {
					t.Fatal(err)
				}
				users = append(users, user)
			}
			w.deliver(g, time.Hour)
			tried := app.events()
			if len(tried) > c.most || len(tried) < 60 || w.events(t) != 2*people {
				t.Errorf("%d attempts in an hour, %d events pending", len(tried), w.events(t))
			}
			for _, e := range tried {
				if e.Type != identity.NoticeCreated {
					t.Fatalf("%s was sent before what is earlier was taken", e.Type)
				}
			}
			warned := w.hookLog(slog.LevelWarn)
			if n := len(warned); n < 10 || n > 61 {
				t.Errorf("%d warnings in an hour", n)
			}
			if told := len(w.hookLog(slog.LevelInfo)) - len(warned); told != 0 {
				t.Errorf("%d times it worked again", told)
			}
			app.says(http.StatusOK)
			w.deliver(g, hookWaitMax+2*hookPauseMax)
			for _, user := range users {
				all := app.types(user)
				if n := slices.Index(all, identity.NoticeBlocked); n < 0 || n != len(all)-1 {
					t.Errorf("%s: %v", user, all)
				}
			}
			if n := w.events(t); n != 0 || g.hooks.failing {
				t.Errorf("%d events are left, still failing: %v", n, g.hooks.failing)
			}
			if told := len(w.hookLog(slog.LevelInfo)) - len(w.hookLog(slog.LevelWarn)); told != 1 {
				t.Errorf("%d times it worked again", told)
			}
		})
	}
}

// What the app does not take of some people is no reason to keep it from hearing
// about others: one poisoned event, or many, that it refuses or hangs at.
func TestHookPoison(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		poison int
		refuse func() (status int)
		within time.Duration
	}{
		{"one is refused", 1, func() int { return http.StatusBadRequest }, 5 * time.Second},
		{"one breaks the app", 1, func() int { return http.StatusInternalServerError }, 5 * time.Second},
		{"one cuts the connection", 1, func() int { panic(http.ErrAbortHandler) }, 5 * time.Second},
		{"many break the app", 40, func() int { return http.StatusInternalServerError }, 5 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w, _, app := hookedWorld(t, 1)
			g := w.replica(0)
			var poison []string
			for i := range c.poison {
				poison = append(poison, w.person(fmt.Sprint("p", i), ""))
			}
			app.replies(func(e hookSeen) int {
				if slices.Contains(poison, e.User) {
					return c.refuse()
				}
				return http.StatusOK
			})
			w.clock.advance(time.Millisecond) // the poison is due first
			var good []string
			for i := range 20 {
				good = append(good, w.person(fmt.Sprint("o", i), ""))
			}
			w.deliver(g, c.within)
			for _, user := range good {
				if n := len(app.types(user)); n != 1 {
					t.Errorf("%d events came of %s", n, user)
				}
			}
			if n := w.events(t); n != c.poison {
				t.Fatalf("%d events are left", n)
			}
			// Later ones are delivered as if nothing was.
			w.deliver(g, 30*time.Minute)
			late := w.person("late", "")
			w.deliver(g, c.within+2*hookPauseMax)
			if n := len(app.types(late)); n != 1 {
				t.Errorf("%d events came of a later one", n)
			}
			for _, user := range poison[:1] {
				if _, err := g.cfg.Users.Block(t.Context(), user); err != nil {
					t.Fatal(err)
				}
				w.deliver(g, hookWaitMax)
				all := app.types(user)
				if n := len(all); n > 50 || slices.Contains(all, identity.NoticeBlocked) {
					t.Errorf("%d attempts: %v", n, all)
				}
			}
			app.says(http.StatusOK)
			w.deliver(g, hookWaitMax+2*hookPauseMax)
			if all := app.types(poison[0]); all[len(all)-1] != identity.NoticeBlocked || all[len(all)-2] != identity.NoticeCreated {
				t.Errorf("at the end it was told %v", all)
			}
			if n := w.events(t); n != 0 {
				t.Errorf("%d events are left", n)
			}
		})
	}
}

// A slow app holds up nobody else's events, and an answer that comes too late
// does not count.
func TestHookSlow(t *testing.T) {
	t.Parallel()
	w, _, app := hookedWorld(t, 1)
	g := w.replica(0)
	slow := w.person("slow", "")
	hang, entered := make(chan struct{}), make(chan struct{}, 100)
	var others atomic.Int64
	app.replies(func(e hookSeen) int {
		if e.User == slow && e.tries == 0 {
			entered <- struct{}{}
			<-hang
		} else if e.User != slow {
			others.Add(1)
		}
		return http.StatusOK
	})
	for i := range 20 {
		w.person(fmt.Sprint("o", i), "")
	}
	done := make(chan *hookRound)
	go func() {
		r, _ := g.hooks.round(t.Context())
		done <- r
	}()
	<-entered
	eventually(t, "the others' come", func() bool { return others.Load() == 20 })
	close(hang)
	if r := <-done; r.delivered != 21 || w.events(t) != 0 {
		t.Errorf("%d delivered, %d left", r.delivered, w.events(t))
	}

	slow = w.person("too-slow", "")
	hang = make(chan struct{})
	if g.hooks.client.Timeout != hookLimit {
		t.Errorf("one post may take %s", g.hooks.client.Timeout)
	}
	g.hooks.client.Timeout = 50 * time.Millisecond
	if r := w.round(g); r.failed != 1 || w.events(t) != 1 {
		t.Errorf("%d failed, %d left", r.failed, w.events(t))
	}
	close(hang)
	g.hooks.client.Timeout = hookLimit
	w.deliver(g, time.Minute)
	if n := len(app.types(slow)); n != 2 || w.events(t) != 0 {
		t.Errorf("it came %d times, %d left", n, w.events(t))
	}
}

// An answer that never ends is not read to its end.
func TestHookEndlessAnswer(t *testing.T) {
	t.Parallel()
	w, _, app := hookedWorld(t, 1)
	var sent atomic.Int64
	app.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		for block := make([]byte, 64<<10); ; {
			n, err := rw.Write(block)
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	})
	w.person("o", "")
	w.round(w.replica(0))
	app.Close() // when the answer has come to its end
	if n := sent.Load(); n > 64<<20 || w.events(t) != 0 {
		t.Errorf("%d bytes were taken, %d events are left", n, w.events(t))
	}
}

// What a slow round did not come to within its lease is left to others.
func TestHookLeaseRunsOut(t *testing.T) {
	t.Parallel()
	w, _, app := hookedWorld(t, 1)
	g := w.replica(0)
	g.hooks.failing = true // one after the other
	app.replies(func(hookSeen) int {
		w.clock.advance(hookLease)
		return http.StatusOK
	})
	for i := range 3 {
		w.person(fmt.Sprint("o", i), "")
	}
	for left := range 3 {
		if r := w.round(g); r.delivered != 1 || w.events(t) != 2-left {
			t.Errorf("%d delivered, %d left", r.delivered, w.events(t))
		}
	}
}

// An app closes an idle connection at the moment when the next event goes into
// it: no failure, the event goes into another.
func TestHookConnectionJustClosed(t *testing.T) {
	t.Parallel()
	w, _, app := hookedWorld(t, 1)
	inner, first := app.Config.Handler, ""
	app.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.RemoteAddr == first {
			panic(http.ErrAbortHandler)
		}
		if first == "" {
			first = r.RemoteAddr
		}
		inner.ServeHTTP(rw, r)
	})
	for i := range 2 {
		w.person(fmt.Sprint("o", i), "")
		if r := w.round(w.replica(0)); r.delivered != 1 || r.failure != nil {
			t.Errorf("event %d: %d delivered, %v", i, r.delivered, r.failure)
		}
	}
}

// The replica dies when the app has the event and nobody knows.
func TestHookAfterDeath(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		dies   func(method, key string) bool
		repeat bool
	}{
		{"before any note", func(string, string) bool { return true }, true},
		{"between the claim's note and the record", func(method, key string) bool { return !strings.HasPrefix(key, "m:") }, false},
		{"not at all, but the record cannot be written", func(method, key string) bool { return method == "Replace" && strings.HasPrefix(key, "u:") }, false},
		{"between record and queue", func(method, _ string) bool { return method == "Schedule" || method == "Done" }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w, store, app := hookedWorld(t, 1)
			g := w.replica(0)
			user := w.person("o", "")
			if _, err := g.cfg.Users.Block(t.Context(), user); err != nil {
				t.Fatal(err)
			}
			ctx, kill := context.WithCancel(t.Context())
			defer kill()
			app.replies(func(e hookSeen) int {
				if e.Type == identity.NoticeCreated && e.tries == 0 {
					store.failing(func(method, key string) error {
						if c.dies(method, key) {
							return errDown
						}
						return nil
					})
				}
				return http.StatusOK
			})
			queue := &deadQueue{Queue: g.cfg.Queue, dies: func() bool { return c.dies("Done", "") && len(app.events()) > 0 }}
			g.cfg.Queue = queue
			if _, err := g.hooks.round(ctx); err == nil {
				t.Error("the store was down, and nobody noticed")
			}
			store.failing(nil)
			if n := len(app.events()); n != 1 || w.events(t) != 2 {
				t.Fatalf("%d posts, %d pending", n, w.events(t))
			}
			g = w.restart(func(c *Config) { c.HookURL = app.URL })
			w.deliver(g, hookClaim/2)
			if n := len(app.types(user)); c.repeat && n != 1 {
				t.Errorf("%d posts while the claim of the dead one lasts", n)
			}
			w.deliver(g, hookLease+hookClaim)
			want := []string{"user.created", "user.blocked"}
			if c.repeat {
				want = []string{"user.created", "user.created", "user.blocked"}
			}
			all := app.events()
			if !slices.Equal(app.types(user), want) || c.repeat && (all[0].ID != all[1].ID || !bytes.Equal(all[0].body, all[1].body)) {
				t.Errorf("the app was told %v", app.types(user))
			}
			if n := w.events(t); c.name != "between record and queue" && n != 0 {
				t.Errorf("%d entries are left", n)
			}
			w.deliver(g, 3*hookUnwritten)
			if n := w.events(t); n != 0 || len(app.events()) != len(want) {
				t.Errorf("%d entries are left, %d posts", n, len(app.events()))
			}
		})
	}
}

type deadQueue struct {
	Queue
	dies func() bool
}

func (q *deadQueue) Done(ctx context.Context, queue, id string) error {
	if q.dies() {
		return errDown
	}
	return q.Queue.Done(ctx, queue, id)
}

// The process is told to stop when the app has just answered: what came of it is
// noted all the same.
func TestHookStopAfterAnswer(t *testing.T) {
	t.Parallel()
	w, store, app := hookedWorld(t, 1)
	g := w.replica(0)
	user := w.person("o", "")
	ctx, stop := context.WithCancel(t.Context())
	store.failing(func(method, key string) error {
		if method == "Put" && strings.HasPrefix(key, "m:") {
			stop()
		}
		return nil
	})
	if _, err := g.hooks.round(ctx); err != nil {
		t.Error(err)
	}
	if ctx.Err() == nil || w.events(t) != 0 || len(app.types(user)) != 1 {
		t.Errorf("stopped: %v, %d entries left, %d posts", ctx.Err(), w.events(t), len(app.types(user)))
	}
}

// An outage of the store is not the app's.
func TestHookWithoutStore(t *testing.T) {
	t.Parallel()
	w, store, app := hookedWorld(t, 1)
	g := w.replica(0)
	w.person("o", "")
	w.store.down.Store(true)
	w.deliver(g, time.Minute)
	w.store.down.Store(false)
	store.failing(func(method, key string) error {
		if strings.HasPrefix(key, "u:") {
			return errDown
		}
		return nil
	})
	w.deliver(g, time.Minute)
	if n := len(w.hookLog(slog.LevelInfo)); n != 0 || g.hooks.failing || len(app.events()) != 0 {
		t.Errorf("%d records, %d posts", n, len(app.events()))
	}
	store.failing(nil)
	w.deliver(g, hookLease+time.Second)
	if len(app.events()) != 1 || w.events(t) != 0 {
		t.Errorf("%d posts, %d left", len(app.events()), w.events(t))
	}
}

// A user whose record is damaged keeps nobody else waiting.
func TestHookDamagedRecord(t *testing.T) {
	t.Parallel()
	w, store, app := hookedWorld(t, 1)
	g := w.replica(0)
	user := w.person("bad", "")
	good, _, err := store.Store.Get(t.Context(), "u:"+user)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Store.Put(t.Context(), "u:"+user, []byte("{"), 0); err != nil {
		t.Fatal(err)
	}
	for i := range 2 * hookParallel {
		w.person(fmt.Sprint("o", i), "")
	}
	w.deliver(g, hookWaitMax-time.Minute)
	if n := len(app.events()); n != 2*hookParallel || w.events(t) != 1 || len(w.hookLog(slog.LevelError)) != 1 {
		t.Errorf("%d posts, %d left, log %v", n, w.events(t), w.hookLog(slog.LevelError))
	}
	if err := store.Store.Put(t.Context(), "u:"+user, good, 0); err != nil {
		t.Fatal(err)
	}
	w.deliver(g, hookWaitMax)
	if len(app.types(user)) != 1 || w.events(t) != 0 {
		t.Errorf("repaired, the app was told %v", app.types(user))
	}
}

// Replicas race for the events of a few busy people while new ones come up, and
// the app is in a bad mood: it hears of each event in order, never of two of one
// person at once, and of none again after it took it.
func TestHookOrder(t *testing.T) {
	t.Parallel()
	const people, changes = 4, 12
	w, _, app := hookedWorld(t, 3)
	var mu sync.Mutex
	busy := map[string]bool{}
	app.replies(func(e hookSeen) int {
		mu.Lock()
		if busy[e.User] {
			t.Errorf("two events of %s at once", e.User)
		}
		busy[e.User] = true
		mood := rand.IntN(4)
		mu.Unlock()
		if mood < 3 {
			io.Copy(io.Discard, io.LimitReader(lazy{}, int64(mood)))
		}
		mu.Lock()
		busy[e.User] = false
		mu.Unlock()
		if mood == 3 {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	var users []string
	for i := range people {
		users = append(users, w.person(fmt.Sprint("o", i), ""))
	}
	var writers, workers sync.WaitGroup
	for _, user := range users {
		writers.Go(func() {
			d := w.replica(rand.IntN(3)).cfg.Users
			for range changes {
				w.clock.advance(2 * time.Millisecond) // the ids of events tell milliseconds apart
				_, err := d.Block(t.Context(), user)
				if err == nil {
					_, err = d.Unblock(t.Context(), user)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	ctx, stop := context.WithCancel(t.Context())
	for i := range 3 {
		workers.Go(func() {
			g := w.replica(i)
			for ctx.Err() == nil {
				if _, err := g.hooks.round(ctx); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
				w.clock.advance(5 * time.Millisecond)
			}
		})
	}
	writers.Wait()
	eventually(t, "all is delivered", func() bool { return w.events(t) == 0 })
	stop()
	workers.Wait()

	taken, last := map[string]bool{}, map[string]time.Time{}
	for _, e := range app.events() {
		_, _, began, ok := identity.ParseNoticeKey(identity.NoticeKey(e.User, e.ID))
		switch {
		case !ok:
			t.Fatalf("event %q", e.ID)
		case taken[e.ID]:
			t.Errorf("%s of %s came again after it was taken", e.Type, e.User)
		case began.Before(last[e.User]):
			t.Errorf("%s of %s came after a later one", e.Type, e.User)
		case began.After(last[e.User]) && !last[e.User].IsZero() && !taken[last[e.User].String()+e.User]:
			t.Errorf("%s of %s came before the last one was taken", e.Type, e.User)
		}
		last[e.User] = began
		if e.taken {
			taken[e.ID], taken[began.String()+e.User] = true, true
		}
	}
	for _, user := range users {
		if n := len(slices.Compact(app.types(user))); n != 2 { // created, then blocked many times
			t.Errorf("%s: %v", user, app.types(user))
		}
	}
	if want := people * (changes + 1); len(taken) != 2*want {
		t.Errorf("%d events were taken, want %d", len(taken)/2, want)
	}
}

// lazy gives a byte after another, none of them at once.
type lazy struct{}

func (lazy) Read(p []byte) (int, error) {
	<-time.After(time.Millisecond)
	return 1, nil
}
