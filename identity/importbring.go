package identity

import (
	"cmp"
	"slices"
	"time"
)

// fresh is the user that the line describes. A history that the line brings is kept as it is; where there is none, it begins with the
// import.
func (i *importing) fresh() *User {
	in := i.in
	u := &User{
		ID: i.id, Status: in.Status, CreatedAt: cmp.Or(in.CreatedAt, i.now), Accounts: slices.Clone(in.Accounts),
		Unionids: in.Unionids, Yunxin: in.Yunxin, Aliases: in.Aliases, History: in.History,
	}
	for n := range u.Accounts {
		u.Accounts[n] = i.seen(u.Accounts[n])
	}
	if in.Profile != nil {
		u.Profile = &Profile{in.Profile.Name, in.Profile.Avatar, cmp.Or(in.Profile.UpdatedAt, i.now)}
	}
	u.kept.Apart, u.kept.Epochs, u.kept.Withdrawn = in.Apart, in.Epochs, in.Withdrawn
	for _, f := range in.Former {
		u.keepFormer(unionKey(f.Platform, f.UnionID))
	}
	if len(u.History) == 0 {
		u.AddEvent(Event{Time: i.now, Type: EventImported})
	}
	return u
}

func (i *importing) seen(a Account) Account {
	a.FirstSeen = cmp.Or(a.FirstSeen, a.LastSeen, i.now)
	a.LastSeen = cmp.Or(a.LastSeen, a.FirstSeen)
	return a
}

// bring adds to a user that is there what the line knows better. Doing so twice changes nothing more.
func (i *importing) bring(u *User) {
	in, gained := i.in, false
	if !in.CreatedAt.IsZero() && in.CreatedAt.Before(u.CreatedAt) {
		u.CreatedAt = in.CreatedAt
	}
	for _, a := range in.Accounts {
		have := u.Account(a.AppID, a.OpenID)
		if have == nil {
			u.Accounts = append(u.Accounts, i.seen(a))
			delete(u.kept.Parting, accountKey(a.AppID, a.OpenID))
			gained = true
			continue
		}
		if !a.FirstSeen.IsZero() && a.FirstSeen.Before(have.FirstSeen) {
			have.FirstSeen = a.FirstSeen
		}
		if a.LastSeen.After(have.LastSeen) {
			have.LastSeen = a.LastSeen
		}
	}
	for platform, unionID := range in.Unionids {
		if u.Unionids[platform] == "" {
			u.Unionids[platform] = unionID
			gained = true
		}
	}
	for _, f := range in.Former {
		if u.Unionids[f.Platform] != f.UnionID {
			u.keepFormer(unionKey(f.Platform, f.UnionID))
		}
	}
	for _, alias := range in.Aliases {
		if alias != u.ID && !slices.Contains(u.Aliases, alias) {
			u.Aliases = append(u.Aliases, alias)
			gained = true
		}
	}
	for _, id := range in.Apart {
		if id != u.ID && !slices.Contains(u.Aliases, id) {
			u.keepApart(id)
		}
	}
	for id, n := range in.Epochs {
		u.setEpoch(id, n)
	}
	if i.bringYunxin(&u.Yunxin) {
		gained = true
	}
	revoked := u.last(EventRevoked)
	u.bringHistory(in.History)
	if u.last(EventRevoked).After(revoked) {
		u.kept.Withdrawn = in.Withdrawn
	}
	i.bringProfile(u)
	if gained {
		u.AddEvent(Event{Time: i.now, Type: EventImported})
	}
}

// bringYunxin takes the line's account over where there is none, and what the line knows about the same account where the line is ahead.
func (i *importing) bringYunxin(have *Yunxin) (adopted bool) {
	y := i.in.Yunxin
	switch {
	case have.Accid == "" && i.adopt:
		y.Epoch = max(y.Epoch, have.Epoch) // a token that was withdrawn stays so
		*have = y
		return true
	case have.Accid == "" || have.Accid != y.Accid || y.Epoch < have.Epoch:
		return false
	}
	exists := y.State == YunxinReady || y.State == YunxinBlocked
	if y.Epoch > have.Epoch || exists && have.State != YunxinReady && have.State != YunxinBlocked {
		*have = y
	}
	return false
}

// bringHistory adds what is missing. Where there is no room for all of it, that is only what happened after the last thing known
// here: what is older may have been known once, and pushed out.
func (u *User) bringHistory(more []Event) {
	var missing []Event
	for _, e := range more {
		if !slices.ContainsFunc(u.History, func(have Event) bool {
			later := !have.Time.Before(e.Time)
			have.Time = e.Time
			return later && have == e
		}) {
			missing = append(missing, e)
		}
	}
	if n := len(u.History); n > 0 && n+len(missing) > maxHistory {
		last := u.History[n-1].Time
		missing = slices.DeleteFunc(missing, func(e Event) bool { return !e.Time.After(last) })
	}
	if len(missing) == 0 {
		return
	}
	for _, e := range missing {
		u.AddEvent(e)
	}
	slices.SortStableFunc(u.History, func(a, b Event) int { return a.Time.Compare(b.Time) })
}

// bringProfile takes the line's profile if it is newer. None survives that is older than the person's decision to take the consent
// back. A profile without time counts as of now, but only where there is none and that decision was never made.
func (i *importing) bringProfile(u *User) {
	revoked := u.last(EventRevoked)
	if p := i.in.Profile; p != nil && (u.Profile == nil || p.UpdatedAt.After(u.Profile.UpdatedAt)) {
		fresh := *p
		if fresh.UpdatedAt.IsZero() && revoked.IsZero() {
			fresh.UpdatedAt = i.now
		}
		u.Profile = &fresh
	}
	if u.Profile != nil && u.Profile.UpdatedAt.Before(revoked) {
		u.Profile = nil
	}
}

// blocks says that the line's user is to be blocked here. Blocked is blocked, unless an operator lifted it here since.
func (i *importing) blocks(u *User) bool {
	if i.in.Status != StatusBlocked || u.Status != StatusActive {
		return false
	}
	lifted := u.last(EventUnblocked)
	return lifted.IsZero() || lifted.Before(i.in.last(EventBlocked))
}

// last is when something happened the last time, as far as the history knows.
func (u *User) last(kind string) (t time.Time) {
	for _, e := range u.History {
		if e.Type == kind && e.Time.After(t) {
			t = e.Time
		}
	}
	return t
}

// drop forgets what an index entry stands for.
func (u *User) drop(key string) {
	u.Accounts = slices.DeleteFunc(u.Accounts, func(a Account) bool { return accountKey(a.AppID, a.OpenID) == key })
	for platform, unionID := range u.Unionids {
		if unionKey(platform, unionID) == key {
			delete(u.Unionids, platform)
		}
	}
	u.kept.Former = slices.DeleteFunc(u.kept.Former, func(former string) bool { return former == key })
}

// yunxinBehind says that the account at Yunxin has not followed what was decided about its user. Whoever settles the user sees to it.
func (u *User) yunxinBehind() bool {
	y := u.Yunxin
	if u.Status == StatusBlocked || u.kept.Withdrawn {
		return y.State == YunxinReady
	}
	return y.State == YunxinBlocked || y.Blocking || y.State == YunxinReady && y.TokenEpoch != y.Epoch
}
