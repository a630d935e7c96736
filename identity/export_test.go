package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// List shows a memStore's records in a random order, as Redis does.
func (s *memStore) List(ctx context.Context, prefix string, fn func(key string, value []byte) error) error {
	s.mu.Lock()
	m := maps.Clone(s.m)
	s.mu.Unlock()
	for key, value := range m {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(key, bytes.Clone(value)); err != nil {
			return err
		}
	}
	return nil
}

// storeLister is what a migration needs of a store.
type storeLister interface {
	Store
	Lister
}

// migration is the directory of a store that is exported or imported into.
func migration(s Store) *Directory {
	return NewDirectory(DirectoryConfig{Store: s, Queue: &dueQueue{}, Now: func() time.Time { return t0.Add(100 * time.Hour) }})
}

// exported returns the lines in a fixed order.
func exported(t testing.TB, s storeLister) []string {
	t.Helper()
	lines, err := exportLines(t.Context(), s)
	if err != nil {
		t.Fatal("Export:", err)
	}
	slices.Sort(lines)
	return lines
}

func exportLines(ctx context.Context, s storeLister) (lines []string, err error) {
	err = migration(s).Export(ctx, s, func(line []byte) error {
		lines = append(lines, string(line))
		return nil
	})
	return lines, err
}

// newest keeps each user's last line, in a fixed order.
func newest(t testing.TB, lines []string) (out []string) {
	t.Helper()
	seen := map[string]bool{}
	for _, l := range slices.Backward(lines) {
		var u User
		if err := json.Unmarshal([]byte(l), &u); err != nil {
			t.Fatal(err)
		}
		if !seen[u.ID] {
			out = append(out, l)
		}
		seen[u.ID] = true
	}
	slices.Sort(out)
	return out
}

// dueQueue remembers what was scheduled.
type dueQueue struct {
	mu  sync.Mutex
	ids map[string]bool
}

func (q *dueQueue) Schedule(_ context.Context, queue, id string, _ time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ids == nil {
		q.ids = map[string]bool{}
	}
	q.ids[queue+" "+id] = true
	return nil
}

func (q *dueQueue) Done(_ context.Context, queue, id string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.ids, queue+" "+id)
	return nil
}

// town is a store in which everything has happened that can happen to users.
type town struct {
	*memStore
	d      *Directory
	t      *testing.T
	now    time.Time
	logins []Login
}

func newTown(t *testing.T) *town {
	w := &town{memStore: newMemStore(), t: t, now: t0}
	w.d = NewDirectory(DirectoryConfig{
		Store: w.memStore, Queue: &dueQueue{}, Announce: true, NewID: ids(), Now: func() time.Time { return w.now },
	})
	return w
}

func (w *town) login(p string, account int, unionid bool, change ...func(*Login)) string {
	w.t.Helper()
	w.now = w.now.Add(time.Minute)
	l := login(p, account, unionid)
	l.At = w.now
	for _, change := range change {
		change(&l)
	}
	w.logins = append(w.logins, l)
	return mustResolve(w.t, w.d, l).User.ID
}

func (w *town) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *town) yunxin(id string, y Yunxin) {
	_, err := w.d.Update(w.t.Context(), id, func(u *User) error { u.Yunxin = y; return nil })
	w.must(err)
}

func consented(l *Login) {
	l.Profile = &Profile{Name: "小明 👩‍👩‍👧 <b>&", Avatar: "https://thirdwx.qlogo.cn/mmopen/x/132?a=1&b=2"}
}

