package proxy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wxgate/identity"
)

// hookApp is the app's side: it notes every event and answers as the test says.
type hookApp struct {
	*httptest.Server
	mu     sync.Mutex
	seen   []hookSeen
	answer func(hookSeen) (status int)
}

type hookSeen struct {
	identity.Notice
	body   []byte
	header http.Header
	tries  int // how often the event came before
	taken  bool
}

// newHookApp starts an app that takes every event.
func newHookApp(t *testing.T) *hookApp {
	a := &hookApp{}
	a.says(http.StatusNoContent)
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

// replies changes what the app answers from now on.
func (a *hookApp) replies(answer func(hookSeen) (status int)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = answer
}

func (a *hookApp) says(status int) {
	a.replies(func(hookSeen) int { return status })
}

func (a *hookApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := hookSeen{header: r.Header}
	s.body, _ = io.ReadAll(r.Body)
	if err := json.Unmarshal(s.body, &s.Notice); err != nil || r.Method != http.MethodPost {
		panic(fmt.Sprintf("the app got %s %s: %v", r.Method, s.body, err))
	}
	a.mu.Lock()
	for _, earlier := range a.seen {
		if earlier.ID == s.ID {
			s.tries++
		}
	}
	at := len(a.seen)
	a.seen = append(a.seen, s)
	answer := a.answer
	a.mu.Unlock()
	status := answer(s)
	a.mu.Lock()
	a.seen[at].taken = status/100 == 2
	a.mu.Unlock()
	w.WriteHeader(status)
}

func (a *hookApp) events() []hookSeen {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.seen)
}

// types lists what came, in its order, about one user or all.
func (a *hookApp) types(user string) (all []string) {
	for _, e := range a.events() {
		if user == "" || e.User == user {
			all = append(all, e.Type)
		}
	}
	return all
}

// hookedWorld is newSpied with an app that is told of events.
func hookedWorld(t *testing.T, replicas int, opts ...option) (*world, *spy, *hookApp) {
	t.Helper()
	a := newHookApp(t)
	w, store := newSpied(t, replicas, nil, append([]option{func(c *Config) { c.HookURL = a.URL + "/events" }}, opts...)...)
	return w, store, a
}

