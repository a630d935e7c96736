package identity

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wxgate/session/boltstore"
	"wxgate/session/redisstore"
	"wxgate/session/storetest"
)

// mustImport imports lines and wants this report, whose Errors may be left out.
func mustImport(t testing.TB, s Store, lines string, want ImportReport) ImportReport {
	t.Helper()
	got, err := migration(s).Import(t.Context(), strings.NewReader(lines), ImportOptions{})
	if err != nil {
		t.Fatal("Import:", err)
	}
	counts := got
	if want.Errors == nil {
		counts.Errors = nil
	}
	if want.Through == 0 {
		counts.Through = 0
	}
	if diff := cmp.Diff(counts, want); diff != "" {
		t.Fatalf("report (-got +want)\n%s%+v", diff, got.Errors)
	}
	return got
}

// importOne imports one line and wants it created, updated, unchanged, or refused with a text that contains want.
func importOne(t testing.TB, s Store, line, want string) {
	t.Helper()
	r, err := migration(s).Import(t.Context(), strings.NewReader(line), ImportOptions{Workers: 1})
	if err != nil {
		t.Fatal("Import:", err)
	}
	got := fmt.Sprintf("%d lines", r.Lines)
	switch {
	case len(r.Errors) > 0:
		got = r.Errors[0].Error
	case r.Created == 1:
		got = "created"
	case r.Updated == 1:
		got = "updated"
	case r.Unchanged == 1:
		got = "unchanged"
	}
	if got != want && (len(r.Errors) == 0 || !strings.Contains(got, want)) {
		t.Fatalf("%s\ngave %q, want %q", line, got, want)
	}
}

func snapshot(s *memStore) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := map[string]string{}
	for k, v := range s.m {
		m[k] = string(v)
	}
	return m
}

func mustFind(t testing.TB, s Store, appID, openID string) *User {
	t.Helper()
	u, found, err := migration(s).Find(t.Context(), appID, openID)
	if err != nil || !found {
		t.Fatalf("Find(%s): %v, %v", openID, found, err)
	}
	return u
}

// testID makes a user id of a letter.
func testID(letter string) string { return strings.Repeat(letter, idLen) }