// settledTown is a town in which nothing is left undone.
func settledTown(t *testing.T) *town {
	w := newTown(t)
	ctx := t.Context()
	w.login("silent", 1, false)
	w.login("union", 1, true, consented)
	many := w.login("many", 1, true)
	w.login("many", 2, true, consented)
	w.login("many", 3, true)
	w.yunxin(many, Yunxin{Accid: many, State: YunxinReady, TokenKey: "0123456789abcdef", Epoch: 2, TokenEpoch: 2, Name: "玩家0001", Avatar: "x"})

	late := w.login("late", 1, false, consented)
	root := w.login("late", 2, true)
	if w.login("late", 1, true) != root || late == root {
		t.Fatal("no merge")
	}
	w.login("changes", 1, true, func(l *Login) { l.UnionID = "u/former" })
	w.login("changes", 1, true)

	blocked := w.login("blocked", 1, true)
	_, err := w.d.Block(ctx, blocked)
	w.must(err)
	revoked := w.login("revoked", 1, true, consented)
	_, _, err = w.d.Revoke(ctx, Revocation{AppID: "wx1", OpenID: "o-revoked-1"})
	w.must(err)
	w.yunxin(revoked, Yunxin{Accid: revoked, State: YunxinBlocked, TokenKey: "0123456789abcdef", Epoch: 1, TokenEpoch: 1, Name: "x"})

	erased := w.login("erased", 1, true, consented)
	aliasOfErased := w.login("erased2", 1, true)
	_, _, err = w.d.Merge(ctx, erased, aliasOfErased)
	w.must(err)
	_, err = w.d.Erase(ctx, erased)
	w.must(err)
	w.must(w.d.Settle(ctx, erased))
	w.login("erased", 1, true) // and back again

	apart := w.login("apart", 1, true)
	w.login("apart", 2, true)
	_, _, err = w.d.Split(ctx, apart, "wx2", "o-apart-2")
	w.must(err)
	ended := w.login("ended", 1, false)
	_, err = w.d.EndSessions(ctx, ended)
	w.must(err)
	chain := w.login("chain", 1, false)
	for n := 2; n < 4; n++ {
		next := w.login("chain", n, false)
		_, _, err = w.d.Merge(ctx, next, chain)
		w.must(err)
		chain = next
	}
	app := w.login("app", 1, false)
	w.yunxin(app, Yunxin{Accid: "player_7", State: YunxinPending})
	w.set(accidKey("player_7"), app)
	w.set("s:session", "not ours")
	return w
}

// parseUser reads a line, and returns what it has beside the admin API's form of a user, of which everything must be there.
func parseUser(t *testing.T, line string) (u User, more map[string]json.RawMessage) {
	t.Helper()
	if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") {
		t.Errorf("not one line: %q", line)
	}
	if err := json.Unmarshal([]byte(line), &u); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(line), &more); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"id", "status", "created_at", "accounts", "unionids", "yunxin", "aliases", "history"} {
		if more[name] == nil || string(more[name]) == "null" {
			t.Errorf("no %s in %s", name, line)
		}
		delete(more, name)
	}
	delete(more, "profile")
	return u, more
}

func TestExport(t *testing.T) {
	w := settledTown(t)
	lines := exported(t, w)
	told := map[string]bool{}
	for _, line := range lines {
		u, more := parseUser(t, line)
		if told[u.ID] {
			t.Errorf("user %s twice", u.ID)
		}
		told[u.ID] = true
		for name := range more {
			if !slices.Contains([]string{"apart", "former", "epochs", "withdrawn"}, name) {
				t.Errorf("member %s in %s", name, line)
			}
		}
		// The rest is what the admin API shows.
		shown, found, err := w.d.User(t.Context(), u.ID)
		if err != nil || !found || shown.ID != u.ID {
			t.Fatalf("User(%s) = %+v, %v, %v", u.ID, shown, found, err)
		}
		want, _ := json.Marshal(shown)
		if got, _ := json.Marshal(u); !bytes.Equal(got, want) {
			t.Errorf("exported %s\nshown    %s", got, want)
		}
		if u.Status == StatusErased && (len(more) > 0 || strings.Contains(line, "wx1") || strings.Contains(line, "u-erased")) {
			t.Errorf("a tombstone tells %s", line)
		}
	}
	for _, key := range w.keys("u:") {
		u, err := decodeUser(key[2:], []byte(w.value(key)))
		if err != nil {
			t.Fatal(err)
		}
		if told[u.ID] == (u.Status == StatusMerged) {
			t.Errorf("user %s, %s: exported %v", u.ID, u.Status, told[u.ID])
		}
	}
	for _, word := range []string{"outbox", "evidence", "kept", "user.created"} {
		if strings.Contains(strings.Join(lines, ""), word) {
			t.Errorf("%q is in the export", word)
		}
	}
}

