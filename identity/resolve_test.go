package identity

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestResolveFirstLogin(t *testing.T) {
	d, s := newTestDirectory()
	l := login("an", 1, true)
	l.Profile = &Profile{Name: " 安\u202e娜\n", Avatar: "javascript:alert(1)"}
	r := mustResolve(t, d, l)
	want := &User{
		ID: r.User.ID, Status: StatusActive, CreatedAt: t0,
		Accounts: []Account{{ChannelMP, "wx1", "o-an-1", t0, t0}},
		Unionids: map[string]string{"default": "u-an"},
		Profile:  &Profile{Name: "安娜", UpdatedAt: t0},
		Yunxin:   Yunxin{State: YunxinNone},
		Aliases:  []string{},
		History:  []Event{{Time: t0, Type: EventCreated, Channel: ChannelMP, AppID: "wx1", OpenID: "o-an-1", Platform: "default", UnionID: "u-an"}},
	}
	if diff := cmp.Diff(want, r.User, wholeUser); diff != "" {
		t.Error(diff)
	}
	if !r.Created || r.Linked || r.Conflict {
		t.Errorf("got %+v, want only Created", r)
	}
	if got := s.value("a:wx1/o-an-1"); got != r.User.ID {
		t.Errorf("account entry %q", got)
	}
	if got := s.value("n:default/u-an"); got != r.User.ID {
		t.Errorf("unionid entry %q", got)
	}
	again, found, err := d.User(t.Context(), r.User.ID)
	if err != nil || !found {
		t.Fatalf("User: %v, %v", found, err)
	}
	if diff := cmp.Diff(want, again, wholeUser); diff != "" {
		t.Error(diff)
	}
}

// The costs are promised in the documentation of Resolve.
func TestResolveCosts(t *testing.T) {
	tests := []struct {
		name          string
		before        []Login
		login         Login
		reads, writes int
	}{
		{"returning silent", []Login{login("an", 1, false)}, login("an", 1, false), 2, 0},
		{"returning with unionid", []Login{login("an", 1, true)}, login("an", 1, true), 2, 0},
		{"returning silent, unionid known", []Login{login("an", 1, true)}, login("an", 1, false), 2, 0},
		{"returning, one second short of an hour", []Login{login("an", 1, false)}, login("an", 1, false).after(time.Hour - time.Second), 2, 0},
		{"returning, an hour later", []Login{login("an", 1, false)}, login("an", 1, false).after(time.Hour), 2, 1},
		{"returning with an older time", []Login{login("an", 1, false)}, login("an", 1, false).after(-2 * time.Hour), 2, 0},
		{"unionid just learned", []Login{login("an", 1, false)}, login("an", 1, true), 2, 2},
		{"first without unionid", nil, login("an", 1, false), 1, 2},
		{"first with unionid", nil, login("an", 1, true), 1, 3},
		{"new account, known unionid", []Login{login("an", 1, true)}, login("an", 2, true), 2, 2},
		{"merge", []Login{login("an", 1, true), login("an", 2, false)}, login("an", 2, true), 13, 4},
		{"conflict", []Login{login("an", 1, true), login("bo", 2, true)}, Login{
			Platform: "default", Channel: ChannelMP, AppID: "wx2", OpenID: "o-bo-2", UnionID: "u-an", At: t0,
		}, 3, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, s := newTestDirectory()
			for _, l := range tt.before {
				mustResolve(t, d, l)
			}
			s.reads, s.writes = 0, 0
			mustResolve(t, d, tt.login)
			if s.reads != tt.reads || s.writes != tt.writes {
				t.Errorf("%d reads, %d writes; want %d, %d", s.reads, s.writes, tt.reads, tt.writes)
			}
		})
	}
}

