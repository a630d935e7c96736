package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
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

func TestImportMalformed(t *testing.T) {
	id, other := testID("a"), testID("b")
	account := `{"channel":"mp","appid":"wx1","openid":"o"}`
	tests := []struct{ line, want string }{
		{`nonsense`, "not JSON"},
		{`{`, "not JSON: it ends too early"},
		{`{"id":"` + id + `"} {}`, "more than one"},
		{`{"id":"` + id + `"}]`, "more than one"},
		{`[]`, "the line is a JSON array"},
		{`"x"`, "the line is a JSON string"},
		{`null`, "neither id"},
		{`{}`, "neither id"},
		{`{"profile":{"name":"x","avatar":""}}`, "neither id"},
		{`{"id":7}`, "id is a JSON number"},
		{`{"id":"` + id + `","created_at":"yesterday"}`, "RFC 3339"},
		{`{"id":"` + id + `","created_at":7}`, "RFC 3339"},
		{`{"id":"` + id + `","created_at":"1960-01-01T00:00:00Z"}`, "created_at is before 1970"},
		{`{"id":"` + id + `","created_at":"9999-12-31T23:59:59-20:00"}`, "in the future"},
		{`{"id":"` + id + `","unionid":"u"}`, `unknown field "unionid"`},
		{`{"id":"` + id + `","accounts":[{"channel":"mp","appid":"wx1","openid":"o","unionid":"u"}]}`, `unknown field "unionid"`},
		{`{"id":"` + id + `","yunxin":{"accid":{}}}`, "yunxin.accid is a JSON object"},
		{`{"id":"` + id + `","yunxin":{"accid":"x","epoch":1e99}}`, "yunxin.epoch is a JSON number, which"},
		{`{"id":"player7"}`, "id is not a user id"},
		{`{"id":"` + strings.ToUpper(id) + `"}`, "id is not a user id"},
		{`{"id":"` + id + `","status":"gone"}`, "unknown status"},
		{`{"id":"` + id + `","status":"merged"}`, "aliases"},
		{`{"status":"erased","accounts":[` + account + `]}`, "without id"},
		{`{"id":"` + id + `","status":"erased","accounts":[` + account + `]}`, "personal data"},
		{`{"id":"` + id + `","status":"erased","unionids":{"default":"u"}}`, "personal data"},
		{`{"id":"` + id + `","status":"erased","profile":{"name":"","avatar":""}}`, "personal data"},
		{`{"id":"` + id + `","status":"erased","yunxin":{"accid":"x","state":"none"}}`, "personal data"},
		{`{"id":"` + id + `","status":"erased","former":[{"platform":"default","unionid":"u"}]}`, "personal data"},
		{`{"accounts":[{"channel":"web2","appid":"wx1","openid":"o"}]}`, "accounts[0]: unknown channel"},
		{`{"accounts":[{"appid":"wx1","openid":"o"}]}`, "accounts[0]: unknown channel"},
		{`{"accounts":[` + account + `,{"channel":"mp","openid":"o"}]}`, "accounts[1]: no appid"},
		{`{"accounts":[{"channel":"mp","appid":"wx1"}]}`, "accounts[0]: no openid"},
		{`{"accounts":[{"channel":"mp","appid":"wx1","openid":"o o"}]}`, "accounts[0]: openid has"},
		{`{"accounts":[{"channel":"mp","appid":"wx1","openid":"` + strings.Repeat("o", 129) + `"}]}`, "accounts[0]: openid has"},
		{`{"accounts":[{"channel":"mp","appid":"wx1","openid":"ö"}]}`, "accounts[0]: openid has"},
		{`{"accounts":[` + account + `,` + account + `]}`, "accounts[1] is there twice"},
		{`{"accounts":[{"channel":"mp","appid":"wx1","openid":"o","first_seen":"2222-01-01T00:00:00Z"}]}`, "accounts[0].first_seen"},
		{`{"accounts":[{"channel":"mp","appid":"wx1","openid":"o","last_seen":"2222-01-01T00:00:00Z"}]}`, "accounts[0].last_seen"},
		{`{"unionids":{"default":""}}`, "unionids"},
		{`{"unionids":{"":"u"}}`, "unionids"},
		{`{"unionids":{"default":"u\n"}}`, "unionids"},
		{`{"id":"` + id + `","former":[{"platform":"default","unionid":""}]}`, "former[0]"},
		{`{"id":"` + id + `","former":[{"unionid":"u"}]}`, "former[0]"},
		{`{"id":"` + id + `","profile":{"name":"x","updated_at":"2222-01-01T00:00:00Z"}}`, "profile.updated_at"},
		{`{"id":"` + id + `","aliases":["` + id + `"]}`, "aliases"},
		{`{"id":"` + id + `","aliases":["x"]}`, "aliases"},
		{`{"id":"` + id + `","aliases":["` + other + `","` + other + `"]}`, "aliases"},
		{`{"id":"` + id + `","apart":[""]}`, "apart"},
		{`{"id":"` + id + `","epochs":{"x":1}}`, "epochs"},
		{`{"id":"` + id + `","epochs":{"` + id + `":-1}}`, "epochs"},
		{`{"id":"` + id + `","epochs":{"` + id + `":4294967296}}`, "epochs"},
		{`{"id":"` + id + `","history":[{"type":"created"}]}`, "history[0]"},
		{`{"id":"` + id + `","history":[{"time":"2026-01-01T00:00:00Z"}]}`, "history[0]"},
		{`{"id":"` + id + `","history":[{"time":"2026-01-01T00:00:00Z","type":"c d"}]}`, "history[0]"},
		{`{"id":"` + id + `","history":[{"time":"2226-01-01T00:00:00Z","type":"created"}]}`, "history[0]"},
		{`{"id":"` + id + `","yunxin":{"accid":"` + strings.Repeat("x", 33) + `"}}`, "yunxin.accid"},
		{`{"id":"` + id + `","yunxin":{"accid":"a/b"}}`, "yunxin.accid"},
		{`{"id":"` + id + `","yunxin":{"accid":".."}}`, "yunxin.accid"},
		{`{"id":"` + id + `","yunxin":{"accid":"\u212a"}}`, "yunxin.accid"}, // the Kelvin sign, whose lower case is k
		{`{"id":"` + id + `","yunxin":{"state":"ready"}}`, "without accid"},
		{`{"id":"` + id + `","yunxin":{"state":"blocked"}}`, "without accid"},
		{`{"id":"` + id + `","yunxin":{"accid":"x","state":"great"}}`, "yunxin.state"},
		{`{"id":"` + id + `","yunxin":{"accid":"x","epoch":-1}}`, "epoch"},
		{`{"id":"` + id + `","yunxin":{"accid":"x","epoch":1,"token_epoch":2}}`, "epoch"},
		{`{"id":"` + id + `","yunxin":{"accid":"x","epoch":2147483648}}`, "epoch"},
		{`{"id":"` + id + `","yunxin":{"accid":"x","token_key":"a b"}}`, "yunxin has"},
		{`{"id":"` + id + `","yunxin":{"accid":"x","name":"` + strings.Repeat("x", 1025) + `"}}`, "yunxin has"},
		{`{"id":"` + id + `","yunxin":{"accid":"` + other + `"}}`, "looks like the id of a user"},
		{strings.Repeat("[", 20000), "not JSON"},
		{`{"id":"` + id + `","profile":{"name":"` + strings.Repeat("x", maxLine) + `"}}`, "longer than"},
		{`{"id":"` + id + `","apart":[` + strings.TrimSuffix(strings.Repeat(`"aaaaaaaaaaaaaaaaaaaaaaaaaa",`, 10), ",") + `]}`, "apart"},
		{`{"id":"` + id + `","former":[` + strings.TrimSuffix(strings.Repeat(`{"platform":"p","unionid":"x"},`, 1), ",") + `],"aliases":[` + manyIDs(10000) + `]}`, "more than 262144"},
	}
	var lines strings.Builder
	var want []LineError
	for n, tt := range tests {
		fmt.Fprintf(&lines, "{\"accounts\":[{\"channel\":\"mp\",\"appid\":\"wx1\",\"openid\":\"good-%d\"}]}\n\n%s\n", n, tt.line)
		want = append(want, LineError{3*n + 3, tt.want})
	}
	s := newMemStore()
	r, err := migration(s).Import(t.Context(), strings.NewReader(lines.String()), ImportOptions{})
	if err != nil || r.Lines != 2*len(tests) || r.Failed != len(tests) || r.Created != len(tests) || r.Through != 3*len(tests) {
		t.Errorf("report %+v, %v", r, err)
	}
	for n, e := range r.Errors {
		if n < len(want) && (e.Line != want[n].Line || !strings.Contains(e.Error, want[n].Error)) {
			t.Errorf("line %d: %s, want line %d: %s\n%.200s", e.Line, e.Error, want[n].Line, want[n].Error, tests[n].line)
		}
		if len(e.Error) > 250 || strings.Contains(e.Error, "User.") || strings.Contains(e.Error, "Go ") {
			t.Errorf("line %d: %s", e.Line, e.Error)
		}
	}
	if users := s.keys("u:"); len(users) != len(tests) || len(s.keys("")) != 2*len(tests) {
		t.Errorf("the store holds %d keys, %d users", len(s.keys("")), len(users))
	}
}