// What is left of a killed process does not show: neither two users with one account nor a record that belongs to nobody, and
// the second export is like the first.
func TestExportFinishesWhatACrashLeft(t *testing.T) {
	steps := []struct {
		name   string
		before func(w *town)
		do     func(w *town, ctx context.Context) error
	}{
		{"first login", func(*town) {}, func(w *town, ctx context.Context) error {
			_, err := w.d.Resolve(ctx, login("an", 1, true))
			return err
		}},
		{"merge", func(w *town) { w.login("an", 1, false, consented); w.login("an", 2, true) }, func(w *town, ctx context.Context) error {
			_, err := w.d.Resolve(ctx, login("an", 1, true))
			return err
		}},
		{"split", func(w *town) { w.login("an", 1, true); w.login("an", 2, true) }, func(w *town, ctx context.Context) error {
			u, _, err := w.d.Find(ctx, "wx1", "o-an-1")
			if err == nil {
				_, _, err = w.d.Split(ctx, u.ID, "wx2", "o-an-2")
			}
			return err
		}},
		{"erasure", func(w *town) { w.login("an", 1, true, consented); w.login("an", 2, true) }, func(w *town, ctx context.Context) error {
			u, _, err := w.d.Find(ctx, "wx1", "o-an-1")
			if err == nil {
				_, err = w.d.Erase(ctx, u.ID)
			}
			if err == nil {
				err = w.d.Settle(ctx, u.ID)
			}
			return err
		}},
	}
	for _, step := range steps {
		for n, finished := 1, false; !finished; n++ {
			for _, when := range []outcome{crashBefore, crashAfter} {
				t.Run(fmt.Sprintf("%s/write %d/%d", step.name, n, when), func(t *testing.T) {
					w := newTown(t)
					w.login("other", 1, true)
					step.before(w)
					seen := 0
					w.hook = func(op, _ string) outcome {
						if op != "get" {
							if seen++; seen == n {
								return when
							}
						}
						return proceed
					}
					err := step.do(w, t.Context())
					w.hook = nil
					if finished = seen < n; err != nil && !errors.Is(err, errCrash) {
						t.Fatal(err)
					}
					lines, err := exportLines(t.Context(), w)
					if err != nil {
						t.Fatal(err)
					}
					all := len(lines)
					if lines = newest(t, lines); all > len(lines)+1 || all > len(lines) && step.name != "merge" {
						t.Errorf("%d lines of %d users", all, len(lines))
					}
					owners, ids := map[string]string{}, map[string]bool{}
					for _, line := range lines {
						u, _ := parseUser(t, line)
						if ids[u.ID] {
							t.Errorf("user %s twice:\n%s", u.ID, strings.Join(lines, ""))
						}
						ids[u.ID] = true
						for _, id := range u.Aliases {
							ids[id] = true
						}
						for _, key := range u.indexKeys() {
							if owners[key] != "" {
								t.Errorf("%s is %s's and %s's", key, owners[key], u.ID)
							}
							owners[key] = u.ID
							if got := w.value(key); got != u.ID {
								t.Errorf("%s is told to be %s's, the index says %q", key, u.ID, got)
							}
						}
						if u.Status == StatusActive && len(u.Accounts)+len(u.Unionids)+len(u.Aliases) == 0 {
							t.Errorf("nobody: %s", line)
						}
					}
					for _, l := range w.logins { // every id that was handed out is told
						if u, found, err := w.d.Find(t.Context(), l.AppID, l.OpenID); err != nil || found && !ids[u.ID] {
							t.Errorf("user of %s is not told, %v", l.OpenID, err)
						}
					}
					if again := exported(t, w); !slices.Equal(again, lines) {
						t.Errorf("the second export differs: %s", cmp.Diff(lines, again))
					}
					if all == len(lines) {
						checkMigrated(t, w, lines)
					}
				})
			}
		}
	}
}

// checkMigrated imports the lines into an empty store, whose export must then be the same.
func checkMigrated(t *testing.T, w *town, lines []string) {
	t.Helper()
	target := newMemStore()
	mustImport(t, target, strings.Join(lines, ""), ImportReport{Lines: len(lines), Created: len(lines), Through: len(lines)})
	if again := exported(t, target); !slices.Equal(again, lines) {
		t.Errorf("the copy differs: %s", cmp.Diff(lines, again))
	}
	source, d := migration(w.memStore), migration(target)
	for _, key := range w.keys("u:") {
		a, _, err1 := source.User(t.Context(), key[2:])
		b, found, err2 := d.User(t.Context(), key[2:])
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if found && a.ID != b.ID || !found && len(a.Aliases) > 0 {
			t.Errorf("id %s leads to %s there, %v %+v here", key[2:], a.ID, found, b)
		}
	}
}

// script is a listing that is made up as it goes.
type script func(ctx context.Context, fn func(key string, value []byte) error) error

func (s script) List(ctx context.Context, _ string, fn func(string, []byte) error) error {
	return s(ctx, fn)
}

