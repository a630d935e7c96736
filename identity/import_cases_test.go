package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

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
