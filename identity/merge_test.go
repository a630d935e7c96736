package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Merges decided at the same moment, and what gets in between.
func TestMergeInterleavings(t *testing.T) {
	an, bo, co, silent := login("an", 1, false), login("bo", 2, true), login("co", 3, false), login("bo", 4, false)
	three := []Login{an, bo, co}
	late := login("bo", 4, true)
	for _, sc := range []scene{
		{name: "opposite", before: three, cast: []program{merges(1, 2), merges(2, 1)}, turns: 2, kills: 2},
		{name: "the same twice", before: three, cast: []program{merges(1, 2), merges(1, 2)}, kills: 1},
		{name: "one into two", before: three, cast: []program{merges(1, 3), merges(2, 3)}, turns: 2, kills: 1},
		{name: "a chain", before: three, cast: []program{merges(2, 3), merges(1, 2)}, turns: 2, kills: 2},
		{name: "a ring of three", before: three, cast: []program{merges(1, 2), merges(2, 3), merges(3, 1)}, turns: 1, kills: 1},
		{name: "opposite, by an operator and by the unionid", before: []Login{an, bo, co, silent}, cast: []program{merges(4, 2), logsIn(late)}, kills: 2},
		{name: "opposite, and the operator's survivor stays", before: []Login{silent, bo}, cast: []program{merges(1, 2), logsIn(late)}, turns: 2, kills: 1},
		{name: "the survivor is erased", before: three, cast: []program{merges(1, 2), erases(1)}, kills: 2, linger: true},
		{name: "the other is erased", before: three, cast: []program{merges(1, 2), erases(2)}, kills: 1, turns: 2, linger: true},
		{name: "sessions of the survivor end", before: three, cast: []program{merges(1, 2), ends(1, map[string]Login{nth(1): an})}, kills: 1},
		{name: "sessions of the other end", before: three, cast: []program{merges(1, 2), ends(2, map[string]Login{nth(2): bo})}, kills: 1},
		{name: "sessions end in a ring", before: three, cast: []program{merges(1, 2), merges(2, 1), ends(2, map[string]Login{nth(2): bo})}, turns: 1},
		{name: "sessions go on", before: three, cast: []program{merges(1, 2), uses(nth(2), bo), uses(nth(1), an)}},
		{name: "sessions go on in a ring", before: three, cast: []program{merges(1, 2), merges(2, 1), uses(nth(2), bo), uses(nth(1), an)}, turns: 1},
		{name: "the survivor is blocked", before: three, cast: []program{merges(1, 2), blocks(1)}, check: staysBlocked(1), kills: 1},
		{name: "the other is blocked", before: three, cast: []program{merges(1, 2), blocks(2)}, check: staysBlocked(2), kills: 1},
		{name: "one of a ring is blocked", before: three, cast: []program{merges(1, 2), merges(2, 1), blocks(2)}, check: staysBlocked(2), turns: 1},
	} {
		t.Run(sc.name, func(t *testing.T) { explore(t, sc) })
	}
}

// staysBlocked wants the program that blocks, the last one, to have blocked the user for good.
func staysBlocked(n int) func(*report) string {
	return func(r *report) string {
		if u := r.user(nth(n)); u.Status != StatusBlocked && r.errs[len(r.errs)-1] == nil {
			return fmt.Sprintf("%s is %s", short(u.ID), u.Status)
		}
		return ""
	}
}