// A town moves from store to store, and stays what it is to the last byte.
func TestImportRoundTrip(t *testing.T) {
	bolt, err := boltstore.Open(t.TempDir()+"/users.db", boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer bolt.Close()
	stores := []storeLister{newMemStore(), bolt}
	t.Run("redis", func(t *testing.T) {
		server := storetest.StartRedis(t)
		store, err := redisstore.Open(server.URL, redisstore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		roundTrip(t, append(stores, store, newMemStore()))
	})
	roundTrip(t, append([]storeLister{newMemStore()}, newMemStore()))
}

func roundTrip(t *testing.T, stores []storeLister) {
	t.Helper()
	w := settledTown(t)
	lines := exported(t, w)
	for _, s := range stores {
		mustImport(t, s, strings.Join(lines, ""), ImportReport{Lines: len(lines), Created: len(lines), Through: len(lines)})
		again := exported(t, s)
		if !slices.Equal(again, lines) {
			t.Fatalf("%T: %s", s, cmp.Diff(lines, again))
		}
		d := migration(s)
		for _, key := range w.keys("u:") { // every id ever handed out
			there, _, err := w.d.User(t.Context(), key[2:])
			if err != nil {
				t.Fatal(err)
			}
			here, found, err := d.User(t.Context(), key[2:])
			if err != nil || !found || here.ID != there.ID || here.SessionEpoch(key[2:]) != there.SessionEpoch(key[2:]) && there.Status != StatusErased {
				t.Errorf("%T: id %s leads to %+v, %v, %v, want %s", s, key[2:], here, found, err, there.ID)
			}
		}
		for _, l := range w.logins {
			there, known, err := w.d.Find(t.Context(), l.AppID, l.OpenID)
			if err != nil {
				t.Fatal(err)
			}
			here, found, err := d.Find(t.Context(), l.AppID, l.OpenID)
			if err != nil || found != known || found && here.ID != there.ID {
				t.Errorf("%T: %s is %+v, %v", s, l.OpenID, here, err)
			}
		}
		mustImport(t, s, strings.Join(lines, ""), ImportReport{Lines: len(lines), Unchanged: len(lines), Through: len(lines)})
	}
	// What people do next gives the same there as here: somebody taken apart stays so, a former unionid still counts.
	target := migration(stores[len(stores)-1])
	for _, l := range []Login{login("apart", 2, true), login("changes", 3, true), login("late", 3, true), login("new", 1, true)} {
		l.At = t0.Add(200 * time.Hour)
		if l.OpenID == "o-changes-3" {
			l.UnionID = "u/former"
		}
		there, here := mustResolve(t, w.d, l), mustResolve(t, target, l)
		if there.Created != here.Created || there.Linked != here.Linked || there.Merged != here.Merged || !there.Created && there.User.ID != here.User.ID {
			t.Errorf("login of %s: %+v there, %+v here", l.OpenID, there, here)
		}
	}
}

// The second run of an import reads and writes nothing.
func TestImportAgainWritesNothing(t *testing.T) {
	own := `{"accounts":[{"channel":"mp","appid":"wx1","openid":"o1"}],"unionids":{"default":"u1"},"profile":{"name":"n","avatar":""},"yunxin":{"accid":"Player_1"}}
{"accounts":[{"channel":"mp","appid":"wx1","openid":"o2"},{"channel":"mini","appid":"wx2","openid":"o2"}]}
{"unionids":{"default":"u3"}}
{"id":"` + testID("x") + `","aliases":["` + testID("y") + `"]}
{"id":"` + testID("z") + `","status":"erased"}
{"id":"` + testID("b") + `","status":"blocked","accounts":[{"channel":"mp","appid":"wx1","openid":"o4"}],"yunxin":{"accid":"` + testID("b") + `"}}
`
	for name, lines := range map[string]string{"town": strings.Join(exported(t, settledTown(t)), ""), "of an app": own} {
		t.Run(name, func(t *testing.T) {
			s, n := newMemStore(), strings.Count(lines, "\n")
			mustImport(t, s, lines, ImportReport{Lines: n, Created: n, Through: n})
			before := snapshot(s)
			s.writes, s.reads = 0, 0
			later := NewDirectory(DirectoryConfig{Store: s, Now: func() time.Time { return t0.Add(1000 * time.Hour) }})
			r, err := later.Import(t.Context(), strings.NewReader(lines), ImportOptions{})
			if err != nil || r.Unchanged != n {
				t.Errorf("%+v, %v", r, err)
			}
			if s.writes > 0 || !maps.Equal(before, snapshot(s)) {
				t.Errorf("%d writes: %s", s.writes, cmp.Diff(before, snapshot(s)))
			}
			if limit := 5 * n; s.reads > limit {
				t.Errorf("%d reads of %d lines", s.reads, n)
			}
		})
	}
}

// What an app knows about its users is enough; the rest is filled in.
func TestImportOfAnApp(t *testing.T) {
	s := newMemStore()
	now := migration(s).now()
	importOne(t, s, `{"accounts":[{"channel":"mp","appid":"wx1","openid":"o1","last_seen":"2025-12-01T08:00:00.5+08:00"}],`+
		`"unionids":{"default":"u1"},"profile":{"name":" 老\u0007玩家 ","avatar":"javascript:x"},"yunxin":{"accid":"Player_1","state":"ready"}}`, "created")
	u := mustFind(t, s, "wx1", "o1")
	seen := time.Date(2025, 12, 1, 0, 0, 0, 0, time.UTC)
	want := &User{
		ID: u.ID, Status: StatusActive, CreatedAt: now, Accounts: []Account{{ChannelMP, "wx1", "o1", seen, seen}},
		Unionids: map[string]string{"default": "u1"}, Profile: &Profile{Name: "老玩家", UpdatedAt: now},
		Yunxin:  Yunxin{Accid: "player_1", State: YunxinPending},
		Aliases: []string{}, History: []Event{{Time: now, Type: EventImported}},
	}
	if diff := cmp.Diff(u, want, wholeUser); diff != "" {
		t.Errorf("(-got +want)\n%s", diff)
	}
	if !ValidID(u.ID) {
		t.Errorf("id %q", u.ID)
	}
	if v, _, err := migration(s).FindUnionID(t.Context(), "default", "u1"); err != nil || v.ID != u.ID {
		t.Errorf("the unionid leads to %+v, %v", v, err)
	}
	if got := s.value(accidKey("player_1")); got != u.ID {
		t.Errorf("the accid leads to %q", got)
	}
}

// Whoever has to follow at Yunxin is noted before the record is written, so that nobody forgets it.
func TestImportNotesWhatYunxinLacks(t *testing.T) {
	x := testID("x")
	for _, tt := range []struct {
		line string
		want bool
	}{
		{`{"id":"` + x + `","yunxin":{"accid":"` + x + `","state":"ready","token_key":"k"}}`, false},
		{`{"id":"` + x + `","yunxin":{"accid":"` + x + `","state":"pending"}}`, false},
		{`{"id":"` + x + `","yunxin":{"accid":"` + x + `","state":"ready","token_key":"k","epoch":1}}`, true},
		{`{"id":"` + x + `","status":"blocked","yunxin":{"accid":"` + x + `","state":"ready","token_key":"k"}}`, true},
		{`{"id":"` + x + `","status":"blocked","yunxin":{"accid":"` + x + `","state":"blocked"}}`, false},
		{`{"id":"` + x + `","withdrawn":true,"history":[{"time":"2026-03-01T00:00:00Z","type":"revoked"}],"yunxin":{"accid":"` + x + `","state":"ready","token_key":"k"}}`, true},
		{`{"id":"` + x + `","yunxin":{"accid":"` + x + `","state":"blocked"}}`, true},
	} {
		for _, known := range []bool{false, true} {
			s, q := newMemStore(), &dueQueue{}
			if known {
				importOne(t, s, `{"id":"`+x+`"}`, "created")
			}
			s.hook = func(op, key string) outcome {
				if op != "get" && key == userKey(x) && q.ids[QueueSettle+" "+x] != tt.want {
					t.Errorf("%s, known %v: noted %v", tt.line, known, q.ids)
				}
				return proceed
			}
			d := NewDirectory(DirectoryConfig{Store: s, Queue: q, Now: func() time.Time { return t0 }})
			if r, err := d.Import(t.Context(), strings.NewReader(tt.line), ImportOptions{}); err != nil || r.Failed+r.Unchanged > 0 {
				t.Fatal(r, err)
			}
		}
	}
}

// Nobody is told of imported users, but of one that an import blocks.
func TestImportAnnouncesNothing(t *testing.T) {
	s, q := newMemStore(), &dueQueue{}
	d := NewDirectory(DirectoryConfig{Store: s, Queue: q, Announce: true, Now: func() time.Time { return t0 }})
	lines := strings.Join(exported(t, settledTown(t)), "")
	for range 2 {
		if r, err := d.Import(t.Context(), strings.NewReader(lines), ImportOptions{}); err != nil || r.Failed > 0 {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	r, err := d.Import(t.Context(), strings.NewReader(`{"accounts":[{"channel":"mp","appid":"wx1","openid":"o-silent-1"},`+newAccount+`]}`), ImportOptions{})
	if err != nil || r.Updated != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	for key := range q.ids {
		if strings.HasPrefix(key, QueueNotices) {
			t.Errorf("queue entry %s", key)
		}
	}
	if strings.Contains(fmt.Sprint(snapshot(s)), "outbox") {
		t.Error("an event waits in a record")
	}
}