func manyIDs(n int) string {
	var list []string
	for i := range n {
		list = append(list, `"`+manyID("crowd", i)+`"`)
	}
	return strings.Join(list, ",")
}

// A line that would take something from somebody is refused as a whole.
func TestImportConflicts(t *testing.T) {
	const account = `{"channel":"mp","appid":"wx9","openid":"o-new"}`
	x := testID("x")
	for _, tt := range []struct{ name, line, want string }{
		{"account", `{"id":"` + x + `","accounts":[` + account + `,{"channel":"mp","appid":"wx1","openid":"o-an-1"}]}`, "accounts[1] belongs to user {an}"},
		{"unionid", `{"id":"` + x + `","accounts":[` + account + `],"unionids":{"default":"u-an"}}`, "the unionid belongs to user {an}"},
		{"former unionid", `{"id":"` + x + `","accounts":[` + account + `],"former":[{"platform":"default","unionid":"u-an"}]}`, "former[0] belongs to user {an}"},
		{"two users", `{"accounts":[` + account + `,{"channel":"mp","appid":"wx1","openid":"o-an-1"},{"channel":"mp","appid":"wx1","openid":"o-bo-1"}]}`, "accounts[2] belongs to user {bo}"},
		{"account of one, unionid of another", `{"accounts":[{"channel":"mp","appid":"wx1","openid":"o-silent-1"}],"unionids":{"default":"u-bo"}}`, "the unionid belongs to user {bo}"},
		{"known user, other's account", `{"id":"{an}","accounts":[` + account + `,{"channel":"mp","appid":"wx1","openid":"o-bo-1"}]}`, "accounts[1] belongs to user {bo}"},
		{"alias alive", `{"id":"` + x + `","accounts":[` + account + `],"aliases":["{an}"]}`, "alias {an} is a user of its own"},
		{"alias of another", `{"id":"` + x + `","accounts":[` + account + `],"aliases":["{merged}"]}`, "alias {merged} is user {root} here"},
		{"alias erased", `{"id":"` + x + `","accounts":[` + account + `],"aliases":["{erased}"]}`, "alias {erased} was erased"},
		{"accid", `{"id":"` + x + `","accounts":[` + account + `],"yunxin":{"accid":"PLAYER_7"}}`, "yunxin.accid belongs to user {app}"},
		{"accid without id", `{"accounts":[` + account + `],"yunxin":{"accid":"PLAYER_7"}}`, "yunxin.accid belongs to user {app}"},
		{"accid of a known user", `{"id":"{an}","accounts":[` + account + `],"yunxin":{"accid":"player_7"}}`, "yunxin.accid belongs to user {app}"},
		{"accid of an erased user", `{"id":"` + x + `","accounts":[` + account + `],"yunxin":{"accid":"player_8"}}`, "yunxin.accid belonged to user {erased}, who was erased"},
		{"another's id for accid", `{"id":"` + x + `","accounts":[` + account + `],"yunxin":{"accid":"{bo}"}}`, "looks like the id"},
		{"another's id for accid, without id", `{"accounts":[` + account + `],"yunxin":{"accid":"{bo}"}}`, "looks like the id"},
		{"erased since", `{"id":"{erased}","accounts":[` + account + `]}`, "erased here since"},
		{"blocked, but erased since", `{"id":"{erased}","status":"blocked","accounts":[` + account + `]}`, "erased here since"},
		{"alive", `{"id":"{an}","status":"erased"}`, "alive here"},
		{"merged and alive", `{"id":"{merged}","status":"erased"}`, "alive here"},
		{"too much", `{"id":"{an}","accounts":[` + account + `],"aliases":[` + manyIDs(10000) + `],"yunxin":{"accid":"player_9"}}`, "more than 262144"},
		{"tombstone with a living alias", `{"id":"` + x + `","status":"erased","aliases":["{an}"]}`, "user of its own"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newTown(t)
			users := map[string]string{
				"an": w.login("an", 1, true), "bo": w.login("bo", 1, true), "silent": w.login("silent", 1, false),
				"app": w.login("app", 1, false), "merged": w.login("late", 1, false), "root": w.login("late", 2, true),
				"erased": w.login("erased", 1, false),
			}
			w.login("late", 1, true)
			w.yunxin(users["app"], Yunxin{Accid: "player_7", State: YunxinPending})
			w.set(accidKey("player_7"), users["app"])
			w.set(accidKey("player_8"), users["erased"])
			if _, err := w.d.Erase(t.Context(), users["erased"]); err != nil {
				t.Fatal(err)
			}
			w.must(w.d.Settle(t.Context(), users["erased"]))
			fill := func(s string) string {
				for name, id := range users {
					s = strings.ReplaceAll(s, "{"+name+"}", id)
				}
				return s
			}
			before := snapshot(w.memStore)
			importOne(t, w, fill(tt.line), fill(tt.want))
			if after := snapshot(w.memStore); !maps.Equal(before, after) {
				t.Error(cmp.Diff(before, after))
			}
		})
	}
}

