package proxy

import (
	"context"
	"encoding/base32"
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wxgate/identity"
	"wxgate/session"
)

// gated is a store in which a test holds up one write.
type gated struct {
	*spy
	hold func(method, key string)
}

// next holds up the next write of that kind until it is released.
func (g *gated) next(method, key string) (reached <-chan struct{}, release func()) {
	at, gate := make(chan struct{}), make(chan struct{})
	var once sync.Once
	g.hold = func(m, k string) {
		if m == method && strings.HasPrefix(k, key) {
			held := false
			once.Do(func() { held = true })
			if held {
				close(at)
				<-gate
			}
		}
	}
	return at, sync.OnceFunc(func() { close(gate) })
}

func (g *gated) Create(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	g.hold("Create", key)
	return g.spy.Create(ctx, key, value, ttl)
}

func (g *gated) Replace(ctx context.Context, key string, old, value []byte, ttl time.Duration) (bool, error) {
	g.hold("Replace", key)
	return g.spy.Replace(ctx, key, old, value, ttl)
}

func (g *gated) Batch(ctx context.Context, writes []session.Write, keys ...string) ([]bool, [][]byte, error) {
	for _, w := range writes {
		g.hold(map[string]string{"put": "Put", "create": "Create", "replace": "Replace"}[w.Op], w.Key)
	}
	return g.spy.Batch(ctx, writes, keys...)
}

// nobodysKey is that of an event which is in no record.
func nobodysKey(began time.Time) string {
	raw := binary.BigEndian.AppendUint64(nil, uint64(began.UnixMilli())<<16)
	raw = append(raw, 1, 2, 3, 4, 5, 6, 7, 8)
	id := base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding).EncodeToString(raw)
	return identity.NoticeKey(identity.NewID(), id)
}

// An entry without an event is looked at again and again, seldom, and then
// dropped; one that another version made is left alone.
func TestHookEntryWithoutEvent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		key  func(*world) string
		left int
	}{
		{"of now", func(w *world) string { return nobodysKey(w.clock.now()) }, 0},
		{"of a time long ago", func(w *world) string { return nobodysKey(w.clock.now().Add(-time.Hour)) }, 0},
		{"of a user without it", func(w *world) string {
			key, user := nobodysKey(w.clock.now()), w.person("o", "")
			w.deliver(w.replica(0), time.Second)
			_, notice, _, _ := identity.ParseNoticeKey(key)
			return identity.NoticeKey(user, notice)
		}, 0},
		{"of another version", func(*world) string { return "z/of another version" }, 1},
		{"of another version that was missing", func(*world) string { return hookMissing + "soon/" + nobodysKey(time.Now()) }, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w, store, app := hookedWorld(t, 1)
			g := w.replica(0)
			key := c.key(w)
			posts := len(app.events())
			if err := store.Schedule(t.Context(), identity.QueueNotices, key, w.clock.now()); err != nil {
				t.Fatal(err)
			}
			scheduled := store.counted("Schedule ho")
			w.deliver(g, hookUnwritten-30*time.Second)
			if n := w.events(t); n != 1 {
				t.Errorf("%d entries before two minutes are over", n)
			}
			w.deliver(g, 2*hookUnwritten)
			if n := w.events(t); n != c.left {
				t.Errorf("%d entries are left, want %d", n, c.left)
			}
			if n := store.counted("Schedule ho") - scheduled; n > 12 || len(app.events()) != posts {
				t.Errorf("moved %d times, %d posts", n, len(app.events())-posts)
			}
			w.deliver(g, 2*hookForeign)
			if n := w.events(t); n != c.left {
				t.Errorf("%d entries are left later, want %d", n, c.left)
			}
		})
	}
}

