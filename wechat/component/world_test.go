package component_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wxgate/session"
	"wxgate/wechat"
	"wxgate/wechat/component"
	"wxgate/wechat/wechattest"
)

const (
	platformID = "wxc0ffee0123456789"
	pushToken  = "sidecarToken2026"
	aesKey     = "Q7mZk2Vt9xLrB4nYhW6cJp8sDf1gTa5uEi3oKwXyRv8"
	accountID  = "wx1a2b3c4d5e6f7081"
	otherID    = "wx1a2b3c4d5e6f7082"
	programID  = "wx1a2b3c4d5e6f7083"
)

// world is a simulated WeChat with one third-party platform, whose pushes go to
// whichever Platform is at the front.
type world struct {
	*testing.T
	sim    *wechattest.Server
	store  *memory
	seal   *session.Manager
	log    *locked
	front  atomic.Pointer[component.Platform]
	died   bool   // some process did
	opened string // the state of a link, or a code
	tester string // an openid
	silent bool   // no app wants events
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, log: &locked{}}
	w.sim = wechattest.NewServer(
		wechattest.App{ID: accountID, Secret: "a", Name: "甲", UserName: "gh_0000000000a1", Bound: true},
		wechattest.App{ID: otherID, Secret: "b", Name: "乙", UserName: "gh_0000000000a2"},
		wechattest.App{ID: programID, Secret: "c", Name: "丙", UserName: "gh_0000000000a3", Kind: wechattest.MiniProgram},
	)
	t.Cleanup(w.sim.Close)
	push, err := wechat.NewPush(wechat.PushConfig{Token: pushToken, AppID: platformID, AESKeys: []string{aesKey}, Now: w.sim.Now})
	if err != nil {
		t.Fatal(err)
	}
	gate := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		e, err := push.Open(r.URL.RawQuery, body)
		var m wechat.Message
		if err == nil {
			m, err = wechat.ParsePush(e.XML)
		}
		if p := w.front.Load(); err == nil && p != nil {
			err = p.Receive(r.Context(), m)
		}
		if err != nil {
			http.Error(rw, err.Error(), http.StatusServiceUnavailable)
			return
		}
		io.WriteString(rw, "success")
	}))
	t.Cleanup(gate.Close)
	w.sim.AddComponent(wechattest.Component{
		ID: platformID, Secret: "platform-secret", Token: pushToken, AESKey: aesKey, EventURL: gate.URL + "/events",
		LaunchDomain: "127.0.0.1", OAuthHosts: []string{"127.0.0.1"}, Published: true,
	})
	w.store = newMemory(w.sim.Now)
	w.seal = newSealer(t, w.store, 7)
	w.front.Store(w.platform(w.store))
	return w
}

// newSealer seals with the first secret and opens with all.
func newSealer(t *testing.T, store session.Store, secrets ...byte) *session.Manager {
	t.Helper()
	c := session.Config{Store: store, TTL: time.Hour, Idle: time.Hour}
	for _, secret := range secrets {
		c.Secrets = append(c.Secrets, bytes.Repeat([]byte{secret}, 32))
	}
	m, err := session.NewManager(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// keeper is all of a back end that a Platform uses.
type keeper interface {
	component.Store
	component.Queue
}

// platform is one more replica.
func (w *world) platform(store keeper) *component.Platform { return w.platformAt(store, 0) }

// platformAt is one whose clock is wrong by so much.
func (w *world) platformAt(store keeper, ahead time.Duration) *component.Platform {
	now := func() time.Time { return w.sim.Now().Add(ahead) }
	return component.New(component.Config{
		App:    wechat.App{ID: platformID, Secret: "platform-secret"},
		Client: wechat.New(wechat.Config{APIURL: w.sim.URL, OpenURL: w.sim.URL, MPURL: w.sim.URL}),
		Store:  store, Queue: store, Sealer: w.seal, Announce: !w.silent, Now: now,
		Logger: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
}

// ready has a ticket.
func ready(t *testing.T) (*world, *component.Platform) {
	t.Helper()
	w := newWorld(t)
	w.ticket()
	return w, w.front.Load()
}

func (w *world) ticket() {
	w.Helper()
	if p, err := w.sim.PushTicket(w.Context(), platformID); err != nil {
		w.Fatalf("ticket: %v %+v", err, p)
	}
}

// authorize grants and pushes, and waits until the account has its tokens.
func (w *world) authorize(appid string) {
	w.Helper()
	code := w.sim.Grant(platformID, appid)
	if _, err := w.sim.PushAuthorized(w.Context(), platformID, appid, code, ""); err != nil {
		w.Fatal(err)
	}
	w.settled(appid)
}

// settled waits for what runs beside.
func (w *world) settled(appid string) component.Authorizer {
	w.Helper()
	var a component.Authorizer
	w.until("the account has its tokens and its name", func() bool {
		var err error
		if a, _, err = w.front.Load().Authorizer(w.Context(), appid); err != nil {
			w.Fatal(err)
		}
		return a.Status == component.StatusAuthorized && a.HasRefreshToken && a.UserName != ""
	})
	return a
}

// until looks again and again; each look costs so much that nothing else slows it.
func (w *world) until(what string, ok func() bool) {
	w.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			w.Fatalf("not within 20 seconds: %s\n%s", what, w.log)
		}
		w.front.Load().Work(w.Context())
	}
}

func (w *world) calls(path string) int { return len(w.sim.Calls(path)) }

// locked is a log that many write.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// memory is one process's way to a store, and can fail at any operation. Its clock
// is the simulator's.
type memory struct {
	*shelves
	now   func() time.Time
	ops   int
	dieAt int  // the operation at which the process dies, 0 for never
	dead  bool // every operation fails
}

// shelves are what processes share.
type shelves struct {
	mu     sync.Mutex // guards the processes' fields too
	values map[string]entry
	queues map[string]map[string]time.Time
}

type entry struct {
	value []byte
	until time.Time
}

func newMemory(now func() time.Time) *memory {
	return &memory{now: now, shelves: &shelves{values: map[string]entry{}, queues: map[string]map[string]time.Time{}}}
}

// another process's way to the same store.
func (m *memory) another() *memory { return &memory{now: m.now, shelves: m.shelves} }

var errDead = errors.New("the process is dead")

// enter takes the lock and counts.
func (m *memory) enter(ctx context.Context) (leave func(), err error) {
	m.mu.Lock()
	m.ops++
	if m.dieAt > 0 && m.ops >= m.dieAt {
		m.dead = true
	}
	if err = ctx.Err(); m.dead {
		err = errDead
	}
	if err != nil {
		m.mu.Unlock()
		return nil, err
	}
	return m.mu.Unlock, nil
}

func (m *memory) get(key string) (entry, bool) {
	e, found := m.values[key]
	return e, found && (e.until.IsZero() || m.now().Before(e.until))
}

func (m *memory) set(key string, value []byte, ttl time.Duration) {
	e := entry{value: bytes.Clone(value)}
	if ttl > 0 {
		e.until = m.now().Add(ttl)
	}
	m.values[key] = e
}

func (m *memory) Get(ctx context.Context, key string) ([]byte, bool, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return nil, false, err
	}
	defer leave()
	e, found := m.get(key)
	return bytes.Clone(e.value), found, nil
}

func (m *memory) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	leave, err := m.enter(ctx)
	if err == nil {
		defer leave()
		m.set(key, value, ttl)
	}
	return err
}