// An entry that cannot be used is nobody's, and not free.
func TestImportDamagedStore(t *testing.T) {
	line := `{"accounts":[` + newAccount + `],"unionids":{"default":"u"},"yunxin":{"accid":"player"},"aliases":["` + testID("y") + `"]}`
	for _, key := range []string{"a:wx9/o-new", "n:default/u", "y:player", userKey(testID("y"))} {
		for _, value := range []string{"", "nonsense", "+"} {
			s := newMemStore()
			s.set(key, value)
			importOne(t, s, line, ErrRecord.Error())
			if len(s.m) != 1 {
				t.Errorf("%s is %q, and then %v", key, value, snapshot(s))
			}
		}
	}
}

// Two lines of one import that claim the same get it once.
func TestImportConflictsWithin(t *testing.T) {
	for _, tt := range []struct {
		name, a, b string
		created    int
	}{
		{"account", `{"id":"{a}","accounts":[{"channel":"mp","appid":"wx1","openid":"o"}]}`, `{"id":"{b}","accounts":[{"channel":"mp","appid":"wx1","openid":"o"}]}`, 1},
		{"accid", `{"id":"{a}","yunxin":{"accid":"P"}}`, `{"id":"{b}","yunxin":{"accid":"p"}}`, 1},
		{"unionid", `{"id":"{a}","unionids":{"default":"u"}}`, `{"id":"{b}","unionids":{"default":"u"}}`, 1},
		{"alias", `{"id":"{a}","aliases":["` + testID("c") + `"]}`, `{"id":"{b}","aliases":["` + testID("c") + `"]}`, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for range 20 {
				s := newMemStore()
				fill := strings.NewReplacer("{a}", testID("a"), "{b}", testID("b"))
				r, err := migration(s).Import(t.Context(), strings.NewReader(fill.Replace(tt.a+"\n"+tt.b+"\n")), ImportOptions{})
				if err != nil || r.Created != 1 || r.Failed != 1 {
					t.Fatalf("%+v, %v", r, err)
				}
				lines := exported(t, s)
				for _, what := range []string{`"openid":"o"`, `"accid":"p"`, `"u"`, testID("c")} {
					if strings.Count(strings.Join(lines, ""), what) > 1 {
						t.Fatalf("%s twice:\n%s", what, strings.Join(lines, ""))
					}
				}
			}
		})
	}
	// The same person twice is one user.
	s := newMemStore()
	line := `{"accounts":[{"channel":"mp","appid":"wx1","openid":"o"}],"yunxin":{"accid":"p"}}` + "\n"
	r, err := migration(s).Import(t.Context(), strings.NewReader(strings.Repeat(line, 50)), ImportOptions{})
	if lines := exported(t, s); err != nil || r.Failed > 0 || len(lines) != 1 {
		t.Errorf("%+v, %v, %d users", r, err, len(lines))
	}
}

// importCase is a line for a store in which something has happened before.
type importCase struct {
	name   string
	before func(w *town)
	line   string // {an} is the user of login("an", 1, …), {new} an id that nobody has
	want   string
	check  func(t *testing.T, w *town, u *User) // u is {an}, or {new}
}

const newAccount = `{"channel":"mini","appid":"wx9","openid":"o-new","first_seen":"2026-01-01T00:00:00Z","last_seen":"2026-01-02T00:00:00Z"}`

func nothing(*town) {}

func anLogin(w *town) { w.login("an", 1, false) }

func anUnion(w *town) { w.login("an", 1, true, consented) }

// accid is the user that an accid belongs to.
func (w *town) accid(accid string) string { return strings.TrimRight(w.value(accidKey(accid)), "+") }

func (w *town) an() string { return mustFind(w.t, w, "wx1", "o-an-1").ID }