// The entry comes before the event. However the worker hits the moment between
// them, and whatever the event's own time, the event is delivered.
func TestHookEventWrittenLate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		method string
		change func(t *testing.T, w *world, into, from string) (key string, change func() error)
		want   string
	}{
		{"block", "Replace", func(t *testing.T, w *world, into, _ string) (string, func() error) {
			return "u:" + into, func() error {
				_, err := w.replica(0).cfg.Users.Block(t.Context(), into)
				return err
			}
		}, identity.NoticeBlocked},
		{"first login", "Create", func(t *testing.T, w *world, _, _ string) (string, func() error) {
			return "a:", func() error {
				_, err := w.replica(0).cfg.Users.Resolve(t.Context(), identity.Login{Channel: "mp", AppID: testAppID, OpenID: "o3", At: w.clock.now()})
				return err
			}
		}, identity.NoticeCreated},
		{"merge, finished long after it was decided", "Replace", func(t *testing.T, w *world, into, from string) (string, func() error) {
			g, store := w.replica(0), w.store.backend.(*gated)
			store.failing(func(method, key string) error {
				if method == "Replace" && key == "u:"+into {
					return errDown
				}
				return nil
			})
			if _, _, err := g.cfg.Users.Merge(t.Context(), into, from); err == nil {
				t.Fatal("the merge was finished")
			}
			store.failing(nil)
			w.deliver(g, 10*time.Minute)
			if n := w.events(t); n != 0 {
				t.Fatalf("%d entries are left of the unfinished merge", n)
			}
			return "u:" + into, func() error { return g.cfg.Users.Settle(t.Context(), from) }
		}, identity.NoticeMerged},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			app, store := newHookApp(t), &gated{openSpy(t), func(string, string) {}}
			w := newWorldOn(t, store, 1, nil, func(c *Config) { c.HookURL = app.URL })
			g := w.replica(0)
			into, from := w.person("o1", ""), w.person("o2", "")
			w.deliver(g, 2*time.Second)
			key, change := c.change(t, w, into, from)
			posts := len(app.events())
			reached, release := store.next(c.method, key)
			t.Cleanup(release)
			done := make(chan error)
			go func() { done <- change() }()
			<-reached
			w.deliver(g, hookUnwritten-30*time.Second)
			if n := w.events(t); n != 1 || len(app.events()) != posts {
				t.Fatalf("%d entries, %d posts before the event is written", n, len(app.events())-posts)
			}
			release()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			w.deliver(g, hookUnwritten)
			all := app.types("")
			if !slices.Equal(all[posts:], []string{c.want}) || w.events(t) != 0 {
				t.Errorf("told %v, %d entries are left", all[posts:], w.events(t))
			}
		})
	}
}

// An event whose entry was given up comes with the next event of that user, and
// has an entry again as soon as that is not taken.
func TestHookLostEntry(t *testing.T) {
	t.Parallel()
	w, store, app := hookedWorld(t, 1)
	g := w.replica(0)
	user := w.person("o", "")
	list, err := g.cfg.Users.Notices(t.Context(), user)
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	if err := store.Done(t.Context(), identity.QueueNotices, identity.NoticeKey(user, list[0].ID)); err != nil {
		t.Fatal(err)
	}
	if _, err := g.cfg.Users.Block(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	app.says(500)
	w.round(g)
	if n := w.events(t); n != 2 {
		t.Errorf("%d entries", n)
	}
	app.says(200)
	w.deliver(g, 5*time.Second)
	if all := app.types(user); !slices.Equal(all, []string{"user.created", "user.created", "user.blocked"}) || w.events(t) != 0 {
		t.Errorf("told %v, %d entries are left", all, w.events(t))
	}
}

func TestHookWait(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ age, want time.Duration }{
		{-time.Hour, time.Second}, {0, time.Second}, {2 * time.Second, 2 * time.Second}, {time.Minute, time.Minute},
		{time.Hour, 5 * time.Minute}, {1000 * time.Hour, 5 * time.Minute},
	} {
		low, high := time.Duration(1<<62), time.Duration(0)
		for range 1000 {
			d := hookWait(c.age)
			low, high = min(low, d), max(high, d)
		}
		if low < c.want*7/8 || high > c.want*9/8 || low > c.want*15/16 || high < c.want*17/16 {
			t.Errorf("at %s it waits %s to %s", c.age, low, high)
		}
	}
}
