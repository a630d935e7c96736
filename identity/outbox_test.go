package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// announcing is a directory that keeps events.
func announcing(t *testing.T) (*Directory, *stage) {
	s := newStage(t, nil)
	return s.directory(nil, DirectoryConfig{NewID: ids(), Announce: true}), s
}

func notices(t *testing.T, d *Directory, id string) []string {
	t.Helper()
	list, err := d.Notices(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, n := range list {
		line := n.Type + " " + short(n.User)
		if n.From != "" {
			line += " from " + short(n.From)
		}
		if n.Into != "" {
			line += " into " + short(n.Into)
		}
		if n.Account != nil {
			line += " " + n.Account.OpenID
		}
		if n.Reason != "" {
			line += " " + n.Reason
		}
		out = append(out, line)
	}
	return out
}

func wantNotices(t *testing.T, d *Directory, id string, want ...string) {
	t.Helper()
	if got := notices(t, d, id); !slices.Equal(got, want) {
		t.Errorf("events of %s:\n%s\nwant\n%s", short(id), strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Every change is told, in the order of a user's changes, under the ids that the app knows.
func TestNotices(t *testing.T) {
	d, s := announcing(t)
	a := mustResolve(t, d, login("an", 1, true)).User.ID
	mustResolve(t, d, login("an", 2, true))
	mustResolve(t, d, login("an", 2, true).after(time.Hour)) // nothing new
	if _, err := d.Block(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Block(t.Context(), a); err != nil { // again: no change
		t.Fatal(err)
	}
	if _, err := d.Unblock(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	b := mustResolve(t, d, login("an", 3, false)).User.ID
	if _, _, err := d.Revoke(t.Context(), Revocation{"wx3", "o-an-3", "user_authorization_revoke"}); err != nil {
		t.Fatal(err)
	}
	mustResolve(t, d, login("an", 3, true))
	_, fresh, err := d.Split(t.Context(), b, "wx2", "o-an-2")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"user.created aaaae o-an-1",
		"user.linked aaaae o-an-2",
		"user.blocked aaaae",
		"user.created aaaai o-an-3",
		"user.revoked aaaai o-an-3 user_authorization_revoke",
		"user.merged aaaae from aaaai into aaaae",
	}
	for _, id := range []string{a, b} {
		wantNotices(t, d, id, want...)
	}
	wantNotices(t, d, fresh.ID, "user.created "+short(fresh.ID)+" from aaaae o-an-2")
	// In the queue is each of them, with whoever's record holds it or what was merged into that.
	for _, id := range []string{a, fresh.ID} {
		list, err := d.Notices(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range list {
			found := false
			for key := range s.queue.due[QueueNotices] {
				user, notice, began, ok := ParseNoticeKey(key)
				if !ok {
					t.Fatalf("%q in the queue", key)
				}
				if notice != n.ID {
					continue
				}
				found = true
				if u, _, err := d.User(t.Context(), user); err != nil || u.ID != id || !began.Equal(n.Time) {
					t.Errorf("%q began %v and leads to %s, want %s, %v", key, began, short(u.ID), short(id), n.Time)
				}
			}
			if !found {
				t.Errorf("%+v is not in the queue", n)
			}
		}
	}
	// Acknowledged in order, each goes, under whichever id.
	for i := range want {
		list, err := d.Notices(t.Context(), a)
		if err != nil || len(list) != len(want)-i {
			t.Fatalf("%d events, %v", len(list), err)
		}
		for _, id := range []string{b, a, b} { // more than once does no harm
			if err := d.Delivered(t.Context(), id, list[0].ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	wantNotices(t, d, a)
	if err := d.Delivered(t.Context(), NewID(), "x"); err != nil {
		t.Errorf("an unknown user: %v", err)
	}
}

func TestNoNoticesUnlessAnnounced(t *testing.T) {
	s := newStage(t, nil)
	d := s.directory(nil, DirectoryConfig{NewID: ids()})
	id, _ := full(t, d)
	if _, err := d.Erase(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	wantNotices(t, d, id)
	if n := len(s.queue.due[QueueNotices]); n != 0 {
		t.Errorf("%d entries in the queue", n)
	}
}

// A first login dies between its writes. Nothing is told of its user before anybody has it, and then everything, once.
func TestNoticesOfAnUnfinishedUser(t *testing.T) {
	x, y := login("an", 1, true), login("an", 2, true)
	silent := login("an", 1, false)
	for _, sc := range []struct {
		name  string
		later []Login
		want  []string // under the id that the last login got
		none  bool     // the first user stays nobody's
	}{
		{"nobody comes", nil, nil, true},
		{"the same login again", []Login{x}, []string{"user.created aaaae o-an-1"}, false},
		{"another account by the unionid", []Login{y}, []string{"user.created aaaae o-an-1", "user.linked aaaae o-an-2"}, false},
		{"a silent login", []Login{silent}, []string{"user.created aaaai o-an-1"}, true},
		{"a silent login and then the unionid", []Login{silent, x}, []string{
			"user.created aaaai o-an-1", "user.created aaaae o-an-1", "user.merged aaaai from aaaae into aaaai",
		}, false},
		{"another account by the unionid, and a silent login", []Login{silent, y}, []string{"user.created aaaae o-an-1", "user.linked aaaae o-an-2"}, false},
	} {
		t.Run(sc.name, func(t *testing.T) {
			_, s := announcing(t)
			config := DirectoryConfig{NewID: func() string { return nth(1) }, Announce: true}
			d := s.directory(nil, DirectoryConfig{NewID: func() func() string {
				newID := ids()
				newID()
				return newID
			}(), Announce: true})
			s.enter("victim", func(a *actor) {
				if _, err := s.directory(a, config).Resolve(t.Context(), x); !errors.Is(err, errCrash) {
					t.Error(err)
				}
			})
			for a := s.cast[0]; a.waiting != ""; {
				if a.waiting == "create a:wx1/o-an-1" {
					a.step(crashBefore)
				} else {
					a.step(proceed)
				}
			}
			s.leave()
			wantNotices(t, d, nth(1))
			clear(s.queue.due[QueueNotices]) // it has given up
			id := ""
			for _, l := range sc.later {
				id = mustResolve(t, d, l.after(time.Minute)).User.ID
			}
			if id != "" {
				wantNotices(t, d, id, sc.want...)
				queued := false
				for key := range s.queue.due[QueueNotices] {
					user, _, _, _ := ParseNoticeKey(key)
					u, _, err := d.User(t.Context(), user)
					queued = queued || err == nil && u != nil && u.ID == id
				}
				if !queued {
					t.Error("nothing in the queue leads to the events")
				}
			}
			if sc.none {
				wantNotices(t, d, nth(1))
			}
		})
	}
}

// Two logins make the person's first user at the same moment: of the one that loses nobody hears.
func TestNoticesOfALostFirstLogin(t *testing.T) {
	for _, sc := range []scene{
		{name: "silent", cast: []program{logsIn(login("an", 1, false)), logsIn(login("an", 1, false))}},
		{name: "with unionid", cast: []program{logsIn(login("an", 1, true)), logsIn(login("an", 2, true))}},
		{name: "both", cast: []program{logsIn(login("an", 1, false)), logsIn(login("an", 1, true))}},
	} {
		sc.announce = true
		sc.kills = 2
		sc.check = func(r *report) string {
			for _, id := range r.stage.store.keys("u:") {
				list, err := r.d.Notices(r.ctx, id[2:])
				if err != nil {
					return err.Error()
				}
				pointed := false
				for _, key := range r.stage.store.keys("a:") {
					pointed = pointed || r.stage.store.value(key) == r.user(id[2:]).ID
				}
				if !pointed && len(list) > 0 {
					return fmt.Sprintf("nobody has %s, but it tells %+v", short(id), list)
				}
				if pointed && len(list) == 0 {
					return fmt.Sprintf("somebody has %s, but it tells nothing", short(id))
				}
			}
			return ""
		}
		t.Run(sc.name, func(t *testing.T) { explore(t, sc) })
	}
}

// An event is acknowledged while its user becomes another one, in every order: it is told once.
func TestDeliveredInterleavings(t *testing.T) {
	delivers := func(ctx context.Context, d *Directory, r *report) error {
		list, err := d.Notices(ctx, nth(2))
		if err != nil || len(list) == 0 {
			return err
		}
		if err := d.Delivered(ctx, nth(2), list[0].ID); err != nil {
			return err
		}
		now, err := d.Notices(ctx, nth(2))
		if slices.ContainsFunc(now, func(n Notice) bool { return n.ID == list[0].ID }) {
			r.bad = fmt.Sprintf("%+v is told again", list[0])
		}
		return err
	}
	an, bo := login("an", 1, true), login("bo", 2, true)
	for _, sc := range []scene{
		{name: "merge", cast: []program{delivers, merges(1, 2)}},
		{name: "merge the other way", cast: []program{delivers, merges(2, 1)}},
		{name: "ring", cast: []program{delivers, merges(1, 2), merges(2, 1)}},
		{name: "erasure", cast: []program{delivers, erases(2)}},
		{name: "split", cast: []program{delivers, splits(2, login("bo", 3, true))}},
		{name: "login", cast: []program{delivers, logsIn(login("bo", 4, true))}},
		{name: "another", cast: []program{delivers, delivers}},
	} {
		sc.before, sc.announce, sc.turns = []Login{an, bo, login("bo", 3, true)}, true, 1
		t.Run(sc.name, func(t *testing.T) { explore(t, sc) })
	}
}

func TestNoticeKey(t *testing.T) {
	at := t0.Add(123 * time.Millisecond)
	id := noticeID(at)
	user, notice, began, ok := ParseNoticeKey(NoticeKey(nth(1), id))
	if !ok || user != nth(1) || notice != id || !began.Equal(at) {
		t.Errorf("%s, %s, %v, %v", user, notice, began, ok)
	}
	for _, key := range []string{
		"", "u", "u/", "u//", "u/" + nth(1), "u/" + nth(1) + "/", "u/" + nth(1) + "/" + id[1:], "u/" + nth(1) + "/" + id + "/", "u/x/" + id,
		"c/" + nth(1) + "/" + id, "/" + nth(1) + "/" + id, "u/" + nth(1) + "/" + strings.ToUpper(id), "u/" + nth(1) + "/" + id + "aaaaaaaa",
	} {
		if _, _, _, ok := ParseNoticeKey(key); ok {
			t.Errorf("%q was accepted", key)
		}
	}
	if early, late := noticeID(t0), noticeID(t0.Add(time.Millisecond)); early >= late {
		t.Errorf("%s is not before %s", early, late)
	}
}