var importCases = []importCase{
	{"new with all", nothing, `{"id":"{new}","accounts":[` + newAccount + `,{"channel":"mp","appid":"wx8","openid":"o"}],"unionids":{"default":"u","other":"v"},"former":[{"platform":"default","unionid":"f"}],"yunxin":{"accid":"Player"},"aliases":["` + testID("y") + `"]}`, "created",
		func(t *testing.T, w *town, u *User) {
			for _, key := range []string{"a:wx9/o-new", "a:wx8/o", "n:default/u", "n:other/v", "n:default/f"} {
				if w.value(key) != u.ID {
					t.Errorf("%s leads to %q", key, w.value(key))
				}
			}
			if v, found, err := w.d.User(t.Context(), testID("y")); err != nil || !found || v.ID != u.ID {
				t.Errorf("the alias leads to %+v, %v", v, err)
			}
			if w.accid("player") != u.ID || u.Yunxin != (Yunxin{Accid: "player", State: YunxinPending}) || u.History[0].Type != EventImported {
				t.Errorf("%+v", u)
			}
		}},
	{"history kept", nothing, `{"id":"{new}","accounts":[` + newAccount + `],"history":[{"time":"2026-01-01T00:00:00Z","type":"created","channel":"mini","appid":"wx9","openid":"o-new"}]}`, "created",
		func(t *testing.T, _ *town, u *User) {
			if len(u.History) != 1 || u.History[0].Type != EventCreated {
				t.Errorf("%+v", u.History)
			}
		}},
	{"without id, of nobody", nothing, `{"accounts":[{"channel":"mp","appid":"wx1","openid":"o-an-1"},` + newAccount + `],"unionids":{"default":"u"},"yunxin":{"accid":"player"}}`, "created",
		func(t *testing.T, w *town, u *User) {
			if w.accid("player") != u.ID || u.Yunxin.Accid != "player" {
				t.Errorf("%+v", u)
			}
		}},
	{"only a unionid, of nobody", nothing, `{"unionids":{"default":"u"},"yunxin":{"accid":"player"}}`, "created", nil},
	{"without id, by account", anLogin, `{"accounts":[` + newAccount + `,{"channel":"mp","appid":"wx1","openid":"o-an-1"}],"unionids":{"default":"u-an"},"yunxin":{"accid":"player"}}`, "updated",
		func(t *testing.T, w *town, u *User) {
			if u.Account("wx9", "o-new") == nil || u.Unionids["default"] != "u-an" || u.Yunxin.Accid != "player" || w.value("a:wx9/o-new") != u.ID ||
				w.value("n:default/u-an") != u.ID || u.History[len(u.History)-1].Type != EventImported || u.History[0].Type != EventCreated {
				t.Errorf("%+v", u)
			}
		}},
	{"without id, by unionid", anUnion, `{"accounts":[` + newAccount + `],"unionids":{"default":"u-an"}}`, "updated",
		func(t *testing.T, w *town, u *User) {
			if u.Account("wx9", "o-new") == nil {
				t.Errorf("%+v", u)
			}
		}},
	{"more of a known user", anLogin, `{"id":"{an}","created_at":"2020-01-01T00:00:00Z","accounts":[` + newAccount + `,{"channel":"web","appid":"wx1","openid":"o-an-1","first_seen":"2020-01-02T00:00:00Z","last_seen":"2026-03-02T00:00:00Z"}],"unionids":{"default":"u"},"profile":{"name":"n","avatar":"","updated_at":"2020-01-01T00:00:00Z"},"aliases":["` + testID("y") + `"],"apart":["` + testID("z") + `"],"former":[{"platform":"default","unionid":"f"}],"epochs":{"{an}":3}}`, "updated",
		func(t *testing.T, w *town, u *User) {
			a := u.Account("wx1", "o-an-1")
			if a.Channel != ChannelMP || a.FirstSeen.Year() != 2020 || a.LastSeen.Day() != 2 || u.CreatedAt.Year() != 2020 {
				t.Errorf("%+v", u)
			}
			if u.Account("wx9", "o-new") == nil || u.Profile == nil || !slices.Equal(u.Aliases, []string{testID("y")}) || u.kept.Apart[0] != testID("z") || u.kept.Former[0] != "n:default/f" || u.SessionEpoch(u.ID) != 3 {
				t.Errorf("%+v", u)
			}
		}},
	{"nothing new", anUnion, `{"id":"{an}","created_at":"2026-03-01T12:01:00Z","accounts":[{"channel":"mp","appid":"wx1","openid":"o-an-1","first_seen":"2026-03-01T12:01:00Z"}],"unionids":{"default":"u-an"},"profile":{"name":"older","avatar":"","updated_at":"2026-03-01T12:00:00Z"}}`, "unchanged", nil},
	{"former unionid that is the present one here", anUnion, `{"id":"{an}","former":[{"platform":"default","unionid":"u-an"}]}`, "unchanged", nil},
	{"apart from itself", anUnion, `{"id":"{an}","apart":["{an}"]}`, "unchanged", nil},
	{"the other way round there", func(w *town) {
		w.login("bo", 2, false) // aaa…e
		w.login("an", 1, false)
		_, _, err := w.d.Merge(w.t.Context(), w.an(), "aaaaaaaaaaaaaaaaaaaaaaaaae")
		w.must(err)
	}, `{"id":"aaaaaaaaaaaaaaaaaaaaaaaaae","aliases":["{an}"],"apart":["aaaaaaaaaaaaaaaaaaaaaaaaae"]}`, "unchanged", nil},
	{"full history, older there", fullHistory, `{"id":"{an}","history":[{"time":"2026-02-01T00:00:00Z","type":"older"},{"time":"2026-03-01T12:01:00Z","type":"as-old"}]}`, "unchanged", nil},
	{"full history, newer there", fullHistory, `{"id":"{an}","history":[{"time":"2026-02-01T00:00:00Z","type":"older"},{"time":"2026-03-02T00:00:00Z","type":"newer"}]}`, "updated",
		func(t *testing.T, _ *town, u *User) {
			if n := len(u.History); n != maxHistory || u.History[0].Type != EventCreated || u.History[n-1].Type != "newer" {
				t.Errorf("%+v", u.History)
			}
		}},
	{"older and newer history there", anLogin, `{"id":"{an}","history":[{"time":"2026-02-01T00:00:00Z","type":"older"},{"time":"2026-03-01T12:01:00Z","type":"created","channel":"mp","appid":"wx1","openid":"o-an-1"},{"time":"2026-03-02T00:00:00Z","type":"newer"},{"time":"2026-03-03T00:00:00Z","type":"newer"}]}`, "updated",
		func(t *testing.T, _ *town, u *User) {
			if len(u.History) != 3 || u.History[0].Type != "older" || u.History[1].Type != EventCreated || u.History[2].Time.Day() != 3 {
				t.Errorf("%+v", u.History)
			}
		}},
	{"created later there", anLogin, `{"id":"{an}","created_at":"2026-03-02T00:00:00Z"}`, "unchanged", nil},
	{"seen earlier there", anLogin, `{"id":"{an}","accounts":[{"channel":"mp","appid":"wx1","openid":"o-an-1","first_seen":"2026-03-01T12:01:30Z","last_seen":"2026-03-01T12:00:30Z"}]}`, "unchanged", nil},
	{"another unionid", anUnion, `{"id":"{an}","unionids":{"default":"u-other"}}`, "unchanged",
		func(t *testing.T, w *town, u *User) {
			if u.Unionids["default"] != "u-an" || w.value("n:default/u-other") != "" {
				t.Errorf("%+v", u)
			}
		}},
	{"newer profile", anUnion, `{"id":"{an}","profile":{"name":"newer","avatar":"","updated_at":"2026-03-01T12:02:00Z"}}`, "updated",
		func(t *testing.T, _ *town, u *User) {
			if u.Profile.Name != "newer" || len(u.History) != 1 {
				t.Errorf("%+v", u)
			}
		}},
	{"profile of unknown age", anUnion, `{"id":"{an}","profile":{"name":"unknown","avatar":""}}`, "unchanged", nil},
	{"first profile, of unknown age", anLogin, `{"id":"{an}","profile":{"name":"unknown","avatar":""}}`, "updated",
		func(t *testing.T, w *town, u *User) {
			if u.Profile.Name != "unknown" || !u.Profile.UpdatedAt.Equal(migration(w).now()) {
				t.Errorf("%+v", u.Profile)
			}
		}},
	{"profile from before the consent was taken back", revoked, `{"id":"{an}","profile":{"name":"gone","avatar":"","updated_at":"2026-03-01T12:00:30Z"}}`, "unchanged", nil},
	{"profile of unknown age after the consent was taken back", revoked, `{"id":"{an}","profile":{"name":"gone","avatar":""}}`, "unchanged", nil},
	{"profile from after the consent was taken back", revoked, `{"id":"{an}","profile":{"name":"back","avatar":"","updated_at":"2026-03-01T12:03:00Z"}}`, "updated", nil},
	{"consent taken back there", anUnion, `{"id":"{an}","history":[{"time":"2026-03-01T13:00:00Z","type":"revoked","appid":"wx1","openid":"o-an-1"}],"epochs":{"{an}":1},"withdrawn":true}`, "updated",
		func(t *testing.T, _ *town, u *User) {
			if u.Profile != nil || !u.Withdrawn() || u.SessionEpoch(u.ID) != 1 {
				t.Errorf("%+v", u)
			}
		}},
	{"blocked there", anLogin, `{"id":"{an}","status":"blocked"}`, "updated",
		func(t *testing.T, _ *town, u *User) {
			if u.Status != StatusBlocked || u.History[len(u.History)-1].Type != EventBlocked || u.Yunxin.Epoch != 1 {
				t.Errorf("%+v", u)
			}
		}},
	{"active there, blocked here", blocked, `{"id":"{an}","status":"active"}`, "unchanged",
		func(t *testing.T, _ *town, u *User) {
			if u.Status != StatusBlocked {
				t.Errorf("%+v", u)
			}
		}},
	{"blocked there, unblocked here since", unblocked, `{"id":"{an}","status":"blocked","history":[{"time":"2026-03-01T12:01:30Z","type":"blocked"}]}`, "updated",
		func(t *testing.T, _ *town, u *User) {
			if u.Status != StatusActive {
				t.Errorf("%+v", u)
			}
		}},
	{"blocked there again", unblocked, `{"id":"{an}","status":"blocked","history":[{"time":"2026-03-01T15:01:30Z","type":"blocked"}]}`, "updated",
		func(t *testing.T, _ *town, u *User) {
			if u.Status != StatusBlocked {
				t.Errorf("%+v", u)
			}
		}},
	{"new and blocked", nothing, `{"id":"{new}","status":"blocked","accounts":[` + newAccount + `]}`, "created",
		func(t *testing.T, _ *town, u *User) {
			if u.Status != StatusBlocked {
				t.Errorf("%+v", u)
			}
		}},
	{"tombstone", nothing, `{"id":"{new}","status":"erased","created_at":"2026-01-01T00:00:00Z","aliases":["` + testID("y") + `"],"history":[{"time":"2026-01-01T00:00:00Z","type":"created","openid":"o-secret"},{"time":"2026-02-01T00:00:00Z","type":"erased"}]}`, "created",
		func(t *testing.T, w *town, u *User) {
			if u.Status != StatusErased || len(u.History) != 1 || u.History[0].Time.Month() != 2 || u.CreatedAt.Month() != 1 || strings.Contains(w.value(userKey(u.ID)), "secret") {
				t.Errorf("%+v", u)
			}
			if v, found, err := w.d.User(t.Context(), testID("y")); err != nil || !found || v.ID != u.ID {
				t.Errorf("the alias leads to %+v, %v", v, err)
			}
		}},
	{"tombstone without history", nothing, `{"id":"{new}","status":"erased"}`, "created",
		func(t *testing.T, _ *town, u *User) {
			if len(u.History) != 1 || u.History[0].Type != EventErased {
				t.Errorf("%+v", u)
			}
		}},
	{"tombstone, known, with an alias", func(w *town) {
		mustImport(w.t, w, `{"id":"`+testID("x")+`","status":"erased"}`, ImportReport{Lines: 1, Created: 1})
	},
		`{"id":"{new}","status":"erased","aliases":["` + testID("y") + `"]}`, "updated",
		func(t *testing.T, w *town, u *User) {
			if !slices.Equal(u.Aliases, []string{testID("y")}) || u.Status != StatusErased {
				t.Errorf("%+v", u)
			}
		}},
	{"id merged since", func(w *town) {
		w.login("an", 1, false)
		w.login("an", 2, true)
		w.login("an", 1, true)
	}, `{"id":"aaaaaaaaaaaaaaaaaaaaaaaaae","accounts":[` + newAccount + `,{"channel":"mp","appid":"wx1","openid":"o-an-1"}],"yunxin":{"accid":"aaaaaaaaaaaaaaaaaaaaaaaaae","state":"ready","token_key":"k"}}`, "updated",
		func(t *testing.T, w *town, u *User) {
			if u.ID == "aaaaaaaaaaaaaaaaaaaaaaaaae" || u.Account("wx9", "o-new") == nil || u.Yunxin.Accid != "" {
				t.Errorf("%+v", u)
			}
		}},
	{"accid there already", func(w *town) {
		w.login("an", 1, false)
		w.yunxin(w.an(), Yunxin{Accid: w.an(), State: YunxinReady, TokenKey: "k"})
	},
		`{"id":"{an}","yunxin":{"accid":"player"}}`, "unchanged",
		func(t *testing.T, w *town, u *User) {
			if u.Yunxin.Accid != u.ID || w.value("y:player") != "" {
				t.Errorf("%+v", u)
			}
		}},
	{"own accid", anLogin, `{"id":"{an}","yunxin":{"accid":"{an}","state":"ready","token_key":"k","name":"n"}}`, "updated",
		func(t *testing.T, w *town, u *User) {
			if u.Yunxin != (Yunxin{Accid: u.ID, State: YunxinReady, TokenKey: "k", Name: "n"}) || len(w.keys("y:")) > 0 {
				t.Errorf("%+v", u)
			}
		}},
	{"accid withdrawn there", func(w *town) {
		w.login("an", 1, false)
		w.yunxin(w.an(), Yunxin{Accid: w.an(), State: YunxinReady, TokenKey: "k"})
	},
		`{"id":"{an}","yunxin":{"accid":"{an}","state":"ready","token_key":"k2","epoch":1,"token_epoch":1}}`, "updated",
		func(t *testing.T, w *town, u *User) {
			if u.Yunxin.Epoch != 1 || u.Yunxin.TokenKey != "k2" {
				t.Errorf("%+v", u)
			}
		}},
	{"accid withdrawn here", func(w *town) {
		w.login("an", 1, false)
		w.yunxin(w.an(), Yunxin{Accid: w.an(), State: YunxinReady, TokenKey: "k", Epoch: 2, TokenEpoch: 2})
	}, `{"id":"{an}","yunxin":{"accid":"{an}","state":"ready","token_key":"k2","epoch":1,"token_epoch":1}}`, "unchanged", nil},
	{"another accid there, far ahead", func(w *town) { w.login("an", 1, false); w.yunxin(w.an(), Yunxin{Accid: w.an(), State: YunxinPending}) },
		`{"id":"{an}","yunxin":{"accid":"player","state":"ready","token_key":"k","epoch":5}}`, "unchanged", nil},
	{"pending and withdrawn here, ready there", func(w *town) {
		w.login("an", 1, false)
		w.yunxin(w.an(), Yunxin{Accid: w.an(), State: YunxinPending, Epoch: 2})
	}, `{"id":"{an}","yunxin":{"accid":"{an}","state":"ready","token_key":"k","epoch":1,"token_epoch":1}}`, "unchanged", nil},
	{"withdrawn here before there was an account", func(w *town) {
		w.login("an", 1, false)
		_, err := w.d.EndSessions(w.t.Context(), w.an())
		w.must(err)
	}, `{"id":"{an}","yunxin":{"accid":"player","state":"ready","token_key":"k"}}`, "updated",
		func(t *testing.T, w *town, u *User) {
			if u.Yunxin.Epoch != 1 || u.Yunxin.TokenEpoch != 0 {
				t.Errorf("%+v", u.Yunxin)
			}
		}},
	{"pending here, ready there", func(w *town) {
		w.login("an", 1, false)
		w.yunxin(w.an(), Yunxin{Accid: "player", State: YunxinPending})
		w.set("y:player", w.an())
	}, `{"id":"{an}","yunxin":{"accid":"player","state":"ready","token_key":"k"}}`, "updated",
		func(t *testing.T, w *town, u *User) {
			if u.Yunxin.State != YunxinReady || u.Yunxin.TokenKey != "k" {
				t.Errorf("%+v", u.Yunxin)
			}
		}},
	{"accid of a user merged into this one", func(w *town) {
		w.login("an", 1, true)
		app := w.login("app", 2, false)
		w.set("y:player", app)
		_, _, err := w.d.Merge(w.t.Context(), w.an(), app)
		w.must(err)
	}, `{"id":"{an}","yunxin":{"accid":"player"}}`, "updated",
		func(t *testing.T, w *town, u *User) {
			if u.Yunxin.Accid != "player" {
				t.Errorf("%+v", u.Yunxin)
			}
		}},
	{"missing index entries", func(w *town) {
		w.login("an", 1, true)
		id := w.an()
		w.set(userKey(testID("x")), strings.ReplaceAll(w.value(userKey(id)), id, testID("x")))
		w.must(w.Delete(w.t.Context(), userKey(id)))
		w.must(w.Delete(w.t.Context(), "a:wx1/o-an-1"))
		w.must(w.Delete(w.t.Context(), "n:default/u-an"))
	}, `{"id":"{new}","accounts":[{"channel":"mp","appid":"wx1","openid":"o-an-1"}],"unionids":{"default":"u-an"}}`, "updated",
		func(t *testing.T, w *town, u *User) {
			if w.value("a:wx1/o-an-1") != u.ID || w.value("n:default/u-an") != u.ID {
				t.Errorf("%+v", w.keys(""))
			}
		}},
}

