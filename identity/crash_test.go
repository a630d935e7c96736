package identity

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// scenarios are the ways through Resolve that write something.
var scenarios = []struct {
	name   string
	before []Login
	erase  bool // the user of the first login, before the last
	login  Login
	same   bool // the login must find the user of the first one
}{
	{name: "first silent", login: login("an", 1, false)},
	{name: "first with unionid", login: login("an", 1, true)},
	{name: "further account", before: []Login{login("an", 1, true)}, login: login("an", 2, true), same: true},
	{name: "late unionid", before: []Login{login("an", 1, false)}, login: login("an", 1, true), same: true},
	{name: "changed unionid", before: []Login{changed(login("an", 1, true))}, login: login("an", 1, true), same: true},
	{name: "an hour later", before: []Login{login("an", 1, true)}, login: login("an", 1, true).after(time.Hour), same: true},
	{name: "erased, back silently", before: []Login{login("an", 1, true)}, erase: true, login: login("an", 1, false)},
	{name: "erased, back with unionid", before: []Login{login("an", 1, true)}, erase: true, login: login("an", 1, true)},
	{name: "erased, unionid joins another", before: []Login{login("an", 1, true), login("an", 2, false)}, erase: true, login: login("an", 2, true)},
}

func changed(l Login) Login {
	l.UnionID = "u-former"
	return l
}

func prepare(t *testing.T, i int) (d *Directory, s *memStore, first string) {
	t.Helper()
	d, s = newTestDirectory()
	for n, l := range scenarios[i].before {
		if r := mustResolve(t, d, l); n == 0 {
			first = r.User.ID
		}
	}
	if scenarios[i].erase {
		erase(t, d, first)
	}
	s.reads, s.writes = 0, 0
	return d, s, first
}

func erase(t *testing.T, d *Directory, id string) {
	t.Helper()
	_, err := d.Update(t.Context(), id, func(u *User) error {
		*u = User{Status: StatusErased, CreatedAt: u.CreatedAt}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The program dies before or after every single write of a login. The same login again, and a silent one of the same account, must
// find one and the same user, and everything must be indexed as if nothing had happened.
func TestResolveCrashAtEveryWrite(t *testing.T) {
	for i, sc := range scenarios {
		d, s, _ := prepare(t, i)
		mustResolve(t, d, sc.login)
		writes := s.writes
		if writes == 0 {
			t.Fatalf("%s writes nothing", sc.name)
		}
		for n := 1; n <= writes; n++ {
			for _, when := range []outcome{crashBefore, crashAfter} {
				for _, silentFirst := range []bool{false, true} {
					if silentFirst && n == 1 && when == crashBefore {
						continue // nothing was written: as if the login had never been
					}
					t.Run(fmt.Sprintf("%s/write %d of %d/%d/silent first %v", sc.name, n, writes, when, silentFirst), func(t *testing.T) {
						d, s, first := prepare(t, i)
						seen := 0
						s.hook = func(op, key string) outcome {
							if op != "get" {
								seen++
							}
							if seen == n && op != "get" {
								return when
							}
							return proceed
						}
						if _, err := d.Resolve(t.Context(), sc.login); !errors.Is(err, errCrash) {
							t.Fatalf("error %v, want the injected one", err)
						}
						s.hook = nil
						silent := sc.login.after(time.Minute)
						silent.UnionID = ""
						again := []Login{sc.login.after(time.Minute), silent}
						if silentFirst {
							again[0], again[1] = again[1], again[0]
						}
						one := mustResolve(t, d, again[0])
						two := mustResolve(t, d, again[1])
						// Between them may be a merge: then the first one's id leads to the second's user.
						user, _, err := d.User(t.Context(), one.User.ID)
						if err != nil || user.ID != two.User.ID || one.Conflict || two.Conflict {
							t.Fatalf("two logins, two answers: %+v and %+v, %v", one, two, err)
						}
						if (user.ID == first) != sc.same {
							t.Errorf("user %s, the first one was %s", user.ID, first)
						}
						checkIndexed(t, d, s, sc.login, user.ID)
					})
				}
			}
		}
	}
}

// checkIndexed wants the login's account and unionid in the index and in the record.
func checkIndexed(t *testing.T, d *Directory, s *memStore, l Login, id string) {
	t.Helper()
	u, found, err := d.User(t.Context(), id)
	if err != nil || !found {
		t.Fatalf("User(%s): %v, %v", id, found, err)
	}
	if got := s.value(accountKey(l.AppID, l.OpenID)); got != id {
		t.Errorf("account entry %q, want %s", got, id)
	}
	if u.Account(l.AppID, l.OpenID) == nil {
		t.Errorf("the record lacks the account: %+v", u)
	}
	if l.UnionID == "" {
		return
	}
	if got := s.value(unionKey(l.Platform, l.UnionID)); got != id {
		t.Errorf("unionid entry %q, want %s", got, id)
	}
	if u.Unionids[l.Platform] != l.UnionID {
		t.Errorf("the record lacks the unionid: %+v", u)
	}
}

// Some store clients repeat a command whose reply got lost, and then report the answer to the repetition: "not created", though it was.
func TestResolveLostReplies(t *testing.T) {
	for i, sc := range scenarios {
		d, s, _ := prepare(t, i)
		mustResolve(t, d, sc.login)
		for n := 1; n <= s.writes; n++ {
			t.Run(fmt.Sprintf("%s/write %d", sc.name, n), func(t *testing.T) {
				d, s, first := prepare(t, i)
				seen := 0
				s.hook = func(op, key string) outcome {
					if op != "get" {
						if seen++; seen == n {
							return repeat
						}
					}
					return proceed
				}
				r := mustResolve(t, d, sc.login)
				if (r.User.ID == first) != sc.same || r.Conflict {
					t.Errorf("%+v, the first user was %s", r, first)
				}
				checkIndexed(t, d, s, sc.login, r.User.ID)
				if r.User.History[0].Type == EventRecovered {
					t.Error("a record that was in use was deleted")
				}
			})
		}
	}
}

// A first login dies between the unionid's entry and the account's; then the person comes silently and gets another user. Once the
// unionid is known again the two are one, which is the user that the person was told.
func TestResolveUnfinishedFirstLogin(t *testing.T) {
	d, s := newTestDirectory()
	s.hook = func(op, key string) outcome {
		if op == "create" && key == "a:wx1/o-an-1" {
			return crashBefore
		}
		return proceed
	}
	if _, err := d.Resolve(t.Context(), login("an", 1, true)); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	s.hook = nil
	unfinished := s.value("n:default/u-an")
	silent := mustResolve(t, d, login("an", 1, false))
	r := mustResolve(t, d, login("an", 1, true).after(time.Hour))
	if r.Conflict || r.User.ID != silent.User.ID || r.Merged != unfinished {
		t.Errorf("got %+v, want user %s with %s merged into it", r, silent.User.ID, unfinished)
	}
	u, found, err := d.User(t.Context(), unfinished)
	if err != nil || !found || u.ID != silent.User.ID {
		t.Errorf("the id that nobody was told leads to %+v, %v, %v", u, found, err)
	}
	checkIndexed(t, d, s, login("an", 1, true), silent.User.ID)
}

func TestResolveCancelled(t *testing.T) {
	d, s := newTestDirectory()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Resolve(ctx, login("an", 1, false)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if len(s.m) != 0 {
		t.Error("something was written")
	}
}