// person makes a user by a login of the account.
func (w *world) person(openID, unionID string) string {
	w.t.Helper()
	res, err := w.replica(0).cfg.Users.Resolve(w.t.Context(), identity.Login{
		Platform: "default", Channel: "mp", AppID: testAppID, OpenID: openID, UnionID: unionID, At: w.clock.now(),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return res.User.ID
}

// round makes one round of a replica, which the store must not disturb.
func (w *world) round(g *Server) *hookRound {
	w.t.Helper()
	r, err := g.hooks.round(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// deliver lets a replica's worker work until its pauses add up to d.
func (w *world) deliver(g *Server, d time.Duration) {
	w.t.Helper()
	pause := hookPauseMin
	for paused := time.Duration(0); paused < d; paused += pause {
		pause = g.hooks.step(w.t.Context(), pause)
		w.clock.advance(pause)
	}
}

func (w *world) events(t *testing.T) int {
	t.Helper()
	n, err := w.store.QueueLen(t.Context(), identity.QueueNotices)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// hookLog lists the log's records of this level and above about events.
func (w *world) hookLog(level slog.Level) (all []string) {
	for line := range strings.Lines(w.log.String()) {
		var r struct {
			Level slog.Level
			Msg   string
		}
		if json.Unmarshal([]byte(line), &r) == nil && r.Level >= level && strings.Contains(r.Msg, "event") {
			all = append(all, line)
		}
	}
	return all
}

var noticeIDForm = regexp.MustCompile(`^[a-z2-7]{26}$`)

func TestHookEvents(t *testing.T) {
	t.Parallel()
	w, _, app := hookedWorld(t, 1, func(c *Config) { c.Yunxin = nil })
	g := w.replica(0)
	read := verifier(t, w, g.published(t, w))
	ctx := t.Context()
	now := func() string { return w.clock.now().UTC().Truncate(time.Second).Format(time.RFC3339) }
	type object = map[string]any
	check := func(what string, want ...object) {
		t.Helper()
		begin := len(app.events())
		w.round(g)
		got := app.events()[begin:]
		if len(got) != len(want) {
			t.Fatalf("%s: %d events came, want %d", what, len(got), len(want))
		}
		for i, e := range got {
			var raw object
			if err := json.Unmarshal(e.body, &raw); err != nil {
				t.Fatal(err)
			}
			if id, _ := raw["id"].(string); !noticeIDForm.MatchString(id) {
				t.Errorf("%s: id %q", what, id)
			}
			delete(raw, "id")
			// The clock of the tests runs on.
			if at, err := time.Parse(time.RFC3339, fmt.Sprint(raw["time"])); err != nil || w.clock.now().Sub(at) > time.Minute || at.After(w.clock.now()) {
				t.Errorf("%s: time %v at %s", what, raw["time"], now())
			}
			delete(raw, "time")
			if diff := cmp.Diff(want[i], raw); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
			c, err := read(e.header.Get("X-Wxgate-Assertion"))
			sum := sha256.Sum256(e.body)
			if err != nil || c.SHA256 != hex.EncodeToString(sum[:]) || c.Subject != "wxgate" || c.WeChat != nil || c.SessionID != "" {
				t.Errorf("%s: signed %+v, %v", what, c, err)
			}
			h := e.header
			if h.Get("Content-Type") != "application/json" || h.Get("User-Agent") != "wxgate" || len(h.Get("X-Request-Id")) != 16 || len(h["Idempotency-Key"]) != 0 {
				t.Errorf("%s: header %v", what, h)
			}
		}
		if n := w.events(t); n != 0 {
			t.Errorf("%s: %d entries are left", what, n)
		}
	}
	account := func(openID string) object { return object{"channel": "mp", "appid": testAppID, "openid": openID} }

	one := w.person("o1", "u1")
	check("first login", object{"type": "user.created", "user": one, "account": account("o1")})
	if w.person("o2", "u1") != one {
		t.Fatal("the unionid did not link")
	}
	check("further account", object{"type": "user.linked", "user": one, "account": account("o2")})
	two := w.person("o3", "")
	check("another person", object{"type": "user.created", "user": two, "account": account("o3")})
	if w.person("o3", "u1") != one {
		t.Fatal("the unionid did not merge")
	}
	check("late unionid", object{"type": "user.merged", "user": one, "from": two, "into": one})
	_, fresh, err := g.splitUser(ctx, one, testAppID, "o3")
	if err != nil {
		t.Fatal(err)
	}
	check("split", object{"type": "user.created", "user": fresh.ID, "from": one, "account": account("o3")})
	if found, err := g.revoke(ctx, identity.Revocation{AppID: testAppID, OpenID: "o3", Reason: "user_authorization_revoke"}); !found || err != nil {
		t.Fatal(found, err)
	}
	check("revocation", object{"type": "user.revoked", "user": fresh.ID, "reason": "user_authorization_revoke", "account": account("o3")})
	if _, err := g.cfg.Users.Update(ctx, one, func(u *identity.User) error {
		u.Yunxin = identity.Yunxin{Accid: "accid-of-one", State: identity.YunxinReady}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := g.cfg.Users.Update(ctx, fresh.ID, func(u *identity.User) error {
		u.Yunxin = identity.Yunxin{Accid: u.ID, State: identity.YunxinReady}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := g.mergeUsers(ctx, fresh.ID, one); err != nil {
		t.Fatal(err)
	}
	check("operator's merge", object{"type": "user.merged", "user": fresh.ID, "from": one, "into": fresh.ID, "from_accid": "accid-of-one"})
	if _, err := g.blockUser(ctx, one); err != nil { // by the id of one who is no more
		t.Fatal(err)
	}
	check("block", object{"type": "user.blocked", "user": fresh.ID})
	if err := g.eraseUser(ctx, fresh.ID); err != nil {
		t.Fatal(err)
	}
	check("erasure", object{"type": "user.erased", "user": fresh.ID})
	check("nothing more")
}

// What piled up about two users who became one comes in the order of its making,
// and leaves nothing behind.
func TestHookOfMergedUsers(t *testing.T) {
	t.Parallel()
	w, _, app := hookedWorld(t, 1)
	g := w.replica(0)
	into, from := w.person("o1", ""), w.person("o2", "")
	for _, id := range []string{into, from} {
		if _, err := g.cfg.Users.Block(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := g.mergeUsers(t.Context(), into, from); err != nil {
		t.Fatal(err)
	}
	if n := g.metric(t, "wxgate_hooks_pending"); n != 5 {
		t.Errorf("%v events are pending", n)
	}
	w.deliver(g, hookLease)
	if diff := cmp.Diff([]string{"user.created", "user.blocked"}, app.types(from)); diff != "" {
		t.Errorf("of the one who is no more (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"user.created", "user.blocked", "user.merged"}, app.types(into)); diff != "" {
		t.Errorf("of the survivor (-want +got):\n%s", diff)
	}
	if all := app.types(""); all[4] != "user.merged" {
		t.Errorf("the order was %v", all)
	}
	if n := g.metric(t, "wxgate_hooks_pending"); n != 0 {
		t.Errorf("%v events are pending at the end", n)
	}
	// One that was begun under the id of who is no more stays one.
	if _, err := g.cfg.Users.Unblock(t.Context(), into); err != nil {
		t.Fatal(err)
	}
	if _, err := g.cfg.Users.Block(t.Context(), from); err != nil {
		t.Fatal(err)
	}
	app.says(http.StatusTeapot)
	w.round(g)
	if n := g.metric(t, "wxgate_hooks_pending"); n != 1 {
		t.Errorf("%v events are pending of one that was refused", n)
	}
}

func TestNoHookNoEvents(t *testing.T) {
	t.Parallel()
	w, store := newSpied(t, 1, nil)
	g := w.replica(0)
	user := w.browser(iPhone).login()
	if _, err := g.blockUser(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	list, err := g.cfg.Users.Notices(t.Context(), user)
	if n := w.events(t); n != 0 || len(list) != 0 || err != nil || store.counted("Schedule ho") != 0 {
		t.Errorf("%d entries, %d events, %v", n, len(list), err)
	}
	g.hooks.run(t.Context()) // returns at once
	if strings.Contains(g.metrics.text(t), "wxgate_hooks") {
		t.Error("there is a metric of what is turned off")
	}
}

func (m *Metrics) text(t *testing.T) string {
	t.Helper()
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(families)
}

// Everything together, as it runs: the login does not wait for the app, which
// hangs, and what is left over is delivered after a restart.
func TestHookIsOffTheLoginsWay(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	w, _, app := hookedWorld(t, 1)
	reached := make(chan struct{}, 100)
	app.replies(func(hookSeen) int {
		reached <- struct{}{}
		<-release
		return http.StatusOK
	})
	t.Cleanup(func() { close(release) }) // before the app is closed
	g := w.replica(0)
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan struct{})
	go func() { defer close(ran); g.Run(ctx) }()

	first := w.browser(iPhone).login()
	<-reached
	// The post hangs now; so will those of the logins that follow.
	second := w.browser(iPhone).as("aqiang").login()
	if n := w.events(t); n != 2 {
		t.Errorf("%d events are pending", n)
	}
	begin := time.Now()
	stop()
	<-ran
	if took := time.Since(begin); took > hookLimit/2 {
		t.Errorf("stopping took %s", took)
	}
	if len(w.hookLog(slog.LevelInfo)) != 0 {
		t.Errorf("a stop is no failure: %s", w.hookLog(slog.LevelInfo))
	}

	app.says(http.StatusOK)
	g = w.restart(func(c *Config) { c.HookURL = app.URL })
	w.deliver(g, 20*time.Second) // no claim of the one that was stopped is left
	for _, user := range []string{first, second} {
		if all := app.types(user); all[len(all)-1] != "user.created" || len(all) > 2 {
			t.Errorf("the app was told %v", all)
		}
	}
	if n := w.events(t); n != 0 {
		t.Errorf("%d events are pending", n)
	}
}

// The worker finds by itself what is due, and does not look more than it has to.
func TestHookRuns(t *testing.T) {
	t.Parallel()
	w, _, app := hookedWorld(t, 2)
	w.run(0)
	user := w.browser(iPhone).login()
	eventually(t, "the event comes", func() bool { return slices.Equal(app.types(user), []string{"user.created"}) })
	eventually(t, "nothing is left", func() bool { return w.events(t) == 0 })
}

// An app that is not there costs a try now and then, and a warning for each.
func TestHookNobodyListens(t *testing.T) {
	t.Parallel()
	w, _, app := hookedWorld(t, 1)
	app.Close()
	g := w.replica(0)
	user := w.browser(iPhone).login()
	if pause := g.hooks.step(t.Context(), 0); pause != 2*hookPauseMin {
		t.Errorf("after a round without a pause it waits %s", pause)
	}
	w.clock.advance(2 * hookPauseMin)
	w.deliver(g, time.Hour)
	if n := w.events(t); n != 1 {
		t.Fatalf("%d events of %s are left", n, user)
	}
	log := w.hookLog(slog.LevelWarn)
	if n := len(log); n < 5 || n > 25 {
		t.Errorf("%d warnings in an hour", n)
	}
	if !strings.Contains(log[0], "connection refused") || !strings.Contains(log[0], user) || !strings.Contains(log[0], `"next_try":"2s"`) {
		t.Errorf("the warning says %s", log[0])
	}
}

// A backlog goes without pauses over a few connections, which are used again even
// if the app says more than it should.
func TestHookBacklog(t *testing.T) {
	t.Parallel()
	w, _, app := hookedWorld(t, 1)
	var mu sync.Mutex
	peers := map[string]int{}
	inner := app.Config.Handler
	app.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		peers[r.RemoteAddr]++
		mu.Unlock()
		inner.ServeHTTP(rw, r)
		rw.Write(make([]byte, 20<<10))
	})
	app.says(http.StatusOK)
	const people = 3*hookBatch + 1
	for i := range people {
		w.person(fmt.Sprint("o", i), "")
	}
	w.deliver(w.replica(0), time.Nanosecond) // until the first pause
	got := 0
	for n := range maps.Values(peers) {
		got += n
	}
	if got != people || len(peers) > people/2 {
		t.Errorf("%d posts over %d connections", got, len(peers))
	}
}