func fullHistory(w *town) {
	w.login("an", 1, false)
	_, err := w.d.Update(w.t.Context(), w.an(), func(u *User) error {
		for n := range maxHistory {
			u.AddEvent(Event{Time: w.now, Type: "filler", From: fmt.Sprint(n)})
		}
		return nil
	})
	w.must(err)
}

func revoked(w *town) {
	w.login("an", 1, true, consented)
	w.now = w.now.Add(time.Minute)
	_, _, err := w.d.Revoke(w.t.Context(), Revocation{AppID: "wx1", OpenID: "o-an-1"})
	w.must(err)
}

func blocked(w *town) {
	w.login("an", 1, true)
	_, err := w.d.Block(w.t.Context(), w.an())
	w.must(err)
}

func unblocked(w *town) {
	blocked(w)
	w.now = w.now.Add(time.Hour)
	_, err := w.d.Unblock(w.t.Context(), w.an())
	w.must(err)
}

// prepare builds the town and fills the line in.
func (c importCase) prepare(t *testing.T) (w *town, line string) {
	w = newTown(t)
	c.before(w)
	line = strings.ReplaceAll(c.line, "{new}", testID("x"))
	if strings.Contains(line, "{an}") {
		line = strings.ReplaceAll(line, "{an}", w.an())
	}
	return w, line
}

