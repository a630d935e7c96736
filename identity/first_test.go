package identity

import (
	"context"
	"fmt"
	"testing"
)

// tells logs in and keeps what the login was answered with, as that of the nth program.
func tells(n int, l Login) program {
	return func(ctx context.Context, d *Directory, r *report) error {
		res, err := d.Resolve(ctx, l)
		if err == nil {
			r.told[n] = res.User.ID
			if res.Conflict {
				r.bad = "a conflict"
			}
		}
		return err
	}
}

// First logins of one account, in every order and with each of them dying at every write: whoever is answered is told the same id, and
// that id never becomes another one. It holds for further accounts, too, as long as every login brings the unionid.
func TestFirstLoginsAreToldOneID(t *testing.T) {
	silent, full, other := login("an", 1, false), login("an", 1, true), login("an", 2, true)
	for _, sc := range []struct {
		name   string
		logins []Login
		kills  int
		turns  int
	}{
		{"both kinds", []Login{silent, full}, 2, 0},
		{"silent", []Login{silent, silent}, 2, 0},
		{"with unionid", []Login{full, full}, 2, 0},
		{"two silent ones and one with unionid", []Login{silent, full, silent}, 2, 2},
		{"two with unionid and a silent one", []Login{full, silent, full}, 2, 2},
		{"another account by the unionid", []Login{full, other, full}, 2, 2},
	} {
		t.Run(sc.name, func(t *testing.T) {
			s := scene{name: sc.name, kills: sc.kills, turns: sc.turns}
			for i, l := range sc.logins {
				s.cast = append(s.cast, tells(i, l))
			}
			s.check = func(r *report) string {
				last, err := r.d.Resolve(r.ctx, full)
				if err != nil {
					return err.Error()
				}
				for i, id := range r.told {
					if id != "" && id != last.User.ID {
						return fmt.Sprintf("login %d was told %s, but in the end the user is %s", i, short(id), short(last.User.ID))
					}
				}
				return ""
			}
			explore(t, s)
		})
	}
}

// A user that has the unionid and lists the account whose entry leads elsewhere remains, if anybody can have been told of it.
func TestWhoWasToldRemains(t *testing.T) {
	for _, sc := range []struct {
		name    string
		change  func(u *User)
		remains bool
	}{
		{"nobody was told", func(*User) {}, false},
		{"it has another account", func(u *User) { u.Accounts = append(u.Accounts, Account{AppID: "wx9", OpenID: "o9"}) }, true},
		{"it was imported", func(u *User) { u.History = []Event{{Time: t0, Type: EventImported}} }, true},
		{"something happened to it", func(u *User) { u.AddEvent(Event{Time: t0, Type: EventBlocked}) }, true},
		{"another one became it", func(u *User) { u.Aliases = []string{nth(99)} }, true},
		{"it never had the account", func(u *User) { u.Accounts = nil }, true},
	} {
		t.Run(sc.name, func(t *testing.T) {
			d, s := newTestDirectory()
			owner := mustResolve(t, d, login("an", 1, true)).User.ID
			if _, err := d.Update(t.Context(), owner, func(u *User) error { sc.change(u); return nil }); err != nil {
				t.Fatal(err)
			}
			delete(s.m, accountKey("wx1", "o-an-1")) // as if the first login had not come that far
			silent := mustResolve(t, d, login("an", 1, false)).User.ID
			r := mustResolve(t, d, login("an", 1, true))
			want := [2]string{silent, owner}
			if sc.remains {
				want = [2]string{owner, silent}
			}
			if got := [2]string{r.User.ID, r.Merged}; got != want {
				t.Errorf("remaining and merged: %v, want %v", got, want)
			}
		})
	}
}