func (m *memory) Create(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	if _, found := m.get(key); found {
		return false, nil
	}
	m.set(key, value, ttl)
	return true, nil
}

func (m *memory) Replace(ctx context.Context, key string, old, value []byte, ttl time.Duration) (bool, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	if e, found := m.get(key); !found || !bytes.Equal(e.value, old) {
		return false, nil
	}
	m.set(key, value, ttl)
	return true, nil
}

func (m *memory) Delete(ctx context.Context, key string) error {
	leave, err := m.enter(ctx)
	if err == nil {
		defer leave()
		delete(m.values, key)
	}
	return err
}

func (m *memory) Batch(ctx context.Context, writes []session.Write, keys ...string) (done []bool, values [][]byte, err error) {
	for _, w := range writes {
		ok := true
		switch w.Op {
		case "put":
			err = m.Put(ctx, w.Key, w.Value, w.TTL)
		case "create":
			ok, err = m.Create(ctx, w.Key, w.Value, w.TTL)
		case "replace":
			ok, err = m.Replace(ctx, w.Key, w.Old, w.Value, w.TTL)
		}
		if err != nil {
			return nil, nil, err
		}
		done = append(done, ok)
	}
	for _, key := range keys {
		value, _, err := m.Get(ctx, key)
		if err != nil {
			return nil, nil, err
		}
		values = append(values, value)
	}
	return done, values, nil
}

func (m *memory) List(ctx context.Context, prefix string, fn func(key string, value []byte) error) error {
	leave, err := m.enter(ctx)
	if err != nil {
		return err
	}
	found := map[string][]byte{}
	for key := range m.values {
		if e, live := m.get(key); live && strings.HasPrefix(key, prefix) {
			found[key] = bytes.Clone(e.value)
		}
	}
	leave()
	for _, key := range slices.Sorted(maps.Keys(found)) {
		if err := fn(key, found[key]); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) Schedule(ctx context.Context, queue, id string, at time.Time) error {
	leave, err := m.enter(ctx)
	if err == nil {
		defer leave()
		if m.queues[queue] == nil {
			m.queues[queue] = map[string]time.Time{}
		}
		m.queues[queue][id] = at
	}
	return err
}

func (m *memory) TakeDue(ctx context.Context, queue string, now time.Time, lease time.Duration, max int) ([]string, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(m.queues[queue])) {
		if at := m.queues[queue][id]; !at.After(now) && len(ids) < max {
			ids = append(ids, id)
			m.queues[queue][id] = now.Add(lease)
		}
	}
	return ids, nil
}

func (m *memory) Done(ctx context.Context, queue, id string) error {
	leave, err := m.enter(ctx)
	if err == nil {
		defer leave()
		delete(m.queues[queue], id)
	}
	return err
}

// die lets the process end at the given operation, counted from now: that one and
// all later ones fail.
func (m *memory) die(at int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ops, m.dieAt = 0, at
}

// restart lets another process work on what the dead one left.
func (m *memory) restart() (died bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	died = m.dead
	m.dead, m.dieAt = false, 0
	return died
}
