package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// crowd is a user, the first, with three accounts, two of which are split off in the tests, and another user, the second.
var crowd = []Login{login("an", 1, true), login("an", 2, true), login("an", 3, true), login("bo", 4, false)}

// Splits, and what gets in between.
func TestSplitInterleavings(t *testing.T) {
	one, two, three := crowd[0], crowd[1], crowd[2]
	silent := two
	silent.UnionID = ""
	changed := two
	changed.UnionID = "u-an-new"
	pair := []Login{one, two, crowd[3]}
	off := splits(1, two)
	session := map[string]Login{nth(1): two}
	for _, sc := range []scene{
		{name: "the same account twice", before: crowd, cast: []program{off, off}, check: apart12, kills: 1},
		{name: "two accounts of three", before: crowd, cast: []program{off, splits(1, three)}, check: apart12, turns: 2, kills: 1},
		{name: "two accounts of two", before: pair, cast: []program{off, splits(1, one)}, check: someoneLeft, turns: 2},
		{name: "login of the account", before: crowd, cast: []program{off, logsIn(two)}, check: apart12, kills: 2},
		{name: "silent login of the account", before: crowd, cast: []program{off, logsIn(silent.after(time.Hour))}, check: apart12, kills: 2},
		{name: "login of the account with another unionid", before: crowd, cast: []program{off, logsIn(changed)}, check: apart12, kills: 2},
		{name: "login of a former account", before: crowd, cast: []program{off, logsIn(one.after(time.Hour))}, check: apart12, kills: 1},
		{name: "login of a new account", before: crowd, cast: []program{off, logsIn(login("an", 5, true))}, check: apart12, kills: 1},
		{name: "an account whose login died", before: pair, prepare: halfJoined, cast: []program{splits(1, two), logsIn(three)}, kills: 1},
		{name: "an account whose login died, finished by another", before: pair, prepare: halfJoined, cast: []program{splits(1, three), logsIn(three), logsIn(three)}, turns: 1, kills: 1},
		{name: "the new user is settled too early", before: crowd, cast: []program{off, settles(nth(101))}, check: apart12, kills: 1},
		{name: "the former user is merged", before: crowd, cast: []program{off, merges(2, 1)}, check: apart12, turns: 2, kills: 2, linger: true},
		{name: "another user is merged into the former", before: crowd, cast: []program{off, merges(1, 2)}, check: apart12, turns: 2, kills: 2},
		{name: "the former user is erased", before: crowd, cast: []program{off, erasesAndFinds(1, two)}, turns: 2, kills: 2, linger: true},
		{name: "the former user is blocked", before: crowd, cast: []program{off, blocksAndFinds(1, two)}, kills: 2},
		{name: "the former user's sessions end", before: crowd, cast: []program{off, ends(1, session)}, check: apart12, kills: 1},
		{name: "sessions go on", before: crowd, cast: []program{off, uses(nth(1), two), uses(nth(1), one)}, check: apart12},
		{name: "consent is taken back", before: crowd, cast: []program{off, revokes(nth(1), two)}, kills: 1},
		{name: "the new user is split again", before: crowd, prepare: halfSplit, cast: []program{merges(101, 2), splits(101, two)}, turns: 2, kills: 1},
		{name: "the new user is merged, not yet finished", before: crowd, prepare: halfSplit, cast: []program{merges(2, 101), logsIn(one)}, turns: 2, kills: 1},
		{name: "the former user is merged into one who is erased", before: crowd, prepare: halfSplit, cast: []program{merges(2, 1), erases(2)}, check: keeps101, turns: 2, kills: 2, linger: true},
		{name: "the former user is erased, not yet finished", before: crowd, prepare: halfSplit, cast: []program{erases(1), logsIn(silent)}, check: keeps101, turns: 2, kills: 2, linger: true},
		{name: "the new user is erased, not yet finished", before: crowd, prepare: halfSplit, cast: []program{erases(101), logsIn(one)}, kills: 1, linger: true},
		{name: "the new user takes the former one, not yet finished", before: crowd, prepare: halfSplit, cast: []program{merges(101, 1), settles(nth(101))}, turns: 2, kills: 1},
		{name: "the new user is erased, not yet finished, and the person is back", before: crowd, prepare: halfSplitErased, cast: []program{logsIn(two), logsIn(one)}, check: isBack, kills: 1},
		{name: "the new user goes back, not yet finished", before: crowd, prepare: halfSplit, cast: []program{merges(1, 101), settles(nth(101))}, turns: 2, kills: 2},
	} {
		t.Run(sc.name, func(t *testing.T) { explore(t, sc) })
	}
}