// Who is merged away while the export is under way is in it, whatever the order in which the records come by.
func TestExportWhileMerging(t *testing.T) {
	for _, tt := range []struct {
		name  string
		order string // A and B: show the record; m: merge B into A; w: wait for a line; a, b: show the record as it was at first
		lines int
	}{
		{"survivor before, merged after", "AwmB", 2},
		{"survivor before, merged stale", "Awmb", 2},
		{"survivor stale", "maB", 2}, // told as it was, then as it is
		{"merged first", "mBA", 1},
		{"survivor, merged", "mAB", 1},
		{"all before", "AwBwm", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newTown(t)
			a, b := w.login("an", 1, true), w.login("bo", 2, true)
			stale := map[rune]string{'a': w.value(userKey(a)), 'b': w.value(userKey(b))}
			told := make(chan string, 10)
			list := script(func(ctx context.Context, fn func(string, []byte) error) error {
				for _, c := range tt.order {
					var err error
					switch c {
					case 'A':
						err = fn(userKey(a), []byte(w.value(userKey(a))))
					case 'B':
						err = fn(userKey(b), []byte(w.value(userKey(b))))
					case 'a', 'b':
						err = fn(userKey(map[rune]string{'a': a, 'b': b}[c]), []byte(stale[c]))
					case 'm':
						_, _, err = w.d.Merge(ctx, a, b)
					case 'w':
						<-told
					}
					if err != nil {
						return err
					}
				}
				return nil
			})
			var lines []string
			err := migration(w.memStore).Export(t.Context(), list, func(line []byte) error {
				lines = append(lines, string(line))
				told <- string(line)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(lines) != tt.lines {
				t.Fatalf("%d lines, want %d:\n%s", len(lines), tt.lines, strings.Join(lines, ""))
			}
			target := newMemStore()
			r, err := migration(target).Import(t.Context(), strings.NewReader(strings.Join(lines, "")), ImportOptions{Workers: 1})
			if err != nil || r.Failed > 0 {
				t.Fatalf("%+v, %v", r, err)
			}
			got, want := withoutImported(t, exported(t, target)), exported(t, w)
			if tt.order == "AwBwm" {
				want = lines // told as the two users that they were
				slices.Sort(want)
			}
			if !slices.Equal(got, want) {
				t.Error(cmp.Diff(got, want))
			}
		})
	}
}

// withoutImported takes the entries that imports add to histories out of an export.
func withoutImported(t *testing.T, lines []string) (out []string) {
	t.Helper()
	for _, text := range lines {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		l.History = slices.DeleteFunc(l.History, func(e Event) bool { return e.Type == EventImported })
		b, _ := json.Marshal(l)
		out = append(out, string(b)+"\n")
	}
	return out
}

// A survivor that was erased before it took over still has the other's id for an alias.
func TestExportMergedIntoATombstone(t *testing.T) {
	w := newTown(t)
	a, b := w.login("an", 1, true), w.login("an", 2, false)
	writes := 0
	w.hook = func(op, _ string) outcome {
		if op != "get" {
			if writes++; writes == 2 {
				return crashBefore // after the decision
			}
		}
		return proceed
	}
	if _, _, err := w.d.Merge(t.Context(), a, b); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	w.hook = nil
	_, err := w.d.Erase(t.Context(), a)
	w.must(err)
	lines, err := exportLines(t.Context(), w)
	if lines = newest(t, lines); err != nil || len(lines) != 1 {
		t.Fatalf("%v, %v", lines, err)
	}
	u, more := parseUser(t, lines[0])
	if u.ID != a || u.Status != StatusErased || !slices.Equal(u.Aliases, []string{b}) || len(more) > 0 {
		t.Errorf("%s", lines[0])
	}
	checkMigrated(t, w, lines)
}

// A tombstone tells nothing, even before everything that led to it is forgotten.
func TestExportTombstone(t *testing.T) {
	w := newTown(t)
	an := w.login("an", 1, true, consented, func(l *Login) { l.UnionID = "u/former" })
	w.login("an", 1, true)
	w.login("an", 2, true)
	_, _, err := w.d.Split(t.Context(), an, "wx2", "o-an-2")
	w.must(err)
	_, _, err = w.d.Revoke(t.Context(), Revocation{AppID: "wx1", OpenID: "o-an-1"})
	w.must(err)
	_, err = w.d.Erase(t.Context(), an)
	w.must(err)
	for range 2 {
		told := false
		for _, line := range exported(t, w) {
			u, more := parseUser(t, line)
			if u.ID != an {
				continue
			}
			told = true
			if len(more) > 0 || strings.Contains(line, "u-an") || strings.Contains(line, "former") || strings.Contains(line, "wx") || u.Profile != nil {
				t.Errorf("%s", line)
			}
		}
		if !told {
			t.Error("no line")
		}
		for _, key := range append(w.keys("a:"), w.keys("n:")...) { // and when nothing leads to it any more
			w.must(w.Delete(t.Context(), key))
		}
	}
}

// An id that the app may know is exported, even if the index has lost all that led to it.
func TestExportKeepsIDs(t *testing.T) {
	w := newTown(t)
	w.login("gone", 1, true)
	w.login("late", 1, false)
	late := w.login("late", 2, true)
	w.login("late", 1, true)
	lost := w.login("lost", 1, false)
	w.must(w.Delete(t.Context(), userKey(lost)))
	if r := mustResolve(t, w.d, login("lost", 1, false)); r.User.ID != lost { // begun anew
		t.Fatalf("%+v", r)
	}
	_, err := w.d.Update(t.Context(), lost, func(u *User) error { u.Accounts = nil; return nil })
	w.must(err)
	for _, key := range append(w.keys("a:"), w.keys("n:")...) {
		w.must(w.Delete(t.Context(), key))
	}
	var got []string
	for _, line := range exported(t, w) {
		u, _ := parseUser(t, line)
		if len(u.Accounts)+len(u.Unionids) > 0 {
			t.Errorf("%s", line)
		}
		got = append(got, u.ID)
	}
	if want := []string{late, lost}; !slices.Equal(got, want) {
		t.Errorf("users %v, want %v", got, want)
	}
}

// An unusable record is told of and keeps nobody else out.
func TestExportDamaged(t *testing.T) {
	w := settledTown(t)
	whole := exported(t, w)
	bad := w.login("bad", 1, true)
	w.set(userKey(bad), `{"v":99}`)
	w.login("bad", 2, false)
	w.set("a:wx2/o-bad-2", "nonsense")
	lines, err := exportLines(t.Context(), w)
	slices.Sort(lines)
	if !errors.Is(err, ErrRecord) || !strings.Contains(err.Error(), ": 2)") {
		t.Errorf("error %v", err)
	}
	if !slices.Equal(lines, whole) {
		t.Error(cmp.Diff(lines, whole))
	}
}

func TestExportStops(t *testing.T) {
	w := settledTown(t)
	own := errors.New("own")
	d := migration(w.memStore)
	calls := 0
	if err := d.Export(t.Context(), w, func([]byte) error { calls++; return own }); !errors.Is(err, own) {
		t.Errorf("after an error of fn: %v", err)
	}
	if calls == 0 {
		t.Error("fn was not called")
	}
	list := script(func(context.Context, func(string, []byte) error) error { return own })
	if err := d.Export(t.Context(), list, func([]byte) error { return nil }); !errors.Is(err, own) {
		t.Errorf("after an error of the listing: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Export(ctx, w, func([]byte) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("after the context's end: %v", err)
	}
	w.hook = func(op, key string) outcome {
		if strings.HasPrefix(key, "a:") {
			return crashBefore
		}
		return proceed
	}
	if err := d.Export(t.Context(), w, func([]byte) error { return nil }); !errors.Is(err, errCrash) {
		t.Errorf("after an error of the store: %v", err)
	}
}

// Of the people who are there when an export begins nobody is lost, while half of them turn out to be the other half.
func TestExportBesideLogins(t *testing.T) {
	const n = 400
	s := newMemStore()
	d := NewDirectory(DirectoryConfig{Store: s})
	var ids []string
	for i := range n {
		p := fmt.Sprint(i)
		ids = append(ids, mustResolve(t, d, login(p, 1, false)).User.ID, mustResolve(t, d, login(p, 2, true)).User.ID)
	}
	var logins sync.WaitGroup
	started := make(chan struct{})
	logins.Go(func() {
		<-started
		for i := range n {
			if _, err := d.Resolve(t.Context(), login(fmt.Sprint(i), 1, true)); err != nil {
				t.Error(err)
			}
		}
	})
	var told []string
	lines := 0
	err := migration(s).Export(t.Context(), s, func(text []byte) error {
		if lines++; lines == 1 {
			close(started)
		}
		if lines == n { // the rest comes when all is over
			logins.Wait()
		}
		u, _ := parseUser(t, string(text))
		told = append(append(told, u.ID), u.Aliases...)
		return nil
	})
	logins.Wait()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if !slices.Contains(told, id) {
			t.Errorf("user %s is not in the export", id)
		}
	}
}