// user is the one that the case is about.
func (c importCase) user(t *testing.T, w *town) *User {
	t.Helper()
	id := testID("x")
	if !strings.Contains(c.line, "{new}") {
		id = w.an()
	}
	u, found, err := w.d.User(t.Context(), id)
	if err != nil || !found {
		t.Fatal(found, err)
	}
	return u
}

func TestImportCases(t *testing.T) {
	for _, c := range importCases {
		t.Run(c.name, func(t *testing.T) {
			w, line := c.prepare(t)
			before := snapshot(w.memStore)
			importOne(t, w, line, c.want)
			after := snapshot(w.memStore)
			if (c.want == "unchanged") != maps.Equal(before, after) {
				t.Errorf("%s, but %s", c.want, cmp.Diff(before, after))
			}
			if c.check != nil {
				c.check(t, w, c.user(t, w))
			}
			w.writes = 0
			importOne(t, w, line, "unchanged")
			if again := snapshot(w.memStore); w.writes > 0 || !maps.Equal(after, again) {
				t.Errorf("the second time, %d writes: %s", w.writes, cmp.Diff(after, again))
			}
		})
	}
}

// An import dies before or after every single write, or a store client repeats one whose answer got lost. The next run ends where an
// undisturbed one does.
func TestImportCrashAtEveryWrite(t *testing.T) {
	for _, c := range importCases {
		w, line := c.prepare(t)
		importOne(t, w, line, c.want)
		want := exported(t, w)
		w, line = c.prepare(t)
		w.writes = 0
		importOne(t, w, line, c.want)
		for n := 1; n <= w.writes; n++ {
			for _, when := range []outcome{crashBefore, crashAfter, repeat} {
				t.Run(fmt.Sprintf("%s/write %d/%d", c.name, n, when), func(t *testing.T) {
					w, line := c.prepare(t)
					seen := 0
					w.hook = func(op, _ string) outcome {
						if op != "get" {
							if seen++; seen == n {
								return when
							}
						}
						return proceed
					}
					r, err := migration(w).Import(t.Context(), strings.NewReader(line), ImportOptions{})
					w.hook = nil
					if when != repeat && (!errors.Is(err, errCrash) || r.Through != 0 || r.Lines != 0) || when == repeat && (err != nil || r.Failed > 0) {
						t.Fatalf("%+v, %v", r, err)
					}
					if r, err := migration(w).Import(t.Context(), strings.NewReader(line), ImportOptions{}); err != nil || r.Failed > 0 || when == repeat && r.Unchanged != 1 {
						t.Fatalf("the next run: %+v, %v", r, err)
					}
					if c.check != nil {
						c.check(t, w, c.user(t, w))
					}
					got := exported(t, w)
					if strings.Contains(c.name, "of nobody") {
						got, want = withoutID(got), withoutID(want)
					}
					if !slices.Equal(got, want) {
						t.Errorf("(-got +want)\n%s", cmp.Diff(got, want))
					}
				})
			}
		}
	}
}

func withoutID(lines []string) (out []string) {
	for _, l := range lines {
		var u User
		json.Unmarshal([]byte(l), &u)
		out = append(out, strings.ReplaceAll(l, u.ID, "ID"))
	}
	return out
}

// A login that gets in the way keeps what it got, and the line's user lists no more than what is its own.
func TestImportLosesToALogin(t *testing.T) {
	line := `{"id":"` + testID("x") + `","accounts":[{"channel":"mp","appid":"wx1","openid":"o-an-1"},{"channel":"mp","appid":"wx2","openid":"o-an-2"}],"unionids":{"default":"u-x"},"yunxin":{"accid":"player"},"aliases":["` + testID("y") + `"]}`
	for _, tt := range []struct {
		name  string
		at    string // the login happens before this write
		login Login
		left  int
	}{
		{"first entry", "n:default/u-x", Login{Platform: "default", Channel: ChannelMP, AppID: "wx5", OpenID: "o", UnionID: "u-x", At: t0}, 0},
		{"second entry", "a:wx1/o-an-1", login("an", 1, false), 1},
		{"last entry", "a:wx2/o-an-2", login("an", 2, false), 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newMemStore()
			won := loginBefore(t, s, tt.at, tt.login)
			importOne(t, s, line, "belongs to user")
			if u := mustFind(t, s, tt.login.AppID, tt.login.OpenID); u.ID != *won {
				t.Errorf("the login's user is %+v", u)
			}
			u, found, err := migration(s).User(t.Context(), testID("x"))
			if err != nil || !found {
				t.Fatal(found, err)
			}
			if len(u.indexKeys()) != tt.left || len(u.Aliases) > 0 || u.Yunxin.Accid != "player" {
				t.Errorf("%+v", u)
			}
			for _, key := range u.indexKeys() {
				if s.value(key) != u.ID {
					t.Errorf("the record lists %s", key)
				}
			}
		})
	}
}