func TestResolveLateUnionid(t *testing.T) {
	d, _ := newTestDirectory()
	first := mustResolve(t, d, login("an", 1, false))
	late := mustResolve(t, d, login("an", 1, true).after(time.Minute))
	if late.User.ID != first.User.ID || late.Created || late.Linked || late.Conflict {
		t.Errorf("got %+v, want the same user and no flags", late)
	}
	if got := late.User.Unionids["default"]; got != "u-an" {
		t.Errorf("unionid %q", got)
	}
	want := Event{Time: t0.Add(time.Minute), Type: EventUnionid, AppID: "wx1", OpenID: "o-an-1", Platform: "default", UnionID: "u-an"}
	if diff := cmp.Diff(want, late.User.History[1]); diff != "" {
		t.Error(diff)
	}
	other := mustResolve(t, d, login("an", 2, true))
	if other.User.ID != first.User.ID || !other.Linked || other.Created {
		t.Errorf("the other account got %+v, want it linked to the same user", other)
	}
}

func TestResolveLinksByUnionid(t *testing.T) {
	d, _ := newTestDirectory()
	first := mustResolve(t, d, login("an", 1, true))
	l := login("an", 2, true).after(time.Hour)
	l.Channel = ChannelMini
	second := mustResolve(t, d, l)
	if second.User.ID != first.User.ID || !second.Linked || second.Created || second.Conflict {
		t.Fatalf("got %+v, want it linked to %s", second, first.User.ID)
	}
	want := []Account{
		{ChannelMP, "wx1", "o-an-1", t0, t0},
		{ChannelMini, "wx2", "o-an-2", t0.Add(time.Hour), t0.Add(time.Hour)},
	}
	if diff := cmp.Diff(want, second.User.Accounts); diff != "" {
		t.Error(diff)
	}
	silent := mustResolve(t, d, login("an", 2, false))
	if silent.User.ID != first.User.ID || silent.Linked {
		t.Errorf("afterwards, without unionid: %+v", silent)
	}
}

// The same unionid text under another open-platform account is another person.
func TestResolveUnionidsArePerPlatform(t *testing.T) {
	d, _ := newTestDirectory()
	a := mustResolve(t, d, login("an", 1, true))
	l := login("an", 2, true)
	l.Platform = "other"
	b := mustResolve(t, d, l)
	if a.User.ID == b.User.ID || !b.Created {
		t.Errorf("linked across platforms: %+v", b)
	}
	// One account may know both.
	l = login("an", 1, true)
	l.Platform, l.UnionID = "third", "u-3"
	c := mustResolve(t, d, l)
	if diff := cmp.Diff(map[string]string{"default": "u-an", "third": "u-3"}, c.User.Unionids); diff != "" {
		t.Error(diff)
	}
}

// An account that came without unionid turns out to be of somebody who is known.
func TestResolveMerges(t *testing.T) {
	d, s := newTestDirectory()
	b := mustResolve(t, d, login("an", 1, true))
	a := mustResolve(t, d, login("an", 2, false))
	l := login("an", 2, true).after(time.Minute)
	l.Profile = &Profile{Name: "安"}
	r := mustResolve(t, d, l)
	if r.Merged != a.User.ID || r.User.ID != b.User.ID || r.Conflict || r.Created {
		t.Errorf("got %+v, want %s merged into %s", r, a.User.ID, b.User.ID)
	}
	if diff := cmp.Diff([]string{a.User.ID}, r.User.Aliases); diff != "" {
		t.Errorf("aliases: %s", diff)
	}
	if r.User.Profile == nil || r.User.Profile.Name != "安" || len(r.User.Accounts) != 2 {
		t.Errorf("the survivor: %+v", r.User)
	}
	evidence := Event{
		Time: l.At.Truncate(time.Second), Type: EventMerged, Channel: l.Channel, AppID: l.AppID, OpenID: l.OpenID,
		Platform: l.Platform, UnionID: l.UnionID, From: a.User.ID,
	}
	if last := r.User.History[len(r.User.History)-1]; last != evidence {
		t.Errorf("history ends with %+v, want %+v", last, evidence)
	}
	checkIndexed(t, d, s, l, b.User.ID)
	left, _, err := d.Record(t.Context(), a.User.ID)
	if err != nil || left.Status != StatusMerged || len(left.Accounts)+len(left.Unionids)+len(left.History) != 0 {
		t.Errorf("the merged record still holds %+v, %v", left, err)
	}
}