func TestMerge(t *testing.T) {
	d, s := newTestDirectory()
	survivor := mustResolve(t, d, login("an", 1, true))
	with := login("bo", 2, true).after(-time.Hour)
	with.Profile = &Profile{Name: "bo"}
	mustResolve(t, d, with)
	other := login("bo", 3, true)
	other.Platform, other.UnionID = "other", "u-other"
	mustResolve(t, d, login("bo", 3, true))
	from := mustResolve(t, d, other)
	u, merged, err := d.Merge(t.Context(), survivor.User.ID, from.User.ID)
	if err != nil || u.ID != survivor.User.ID || merged != from.User.ID {
		t.Fatalf("%+v, %s, %v", u, merged, err)
	}
	if diff := cmp.Diff([]string{from.User.ID}, u.Aliases); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"default": "u-an", "other": "u-other"}, u.Unionids); diff != "" {
		t.Error(diff)
	}
	if len(u.Accounts) != 3 || u.Profile == nil || u.Profile.Name != "bo" || u.Status != StatusActive {
		t.Errorf("%+v", u)
	}
	var kinds []string
	for _, e := range u.History {
		kinds = append(kinds, e.Type)
	}
	if diff := cmp.Diff([]string{EventCreated, EventCreated, EventLinked, EventUnionid, EventMerged}, kinds); diff != "" {
		t.Errorf("history in the order of time: %s", diff)
	}
	if last := u.History[4]; last.From != from.User.ID || last.UnionID != "" {
		t.Errorf("evidence of an operator's merge: %+v", last)
	}
	if problem := audit(s, clean); problem != "" {
		t.Error(problem)
	}
	// Whoever comes by whatever way finds the survivor.
	for _, l := range []Login{login("an", 1, true), with, other, login("bo", 9, true)} {
		if r := mustResolve(t, d, l); r.User.ID != survivor.User.ID || r.Conflict {
			t.Errorf("%+v got %+v", l, r)
		}
	}
	if got, found, err := d.FindUnionID(t.Context(), "default", "u-bo"); err != nil || !found || got.ID != survivor.User.ID {
		t.Errorf("the other's unionid: %+v, %v, %v", got, found, err)
	}
}

// The survivor's record is lost. It is begun anew under its id, and the merge is taken over once more, from a record that is empty.
func TestMergeSurvivorLost(t *testing.T) {
	d, s := newTestDirectory()
	a, b := login("an", 1, true), login("bo", 2, true)
	mustResolve(t, d, a)
	mustResolve(t, d, b)
	if _, _, err := d.Merge(t.Context(), nth(1), nth(2)); err != nil {
		t.Fatal(err)
	}
	delete(s.m, userKey(nth(1)))
	u, found, err := d.User(t.Context(), nth(2))
	if err != nil || !found || u.ID != nth(1) || !slices.Equal(u.Aliases, []string{nth(2)}) {
		t.Fatalf("%+v, %v, %v", u, found, err)
	}
	for _, l := range []Login{a, b} {
		if r := mustResolve(t, d, l); r.User.ID != nth(1) {
			t.Errorf("%+v", r)
		}
	}
	if problem := audit(s, clean); problem != "" {
		t.Error(problem)
	}
}

func TestMergeErrors(t *testing.T) {
	d, _ := newTestDirectory()
	a, b, c := mustResolve(t, d, login("an", 1, false)), mustResolve(t, d, login("bo", 1, false)), mustResolve(t, d, login("co", 1, false))
	if _, err := d.Erase(t.Context(), c.User.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Merge(t.Context(), a.User.ID, b.User.ID); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name       string
		into, from string
		want       error
	}{
		{"itself", a.User.ID, a.User.ID, ErrSame},
		{"merged already", a.User.ID, b.User.ID, ErrSame},
		{"merged already, the other way round", b.User.ID, a.User.ID, ErrSame},
		{"into an erased one", c.User.ID, a.User.ID, ErrErased},
		{"an erased one", a.User.ID, c.User.ID, ErrErased},
		{"an unknown one", a.User.ID, NewID(), ErrNotFound},
		{"into an unknown one", NewID(), a.User.ID, ErrNotFound},
		{"no id", a.User.ID, "../x", ErrNotFound},
	} {
		if u, merged, err := d.Merge(t.Context(), tt.into, tt.from); !errors.Is(err, tt.want) {
			t.Errorf("%s: %+v, %s, %v, want %v", tt.name, u, merged, err, tt.want)
		}
	}
}