// The same for a user that is there.
func TestImportUpdateLosesToALogin(t *testing.T) {
	s := newMemStore()
	an := mustResolve(t, migration(s), login("an", 1, false)).User.ID
	bo := login("bo", 1, true)
	won := loginBefore(t, s, "n:default/u-bo", bo)
	importOne(t, s, `{"id":"`+an+`","accounts":[`+newAccount+`],"unionids":{"default":"u-bo"}}`, "belongs to user "+*won)
	u, _, err := migration(s).User(t.Context(), an)
	if err != nil || len(u.Unionids) > 0 || len(u.Accounts) != 1 || s.value("n:default/u-bo") != *won {
		t.Errorf("%+v, %v, login's user %s", u, err, *won)
	}
}

// Where the line names no user, it is about the one of the login, and nothing is left of the other one.
func TestImportJoinsALogin(t *testing.T) {
	for _, accid := range []string{"", `,"yunxin":{"accid":"player"}`} {
		s := newMemStore()
		won := loginBefore(t, s, "a:wx1/o-an-1", login("an", 1, false))
		line := `{"accounts":[{"channel":"mp","appid":"wx1","openid":"o-an-1"},{"channel":"mp","appid":"wx2","openid":"o-an-2"}]` + accid + `}`
		importOne(t, s, line, "updated")
		u := mustFind(t, s, "wx2", "o-an-2")
		if u.ID != *won || (u.Yunxin.Accid == "player") != (accid != "") || !u.Account("wx1", "o-an-1").LastSeen.Equal(t0) {
			t.Errorf("%+v, the login's user is %s", u, *won)
		}
		if lines := exported(t, s); len(lines) != 1 || accid == "" && len(s.keys("u:")) != 1 {
			t.Errorf("users:\n%s", strings.Join(lines, ""))
		}
		importOne(t, s, line, "unchanged")
	}
}

// loginBefore has somebody log in at the last moment before a key is created.
func loginBefore(t *testing.T, s *memStore, key string, l Login) (id *string) {
	id = new(string)
	other := NewDirectory(DirectoryConfig{Store: s})
	s.hook = func(op, k string) outcome {
		if op == "create" && k == key {
			s.hook = nil
			*id = mustResolve(t, other, l).User.ID
		}
		return proceed
	}
	return id
}

// An operator splits an account off in the moment in which the import adds it to its user's record.
func TestImportLosesToASplit(t *testing.T) {
	w := newTown(t)
	an := w.login("an", 1, false)
	fresh := ""
	w.hook = func(op, key string) outcome {
		if op == "replace" && key == userKey(an) {
			w.hook = nil
			mustResolve(t, w.d, Login{Channel: ChannelMini, AppID: "wx9", OpenID: "o-new", At: t0})
			_, u, err := w.d.Split(t.Context(), an, "wx9", "o-new")
			w.must(err)
			fresh = u.ID
		}
		return proceed
	}
	importOne(t, w, `{"id":"`+an+`","accounts":[`+newAccount+`]}`, "belongs to user")
	if u, _, err := w.d.User(t.Context(), an); err != nil || u.Account("wx9", "o-new") != nil {
		t.Errorf("%+v, %v", u, err)
	}
	if u := mustFind(t, w, "wx9", "o-new"); fresh == "" || u.ID != fresh {
		t.Errorf("%+v, split off as %s", u, fresh)
	}
}

// A split was decided, and the index does not say so yet: the account is the new user's.
func TestImportKnowsASplit(t *testing.T) {
	w := newTown(t)
	an := w.login("an", 1, true)
	w.login("an", 2, true)
	writes := 0
	w.hook = func(op, _ string) outcome {
		if op != "get" {
			if writes++; writes == 3 {
				return crashBefore
			}
		}
		return proceed
	}
	if _, _, err := w.d.Split(t.Context(), an, "wx2", "o-an-2"); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	w.hook = nil
	if w.value("a:wx2/o-an-2") != an {
		t.Fatal("the index says so already")
	}
	importOne(t, w, `{"id":"`+an+`","accounts":[{"channel":"mp","appid":"wx2","openid":"o-an-2"}]}`, "accounts[0] belongs to user")
	u, _, err := w.d.User(t.Context(), an)
	if err != nil || len(u.Accounts) != 1 || mustFind(t, w, "wx2", "o-an-2").ID == an {
		t.Errorf("%+v, %v", u, err)
	}
}

// Who was split off and erased leaves an account that may come back.
func TestImportBringsASplitAccountBack(t *testing.T) {
	w := newTown(t)
	an := w.login("an", 1, true)
	w.login("an", 2, true)
	_, fresh, err := w.d.Split(t.Context(), an, "wx2", "o-an-2")
	w.must(err)
	_, err = w.d.Update(t.Context(), an, func(u *User) error { u.part("a:wx2/o-an-2", fresh.ID); return nil }) // as a crash leaves it
	w.must(err)
	_, err = w.d.Erase(t.Context(), fresh.ID)
	w.must(err)
	w.must(w.d.Settle(t.Context(), fresh.ID))
	importOne(t, w, `{"id":"`+an+`","accounts":[{"channel":"mp","appid":"wx2","openid":"o-an-2"}]}`, "updated")
	if u := mustFind(t, w, "wx2", "o-an-2"); u.ID != an || len(u.kept.Parting) > 0 {
		t.Errorf("%+v", u)
	}
}

// A user is erased while a line brings it something: nothing of that is left, not even in the index.
func TestImportLosesToAnErasure(t *testing.T) {
	w := newTown(t)
	an := w.login("an", 1, false)
	w.hook = func(op, key string) outcome {
		if op == "replace" && key == userKey(an) {
			w.hook = nil
			_, err := w.d.Erase(t.Context(), an)
			w.must(err)
			w.must(w.d.Settle(t.Context(), an))
		}
		return proceed
	}
	importOne(t, w, `{"id":"`+an+`","accounts":[`+newAccount+`],"unionids":{"default":"u-new"},"former":[{"platform":"default","unionid":"f-new"}]}`, "erased here since")
	if left := append(w.keys("a:"), w.keys("n:")...); w.hook != nil || len(left) > 0 || strings.Contains(w.value(userKey(an)), "new") {
		t.Errorf("%v is left, and %s", left, w.value(userKey(an)))
	}
}