func TestResolveChangedUnionid(t *testing.T) {
	d, _ := newTestDirectory()
	first := mustResolve(t, d, login("an", 1, true))
	l := login("an", 1, true).after(time.Hour)
	l.UnionID = "u-new"
	r := mustResolve(t, d, l)
	if r.User.ID != first.User.ID || r.Conflict || r.User.Unionids["default"] != "u-new" {
		t.Fatalf("got %+v", r)
	}
	last := r.User.History[len(r.User.History)-1]
	if last.Type != EventUnionid || last.From != "u-an" || last.UnionID != "u-new" {
		t.Errorf("history ends with %+v", last)
	}

	// The new unionid belongs to somebody else: nothing is merged and nothing replaced.
	other := mustResolve(t, d, login("bo", 1, true))
	l.UnionID = "u-bo"
	r = mustResolve(t, d, l)
	if !r.Conflict || r.User.ID != first.User.ID || r.User.Unionids["default"] != "u-new" || r.User.ID == other.User.ID {
		t.Errorf("got %+v", r)
	}
}

// Two accounts that report different unionids in turn must not grow the history, nor push its beginning out.
func TestResolveAlternatingUnionids(t *testing.T) {
	d, _ := newTestDirectory()
	first := mustResolve(t, d, login("an", 1, true))
	mustResolve(t, d, login("an", 2, true))
	var r Resolution
	for i := range 100 {
		l := login("an", 1+i%2, true).after(time.Duration(i) * time.Minute)
		if i%2 == 1 {
			l.UnionID = "u-new"
		}
		r = mustResolve(t, d, l)
		if r.User.ID != first.User.ID || r.Conflict {
			t.Fatalf("login %d: %+v", i, r)
		}
	}
	if n := len(r.User.History); n != 4 {
		t.Errorf("%d history entries, want created, linked and one for each direction", n)
	}
	if r.User.History[0].Type != EventCreated {
		t.Errorf("history begins with %+v", r.User.History[0])
	}
}