// Both histories are full: the first entry of the older user stays, and the newest ones.
func TestMergeBoundsHistory(t *testing.T) {
	d, s := newTestDirectory()
	ids := []string{mustResolve(t, d, login("an", 1, false)).User.ID, mustResolve(t, d, login("bo", 2, false).after(time.Minute)).User.ID}
	for i, id := range ids {
		if _, err := d.Update(t.Context(), id, func(u *User) error {
			for n := range 100 {
				u.AddEvent(Event{Time: t0.Add(time.Duration(2*n+i) * time.Hour), Type: EventLinked, OpenID: fmt.Sprint(i, n)})
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	u, _, err := d.Merge(t.Context(), ids[1], ids[0])
	if err != nil {
		t.Fatal(err)
	}
	if n := len(u.History); n != maxHistory || u.History[0].Type != EventCreated || u.History[0].OpenID != "o-an-1" {
		t.Errorf("%d entries, the first is %+v", n, u.History[0])
	}
	if !slices.IsSortedFunc(u.History[:maxHistory-1], func(a, b Event) int { return a.Time.Compare(b.Time) }) {
		t.Errorf("not in the order of time: %+v", u.History)
	}
	if problem := audit(s, clean); problem != "" {
		t.Error(problem)
	}
}

// Two users that together are too large are refused before anything is decided: a decided merge that cannot be finished would
// leave nobody.
func TestMergeTooLarge(t *testing.T) {
	d, _ := newTestDirectory()
	ids := []string{mustResolve(t, d, login("an", 1, false)).User.ID, mustResolve(t, d, login("bo", 2, false)).User.ID}
	for i, id := range ids {
		if _, err := d.Update(t.Context(), id, func(u *User) error {
			for n := range 900 {
				u.Accounts = append(u.Accounts, Account{ChannelMP, fmt.Sprintf("wx%d", i), fmt.Sprintf("%04d", n) + strings.Repeat("o", 40), t0, t0})
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := d.Merge(t.Context(), ids[0], ids[1]); !errors.Is(err, ErrRecord) {
		t.Errorf("error %v", err)
	}
	for _, id := range ids {
		if u, found, err := d.User(t.Context(), id); err != nil || !found || u.ID != id {
			t.Errorf("afterwards: %+v, %v, %v", u, found, err)
		}
	}
}

// Blocked is blocked, whichever way.
func TestMergeBlocked(t *testing.T) {
	for _, first := range []bool{true, false} {
		d, _ := newTestDirectory()
		ids := []string{mustResolve(t, d, login("an", 1, false)).User.ID, mustResolve(t, d, login("bo", 2, false)).User.ID}
		if !first {
			slices.Reverse(ids)
		}
		if _, err := d.Block(t.Context(), ids[0]); err != nil {
			t.Fatal(err)
		}
		before, _, _ := d.User(t.Context(), nth(1))
		u, _, err := d.Merge(t.Context(), nth(1), nth(2))
		if err != nil || u.Status != StatusBlocked {
			t.Fatalf("blocked first %v: %+v, %v", first, u, err)
		}
		if !first && u.Yunxin.Epoch == before.Yunxin.Epoch {
			t.Error("the survivor is blocked but its login token for Yunxin was not withdrawn")
		}
		// Unblocked once, unblocked for good: nobody takes the old state over again.
		if u, err = d.Unblock(t.Context(), nth(2)); err != nil || u.Status != StatusActive {
			t.Fatalf("unblocked: %+v, %v", u, err)
		}
		for _, id := range ids {
			if u, _, err := d.User(t.Context(), id); err != nil || u.Status != StatusActive {
				t.Errorf("after the unblocking: %+v, %v", u, err)
			}
		}
	}
}

// An account at Yunxin that the app brought along is kept if the survivor has none.
func TestMergeYunxin(t *testing.T) {
	for _, has := range []bool{false, true} {
		d, _ := newTestDirectory()
		a, b := mustResolve(t, d, login("an", 1, false)).User.ID, mustResolve(t, d, login("bo", 2, false)).User.ID
		set := func(id, accid string) {
			if _, err := d.Update(t.Context(), id, func(u *User) error {
				u.Yunxin = Yunxin{Accid: accid, State: YunxinReady}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		set(b, "imported")
		want := "imported"
		if has {
			set(a, a)
			want = a
		}
		u, _, err := d.Merge(t.Context(), a, b)
		if err != nil || u.Yunxin.Accid != want {
			t.Errorf("accid %q, %v, want %q", u.Yunxin.Accid, err, want)
		}
		left, _, err := d.Record(t.Context(), b)
		if err != nil || left.Yunxin.Epoch != 1 || left.Yunxin.Accid != "imported" {
			t.Errorf("the merged record: %+v, %v, want its token withdrawn", left.Yunxin, err)
		}
	}
}

// The program dies before or after every write of a merge. Whoever comes first, the queue, a look-up of one of the ids, or a login,
// finds one user who has everything.
func TestMergeCrashAtEveryWrite(t *testing.T) {
	an, bo := login("an", 1, true), login("bo", 2, true)
	an.Profile, bo.Profile = &Profile{Name: "an"}, nil
	later := map[string]func(context.Context, *stage, *Directory) error{
		"the queue":   func(ctx context.Context, s *stage, d *Directory) error { return settleAll(ctx, d, s.queue) },
		"look-up":     func(ctx context.Context, s *stage, d *Directory) error { _, _, err := d.User(ctx, nth(2)); return err },
		"other login": func(ctx context.Context, s *stage, d *Directory) error { _, err := d.Resolve(ctx, bo); return err },
		"own login":   func(ctx context.Context, s *stage, d *Directory) error { _, err := d.Resolve(ctx, an); return err },
		"its sessions": func(ctx context.Context, s *stage, d *Directory) error {
			_, err := d.EndSessions(ctx, nth(2))
			return err
		},
	}
	crashEverywhere(t, later, []Login{an, bo}, merges(1, 2), func(t *testing.T, s *stage, d *Directory, decided bool) {
		u, found, err := d.User(t.Context(), nth(2))
		if err != nil || !found {
			t.Fatal(found, err)
		}
		if !decided {
			if u.ID != nth(2) {
				t.Errorf("merged into %s, though nothing was written", short(u.ID))
			}
			return
		}
		if u.ID != nth(1) || len(u.Accounts) != 2 || u.kept.Former == nil {
			t.Errorf("%+v", u)
		}
		merged := 0
		for _, n := range u.kept.Outbox {
			if n.Type == NoticeMerged {
				merged++
			}
		}
		if merged != 1 || len(u.kept.Outbox) != 3 {
			t.Errorf("events: %+v", u.kept.Outbox)
		}
	})
}

// crashEverywhere runs an operation that dies at each of its writes, then what comes next, then the queue.
func crashEverywhere(t *testing.T, later map[string]func(context.Context, *stage, *Directory) error, before []Login, play program,
	check func(t *testing.T, s *stage, d *Directory, decided bool),
) {
	t.Helper()
	for what, next := range later {
		for n := 0; ; n++ {
			s, newID := newStage(t, nil), ids()
			config := DirectoryConfig{NewID: newID, Announce: true}
			d := s.directory(nil, config)
			for _, l := range before {
				mustResolve(t, d, l)
			}
			records, err := s.store.records()
			if err != nil {
				t.Fatal(err)
			}
			// Each write before and after.
			s.enter("victim", func(a *actor) { _ = play(t.Context(), s.directory(a, config), &report{}) })
			seen := 0
			dead := false
			for a := s.cast[0]; a.waiting != "" && !dead; {
				fate := proceed
				if !strings.HasPrefix(a.waiting, "get") {
					if seen++; seen == n/2+1 {
						fate, dead = crashBefore+outcome(n%2), true
					}
				}
				a.step(fate)
			}
			s.leave()
			if !dead && n > 0 {
				break
			}
			now, err := s.store.records()
			if err != nil {
				t.Fatal(err)
			}
			decided := false
			for id, u := range now {
				decided = decided || records[id] != nil && records[id].Status != u.Status || len(now) > len(records)
			}
			t.Run(fmt.Sprintf("%s/write %d/%d", what, n/2+1, n%2), func(t *testing.T) {
				if err := next(t.Context(), s, d); err != nil {
					t.Fatal(err, s)
				}
				check(t, s, d, decided)
				if err := settleAll(t.Context(), d, s.queue); err != nil {
					t.Fatal(err, s)
				}
				if problem := audit(s.store, deadFirstLogins); problem != "" {
					t.Error(problem, s)
				}
				if t.Failed() {
					t.Log(s)
				}
			})
		}
	}
}

// Three merges are decided in a ring. One program has read the first of them when another opens the ring, and reads the rest when
// all is over: what it has seen is a ring that there never was any more.
func TestMergeRingSeenTooLate(t *testing.T) {
	s := newStage(t, nil)
	d := s.directory(nil, DirectoryConfig{NewID: ids()})
	for _, l := range []Login{login("an", 1, false), login("bo", 2, false), login("co", 3, false)} {
		mustResolve(t, d, l)
	}
	r := &report{ctx: t.Context()}
	for i, play := range []program{merges(1, 2), merges(2, 3), merges(3, 1)} {
		s.enter(fmt.Sprint(i), func(a *actor) {
			if err := play(t.Context(), s.directory(a, DirectoryConfig{}), r); err != nil {
				t.Error(i, err)
			}
		})
	}
	goOn := func(i int, until func(waiting string) bool) {
		for s.cast[i].waiting != "" && !until(s.cast[i].waiting) {
			s.cast[i].step(proceed)
		}
	}
	never := func(string) bool { return false }
	goOn(1, func(waiting string) bool { return waiting == "get "+userKey(nth(3)) }) // the second user is still there
	decided := false
	goOn(0, func(waiting string) bool {
		if waiting == "get "+userKey(nth(1)) && decided {
			return true // the second user was merged into the first one
		}
		decided = decided || waiting == "replace "+userKey(nth(2))
		return false
	})
	for _, i := range []int{2, 1, 0} {
		goOn(i, never)
	}
	if err := settleAll(t.Context(), d, s.queue); err != nil {
		t.Fatal(err)
	}
	if problem := audit(s.store, clean); problem != "" || r.bad != "" {
		t.Error(problem, r.bad, s)
	}
}

// One user was merged into a second, who was blocked by it and unblocked since, and the second into a third, who has not taken over
// yet. Whoever comes by the first one's id must not bring back what the first one was.
func TestMergeTakesTheNearestFirst(t *testing.T) {
	d, s := newTestDirectory()
	var ids []string
	for i := range 3 {
		ids = append(ids, mustResolve(t, d, login("an", i, false)).User.ID)
	}
	if _, err := d.Block(t.Context(), ids[0]); err != nil {
		t.Fatal(err)
	}
	merge := func(into, from string, replaces int) { // dies after so many
		s.hook = func(op, _ string) outcome {
			if replaces == 0 {
				return crashBefore
			}
			if op == "replace" {
				replaces--
			}
			return proceed
		}
		if _, _, err := d.Merge(t.Context(), into, from); !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		s.hook = nil
	}
	merge(ids[1], ids[0], 2) // decided, and taken over
	if _, err := d.Unblock(t.Context(), ids[1]); err != nil {
		t.Fatal(err)
	}
	if _, err := d.EndSessions(t.Context(), ids[1]); err != nil {
		t.Fatal(err)
	}
	merge(ids[2], ids[1], 1) // decided
	u, found, err := d.User(t.Context(), ids[0])
	if err != nil || !found || u.ID != ids[2] || u.Status != StatusActive || u.SessionEpoch(ids[0]) != 1 || len(u.Accounts) != 3 {
		t.Errorf("%+v, %v, %v", u, found, err)
	}
	n := 0
	for _, e := range u.History {
		if e.Type == EventMerged && e.From == ids[0] {
			n++
		}
	}
	if n != 1 {
		t.Errorf("the first merge was taken over %d times", n)
	}
}

// A long chain of merges, each finished before the next or none finished, still leads from any id to the survivor, and becomes short.
func TestMergeChain(t *testing.T) {
	for killed, length := range map[bool]int{true: 150, false: 50} {
		d, s := newTestDirectory()
		var ids []string
		for i := range length {
			ids = append(ids, mustResolve(t, d, login("an", i, false)).User.ID)
		}
		for i := range length - 1 {
			if killed {
				decided := false
				s.hook = func(op, key string) outcome {
					if decided {
						return crashBefore
					}
					decided = op == "replace"
					return proceed
				}
			}
			if _, _, err := d.Merge(t.Context(), ids[i+1], ids[i]); err != nil && !killed {
				t.Fatal(err)
			}
			s.hook = nil
		}
		u, found, err := d.User(t.Context(), ids[0])
		if err != nil || !found || u.ID != ids[length-1] {
			t.Fatalf("killed %v: %v, %v", killed, found, err)
		}
		if len(u.Aliases) != length-1 || len(u.Accounts) != length {
			t.Errorf("%d aliases, %d accounts", len(u.Aliases), len(u.Accounts))
		}
		for i, id := range ids[:length-1] {
			if _, _, err := d.User(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			s.reads, s.writes = 0, 0
			u, _, err := d.User(t.Context(), id)
			if err != nil || u.ID != ids[length-1] || s.reads > 2 || s.writes > 0 {
				t.Fatalf("id %d: %d reads, %d writes, %v", i, s.reads, s.writes, err)
			}
		}
	}
}

// The costs that the documentation promises.
func TestLookupCosts(t *testing.T) {
	d, s := newTestDirectory()
	an, bo := login("an", 1, false), login("bo", 2, false)
	a, b := mustResolve(t, d, an).User.ID, mustResolve(t, d, bo).User.ID
	cost := func(what string, reads, writes int, do func() error) {
		t.Helper()
		s.reads, s.writes = 0, 0
		if err := do(); err != nil {
			t.Fatal(err)
		}
		if s.reads != reads || s.writes != writes {
			t.Errorf("%s: %d reads, %d writes; want %d, %d", what, s.reads, s.writes, reads, writes)
		}
	}
	user := func() error { _, _, err := d.User(t.Context(), b); return err }
	current := func() error { _, _, err := d.Current(t.Context(), b, bo.AppID, bo.OpenID); return err }
	update := func() error {
		_, err := d.Update(t.Context(), b, func(u *User) error { u.Yunxin.Epoch++; return nil })
		return err
	}
	cost("look-up", 1, 0, user)
	cost("session", 1, 0, current)
	cost("update", 1, 1, update)
	if _, _, err := d.Merge(t.Context(), a, b); err != nil {
		t.Fatal(err)
	}
	cost("look-up of a merged id", 2, 0, user)
	cost("session of a merged user", 2, 0, current)
	cost("update of a merged user", 2, 1, update)
}

// A ring of merges of which some are finished in part, by hand, because it takes three operators and bad luck.
func TestMergeRingOpensAtWhoeverIsUpToDate(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {1, 2, 0}, {2, 0, 1}, {0, 2, 1}, {2, 1, 0}, {1, 0, 2}} {
		d, s := newTestDirectory()
		var ids []string
		logins := []Login{login("an", 1, false), login("bo", 2, false), login("co", 3, false)}
		for _, l := range logins {
			ids = append(ids, mustResolve(t, d, l).User.ID)
		}
		first, second, third := ids[order[0]], ids[order[1]], ids[order[2]]
		point := func(from, into string) { // the decisive write alone
			load, _, err := d.load(t.Context(), from)
			if err != nil {
				t.Fatal(err)
			}
			load.user.kept.Merge = &merge{Into: into, Was: load.user.Status, Evidence: Event{Time: t0, Type: EventMerged, From: from}}
			load.user.Status = StatusMerged
			if err := d.replace(t.Context(), load, load.user); err != nil {
				t.Fatal(err)
			}
		}
		// first becomes second, who takes over; sessions end; second becomes third; and third, by a decision that was made when first
		// was still there, becomes first.
		point(first, second)
		if _, _, err := d.User(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		if _, err := d.EndSessions(t.Context(), second); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Block(t.Context(), second); err != nil {
			t.Fatal(err)
		}
		point(second, third)
		point(third, first)
		for _, from := range ids {
			if u, found, err := d.User(t.Context(), from); err != nil || !found || u.Status == StatusActive && u.SessionEpoch(first) == 0 && u.ID == first {
				t.Errorf("%v: %s: %+v, %v, %v", order, short(from), u, found, err)
			}
		}
		for i, id := range ids {
			if err := d.Settle(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			u, found, err := d.Current(t.Context(), id, logins[i].AppID, logins[i].OpenID)
			if err != nil || !found || u.Status != StatusBlocked || len(u.Accounts) != 3 || len(u.Aliases) != 2 {
				t.Errorf("%v: %+v, %v", order, u, err)
			}
			if id != third && u.SessionEpoch(id) == 0 {
				t.Errorf("%v: the sessions of %s that ended are valid", order, short(id))
			}
		}
		for _, id := range ids {
			if err := d.Settle(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		if problem := audit(s, clean); problem != "" {
			t.Errorf("%v: %s", order, problem)
		}
	}
}