// Somebody makes a user of an alias's id in the last moment: it is left alone, and no longer named.
func TestImportLosesAnAlias(t *testing.T) {
	s, y := newMemStore(), testID("y")
	s.hook = func(op, key string) outcome {
		if op == "create" && key == userKey(y) {
			s.hook = nil
			importOne(t, s, `{"id":"`+y+`","accounts":[`+newAccount+`]}`, "created")
		}
		return proceed
	}
	importOne(t, s, `{"id":"`+testID("x")+`","aliases":["`+y+`"]}`, "user of its own")
	u, _, err := migration(s).User(t.Context(), testID("x"))
	if err != nil || len(u.Aliases) > 0 {
		t.Errorf("%+v, %v", u, err)
	}
	if u := mustFind(t, s, "wx9", "o-new"); u.ID != y {
		t.Errorf("%+v", u)
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

func TestImportReadsLines(t *testing.T) {
	line := func(n int) string {
		return fmt.Sprintf(`{"id":"%s","profile":{"name":"n","avatar":""}}`, testID(string(rune('a'+n))))
	}
	for _, tt := range []struct {
		name, input string
		want        ImportReport
	}{
		{"empty", "", ImportReport{}},
		{"blank lines", "\n \n\t\r\n", ImportReport{Through: 3}},
		{"no last newline", line(0) + "\n" + line(1), ImportReport{Lines: 2, Created: 2, Through: 2}},
		{"Windows", "\ufeff" + line(0) + "\r\n\r\n" + line(1) + "\r\n", ImportReport{Lines: 2, Created: 2, Through: 3}},
		{"at the limit", `{"id":"` + testID("a") + `"` + strings.Repeat(" ", maxLine-36) + "}\n" + line(1), ImportReport{Lines: 2, Created: 2, Through: 2}},
		{"over the limit", line(0) + "\n" + `{"id":"` + testID("a") + `"` + strings.Repeat(" ", maxLine-35) + "}\n" + line(1), ImportReport{Lines: 3, Created: 2, Failed: 1, Through: 3}},
		{"over the limit at the end", line(0) + "\n" + strings.Repeat("x", maxLine+1), ImportReport{Lines: 2, Created: 1, Failed: 1, Through: 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, chunked := range []bool{false, true} {
				var r io.Reader = strings.NewReader(tt.input)
				if chunked && len(tt.input) < 1000 {
					r = iotest.OneByteReader(r)
				}
				got, err := migration(newMemStore()).Import(t.Context(), r, ImportOptions{Workers: 2})
				if err != nil {
					t.Fatal(err)
				}
				if got.Errors == nil || len(got.Errors) != got.Failed {
					t.Errorf("errors %v", got.Errors)
				}
				got.Errors = nil
				if diff := cmp.Diff(got, tt.want); diff != "" {
					t.Errorf("(-got +want)\n%s", diff)
				}
			}
		})
	}
}

func TestImportKeepsAHundredErrors(t *testing.T) {
	r := mustImport(t, newMemStore(), strings.Repeat("x\n", 5000), ImportReport{Lines: 5000, Failed: 5000, Through: 5000})
	if len(r.Errors) != maxLineErrors || !slices.IsSortedFunc(r.Errors, func(a, b LineError) int { return a.Line - b.Line }) {
		t.Errorf("%d errors: %+v", len(r.Errors), r.Errors)
	}
}

// However slow the store is, no more is read than may be in memory.
func TestImportReadsNoFurtherThanItWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStore()
		slow := make(chan struct{})
		s.hook = func(string, string) outcome { <-slow; return proceed }
		const size, n = 400 << 10, 100
		line := `{"id":"` + testID("a") + `"` + strings.Repeat(" ", size) + "}\n"
		read := 0
		lines := readerFunc(func(p []byte) (int, error) {
			if read == n*len(line) {
				return 0, io.EOF
			}
			at := read % len(line)
			k := copy(p, line[at:])
			read += k
			return k, nil
		})
		done := make(chan error)
		go func() {
			_, err := migration(s).Import(t.Context(), lines, ImportOptions{})
			done <- err
		}()
		synctest.Wait()
		if limit := maxPending + maxLine + 64<<10; read > limit || read < maxPending/2 {
			t.Errorf("%d bytes are read, want at most %d", read, limit)
		}
		close(slow)
		if err := <-done; err != nil || read != n*len(line) {
			t.Errorf("%d bytes read at the end, %v", read, err)
		}
	})
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// The report's names are part of the admin API.
func TestImportReportJSON(t *testing.T) {
	r := mustImport(t, newMemStore(), "x\n", ImportReport{Lines: 1, Failed: 1, Through: 1})
	got, _ := json.Marshal(r)
	want := `{"lines":1,"created":0,"updated":0,"unchanged":0,"failed":1,"errors":[{"line":1,"error":"not JSON: invalid character 'x' looking for beginning of value"}],"through":1}`
	if string(got) != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// When something stops an import, its report says up to where nothing is missing, and running it again completes it.
func TestImportStops(t *testing.T) {
	var b strings.Builder
	next := ids()
	const n = 2000
	for i := range n {
		fmt.Fprintf(&b, "{\"id\":%q,\"accounts\":[{\"channel\":\"mp\",\"appid\":\"wx1\",\"openid\":\"o%d\"}]}\n", next(), i+1)
	}
	lines := b.String()
	for _, tt := range []struct {
		name string
		want error
		stop func(s *memStore, cancel context.CancelFunc) io.Reader
	}{
		{"store", errCrash, func(s *memStore, _ context.CancelFunc) io.Reader {
			s.hook = func(op, key string) outcome {
				if op == "create" && key == "a:wx1/o1000" {
					return crashBefore
				}
				return proceed
			}
			return strings.NewReader(lines)
		}},
		{"context", context.Canceled, func(s *memStore, cancel context.CancelFunc) io.Reader {
			s.hook = func(op, key string) outcome {
				if op == "create" && key == "a:wx1/o1000" {
					cancel()
					return crashBefore
				}
				return proceed
			}
			return strings.NewReader(lines)
		}},
		{"reader", io.ErrUnexpectedEOF, func(*memStore, context.CancelFunc) io.Reader {
			return io.MultiReader(strings.NewReader(lines[:len(lines)/2]), iotest.ErrReader(io.ErrUnexpectedEOF))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newMemStore()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r, err := migration(s).Import(ctx, tt.stop(s, cancel), ImportOptions{Workers: 16})
			s.hook = nil
			if err == nil || !errors.Is(err, tt.want) && !errors.Is(err, errCrash) || !strings.Contains(err.Error(), fmt.Sprintf("up to %d ", r.Through)) {
				t.Errorf("error %v", err)
			}
			if r.Through >= n || r.Lines < r.Through || r.Lines >= n || tt.name == "reader" && r.Through != strings.Count(lines[:len(lines)/2], "\n") {
				t.Errorf("%+v", r)
			}
			for i := 1; i <= r.Through; i++ {
				if s.value(fmt.Sprintf("a:wx1/o%d", i)) == "" {
					t.Fatalf("line %d is missing, through %d", i, r.Through)
				}
			}
			again := mustImportAny(t, s, lines)
			if again.Created+again.Updated+again.Unchanged != n || again.Unchanged < r.Through || len(s.keys("a:")) != n {
				t.Errorf("%+v", again)
			}
		})
	}
}

func mustImportAny(t testing.TB, s Store, lines string) ImportReport {
	t.Helper()
	r, err := migration(s).Import(t.Context(), strings.NewReader(lines), ImportOptions{})
	if err != nil || r.Failed > 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	return r
}
