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

// full is a user with everything that says something about the person.
func full(t *testing.T, d *Directory) (id string, texts []string) {
	t.Helper()
	l := login("an", 1, true)
	l.Profile = &Profile{Name: "nick-an", Avatar: "https://thirdwx.qlogo.cn/an"}
	mustResolve(t, d, l)
	changed := login("an", 2, true)
	mustResolve(t, d, changed)
	changed.UnionID = "u-an-new"
	mustResolve(t, d, changed.after(time.Minute))
	silent := login("an", 3, false)
	silent.Profile = &Profile{Name: "nick-an"}
	other := mustResolve(t, d, silent)
	if _, err := d.Update(t.Context(), other.User.ID, func(u *User) error {
		u.Yunxin = Yunxin{Accid: u.ID, State: YunxinReady, Name: "nick-an", Avatar: "https://thirdwx.qlogo.cn/an"}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if r := mustResolve(t, d, login("an", 3, true)); r.Merged == "" {
		t.Fatalf("%+v", r)
	}
	r := mustResolve(t, d, login("an", 4, true))
	if _, _, err := d.Split(t.Context(), r.User.ID, login("an", 4, true).AppID, login("an", 4, true).OpenID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Revoke(t.Context(), Revocation{"wx1", "o-an-1", "reason"}); err != nil {
		t.Fatal(err)
	}
	mustResolve(t, d, l.after(time.Hour))
	return r.User.ID, []string{"o-an", "u-an", "nick-an", "thirdwx"}
}

func TestErase(t *testing.T) {
	s := newStage(t, nil)
	d := s.directory(nil, DirectoryConfig{NewID: ids(), Announce: true})
	id, texts := full(t, d)
	split, _, err := d.Find(t.Context(), "wx4", "o-an-4")
	if err != nil {
		t.Fatal(err)
	}
	before, _, err := d.User(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	was, err := d.Erase(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, was, wholeUser); diff != "" {
		t.Errorf("what it was: %s", diff)
	}
	if _, err := d.Erase(t.Context(), split.ID); err != nil {
		t.Fatal(err)
	}
	// Before anybody tidies up, nothing of it shows.
	u, found, err := d.User(t.Context(), id)
	if err != nil || !found || u.Status != StatusErased || len(u.Accounts)+len(u.Unionids) != 0 || u.Profile != nil || len(u.History) != 1 || u.Yunxin.Accid != "" {
		t.Errorf("%+v, %v, %v", u, found, err)
	}
	if _, found, err := d.Find(t.Context(), "wx1", "o-an-1"); found || err != nil {
		t.Errorf("the account is still found, %v", err)
	}
	if err := settleAll(t.Context(), d, s.queue); err != nil {
		t.Fatal(err)
	}
	if left := s.store.grep(texts...); left != "" {
		t.Error(left)
	}
	if problem := audit(s.store, clean); problem != "" {
		t.Error(problem)
	}
	if n := len(s.store.keys("a:")) + len(s.store.keys("n:")); n != 0 {
		t.Errorf("%d index entries are left", n)
	}
	// The app hears of everything, but not who it was.
	list, err := d.Notices(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, n := range list {
		kinds = append(kinds, n.Type)
		if n.Account != nil {
			t.Errorf("%+v", n)
		}
	}
	if want := []string{
		NoticeCreated, NoticeLinked, NoticeCreated, NoticeMerged, NoticeLinked, NoticeRevoked, NoticeErased,
	}; !slices.Equal(kinds, want) {
		t.Errorf("events %v, want %v", kinds, want)
	}
	// Every id that was handed out is a tombstone, and nothing can be done with it.
	for _, id := range append(was.Aliases, id, split.ID) {
		u, found, err := d.User(t.Context(), id)
		if err != nil || !found || u.Status != StatusErased {
			t.Errorf("%s: %+v, %v, %v", short(id), u, found, err)
		}
		for what, do := range map[string]func() error{
			"block":        func() error { _, err := d.Block(t.Context(), id); return err },
			"unblock":      func() error { _, err := d.Unblock(t.Context(), id); return err },
			"end sessions": func() error { _, err := d.EndSessions(t.Context(), id); return err },
			"split":        func() error { _, _, err := d.Split(t.Context(), id, "wx1", "o-an-1"); return err },
			"update":       func() error { _, err := d.Update(t.Context(), id, func(*User) error { return nil }); return err },
		} {
			if err := do(); !errors.Is(err, ErrErased) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	again, err := d.Erase(t.Context(), id)
	if err != nil || again.Status != StatusErased {
		t.Errorf("erased again: %+v, %v", again, err)
	}
	if after, err := d.Notices(t.Context(), id); err != nil || len(after) != len(list) {
		t.Errorf("erased again: events %+v, %v", after, err)
	}
	for _, unknown := range []string{NewID(), "x"} {
		if _, err := d.Erase(t.Context(), unknown); !errors.Is(err, ErrNotFound) {
			t.Errorf("an unknown id: %v", err)
		}
	}
	// Back again: somebody new.
	r := mustResolve(t, d, login("an", 1, true))
	if !r.Created || r.User.ID == id || len(r.User.Accounts) != 1 {
		t.Errorf("%+v", r)
	}
	if u, _, err := d.User(t.Context(), id); err != nil || u.Status != StatusErased {
		t.Errorf("the old id: %+v, %v", u, err)
	}
}

// Push messages about an account of an erased person are about nobody.
func TestErasedAccountIsNobodys(t *testing.T) {
	d, _ := newTestDirectory()
	id, _ := full(t, d)
	if _, err := d.Erase(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	l := login("an", 1, true)
	if u, found, err := d.Revoke(t.Context(), Revocation{l.AppID, l.OpenID, "reason"}); found || err != nil {
		t.Errorf("revoke: %+v, %v, %v", u, found, err)
	}
	if u, found, err := d.ClearProfile(t.Context(), l.AppID, l.OpenID); found || err != nil {
		t.Errorf("clear profile: %+v, %v, %v", u, found, err)
	}
	if r, known, err := d.Learn(t.Context(), l); known || err != nil {
		t.Errorf("learn: %+v, %v, %v", r, known, err)
	}
}

// Erasures, and what gets in between. Nothing of the person may be left, unless a login brings it anew.
func TestEraseInterleavings(t *testing.T) {
	one, two, bo := login("an", 1, true), login("an", 2, true), login("bo", 3, false)
	silent, late := login("an", 1, false), login("an", 1, true)
	for _, sc := range []scene{
		{name: "twice", before: []Login{one, two, bo}, cast: []program{erases(1), erases(1)}, check: gone, kills: 1, linger: true},
		{name: "a login", before: []Login{one, two}, cast: []program{erases(1), logsIn(one)}, check: returned, kills: 2, linger: true},
		{name: "a silent login", before: []Login{one, two}, cast: []program{erases(1), logsIn(silent)}, check: returned, kills: 2, linger: true},
		{name: "a new account", before: []Login{one}, cast: []program{erases(1), logsIn(two)}, check: returned, kills: 1, linger: true},
		{name: "two logins", before: []Login{one}, cast: []program{erases(1), logsIn(two), logsIn(one)}, check: returned, turns: 2, linger: true},
		{name: "a unionid is learned", before: []Login{silent, bo}, cast: []program{erases(1), learns(late)}, check: gone, linger: true},
		{name: "a merge into it", before: []Login{bo, one, two}, cast: []program{erases(1), merges(1, 2)}, check: goneIfMerged, turns: 2, linger: true},
		{name: "consent is taken back", before: []Login{one, bo}, cast: []program{erases(1), takesBack(one)}, check: gone, kills: 1, linger: true},
		{name: "block", before: []Login{one, bo}, cast: []program{erases(1), blocks(1)}, check: gone, kills: 1},
		{name: "sessions", before: []Login{one, bo}, cast: []program{erases(1), ends(1, map[string]Login{nth(1): one})}, check: gone, kills: 1},
	} {
		t.Run(sc.name, func(t *testing.T) { explore(t, sc) })
	}
}

func takesBack(l Login) program {
	return func(ctx context.Context, d *Directory, _ *report) error {
		_, _, err := d.Revoke(ctx, Revocation{l.AppID, l.OpenID, "reason"})
		return err
	}
}

// gone wants nothing of the person to be left, if the erasure said that it was done or if it was decided.
func gone(r *report) string {
	if u := r.user(nth(1)); u.Status != StatusErased {
		if r.errs[0] == nil {
			return fmt.Sprintf("%+v", u)
		}
		return ""
	}
	return r.stage.store.grep("o-an", "u-an")
}

func goneIfMerged(r *report) string {
	if r.user(nth(2)).Status != StatusErased {
		return ""
	}
	return r.stage.store.grep("o-an", "u-an", "o-bo")
}

// returned wants whoever comes back to be somebody new, with one user for all accounts that the unionid puts together.
func returned(r *report) string {
	if r.user(nth(1)).Status != StatusErased {
		return ""
	}
	var id string
	for _, l := range []Login{login("an", 1, true), login("an", 2, true)} {
		res, err := r.d.Resolve(r.ctx, l.after(time.Hour))
		switch {
		case err != nil:
			return err.Error()
		case res.User.ID == nth(1):
			return "the tombstone came back to life"
		case id != "" && res.User.ID != id:
			return fmt.Sprintf("two users, %s and %s", short(id), short(res.User.ID))
		}
		id = res.User.ID
	}
	return audit(r.stage.store, deadFirstLogins)
}

// A program that dies in the middle of an erasure leaves the queue what it needs, and nobody sees a half erased person.
func TestEraseCrashAtEveryWrite(t *testing.T) {
	before := []Login{login("an", 1, true), login("an", 2, true), login("bo", 3, false)}
	later := map[string]func(context.Context, *stage, *Directory) error{
		"the queue": func(ctx context.Context, s *stage, d *Directory) error { return settleAll(ctx, d, s.queue) },
		"the same again": func(ctx context.Context, s *stage, d *Directory) error {
			_, err := d.Erase(ctx, nth(1))
			return err
		},
		"a look-up": func(ctx context.Context, s *stage, d *Directory) error { _, _, err := d.User(ctx, nth(1)); return err },
		"a merge of somebody into it": func(ctx context.Context, s *stage, d *Directory) error {
			_, _, err := d.Merge(ctx, nth(1), nth(2))
			if errors.Is(err, ErrErased) {
				return nil
			}
			return err
		},
	}
	crashEverywhere(t, later, before, erases(1), func(t *testing.T, s *stage, d *Directory, decided bool) {
		if err := settleAll(t.Context(), d, s.queue); err != nil {
			t.Fatal(err)
		}
		u, _, err := d.User(t.Context(), nth(1))
		if err != nil || decided && u.Status != StatusErased {
			t.Fatalf("decided %v: %+v, %v", decided, u, err)
		}
		if u.Status != StatusErased {
			if u.Account("wx1", "o-an-1") == nil {
				t.Errorf("%+v", u)
			}
			return
		}
		if left := s.store.grep("o-an", "u-an"); left != "" {
			t.Error(left)
		}
		list, err := d.Notices(t.Context(), nth(1))
		if err != nil {
			t.Fatal(err)
		}
		erased := 0
		for _, n := range list {
			if n.Type == NoticeErased {
				erased++
			}
		}
		if erased != 1 {
			t.Errorf("%d events tell of it: %+v", erased, list)
		}
	})
}

// A merge was decided and nobody has finished it; then the survivor is erased. The app must hear what became of the other, and of
// the other nothing may be left.
func TestEraseOfAnUnfinishedSurvivor(t *testing.T) {
	s := newStage(t, nil)
	config := DirectoryConfig{NewID: ids(), Announce: true}
	d := s.directory(nil, config)
	mustResolve(t, d, login("an", 1, true))
	mustResolve(t, d, login("bo", 2, true))
	s.enter("victim", func(a *actor) {
		if _, _, err := s.directory(a, config).Merge(t.Context(), nth(1), nth(2)); !errors.Is(err, errCrash) {
			t.Error(err)
		}
	})
	for a := s.cast[0]; a.waiting != ""; {
		if strings.HasPrefix(a.waiting, "replace") {
			a.step(crashAfter)
		} else {
			a.step(proceed)
		}
	}
	s.leave()
	// The erasure does not come by the other's record.
	if _, err := d.Erase(t.Context(), nth(1)); err != nil {
		t.Fatal(err)
	}
	if err := settleAll(t.Context(), d, s.queue); err != nil {
		t.Fatal(err)
	}
	if left := s.store.grep("o-an", "u-an", "o-bo", "u-bo"); left != "" {
		t.Error(left)
	}
	kinds := map[string]int{}
	list, err := d.Notices(t.Context(), nth(2))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range list {
		kinds[n.Type+" "+short(n.User)+" "+short(n.From)]++
	}
	for _, want := range []string{NoticeCreated + " aaaae ", NoticeCreated + " aaaai ", NoticeMerged + " aaaae aaaai", NoticeErased + " aaaae "} {
		if kinds[want] != 1 {
			t.Errorf("%d events %s: %v", kinds[want], want, kinds)
		}
	}
}