func TestResolveProfile(t *testing.T) {
	at := func(d time.Duration, name, avatar string) Login {
		l := login("an", 1, false).after(d)
		l.Profile = &Profile{Name: name, Avatar: avatar}
		return l
	}
	const pic = "https://thirdwx.qlogo.cn/mmopen/x/132"
	d, _ := newTestDirectory()
	mustResolve(t, d, login("an", 1, false))
	steps := []struct {
		name  string
		login Login
		want  *Profile
	}{
		{"none given", login("an", 1, false), nil},
		{"empty but consented", at(0, "", ""), &Profile{UpdatedAt: t0}},
		{"given", at(time.Minute, "安", pic), &Profile{"安", pic, t0.Add(time.Minute)}},
		{"none given again", login("an", 1, false).after(2 * time.Minute), &Profile{"安", pic, t0.Add(time.Minute)}},
		{"same soon after", at(3*time.Minute, "安", pic), &Profile{"安", pic, t0.Add(time.Minute)}},
		{"same later", at(2*time.Hour, "安", pic), &Profile{"安", pic, t0.Add(2 * time.Hour)}},
		{"name lost, picture gone", at(3*time.Hour, "", ""), &Profile{"安", "", t0.Add(3 * time.Hour)}},
		{"changed", at(3*time.Hour+time.Second, "娜", pic), &Profile{"娜", pic, t0.Add(3*time.Hour + time.Second)}},
	}
	for _, tt := range steps {
		r := mustResolve(t, d, tt.login)
		if diff := cmp.Diff(tt.want, r.User.Profile); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

func TestResolveBlockedAndErased(t *testing.T) {
	d, s := newTestDirectory()
	first := mustResolve(t, d, login("an", 1, true))
	mustResolve(t, d, login("an", 2, true))
	setStatus := func(id, status string) {
		t.Helper()
		if _, err := d.Update(t.Context(), id, func(u *User) error { u.Status = status; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	setStatus(first.User.ID, StatusBlocked)
	for _, l := range []Login{login("an", 1, false), login("an", 2, true), login("an", 3, true)} {
		r := mustResolve(t, d, l)
		if r.User.ID != first.User.ID || r.User.Status != StatusBlocked {
			t.Errorf("%s/%s: %s user %s, want the blocked one", l.AppID, l.UnionID, r.User.Status, r.User.ID)
		}
	}
	setStatus(first.User.ID, StatusErased)
	tombstone := s.value("u:" + first.User.ID)
	back := mustResolve(t, d, login("an", 1, true))
	if !back.Created || back.User.ID == first.User.ID || len(back.User.Accounts) != 1 {
		t.Fatalf("the returning person got %+v", back)
	}
	// The other accounts still point to the tombstone; they find the new user by the unionid, or start one without it.
	r := mustResolve(t, d, login("an", 2, true))
	if r.User.ID != back.User.ID || !r.Linked {
		t.Errorf("second account: %+v", r)
	}
	r = mustResolve(t, d, login("an", 3, false))
	if !r.Created || r.User.ID == first.User.ID {
		t.Errorf("third account, silent: %+v", r)
	}
	if s.value("u:"+first.User.ID) != tombstone {
		t.Error("the tombstone was written to")
	}
	// An account known to A, the unionid to an erased user: the unionid goes to A.
	d, _ = newTestDirectory()
	gone := mustResolve(t, d, login("an", 1, true))
	setStatus(gone.User.ID, StatusErased)
	a := mustResolve(t, d, login("an", 2, false))
	r = mustResolve(t, d, login("an", 2, true))
	if r.Conflict || r.User.ID != a.User.ID || r.User.Unionids["default"] != "u-an" {
		t.Errorf("unionid of an erased user: %+v", r)
	}
}

func TestResolveRefusesMalformedLogins(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Login)
	}{
		{"no appid", func(l *Login) { l.AppID = "" }},
		{"no openid", func(l *Login) { l.OpenID = "" }},
		{"unionid without platform", func(l *Login) { l.Platform = "" }},
		{"no channel", func(l *Login) { l.Channel = "" }},
		{"unknown channel", func(l *Login) { l.Channel = "qq" }},
		{"space", func(l *Login) { l.OpenID = "o SECRET" }},
		{"control character", func(l *Login) { l.UnionID = "u\x00SECRET" }},
		{"not ASCII", func(l *Login) { l.OpenID = "SECRETé" }},
		{"too long", func(l *Login) { l.OpenID = strings.Repeat("SECRET", 50) }},
		{"long platform", func(l *Login) { l.Platform = strings.Repeat("p", 129) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, s := newTestDirectory()
			l := login("an", 1, true)
			tt.change(&l)
			_, err := d.Resolve(t.Context(), l)
			if !errors.Is(err, ErrLogin) {
				t.Fatalf("error %v, want ErrLogin", err)
			}
			if strings.Contains(err.Error(), "SECRET") {
				t.Errorf("the error repeats the value: %v", err)
			}
			if s.reads+s.writes != 0 {
				t.Error("the store was asked")
			}
		})
	}
}

func TestResolveUnusableEntries(t *testing.T) {
	d, s := newTestDirectory()
	r := mustResolve(t, d, login("an", 1, true))
	good := s.value("u:" + r.User.ID)
	for name, raw := range map[string]string{
		"newer version": strings.Replace(good, `"v":2`, `"v":3`, 1),
		"unknown field": strings.Replace(good, `{`, `{"extra":1,`, 1),
		"other id":      strings.Replace(good, r.User.ID, NewID(), 1),
		"bad status":    strings.Replace(good, `"active"`, `"fine"`, 1),
		"cut":           good[:len(good)-1],
		"trailing":      good + "{}",
		"empty":         "",
		"large":         good + strings.Repeat(" ", maxRecord),
	} {
		s.set("u:"+r.User.ID, raw)
		for _, l := range []Login{login("an", 1, false), login("an", 2, true)} {
			if _, err := d.Resolve(t.Context(), l); !errors.Is(err, ErrRecord) {
				t.Errorf("%s: error %v, want ErrRecord", name, err)
			}
		}
		if n := len(s.keys("u:")); n != 1 {
			t.Fatalf("%s: %d users", name, n)
		}
	}
	s.set("u:"+r.User.ID, good)
	s.set("a:wx1/o-an-1", "../x")
	if _, err := d.Resolve(t.Context(), login("an", 1, false)); !errors.Is(err, ErrRecord) {
		t.Errorf("bad entry: error %v, want ErrRecord", err)
	}
}

// The same account may come through another channel; an older login that is told late does not turn back the clock.
func TestResolveChannelChange(t *testing.T) {
	d, _ := newTestDirectory()
	mustResolve(t, d, login("an", 1, false))
	l := login("an", 1, false).after(-time.Hour)
	l.Channel = ChannelComponent
	r := mustResolve(t, d, l)
	if diff := cmp.Diff([]Account{{ChannelComponent, "wx1", "o-an-1", t0, t0}}, r.User.Accounts); diff != "" {
		t.Error(diff)
	}
}

// The record goes away between being read and being written.
func TestResolveRecordLostInBetween(t *testing.T) {
	d, s := newTestDirectory()
	r := mustResolve(t, d, login("an", 1, false))
	lose := true
	s.hook = func(op, key string) outcome {
		if op == "replace" && lose {
			lose = false
			delete(s.m, key)
		}
		return proceed
	}
	if got := mustResolve(t, d, login("an", 1, true)); got.User.ID != r.User.ID || got.User.Unionids["default"] != "u-an" {
		t.Errorf("got %+v", got)
	}
	if lose {
		t.Error("nothing was lost")
	}
}

// A store that lost a record but kept the entry: the person keeps the id, and the rest comes back with the logins.
func TestResolveLostRecord(t *testing.T) {
	d, s := newTestDirectory()
	r := mustResolve(t, d, login("an", 1, true))
	mustResolve(t, d, login("an", 2, true))
	delete(s.m, "u:"+r.User.ID)
	for i, l := range []Login{login("an", 2, true), login("an", 1, false), login("an", 3, true)} {
		got := mustResolve(t, d, l)
		if got.User.ID != r.User.ID || !got.Linked || len(got.User.Accounts) != i+1 {
			t.Errorf("login %d: %+v", i, got)
		}
	}
	u, _, _ := d.User(t.Context(), r.User.ID)
	if u.History[0].Type != EventRecovered || u.Unionids["default"] != "u-an" {
		t.Errorf("recovered user: %+v", u)
	}
}

func TestResolveSaysWhatTheStoreSays(t *testing.T) {
	for n := range 5 {
		d, s := newTestDirectory()
		i := 0
		s.hook = func(op, key string) outcome {
			if i++; i > n {
				return crashBefore
			}
			return proceed
		}
		_, err := d.Resolve(t.Context(), login("an", 1, true))
		if n < 4 && !errors.Is(err, errCrash) || n >= 4 && err != nil {
			t.Errorf("after %d operations: %v", n, err)
		}
		if err != nil && strings.Contains(err.Error(), "o-an") {
			t.Errorf("the error names the openid: %v", err)
		}
	}
}