// apart12 wants the second account to be apart from the first if a split said so, and to stay so when the unionid comes back.
func apart12(r *report) string {
	for _, l := range crowd[:2] {
		if _, err := r.d.Resolve(r.ctx, l); err != nil {
			return err.Error()
		}
	}
	one, two := r.find(crowd[0]), r.find(crowd[1])
	if r.errs[0] == nil && one.ID == two.ID {
		return fmt.Sprintf("the two accounts are %s", short(one.ID))
	}
	if one.Account(crowd[1].AppID, crowd[1].OpenID) != nil && one.ID != two.ID {
		return "the former user lists the account"
	}
	return audit(r.stage.store, deadFirstLogins)
}

// keeps101 wants the second account to be user 101's.
func keeps101(r *report) string {
	if u := r.find(crowd[1]); u.ID != nth(101) {
		return fmt.Sprintf("the account is %s's", short(u.ID))
	}
	return ""
}

func someoneLeft(r *report) string {
	if u := r.user(nth(1)); len(u.Accounts) == 0 {
		return "the former user has no account left"
	}
	return ""
}

// halfJoined leaves a user whose third account is in the index only.
func halfJoined(ctx context.Context, d *Directory) error {
	_, err := d.store.Create(ctx, accountKey(crowd[2].AppID, crowd[2].OpenID), []byte(nth(1)), 0)
	return err
}

// halfSplit decides a split of the second account, to user 101, and dies.
func halfSplit(ctx context.Context, d *Directory) error {
	a := d.store.(*actor)
	s := &stage{store: a.stage.store, queue: a.stage.queue, troupe: a.stage.troupe}
	s.enter("", func(a *actor) {
		d := s.directory(a, DirectoryConfig{NewID: func() string { return nth(101) }})
		d.Split(ctx, nth(1), crowd[1].AppID, crowd[1].OpenID)
	})
	defer s.leave()
	for {
		a := s.cast[0]
		if a.waiting == "" {
			return errors.New("the split came to its end")
		}
		a.step(proceed)
		if u, _, err := d.Find(ctx, crowd[1].AppID, crowd[1].OpenID); err != nil || u.ID == nth(101) {
			return err
		}
	}
}

// halfSplitErased erases the new user besides, without tidying up.
func halfSplitErased(ctx context.Context, d *Directory) error {
	if err := halfSplit(ctx, d); err != nil {
		return err
	}
	_, err := d.Erase(ctx, nth(101))
	return err
}

// isBack wants the second account to have a user again, and the same one at every look.
func isBack(r *report) string {
	first := r.find(crowd[1])
	if first.ID == nth(101) || r.errs[0] == nil && first.Account(crowd[1].AppID, crowd[1].OpenID) == nil {
		return fmt.Sprintf("the account is %+v", first)
	}
	if again := r.find(crowd[1]); again.ID != first.ID {
		return fmt.Sprintf("the account is %s's and then %s's", short(first.ID), short(again.ID))
	}
	return ""
}

// erasesAndFinds wants an account that the erasure was about to be nobody's from then on.
func erasesAndFinds(n int, l Login) program {
	return func(ctx context.Context, d *Directory, r *report) error {
		if _, err := d.Erase(ctx, nth(n)); err != nil {
			return err
		}
		u, found, err := d.Find(ctx, l.AppID, l.OpenID)
		if err != nil {
			return err
		}
		if err := d.Settle(ctx, nth(n)); err != nil {
			return err
		}
		now, stillFound, err := d.Find(ctx, l.AppID, l.OpenID)
		if err == nil && !found && stillFound {
			r.bad = fmt.Sprintf("erased with %d and found again as %s", n, short(now.ID))
		}
		if err == nil && found && !stillFound {
			r.bad = fmt.Sprintf("was %s's and is lost", short(u.ID))
		}
		return err
	}
}

// blocksAndFinds wants an account that the block was about to stay blocked.
func blocksAndFinds(n int, l Login) program {
	return func(ctx context.Context, d *Directory, r *report) error {
		if _, err := d.Block(ctx, nth(n)); err != nil {
			return err
		}
		before, _, err := d.Find(ctx, l.AppID, l.OpenID)
		if err != nil {
			return err
		}
		after, _, err := d.Find(ctx, l.AppID, l.OpenID)
		if err == nil && before.Status == StatusBlocked && after.Status != StatusBlocked {
			r.bad = fmt.Sprintf("blocked as %s, %s as %s", short(before.ID), after.Status, short(after.ID))
		}
		return err
	}
}

