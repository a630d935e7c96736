package identity

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

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