// revokes wants the sessions of the account, of a login that found this id, to be over.
func revokes(id string, l Login) program {
	return func(ctx context.Context, d *Directory, r *report) error {
		u, found, err := d.Revoke(ctx, Revocation{l.AppID, l.OpenID, "reason"})
		if err != nil {
			return err
		}
		if !found || u.Account(l.AppID, l.OpenID) == nil {
			r.bad = fmt.Sprintf("the revocation was noted for %+v", u)
		}
		valid, as, err := r.session(d, id, 0, l)
		if valid {
			r.bad = fmt.Sprintf("a session is valid after the revocation, as %s", short(as.ID))
		}
		return err
	}
}

func TestSplit(t *testing.T) {
	d, s := newTestDirectory()
	for _, l := range crowd {
		mustResolve(t, d, l)
	}
	two := crowd[1]
	if _, err := d.Update(t.Context(), nth(1), func(u *User) error {
		u.Profile, u.Yunxin = &Profile{Name: "an"}, Yunxin{Accid: nth(1), State: YunxinReady}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	former, fresh, err := d.Split(t.Context(), nth(1), two.AppID, two.OpenID)
	if err != nil {
		t.Fatal(err)
	}
	if former.ID != nth(1) || len(former.Accounts) != 2 || former.Unionids["default"] != "u-an" || former.Profile == nil || former.Yunxin.Accid != nth(1) {
		t.Errorf("former: %+v", former)
	}
	want := &User{
		ID: fresh.ID, Status: StatusActive, CreatedAt: t0, Accounts: []Account{{ChannelMP, two.AppID, two.OpenID, t0, t0}},
		Unionids: map[string]string{}, Yunxin: Yunxin{State: YunxinNone}, Aliases: []string{},
		History: []Event{{Time: t0, Type: EventSplit, Channel: ChannelMP, AppID: two.AppID, OpenID: two.OpenID, From: nth(1)}},
		kept:    fresh.kept,
	}
	if diff := cmp.Diff(want, fresh, wholeUser); diff != "" {
		t.Errorf("fresh: %s", diff)
	}
	if last := former.History[len(former.History)-1]; last.Type != EventSplit || last.From != fresh.ID || last.OpenID != "" {
		t.Errorf("the former user's history ends with %+v", last)
	}
	if problem := audit(s, clean); problem != "" {
		t.Error(problem)
	}
	// The unionid comes back, for both and for a new account; then an operator knows better.
	for l, id := range map[Login]string{two.after(time.Hour): fresh.ID, crowd[0].after(time.Hour): nth(1), login("an", 5, true): nth(1)} {
		if r := mustResolve(t, d, l); r.User.ID != id || r.Conflict || r.Merged != "" {
			t.Errorf("%s: %+v, want %s", l.OpenID, r, short(id))
		}
	}
	if _, _, err := d.Merge(t.Context(), nth(2), nth(1)); err != nil { // the former one goes elsewhere
		t.Fatal(err)
	}
	if r := mustResolve(t, d, two.after(2*time.Hour)); r.User.ID != fresh.ID {
		t.Errorf("after a merge of the former user: %+v", r)
	}
	u, _, err := d.Merge(t.Context(), nth(2), fresh.ID)
	if err != nil || len(u.kept.Apart) != 0 {
		t.Errorf("%+v, %v", u, err)
	}
	if r := mustResolve(t, d, two.after(3*time.Hour)); r.User.ID != nth(2) {
		t.Errorf("after an operator's merge: %+v", r)
	}
	if problem := audit(s, clean); problem != "" {
		t.Error(problem)
	}
}

// Who was taken apart stays so, whoever either of them becomes, until an operator puts the two together.
func TestSplitStaysApart(t *testing.T) {
	for _, move := range []func(context.Context, *Directory, string) error{mergeOf(2, 0), mergeOf(0, 2), mergeOf(2, 1), mergeOf(1, 2)} {
		d, _ := newTestDirectory()
		for _, l := range crowd {
			mustResolve(t, d, l)
		}
		two := crowd[1]
		_, fresh, err := d.Split(t.Context(), nth(1), two.AppID, two.OpenID)
		if err != nil {
			t.Fatal(err)
		}
		if err := move(t.Context(), d, fresh.ID); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			for _, l := range []Login{two, crowd[0]} {
				if r := mustResolve(t, d, l); r.Merged != "" || r.Conflict {
					t.Errorf("%s: %+v", l.OpenID, r)
				}
			}
		}
		one, _, err := d.Find(t.Context(), crowd[0].AppID, crowd[0].OpenID)
		if err != nil {
			t.Fatal(err)
		}
		if u, _, err := d.Merge(t.Context(), one.ID, fresh.ID); err != nil || len(u.kept.Apart) != 0 {
			t.Errorf("%+v, %v", u, err)
		}
	}
}

// Of accounts that were split off and are not in the index yet, a merge takes over those that did not come back by it.
func TestTakeParting(t *testing.T) {
	for _, tt := range []struct {
		name             string
		have, from, want map[string]string
	}{
		{"none", nil, nil, nil},
		{"kept", map[string]string{"a:wx/1": "x"}, nil, map[string]string{"a:wx/1": "x"}},
		{"taken over", nil, map[string]string{"a:wx/1": "x"}, map[string]string{"a:wx/1": "x"}},
		{"back by the merge", map[string]string{"a:wx/1": nth(2)}, nil, map[string]string{}},
		{"back, and away again", map[string]string{"a:wx/1": nth(2)}, map[string]string{"a:wx/1": "x"}, map[string]string{"a:wx/1": "x"}},
		{"back before, and away again", map[string]string{"a:wx/1": "x"}, map[string]string{"a:wx/1": nth(1)}, map[string]string{"a:wx/1": "x"}},
		{"back by an earlier merge", nil, map[string]string{"a:wx/1": nth(3)}, nil},
		{"the account is here", nil, map[string]string{"a:wx/2": "x"}, map[string]string{}},
	} {
		u := &User{ID: nth(1), Aliases: []string{nth(3)}, Unionids: map[string]string{}, Accounts: []Account{{AppID: "wx", OpenID: "2"}}}
		u.kept.Parting = tt.have
		from := &User{ID: nth(2), Status: StatusMerged}
		from.kept.Parting, from.kept.Merge = tt.from, &merge{Into: nth(1)}
		u.take(from)
		if diff := cmp.Diff(tt.want, u.kept.Parting); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

func TestSplitErrors(t *testing.T) {
	d, s := newTestDirectory()
	for _, l := range crowd {
		mustResolve(t, d, l)
	}
	gone := mustResolve(t, d, login("co", 1, false)).User.ID
	if _, err := d.Erase(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	records := len(s.keys("u:"))
	for _, tt := range []struct {
		name string
		id   string
		l    Login
		want error
	}{
		{"unknown user", NewID(), crowd[0], ErrNotFound},
		{"no id", "x", crowd[0], ErrNotFound},
		{"erased user", gone, login("co", 1, false), ErrErased},
		{"another's account", nth(1), crowd[3], ErrNoAccount},
		{"unknown account", nth(1), login("an", 9, false), ErrNoAccount},
		{"the only account", nth(2), crowd[3], ErrOnlyAccount},
	} {
		if _, _, err := d.Split(t.Context(), tt.id, tt.l.AppID, tt.l.OpenID); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if n := len(s.keys("u:")); n != records {
		t.Errorf("%d records, were %d", n, records)
	}
}

// A session belongs to its account: it follows a split, ends with whoever has the account, and comes back by no way.
func TestSplitSessions(t *testing.T) {
	for _, sc := range []struct {
		name string
		do   []func(context.Context, *Directory, string) error // the last argument is the new user's id
		one  bool                                              // a session of the first account is valid afterwards
		two  bool                                              // one of the second, which was split off
	}{
		{"nothing", nil, true, true},
		{"the former user's sessions end", does(endsOf(1)), false, true},
		{"the new user's sessions end", does(endsOf(0)), true, false},
		{"the former user is erased", does(eraseOf(1)), false, false}, // its ids are over
		{"the new user is erased", does(eraseOf(0)), true, false},
		{"the new user is erased and the person is back", does(eraseOf(0), back(crowd[1], false)), true, false},
		{"the new user is erased and the person is back by the unionid", does(eraseOf(0), back(crowd[1], true)), true, false},
		{"the new user's sessions end, and it is merged elsewhere", does(endsOf(0), mergeOf(2, 0)), true, false},
		{"the former user's sessions end, and it takes the new one back", does(endsOf(1), mergeOf(1, 0)), false, false},
		{"the former user is merged elsewhere and its sessions end", does(mergeOf(2, 1), endsOf(2)), false, true},
		{"the new user is merged elsewhere", does(mergeOf(2, 0)), true, true},
		{"the former user takes the new one back", does(mergeOf(1, 0)), true, true},
		{"the new user takes the former one", does(mergeOf(0, 1)), true, true},
	} {
		t.Run(sc.name, func(t *testing.T) {
			s := newStage(t, nil)
			d := s.directory(nil, DirectoryConfig{NewID: ids()})
			for _, l := range crowd {
				mustResolve(t, d, l)
			}
			_, fresh, err := d.Split(t.Context(), nth(1), crowd[1].AppID, crowd[1].OpenID)
			if err != nil {
				t.Fatal(err)
			}
			for _, do := range sc.do {
				if err := do(t.Context(), d, fresh.ID); err != nil {
					t.Fatal(err)
				}
			}
			r := &report{ctx: t.Context()}
			for i, want := range []bool{sc.one, sc.two} {
				valid, u, err := r.session(d, nth(1), 0, crowd[i])
				if err != nil {
					t.Fatal(err)
				}
				if valid != want {
					t.Errorf("session of account %d: valid %v as %+v", i+1, valid, u)
				}
				if u != nil && u.Status != StatusErased && u.Account(crowd[i].AppID, crowd[i].OpenID) == nil {
					t.Errorf("session of account %d belongs to %s, who does not have the account", i+1, short(u.ID))
				}
			}
		})
	}
}

func does(f ...func(context.Context, *Directory, string) error) []func(context.Context, *Directory, string) error {
	return f
}

// idOf is the nth user, or the new one for 0.
func idOf(n int, fresh string) string {
	if n == 0 {
		return fresh
	}
	return nth(n)
}

func endsOf(n int) func(context.Context, *Directory, string) error {
	return func(ctx context.Context, d *Directory, fresh string) error {
		_, err := d.EndSessions(ctx, idOf(n, fresh))
		return err
	}
}

func eraseOf(n int) func(context.Context, *Directory, string) error {
	return func(ctx context.Context, d *Directory, fresh string) error {
		was, err := d.Erase(ctx, idOf(n, fresh))
		if err != nil {
			return err
		}
		return d.Settle(ctx, was.ID)
	}
}

func mergeOf(into, from int) func(context.Context, *Directory, string) error {
	return func(ctx context.Context, d *Directory, fresh string) error {
		_, _, err := d.Merge(ctx, idOf(into, fresh), idOf(from, fresh))
		return err
	}
}

// back is two hours after the session's login, which r.session puts one hour after the first.
func back(l Login, unionid bool) func(context.Context, *Directory, string) error {
	return func(ctx context.Context, d *Directory, _ string) error {
		if !unionid {
			l.UnionID = ""
		}
		_, err := d.Resolve(ctx, l.after(2*time.Hour))
		return err
	}
}

// A blocked user's account stays blocked, and can be unblocked on its own.
func TestSplitBlocked(t *testing.T) {
	d, _ := newTestDirectory()
	for _, l := range crowd {
		mustResolve(t, d, l)
	}
	if _, err := d.Block(t.Context(), nth(1)); err != nil {
		t.Fatal(err)
	}
	former, fresh, err := d.Split(t.Context(), nth(1), crowd[1].AppID, crowd[1].OpenID)
	if err != nil || former.Status != StatusBlocked || fresh.Status != StatusBlocked {
		t.Fatalf("%+v, %+v, %v", former, fresh, err)
	}
	if _, err := d.Unblock(t.Context(), fresh.ID); err != nil {
		t.Fatal(err)
	}
	if err := d.Settle(t.Context(), fresh.ID); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{former.ID: StatusBlocked, fresh.ID: StatusActive} {
		if u, _, err := d.User(t.Context(), id); err != nil || u.Status != want {
			t.Errorf("%+v, %v, want %s", u, err, want)
		}
	}
}

// The program dies before or after every write of a split.
func TestSplitCrashAtEveryWrite(t *testing.T) {
	two := crowd[1]
	later := map[string]func(context.Context, *stage, *Directory) error{
		"the queue": func(ctx context.Context, s *stage, d *Directory) error { return settleAll(ctx, d, s.queue) },
		"login":     func(ctx context.Context, s *stage, d *Directory) error { _, err := d.Resolve(ctx, two); return err },
		"former's login": func(ctx context.Context, s *stage, d *Directory) error {
			_, err := d.Resolve(ctx, crowd[0])
			return err
		},
		"a merge": func(ctx context.Context, s *stage, d *Directory) error {
			_, _, err := d.Merge(ctx, nth(2), nth(1))
			return err
		},
		"the same again": func(ctx context.Context, s *stage, d *Directory) error { return splitAgain(ctx, d) },
		"end of sessions": func(ctx context.Context, s *stage, d *Directory) error {
			_, err := d.EndSessions(ctx, nth(1))
			return err
		},
		"block":            func(ctx context.Context, s *stage, d *Directory) error { _, err := d.Block(ctx, nth(1)); return err },
		"the other's move": func(ctx context.Context, s *stage, d *Directory) error { return eraseOf(2)(ctx, d, "") },
	}
	crashEverywhere(t, later, crowd, splits(1, two), func(t *testing.T, s *stage, d *Directory, _ bool) {
		if err := settleAll(t.Context(), d, s.queue); err != nil {
			t.Fatal(err)
		}
		u, found, err := d.Find(t.Context(), two.AppID, two.OpenID)
		if err != nil || !found || u.Account(two.AppID, two.OpenID) == nil {
			t.Fatalf("%+v, %v, %v", u, found, err)
		}
		former, _, err := d.User(t.Context(), nth(1))
		if err != nil {
			t.Fatal(err)
		}
		decided := former.ID != u.ID
		if got := len(former.Accounts); former.ID == nth(1) && (decided && got != 2 || !decided && got != 3) {
			t.Errorf("decided %v, the former user has %d accounts", decided, got)
		}
		created := 0
		for _, id := range []string{u.ID, former.ID} {
			list, err := d.Notices(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range list {
				if n.Type == NoticeCreated && n.From != "" {
					created++
				}
			}
			if !decided {
				break
			}
		}
		if want := map[bool]int{true: 1, false: 0}[decided]; created != want {
			t.Errorf("decided %v, %d events tell of it", decided, created)
		}
		r := &report{ctx: t.Context()}
		for i, l := range crowd[:3] {
			valid, _, err := r.session(d, nth(1), 0, l)
			if err != nil {
				t.Fatal(err)
			}
			ended := former.Status == StatusBlocked || former.SessionEpoch(nth(1)) > 0
			if !ended && !valid {
				t.Errorf("the session of account %d is over", i+1)
			}
			if valid && former.Status == StatusBlocked && !decided {
				t.Errorf("the session of account %d is valid", i+1)
			}
		}
	})
}

func splitAgain(ctx context.Context, d *Directory) error {
	_, _, err := d.Split(ctx, nth(1), crowd[1].AppID, crowd[1].OpenID)
	if errors.Is(err, ErrNoAccount) {
		return nil // it was decided
	}
	return err
}

// Undoing a wrong merge gives the other person everything back: the unionid that came with the account, and with it all accounts that
// the person brings later.
func TestSplitUndoesAWrongMerge(t *testing.T) {
	d, s := newTestDirectory()
	mine := mustResolve(t, d, login("an", 1, false)).User.ID
	theirs := mustResolve(t, d, login("bo", 2, true)).User.ID
	if _, _, err := d.Merge(t.Context(), mine, theirs); err != nil {
		t.Fatal(err)
	}
	account := login("bo", 2, true)
	former, fresh, err := d.Split(t.Context(), mine, account.AppID, account.OpenID)
	if err != nil {
		t.Fatal(err)
	}
	if len(former.Unionids) != 0 || fresh.Unionids["default"] != "u-bo" {
		t.Errorf("unionids %v and %v", former.Unionids, fresh.Unionids)
	}
	if r := mustResolve(t, d, login("bo", 3, true)); r.User.ID != fresh.ID {
		t.Errorf("another account of theirs is user %s, not %s", r.User.ID, fresh.ID)
	}
	if raw := s.value("u:" + mine); strings.Contains(raw, "o-bo") || strings.Contains(raw, "u-bo") {
		t.Errorf("the former user's record still names them: %s", raw)
	}
	if r := mustResolve(t, d, login("an", 1, true)); r.User.ID != mine || r.Merged != "" {
		t.Errorf("the former user came back as %+v", r)
	}
}
